//! This file holds the store against the least that any store has to do: append and sync.
//!
//! `cargo xtask bench store [--tasks N] [--runs N] [--dir DIR]`
//!
//! The same driver has the same tasks done over a store in memory, over a file to which each batch
//! is appended and synced, and over redb, with 64 and with 1,024 tasks in flight. The stores take
//! turns, so that all meet the same machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::cycle::{self, Agents, Load};
use agentcom_benches::hub::Kept;
use agentcom_benches::report::{Runs, say};
use agentcom_benches::{Outcome, disk, machine};
use tokio::runtime::Runtime;

const STORES: [&str; 3] = ["memory", "append", "redb"];

/// Submitters, agents and slots with so many tasks in flight.
const LOADS: [(usize, usize, u32); 2] = [(64, 16, 4), (1_024, 64, 16)];

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let tasks = arguments.number("tasks", 50_000)?;
    let runs = arguments.number("runs", 5)?;
    let parent = arguments.text("dir").map_or_else(std::env::temp_dir, PathBuf::from);
    machine::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    for (submitters, count, slots) in LOADS {
        let load = Load { agents: Agents::Frames, count, slots, submitters, tasks };
        compare(&runtime, load, runs, &parent)?;
    }
    Ok(())
}

fn compare(runtime: &Runtime, load: Load, runs: usize, parent: &Path) -> Outcome<()> {
    let mut syncs = Runs::default();
    let (mut rates, mut commits): ([Runs; 3], [Runs; 3]) = Default::default();
    let mut ratios = Runs::default();
    for _ in 0..runs {
        syncs.add(disk::syncs_per_second(parent, Duration::from_millis(300))?);
        let mut of_run = [0.0; STORES.len()];
        for (number, rate) in of_run.iter_mut().enumerate() {
            let dir = tempfile::tempdir_in(parent)?;
            let kept = match STORES[number] {
                "memory" => Kept::Memory,
                "append" => Kept::Append(dir.path()),
                _ => Kept::Redb(dir.path()),
            };
            let took = runtime.block_on(cycle::run(kept, load))?;
            let seconds = took.time.as_secs_f64();
            *rate = load.tasks as f64 / seconds;
            rates[number].add(*rate);
            commits[number].add(took.commits as f64 / seconds);
        }
        ratios.add(of_run[2] / of_run[1]);
    }
    say(&format!("{} in flight; the disk: {} fdatasync/s", load.submitters, syncs.spread()));
    for (number, store) in STORES.iter().enumerate() {
        let (rate, commits) = (rates[number].spread(), commits[number].spread());
        say(&format!("  {store}: {rate} tasks/s, {commits} commits/s"));
    }
    say(&format!("  redb keeps {} of the rate of append", ratios.spread()));
    Ok(())
}
