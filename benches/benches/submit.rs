//! This file measures durable submission on redb: by one caller, by many, and in batches.
//!
//! `cargo xtask bench submit [--seconds N] [--runs N] [--dir DIR]`
//!
//! A caller waits for each reply before it submits again. A commit is one sync; what is written to the rows beside is not counted.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agentcom_benches::arguments::Arguments;
use agentcom_benches::hub::{self, Kept, Running};
use agentcom_benches::report::{Runs, say};
use agentcom_benches::work::Work;
use agentcom_benches::{Outcome, disk, machine};
use agentcom_core::config::HubConfig;
use agentcom_core::driver::Handle;
use tokio::task::JoinSet;

const SYNCS_PER_COMMIT: f64 = 1.0;

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let during = Duration::from_secs(arguments.number("seconds", 5)? as u64);
    let runs = arguments.number("runs", 3)?;
    let parent = arguments.text("dir").map_or_else(std::env::temp_dir, PathBuf::from);
    machine::describe();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut syncs = Runs::default();
    for _ in 0..runs {
        syncs.add(disk::syncs_per_second(&parent, Duration::from_secs(1))?);
    }
    say(&format!("the disk: {} fdatasync/s", syncs.spread()));
    for (callers, batch) in [(1, 1), (64, 1), (256, 1), (1, 100), (4, 1_000)] {
        let mut figures: [Runs; 3] = Default::default();
        for _ in 0..runs {
            let dir = tempfile::tempdir_in(&parent)?;
            let [tasks, commits] = runtime.block_on(measure(dir.path(), callers, batch, during))?;
            let seconds = during.as_secs_f64();
            let all = [tasks / seconds, commits / seconds, SYNCS_PER_COMMIT * commits / tasks];
            figures.iter_mut().zip(all).for_each(|(runs, figure)| runs.add(figure));
        }
        let [tasks, commits, syncs] = &figures;
        say(&format!(
            "{callers} callers, {batch} a call: {} tasks/s, {} commits/s, {} syncs/task",
            tasks.spread(),
            commits.spread(),
            syncs.spread(),
        ));
    }
    Ok(())
}

/// How many tasks were taken in, in how many commits.
async fn measure(dir: &Path, callers: usize, batch: usize, during: Duration) -> Outcome<[f64; 2]> {
    let hub = Running::start(Kept::Redb(dir), HubConfig::default(), Vec::new()).await?;
    let work = Arc::new(Work::new(100)?);
    let number = Arc::new(AtomicUsize::new(0));
    let before = hub.commits.count();
    let until = Instant::now() + during;
    let mut calling = JoinSet::new();
    for _ in 0..callers {
        calling.spawn(call(hub.handle.clone(), work.clone(), number.clone(), batch, until));
    }
    let mut tasks = 0;
    while let Some(done) = calling.join_next().await {
        tasks += done??;
    }
    let commits = hub.commits.count() - before;
    hub.stop().await?;
    Ok([tasks as f64, commits as f64])
}

/// Submits until it is time. Returns how many tasks were confirmed.
async fn call(
    handle: Handle,
    work: Arc<Work>,
    number: Arc<AtomicUsize>,
    batch: usize,
    until: Instant,
) -> Outcome<usize> {
    let mut tasks = 0;
    while Instant::now() < until {
        let from = number.fetch_add(batch, Ordering::Relaxed);
        if batch == 1 {
            hub::submit(&handle, work.draft(from)?).await?;
        } else {
            let drafts = (from..from + batch).map(|number| work.draft(number));
            hub::submit_batch(&handle, drafts.collect::<Outcome<_>>()?).await?;
        }
        tasks += batch;
    }
    Ok(tasks)
}
