//! This file measures the whole way of a task through the driver: submit, assign, accept, complete.
//!
//! `cargo xtask bench cycle [--tasks N] [--runs N] [--dir DIR]`
//!
//! Agents live in this process, behind the transport within one process. All four changes of a task
//! are durable; on redb a commit is two syncs.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agentcom_benches::arguments::Arguments;
use agentcom_benches::hub::{self, Running};
use agentcom_benches::report::{Runs, round, say};
use agentcom_benches::work::Work;
use agentcom_benches::{Outcome, disk, fleet, machine};
use agentcom_core::config::HubConfig;
use agentcom_core::driver::local::local;
use agentcom_core::driver::queue::Capacity;
use tokio::task::JoinSet;

const SUBMITTERS: usize = 64;

/// Who does the work.
#[derive(Clone, Copy, Debug)]
enum Agents {
    /// Minimal ones that speak in frames.
    Frames,
    /// Real sidecars, with journals in memory.
    Sidecars,
}

/// A fleet, its slots, and whether the store is a file.
#[derive(Clone, Copy, Debug)]
struct Setting {
    agents: Agents,
    count: usize,
    slots: u32,
    on_disk: bool,
}

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
    let settings = [
        Setting { agents: Agents::Frames, count: 16, slots: 8, on_disk: false },
        Setting { agents: Agents::Frames, count: 16, slots: 8, on_disk: true },
        Setting { agents: Agents::Frames, count: 1_000, slots: 1, on_disk: true },
        Setting { agents: Agents::Sidecars, count: 16, slots: 8, on_disk: false },
        Setting { agents: Agents::Sidecars, count: 16, slots: 8, on_disk: true },
    ];
    for (number, setting) in settings.into_iter().enumerate() {
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
    let mut figures: [Runs; 3] = Default::default();
    for _ in 0..runs {
        let dir = tempfile::tempdir_in(parent)?;
        let (took, commits, busy) = runtime.block_on(measure(dir.path(), setting, tasks))?;
        let seconds = took.as_secs_f64();
        let all = [tasks as f64 / seconds, commits as f64 / seconds, busy.as_secs_f64() / seconds];
        figures.iter_mut().zip(all).for_each(|(runs, figure)| runs.add(figure));
    }
    let [rate, commits, busy] = &figures;
    let Setting { agents, count, slots, on_disk } = setting;
    let store = if on_disk { "redb" } else { "memory" };
    say(&format!(
        "{count} {agents:?} of {slots} slots, {store}: {} tasks/s, {} commits/s, {} % of the time in commits",
        rate.spread(),
        commits.spread(),
        round(100.0 * busy.median()),
    ));
    Ok(())
}

async fn measure(dir: &Path, setting: Setting, tasks: usize) -> Outcome<(Duration, u64, Duration)> {
    let (listener, connector) = local(Capacity::default());
    let config = HubConfig::default();
    let dir = setting.on_disk.then_some(dir);
    let hub = Running::start(dir, config, vec![Arc::new(listener)]).await?;
    let done = Arc::new(AtomicUsize::new(0));
    let mut agents: JoinSet<Outcome<()>> = JoinSet::new();
    for number in 0..setting.count {
        let name = format!("agent-{number}");
        hub::register(&hub.handle, &name).await?;
        let (connector, done) = (connector.clone(), done.clone());
        match setting.agents {
            Agents::Frames => drop(agents.spawn(fleet::work(connector, name, setting.slots, done))),
            Agents::Sidecars => {
                let sidecar = fleet::sidecar(connector, &name, setting.slots, done)?;
                agents.spawn(async move { Ok(sidecar.run().await.map(drop)?) });
            }
        }
    }
    while hub.handle.agents().await?.iter().filter(|agent| agent.profile.is_some()).count()
        < setting.count
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let (began, commits, busy) = (Instant::now(), hub.commits.count(), hub.commits.under_way());
    submit_all(&hub, tasks).await?;
    // What counts is when the hub has confirmed the last result.
    while hub.handle.view(|state| state.task_count()).await? > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    let (commits, busy) = (hub.commits.count() - commits, hub.commits.under_way() - busy);
    let done = done.load(Ordering::Relaxed);
    if done > tasks {
        return Err(format!("{done} tasks were done, not {tasks}").into());
    }
    agents.abort_all();
    hub.stop().await?;
    Ok((took, commits, busy))
}

async fn submit_all(hub: &Running, tasks: usize) -> Outcome<()> {
    let work = Arc::new(Work::new(0)?);
    let number = Arc::new(AtomicUsize::new(0));
    let mut submitting: JoinSet<Outcome<()>> = JoinSet::new();
    for _ in 0..SUBMITTERS {
        let (handle, work, number) = (hub.handle.clone(), work.clone(), number.clone());
        submitting.spawn(async move {
            loop {
                let next = number.fetch_add(1, Ordering::Relaxed);
                if next >= tasks {
                    return Ok(());
                }
                hub::submit(&handle, work.draft(next)?).await?;
            }
        });
    }
    while let Some(submitted) = submitting.join_next().await {
        submitted??;
    }
    Ok(())
}
