//! This file proves the store on a simulated disk: `cargo xtask sim-disk`.

mod arguments;
mod report;

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use agentcom_tests::sim_disk::{
    Base, Files, Interrupted, Losses, Rot, Work, fail_each_call, interrupt, lose_power,
    lose_power_under_a_hub, rot,
};
use arguments::Arguments;
use report::{Report, say};

/// How often one store or hub loses its power.
const LIVES: u64 = 12;
/// One store in so many has a hub over it.
const HUBS: u64 = 8;
/// One sync in so many is a lie of the canary, which has to be caught within so many stores.
const LIES: u64 = 5;
const CANARIES: u64 = 200;
/// From how many good files those are made that are damaged.
const BASES: u64 = 8;

fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            say(&format!("error: {why}\n\n{}", arguments::USAGE));
            return ExitCode::from(64);
        }
    };
    let caught = quiet_panics();
    let mut report = Report::default();
    let began = Instant::now();
    report.losses = losses(&arguments);
    say(&format!(
        "{:>7.1} s  power losses: {}",
        began.elapsed().as_secs_f64(),
        report.losses.losses
    ));
    report.canary_caught = canary(arguments.seed);
    say(&format!("{:>7.1} s  canary", began.elapsed().as_secs_f64()));
    report.faults = shared(arguments.faults + 1, &|number| fail_each_call(number..number + 1))
        .into_iter()
        .fold(report.faults, report::sum);
    say(&format!(
        "{:>7.1} s  failing calls: {}",
        began.elapsed().as_secs_f64(),
        report.faults.failures
    ));
    report.interrupted = interrupted(&arguments);
    say(&format!(
        "{:>7.1} s  interruptions of upkeep: {}",
        began.elapsed().as_secs_f64(),
        report.interrupted.count()
    ));
    report.rot = damaged(&arguments);
    say(&format!("{:>7.1} s  damaged files: {}", began.elapsed().as_secs_f64(), report.rot.files));
    report.caught_panics = caught.load(Ordering::Relaxed);
    report.finish(&arguments)
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

fn losses(arguments: &Arguments) -> Losses {
    let (wanted, next) = (arguments.losses, AtomicU64::new(arguments.seed));
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

fn interrupted(arguments: &Arguments) -> Interrupted {
    let seed = arguments.seed;
    let files = shared(1, &|number| Files::new(seed + number));
    let works = Work::ALL.len() as u64;
    let step = TURNS * arguments.upkeep;
    let told = shared(TURNS * works, &|number| {
        let (work, turn) = (Work::ALL[(number % works) as usize], number / works);
        interrupt(&files[0], work, step * seed + arguments.upkeep * turn, step, None)
    });
    told.into_iter().fold(Interrupted::default(), |mut sum, more| {
        sum.add(more);
        sum
    })
}

fn damaged(arguments: &Arguments) -> Rot {
    let seed = arguments.seed;
    let bases = shared(BASES, &|number| Base::new(seed + number));
    let told = shared(arguments.rot, &|number| {
        let base = &bases[(number / 4 % BASES) as usize];
        async move { rot(base, 1_000_003 * seed + number).await }
    });
    told.into_iter().fold(Rot::default(), |mut sum, more| {
        sum.add(more);
        sum
    })
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
