//! This file measures what a full queue takes in memory, and how long it takes to come back.
//!
//! `cargo xtask bench memory [--tasks N] [--runs N]`
//!
//! A process of its own submits the tasks through the driver, durably, says how large it is, and is
//! killed with SIGKILL in the middle of submitting more. Another one opens the file, warm (as the
//! kill left it in the page cache) and cold (dropped from it).

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::hub::{self, GENESIS, Kept, Running};
use agentcom_benches::report::{Runs, say};
use agentcom_benches::work::Work;
use agentcom_benches::{Outcome, machine};
use agentcom_core::config::HubConfig;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_store_redb::RedbStore;

const MIB: f64 = 1024.0 * 1024.0;
const CLASSES: usize = 100;
const BATCH: usize = 1_000;

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let tasks = arguments.number("tasks", 1_000_000)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match (arguments.word(0), arguments.text("dir").map(Path::new)) {
        (None, _) => measure(tasks, arguments.number("runs", 3)?),
        (Some("fill"), Some(dir)) => runtime.block_on(fill(dir, tasks)),
        (Some("open"), Some(dir)) => runtime.block_on(open(dir)),
        _ => Err("unknown arguments".into()),
    }
}

fn measure(tasks: usize, runs: usize) -> Outcome<()> {
    machine::describe();
    let mut figures: [Runs; 10] = Default::default();
    for _ in 0..runs {
        let dir = tempfile::tempdir()?;
        let mut filler = Part::start("fill", dir.path(), tasks)?;
        let [seconds, resident, peak] = filler.figures()?;
        filler.kill()?;
        let file = std::fs::metadata(dir.path().join("hub.redb"))?;
        // In blocks of 512 bytes, whatever the file system calls a block.
        let (disk, length) = (file.blocks() as f64 * 512.0, file.len() as f64);
        let warm = reopen(dir.path(), tasks)?;
        drop_from_cache(&dir.path().join("hub.redb"))?;
        let cold = reopen(dir.path(), tasks)?;
        let rate = tasks as f64 / seconds;
        let all = [rate, resident / MIB, peak / MIB, disk / MIB, length / MIB];
        let all = all.into_iter().chain(warm).chain([cold[0]]);
        figures.iter_mut().zip(all).for_each(|(runs, figure)| runs.add(figure));
    }
    let names = [
        "submitted per second, durably, by batches of 1,000",
        "MiB resident with all tasks queued",
        "MiB resident at most, until then",
        "MiB of the file on the disk",
        "MiB long that it is",
        "s from an open file to a hub, warm",
        "MiB resident after that",
        "MiB resident at most, until then",
        "tasks found",
        "s from an open file to a hub, cold",
    ];
    say(&format!("{tasks} tasks, {runs} runs"));
    for (name, runs) in names.iter().zip(&figures) {
        say(&format!("{name}: {}", runs.spread()));
    }
    Ok(())
}

/// Opens the file in a fresh process, which is killed afterwards.
fn reopen(dir: &Path, tasks: usize) -> Outcome<[f64; 4]> {
    let mut opener = Part::start("open", dir, tasks)?;
    let [seconds, resident, peak, found] = opener.figures()?;
    opener.kill()?;
    if found < tasks as f64 {
        return Err(format!("{found} of {tasks} tasks came back").into());
    }
    Ok([seconds, resident / MIB, peak / MIB, found])
}

fn drop_from_cache(path: &Path) -> Outcome<()> {
    use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
    let file = File::open(path)?;
    file.sync_all()?;
    Ok(posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED)?)
}

/// A part of the bench in a process of its own.
struct Part {
    process: Child,
}

impl Part {
    fn start(what: &str, dir: &Path, tasks: usize) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([what, "--tasks", &tasks.to_string(), "--dir"]).arg(dir);
        Ok(Self { process: command.stdout(Stdio::piped()).spawn()? })
    }

    /// What it says, in one line of numbers.
    fn figures<const N: usize>(&mut self) -> Outcome<[f64; N]> {
        let said = self.process.stdout.as_mut().ok_or("no output")?;
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line)?;
        let numbers: Vec<f64> =
            line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        numbers.try_into().map_err(|_| format!("it said `{line}`").into())
    }

    fn kill(&mut self) -> Outcome<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Mostly it has ended already.
        let _ = self.kill();
    }
}

async fn fill(dir: &Path, tasks: usize) -> Outcome<()> {
    let work = Work::new(CLASSES)?;
    let hub = Running::start(Kept::Redb(dir), HubConfig::default(), Vec::new()).await?;
    let began = Instant::now();
    let mut number = 0;
    let mut said = false;
    loop {
        // Two batches are under way, so that one is decided on while the other is stored.
        let batches = [number, number + BATCH].map(|from| {
            let drafts = (from..from + BATCH).map(|number| work.draft(number));
            drafts.collect::<Outcome<Vec<_>>>()
        });
        let [first, second] = batches;
        let (first, second) = tokio::join!(
            hub::submit_batch(&hub.handle, first?),
            hub::submit_batch(&hub.handle, second?),
        );
        first.and(second)?;
        number += 2 * BATCH;
        if number >= tasks && !said {
            let (seconds, peak) = (began.elapsed().as_secs_f64(), machine::resident_peak()?);
            say(&format!("{seconds} {} {peak}", machine::resident()?));
            said = true;
        }
    }
}

async fn open(dir: &Path) -> Outcome<()> {
    let began = Instant::now();
    let store = RedbStore::open(dir.join("hub.redb"), "main").await?;
    let builder = HubBuilder::new(Arc::new(store), Arc::new(SystemClock::new()));
    let (handle, driver) = builder.open(GENESIS).await?;
    let seconds = began.elapsed().as_secs_f64();
    let (resident, peak) = (machine::resident()?, machine::resident_peak()?);
    let running = tokio::spawn(driver.run());
    let tasks = handle.view(|state| state.task_count()).await?;
    say(&format!("{seconds} {resident} {peak} {tasks}"));
    running.await??;
    Ok(())
}
