//! This file takes every guard away in turn and plants every bug, and expects to be told of each.
//!
//! Three parts: walks without a fault, which may find nothing; a scenario for each guard, which has
//! to go wrong without it; and walks with each planted bug, which have to find it within a budget
//! of seeds.

#![expect(clippy::print_stdout, reason = "a proof tells people what it did")]

use std::process::ExitCode;
use std::time::Instant;

use agentcom_core::guard::{Guard, Guards};
use agentcom_core::testing::ablation::ablate;
use agentcom_core::testing::stage::Staging;
use agentcom_core::testing::zoo::{self, Plant};
use serde_json::json;

const USAGE: &str = "\
cargo xtask ablation [--walks N] [--budget N] [--figures FILE]

  --walks N       walks without a fault, which may find nothing (2000)
  --budget N      seeds in which each planted bug has to be found (2000)
  --figures FILE  write the figures there as one JSON object

The defaults take less than two minutes; for a short slice say --walks 200.";

struct Arguments {
    walks: u64,
    budget: u64,
    figures: Option<String>,
}

fn arguments() -> Result<Option<Arguments>, String> {
    let mut found = Arguments { walks: 2_000, budget: 2_000, figures: None };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--help" || arg == "-h" {
            return Ok(None);
        }
        let value = args.next().ok_or(format!("{arg} wants a value"))?;
        let number = || value.parse().map_err(|_| format!("{arg} wants a number, not {value}"));
        match arg.as_str() {
            "--walks" => found.walks = number()?,
            "--budget" => found.budget = number()?,
            "--figures" => found.figures = Some(value),
            _ => return Err(format!("there is no {arg}")),
        }
    }
    Ok(Some(found))
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            println!("{wrong}\n\n{USAGE}");
            return ExitCode::from(64);
        }
    };
    // Scenarios that go wrong are the point here; what they say is told in the table.
    std::panic::set_hook(Box::new(|_| {}));
    let began = Instant::now();
    let mut failures = sound(arguments.walks);
    let (guards, by_walk) = guards(&mut failures);
    let (plants, most) = plants(arguments.budget, &mut failures);
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "\n{guards} of {} guards missed when gone ({by_walk} of them by walks too), {plants} of {} \
         planted bugs found (the slowest after {most} seeds), {} sound walks, in {seconds:.1} s",
        Guard::ALL.len(),
        Plant::ALL.len(),
        arguments.walks,
    );
    failures.iter().for_each(|failure| println!("FAILED: {failure}"));
    let figures = json!({
        "guards": Guard::ALL.len(),
        "guards_caught": guards,
        "guards_caught_by_walks": by_walk,
        "plants": Plant::ALL.len(),
        "plants_found": plants,
        "plants_seeds_most": most,
        "walks": arguments.walks,
        "failures": failures.len(),
        "seconds": seconds,
    });
    if let Some(path) = arguments.figures
        && let Err(error) = std::fs::write(&path, format!("{figures:#}\n"))
    {
        println!("FAILED: {path}: {error}");
        return ExitCode::FAILURE;
    }
    if failures.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Walks without a fault, on all cores.
fn sound(walks: u64) -> Vec<String> {
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || some(first, walks, threads as usize)))
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("walks end")).collect()
    })
}

/// What every so-many-th walk finds.
fn some(first: u64, walks: u64, step: usize) -> Vec<String> {
    let wrong = |seed| {
        let broken = zoo::walk(seed, Staging::default()).err()?;
        Some(format!("walk {seed} without a fault: {broken}"))
    };
    (first..walks).step_by(step).filter_map(wrong).collect()
}

/// How many guards are missed when they are gone, and how many of them by walks, too.
fn guards(failures: &mut Vec<String>) -> (usize, usize) {
    let (mut caught, mut by_walk) = (0, 0);
    println!("guard, what it prevents, and what is wrong without it");
    for &guard in Guard::ALL {
        match ablate(guard) {
            Ok(wrong) => {
                caught += 1;
                let walk = zoo::hunt_without(Guards::all().without(guard), 20);
                by_walk += usize::from(walk.is_some());
                let walk = walk.map_or(String::new(), |find| format!(" (walk {})", find.seeds));
                println!("{:<18} {}\n{:<18} - {wrong}{walk}", guard.as_str(), guard.about(), "");
            }
            Err(unnoticed) => failures.push(unnoticed),
        }
    }
    (caught, by_walk)
}

/// How many planted bugs are found, and after how many seeds the last of them.
fn plants(budget: u64, failures: &mut Vec<String>) -> (usize, u64) {
    let (mut found, mut most) = (0, 0);
    println!("\nplanted bug, seeds until it was found, and how");
    for &plant in Plant::ALL {
        let began = Instant::now();
        match zoo::hunt(plant, budget) {
            Some(find) => {
                (found, most) = (found + 1, most.max(find.seeds));
                let (name, ms) = (format!("{plant:?}"), began.elapsed().as_millis());
                println!("{name:<18} {:>5} seeds {ms:>6} ms  {}", find.seeds, find.broken);
            }
            None => failures.push(format!("{plant:?} was not found in {budget} seeds")),
        }
    }
    (found, most)
}
