//! This file measures the whole way of a task through the driver: submit, assign, accept, complete.
//!
//! `cargo xtask bench cycle [--tasks N] [--runs N] [--dir DIR]`
//!
//! Agents live in this process, behind the transport within one process. All four changes of a task
//! are durable; on redb a commit is two syncs.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::cycle::{self, Agents, Load};
use agentcom_benches::hub::Kept;
use agentcom_benches::report::{Runs, round, say};
use agentcom_benches::{Outcome, disk, machine};

const SUBMITTERS: usize = 64;

/// A fleet, its slots, and whether the store is a file.
#[derive(Clone, Copy, Debug)]
struct Setting {
    agents: Agents,
    count: usize,
    slots: u32,
    on_disk: bool,
}

const SETTINGS: [Setting; 7] = [
    Setting { agents: Agents::Frames, count: 16, slots: 8, on_disk: false },
    Setting { agents: Agents::Frames, count: 16, slots: 8, on_disk: true },
    Setting { agents: Agents::Frames, count: 1_000, slots: 1, on_disk: true },
    Setting { agents: Agents::Sidecars, count: 16, slots: 8, on_disk: false },
    Setting { agents: Agents::Sidecars, count: 16, slots: 8, on_disk: true },
    Setting { agents: Agents::App, count: 1, slots: 128, on_disk: false },
    Setting { agents: Agents::App, count: 1, slots: 128, on_disk: true },
];

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let tasks = arguments.number("tasks", 20_000)?;
    let runs = arguments.number("runs", 3)?;
    let parent = arguments.text("dir").map_or_else(std::env::temp_dir, PathBuf::from);
    machine::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut syncs = Runs::default();
    for _ in 0..runs {
        syncs.add(disk::syncs_per_second(&parent, Duration::from_secs(1))?);
    }
    say(&format!("the disk: {} fdatasync/s", syncs.spread()));
    let only = arguments.number("only", usize::MAX)?;
    for (number, setting) in SETTINGS.into_iter().enumerate() {
        if only == usize::MAX || only == number {
            report(&runtime, setting, tasks, runs, &parent)?;
        }
    }
    Ok(())
}

fn report(
    runtime: &tokio::runtime::Runtime,
    setting: Setting,
    tasks: usize,
    runs: usize,
    parent: &Path,
) -> Outcome<()> {
    let Setting { agents, count, slots, on_disk } = setting;
    let load = Load { agents, count, slots, submitters: SUBMITTERS, tasks };
    let mut figures: [Runs; 3] = Default::default();
    for _ in 0..runs {
        let dir = tempfile::tempdir_in(parent)?;
        let kept = if on_disk { Kept::Redb(dir.path()) } else { Kept::Memory };
        let took = runtime.block_on(cycle::run(kept, load))?;
        let seconds = took.time.as_secs_f64();
        let commits = took.commits as f64 / seconds;
        let all = [tasks as f64 / seconds, commits, took.busy.as_secs_f64() / seconds];
        figures.iter_mut().zip(all).for_each(|(runs, figure)| runs.add(figure));
    }
    let [rate, commits, busy] = &figures;
    let store = if on_disk { "redb" } else { "memory" };
    say(&format!(
        "{count} {agents:?} of {slots} slots, {store}: {} tasks/s, {} commits/s, {} % of the time in commits",
        rate.spread(),
        commits.spread(),
        round(100.0 * busy.median()),
    ));
    Ok(())
}
