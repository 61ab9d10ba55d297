//! This file proves the store on a simulated disk: `cargo xtask sim-disk`.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use agentcom_tests::proof::{Outcome, Usage, prove, say};
use agentcom_tests::sim_disk::{
    Base, Faults, Files, Interrupted, Losses, Rot, Work, fail_each_call, interrupt, lose_power,
    lose_power_under_a_hub, rot,
};
use serde_json::json;

/// How often one store or hub loses its power.
const LIVES: u64 = 12;
/// One store in so many has a hub over it.
const HUBS: u64 = 8;
/// One sync in so many is a lie of the canary, which has to be caught within so many stores.
const LIES: u64 = 5;
const CANARIES: u64 = 200;
/// From how many good files those are made that are damaged.
const BASES: u64 = 8;

const HELP: &str = "\
cargo xtask sim-disk [--losses N] [--faults N] [--upkeep N] [--rot N] [--seed N] [--figures FILE]

The store and the hub on a simulated disk, on all cores:
  --losses N      lose power so often                     (50000; 20000 takes CI under 2 minutes)
  --faults N      let each of the first N calls of the disk fail, six ways each (500)
  --upkeep N      interrupt the making, backup, restore and compaction of files at one call in
                  N of those that they take, by a power loss, a kill and a full disk (1)
  --rot N         damage so many files                    (1000)
  --seed N        begin with this seed                    (1)
  --figures FILE  write the figures there, as JSON
It ends with 0 if nothing was found, with 1 if something was.";

fn main() -> ExitCode {
    let numbers = [("losses", 50_000), ("faults", 500), ("upkeep", 1), ("rot", 1_000), ("seed", 1)];
    prove(&Usage::new(HELP, &numbers), |arguments| {
        let caught = quiet_panics();
        let (began, seed) = (Instant::now(), arguments.number("seed"));
        let tell = |what: &str, count: u64| {
            say(&format!("{:>7.1} s  {what}: {count}", began.elapsed().as_secs_f64()));
        };
        let losses = losses(arguments.number("losses"), seed);
        tell("power losses", losses.losses);
        let canary_caught = canary(seed);
        tell("canaries that were caught", canary_caught.into());
        let failed = shared(arguments.number("faults") + 1, &|n| fail_each_call(n..n + 1));
        let mut faults = Faults::default();
        failed.into_iter().for_each(|more| faults.add(more));
        tell("failing calls", faults.failures);
        let interrupted = interrupted(arguments.number("upkeep").max(1), seed);
        tell("interruptions of upkeep", interrupted.count());
        let rot = damaged(arguments.number("rot"), seed);
        tell("damaged files", rot.files);
        let caught_panics = caught.load(Ordering::Relaxed);
        Ok(outcome(losses, canary_caught, faults, interrupted, rot, caught_panics))
    })
}

/// What was done and found, for people and machines.
fn outcome(
    losses: Losses,
    canary_caught: bool,
    faults: Faults,
    interrupted: Interrupted,
    rot: Rot,
    caught_panics: u64,
) -> Outcome {
    let figures = json!({
        "losses": losses.losses,
        "crashes_in_recovery": losses.in_recovery,
        "acknowledged": losses.acknowledged,
        "lost": losses.lost,
        "reopen_failures": losses.reopen_failures,
        "canary_caught": canary_caught,
        "io_failures": faults.failures,
        "io_calls_that_failed": faults.by_call.len(),
        "upkeep_interruptions": interrupted.count(),
        "upkeep_losses": interrupted.losses,
        "rot_files": rot.files,
        "rot_unharmed": rot.unharmed,
        "rot_reported": rot.reported,
        "rot_reported_by_name": rot.named,
        "wrong_values": rot.wrong_values,
        "older_values": rot.older_values,
        "panics": rot.panics,
        "panics_of_redb_caught": caught_panics,
    });
    let mut found = [losses.found, faults.found, interrupted.found, rot.found].concat();
    if !canary_caught {
        found.push("the canary disk, which lies about one sync in five, was not caught".into());
    }
    Outcome::new(figures, found)
}

/// Panics of redb on damaged files are caught by the store; here they are counted and not printed.
fn quiet_panics() -> &'static AtomicU64 {
    static CAUGHT: AtomicU64 = AtomicU64::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let ours = panic.location().is_none_or(|place| place.file().starts_with("tests/"));
        if ours {
            usual(panic);
        } else {
            CAUGHT.fetch_add(1, Ordering::Relaxed);
        }
    }));
    &CAUGHT
}

fn losses(wanted: u64, seed: u64) -> Losses {
    let next = AtomicU64::new(seed);
    let told = Mutex::new(Losses::default());
    let done = || told.lock().is_ok_and(|told| told.losses >= wanted);
    threads(&|| async {
        while !done() {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            let more = match seed % HUBS {
                0 => lose_power_under_a_hub(seed, LIVES).await,
                _ => lose_power(seed, LIVES, None).await,
            };
            if let Ok(mut told) = told.lock() {
                let before = told.losses;
                told.add(more);
                if before / 5_000 != told.losses / 5_000 {
                    say(&format!("           {} power losses so far", told.losses));
                }
            }
        }
    });
    told.into_inner().unwrap_or_default()
}

/// Whether a disk that lies is found out.
fn canary(seed: u64) -> bool {
    let caught = AtomicBool::new(false);
    let next = AtomicU64::new(0);
    threads(&|| async {
        while !caught.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= CANARIES {
                break;
            }
            let told = lose_power(seed + at, LIVES, Some(LIES)).await;
            if !told.found.is_empty() {
                caught.store(true, Ordering::Relaxed);
            }
        }
    });
    caught.into_inner()
}

/// Each of the calls that upkeep takes is left to one of so many threads' turns.
const TURNS: u64 = 16;

fn interrupted(upkeep: u64, seed: u64) -> Interrupted {
    let files = shared(1, &|number| Files::new(seed + number));
    let works = Work::ALL.len() as u64;
    let step = TURNS * upkeep;
    let told = shared(TURNS * works, &|number| {
        let (work, turn) = (Work::ALL[(number % works) as usize], number / works);
        interrupt(&files[0], work, step * seed + upkeep * turn, step, None)
    });
    told.into_iter().fold(Interrupted::default(), |mut sum, more| {
        sum.add(more);
        sum
    })
}

fn damaged(files: u64, seed: u64) -> Rot {
    let bases = shared(BASES, &|number| Base::new(seed + number));
    let told = shared(files, &|number| {
        let base = &bases[(number / 4 % BASES) as usize];
        async move { rot(base, 1_000_003 * seed + number).await }
    });
    let mut sum = Rot::default();
    told.into_iter().for_each(|more| sum.add(more));
    sum
}

/// Does `work` for each number up to `numbers`, on all threads.
fn shared<T: Send, F: Future<Output = T>>(
    numbers: u64,
    work: &(impl Fn(u64) -> F + Sync),
) -> Vec<T> {
    let (next, told) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    threads(&|| async {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= numbers {
                break;
            }
            let more = work(number).await;
            if let Ok(mut told) = told.lock() {
                told.push(more);
            }
        }
    });
    told.into_inner().unwrap_or_default()
}

/// Does `work` on as many threads as there are cores.
fn threads<F: Future<Output = ()>>(work: &(impl Fn() -> F + Sync)) {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().build();
                runtime.expect("a runtime starts").block_on(work());
            });
        }
    });
}
