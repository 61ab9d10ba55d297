//! This file runs the project's own commands, as `cargo xtask COMMAND`.
//!
//! It needs nothing but cargo and the standard library, so that it builds in a moment.

mod fuzz;
mod mcp;
mod mutants;
mod proof;
mod proxies;
mod reliability;
mod run;
mod verify;

use std::env;
use std::process::ExitCode;

use run::{Failure, Step, say};

const USAGE: &str = "\
cargo xtask verify [--skip STEP]... [--only STEP]...  check everything that has to hold; reads only
cargo xtask verify --list                             name the steps
cargo xtask fix                                       apply clippy's suggestions and format
cargo xtask reliability [PROOF]...                    run all proofs in full, fuzz and mutants too, or
                                                      these, and write docs/reliability.{json,md}
cargo xtask bench [NAME [ARGS]...]                    run one bench, or all with their usual sizes
                                                      (step, schedule, index, guard, submit, cycle, store,
                                                      memory, idle, coding)
cargo xtask peers [ARGS]...                           us and other queues side by side; builds them,
                                                      starts their servers, takes hours
cargo xtask fuzz [--seconds N] [--figures FILE] [TARGET]
                                                      fuzz one target or all; needs nightly
cargo xtask mutants [--figures FILE] [-- ARGS]        change the core, see whether a test notices";

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "verify" => verify::verify(&rest),
        "fix" => fix(&rest),
        "help" | "--help" | "-h" => {
            say(&usage());
            Ok(())
        }
        "bench" => bench(rest),
        "peers" => peers(rest),
        "reliability" => reliability::reliability(&rest),
        "fuzz" => fuzz::fuzz(rest),
        "mutants" => mutants::mutants(rest),
        other => match proof::find(other) {
            Some(proof) => proof.run(rest).map(drop),
            None => Err(unknown(other)),
        },
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            failure.exit_code()
        }
    }
}

/// Runs us and other queues side by side; what they need is built in a workspace of its own.
fn peers(args: Vec<String>) -> Result<(), Failure> {
    let run = ["run", "--release", "--locked", "--manifest-path", "benches/peers/Cargo.toml"];
    let step = Step::cargo("peers", run).arg("--package").arg("harness").arg("--");
    step.args(args).run().map(drop)
}

/// What there is, the proofs with it.
fn usage() -> String {
    let line = |proof: &proof::Proof| {
        format!("\n{:<53} {}", format!("cargo xtask {} [ARGS]...", proof.command), proof.about)
    };
    USAGE.to_owned() + &proof::PROOFS.iter().map(line).collect::<String>()
}

fn fix(args: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(&format!("`fix` takes no argument `{unknown}`\n\n{}", usage())));
    }
    let clippy = ["clippy", "--fix", "--allow-dirty", "--allow-staged"];
    let everything = ["--workspace", "--all-targets", "--all-features"];
    Step::cargo("clippy --fix", clippy.into_iter().chain(everything)).run()?;
    Step::cargo("fmt", ["fmt", "--all"]).run()?;
    Ok(())
}

/// Runs the bench that the first argument names, with the others; all if there is none.
fn bench(args: Vec<String>) -> Result<(), Failure> {
    let step = Step::cargo("bench", ["bench", "--package", "agentcom-benches"]);
    let mut args = args.into_iter();
    let step = match args.next() {
        Some(name) => step.arg("--bench").arg(&name).arg("--").args(args),
        None => step.arg("--benches"),
    };
    step.run().map(drop)
}

fn unknown(name: &str) -> Failure {
    let what = if name.is_empty() { "a command is missing" } else { "there is no such command" };
    Failure::usage(&format!("{what}\n\n{}", usage()))
}
