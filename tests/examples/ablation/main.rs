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
use agentcom_tests::proof::{Outcome, Usage, prove};
use serde_json::json;

const HELP: &str = "\
cargo xtask ablation [--walks N] [--budget N] [--figures FILE]

  --walks N       walks without a fault, which may find nothing (2000)
  --budget N      seeds in which each planted bug has to be found (2000)
  --figures FILE  write the figures there as one JSON object

The defaults take less than two minutes; for a short slice say --walks 200.";

fn main() -> ExitCode {
    prove(&Usage::new(HELP, &[("walks", 2_000), ("budget", 2_000)]), |arguments| {
        // Scenarios that go wrong are the point here; what they say is told in the table.
        std::panic::set_hook(Box::new(|_| {}));
        let walks = arguments.number("walks");
        let mut found = sound(walks);
        let (guards, by_walk) = guards(&mut found);
        let (plants, most) = plants(arguments.number("budget"), &mut found);
        let figures = json!({
            "guards": Guard::ALL.len(),
            "guards_caught": guards,
            "guards_caught_by_walks": by_walk,
            "plants": Plant::ALL.len(),
            "plants_found": plants,
            "plants_seeds_most": most,
            "walks": walks,
        });
        Ok(Outcome::new(figures, found))
    })
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
