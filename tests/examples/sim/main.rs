//! This file runs simulated fleets for as long as it is told, or one of them again.
//!
//! Every seed is a world of its own; the next one starts when a thread is free. It ends with 0 if
//! no world broke a promise and every notable situation was reached, with 1 if not.

mod args;
mod tally;

use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentcom_core::testing::sim::{Report, run, shrink};
use agentcom_tests::proof::{Outcome, prove, say};
use args::{Args, Task, USAGE};
use serde_json::json;
use tally::Tally;

/// Of how many seeds one is run again, in a process of its own.
const AGAIN: u64 = 50;
/// How many smaller worlds are tried for one that fails.
const TRIES: u32 = 150;
/// The figure by which two runs of a seed are compared.
const DIGEST: &str = "digest";
/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    prove(&USAGE, |arguments| {
        let args = Args::read(arguments)?;
        Ok(match args.task {
            Task::Digest(seed) => {
                Outcome::new(json!({ DIGEST: run(seed, &args.options).digest }), Vec::new())
            }
            Task::One(seed) => one(seed, &args),
            Task::Many => many(&args),
        })
    })
}

/// Runs one world, with its whole trace if it fails.
fn one(seed: u64, args: &Args) -> Outcome {
    let report = run(seed, &args.options);
    let mut tally = Tally::default();
    tally.add(&report);
    Outcome::new(tally.figures(), failure(&report).into_iter().collect())
}

/// What the threads share.
struct Shared<'a> {
    args: &'a Args,
    began: Instant,
    next: AtomicU64,
    /// Whether enough is known: a world failed.
    over: AtomicBool,
    tally: Mutex<Tally>,
    failed: Mutex<Vec<Report>>,
}

/// Runs worlds until the time is over or one of them fails.
fn many(args: &Args) -> Outcome {
    let shared = Shared {
        args,
        began: Instant::now(),
        next: AtomicU64::new(args.from),
        over: AtomicBool::new(false),
        tally: Mutex::default(),
        failed: Mutex::default(),
    };
    thread::scope(|scope| {
        for n in 0..args.threads {
            let shared = &shared;
            scope.spawn(move || work(shared, n == 0));
        }
    });
    let (tally, failed) = (locked(&shared.tally), locked(&shared.failed));
    let mut found: Vec<String> = failed.first().and_then(failure).into_iter().collect();
    let missed = tally.missed().into_iter().map(|mark| format!("never reached: {mark}"));
    // A short run cannot reach everything, and says so.
    match args.some_marks {
        true => missed.for_each(|missed| say(&missed)),
        false => found.extend(missed),
    }
    Outcome::new(tally.figures(), found)
}

fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked")
}

fn work(shared: &Shared<'_>, tells: bool) {
    let mut told = Instant::now();
    while shared.began.elapsed() < shared.args.time && !shared.over.load(Ordering::Relaxed) {
        let seed = shared.next.fetch_add(1, Ordering::Relaxed);
        if shared.args.to.is_some_and(|to| seed >= to) {
            return;
        }
        let mut report = run(seed, &shared.args.options_of(seed));
        if seed.is_multiple_of(AGAIN) {
            compare(&mut report);
        }
        locked(&shared.tally).add(&report);
        if report.verdict.is_err() {
            shared.over.store(true, Ordering::Relaxed);
            locked(&shared.failed).push(report);
        }
        if tells && told.elapsed() > TOLD_EVERY {
            told = Instant::now();
            say(&locked(&shared.tally).summary());
        }
    }
}

/// Runs a seed again, here and in another process: one seed gives one trace.
fn compare(report: &mut Report) {
    let here = run(report.seed, &report.options).digest;
    let there = digest_elsewhere(report);
    if Some(here) != there || here != report.digest {
        let digests = format!("{} and {here} in one process, {there:?} in another", report.digest);
        report.verdict = Err(vec![format!("one seed gave several traces: {digests}")]);
    }
}

fn digest_elsewhere(report: &Report) -> Option<u64> {
    let arguments = report.options.arguments();
    let arguments = arguments.split_whitespace();
    let mut command = Command::new(std::env::current_exe().ok()?);
    command.args(["--digest", &report.seed.to_string()]).args(arguments);
    let said = String::from_utf8(command.output().ok()?.stdout).ok()?;
    said.lines().find_map(|line| line.trim().strip_prefix(DIGEST)?.trim().parse().ok())
}

/// What failed, if anything did, in the smallest world that fails so, and how to see it again.
fn failure(report: &Report) -> Option<String> {
    let wrongs = report.verdict.as_ref().err()?.join("\n  ");
    let (seed, arguments) = (report.seed, report.options.arguments());
    say(&format!("seed {seed} fails:\n  {wrongs}\nlooking for a smaller world that does"));
    let found = shrink(report, TRIES);
    Some(format!(
        "{}\n{} worlds were tried. To see it again:\n  cargo xtask sim --seed {seed}{arguments}\n  cargo xtask sim --seed {seed}{}",
        found.report.story(),
        found.tried,
        found.options.arguments(),
    ))
}
