//! This file runs simulated fleets for as long as it is told, or one of them again.
//!
//! Every seed is a world of its own; the next one starts when a thread is free. It ends with 0 if
//! no world broke a promise and every notable situation was reached, with 1 if not, and with 64 if
//! it was called in a way that it does not know.

mod args;
mod tally;

use std::io::Write as _;
use std::process::{Command, ExitCode};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentcom_core::testing::sim::{Report, run, shrink};

use args::{Args, HELP, Task};
use tally::Tally;

/// Of how many seeds one is run again, in a process of its own.
const AGAIN: u64 = 50;
/// How many smaller worlds are tried for one that fails.
const TRIES: u32 = 150;
/// How often progress is told.
const TOLD_EVERY: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    let args = match Args::read(std::env::args().skip(1)) {
        Ok(args) => args,
        Err(bad) => {
            say(&format!("{bad}\n\n{HELP}"));
            return ExitCode::from(64);
        }
    };
    match args.task {
        Task::Help => {
            say(HELP);
            ExitCode::SUCCESS
        }
        Task::Digest(seed) => {
            say(&run(seed, &args.options).digest.to_string());
            ExitCode::SUCCESS
        }
        Task::One(seed) => one(seed, &args),
        Task::Many => many(&args),
    }
}

/// Runs one world, with its whole trace if it fails.
fn one(seed: u64, args: &Args) -> ExitCode {
    let report = run(seed, &args.options);
    let mut tally = Tally::default();
    tally.add(&report);
    say(&tally.summary());
    match report.verdict {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => {
            tell_failure(&report);
            ExitCode::FAILURE
        }
    }
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
fn many(args: &Args) -> ExitCode {
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
    let missed = tally.missed();
    say(&tally.summary());
    if !missed.is_empty() {
        say(&format!("never reached: {}", missed.join("; ")));
    }
    if let Some(report) = failed.first() {
        tell_failure(report);
    }
    if let Some(file) = &args.figures
        && let Err(error) = std::fs::write(file, tally.figures(shared.began.elapsed()))
    {
        say(&format!("{}: {error}", file.display()));
        return ExitCode::FAILURE;
    }
    // A short run cannot reach everything, and says so.
    let all = missed.is_empty() || args.some_marks;
    if failed.is_empty() && all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
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
    let said = command.output().ok()?;
    String::from_utf8(said.stdout).ok()?.trim().parse().ok()
}

/// Says what failed, in the smallest world that fails so, and how to see it again.
fn tell_failure(report: &Report) {
    let wrongs = report.verdict.clone().err().unwrap_or_default().join("\n  ");
    let (seed, arguments) = (report.seed, report.options.arguments());
    say(&format!("seed {seed} fails:\n  {wrongs}\nlooking for a smaller world that does"));
    let found = shrink(report, TRIES);
    say(&format!(
        "{}\n{} worlds were tried. To see it again:\n  cargo xtask sim --seed {seed}{arguments}\n  cargo xtask sim --seed {seed}{}",
        found.report.story(),
        found.tried,
        found.options.arguments(),
    ));
}

fn say(text: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stdout(), "{text}");
}
