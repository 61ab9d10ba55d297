//! This file proves by random sequences that hubs and stores do what their models do.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it reports what it does")]

mod hubs;
mod stores;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

const HELP: &str = "\
cargo xtask models [--sequences N] [--seed N] [--figures FILE]

Plays random sequences on a hub under loads of each kind and on each store, and compares every
answer with a model. A sequence that differs is shrunk and printed.

--sequences N  so many for each kind of load and for each store (10000; 200 are a slice for CI)
--seed N       which sequences (0)
--figures FILE writes the figures as one JSON object
";

struct Args {
    sequences: u32,
    seed: u64,
    figures: Option<String>,
}

fn args() -> Result<Option<Args>, String> {
    let mut found = Args { sequences: 10_000, seed: 0, figures: None };
    let mut args = std::env::args().skip(1);
    while let Some(word) = args.next() {
        if word == "--help" {
            return Ok(None);
        }
        let value = args.next().ok_or_else(|| format!("{word} needs a value"))?;
        let number = || value.parse::<u32>().map_err(|error| format!("{word} {value}: {error}"));
        match word.as_str() {
            "--sequences" => found.sequences = number()?,
            "--seed" => found.seed = number()?.into(),
            "--figures" => found.figures = Some(value),
            _ => return Err(format!("there is no option {word}")),
        }
    }
    Ok(Some(found))
}

fn main() -> ExitCode {
    let args = match args() {
        Ok(Some(args)) => args,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(64);
        }
    };
    let start = Instant::now();
    let (mut sequences, mut differences) = (0_u64, 0_u64);
    for (name, play) in hubs::ALL.iter().chain(stores::ALL) {
        let begun = Instant::now();
        let outcome = play(args.sequences, args.seed);
        sequences += u64::from(args.sequences);
        differences += u64::from(outcome.is_err());
        let told = outcome.err().unwrap_or_else(|| "no difference".into());
        let secs = begun.elapsed().as_secs();
        println!("{name}: {} sequences, {told} ({secs} s)", args.sequences);
    }
    let secs = start.elapsed().as_secs();
    println!("{sequences} sequences on hubs and stores, {differences} differences, {secs} s");
    let figures = format!(
        "{{\"model_sequences\": {sequences}, \"model_differences\": {differences}, \"seconds\": {secs}}}\n"
    );
    if let Some(Err(error)) = args.figures.map(|path| fs::write(path, figures)) {
        eprintln!("the figures cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    if differences == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
