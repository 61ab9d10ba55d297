//! This file runs simulated fleets from many seeds, and holds one seed to one trace.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;

use agentcom_core::testing::sim::{Options, Report, run};

/// Seeds of the normal test run. `AGENTCOM_SIM_SEEDS=FROM..TO` runs others.
const SEEDS: Range<u64> = 0..200;

/// Situations that the seeds of the normal run have to reach, or they prove less than they seem to.
const NOTABLE: [&str; 11] = [
    "a hold was ended by the hub",
    "a plain client was told to forget",
    "a repeated submission found the first",
    "a submitter had to ask again",
    "an agent stays away for ever",
    "an agent was cut off",
    "an agent was killed",
    "superseded",
    "the hub was killed",
    "the store failed and the hub ended",
    "the wall clock jumped",
];

fn seeds() -> Range<u64> {
    let Ok(said) = std::env::var("AGENTCOM_SIM_SEEDS") else { return SEEDS };
    let read = |text: &str| text.parse().expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    let (from, to) = said.split_once("..").expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    read(from)..read(to)
}

/// Runs every `step`-th seed from `first` on, up to the first that breaks a promise.
fn run_some(first: usize, step: usize) -> Vec<Report> {
    let mut reports = Vec::new();
    for seed in seeds().skip(first).step_by(step) {
        reports.push(run(seed, &Options::default()));
        if reports.last().is_some_and(|report| report.verdict.is_err()) {
            break;
        }
    }
    reports
}

#[test]
fn no_seed_breaks_a_promise_and_together_they_see_trouble() {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let reports: Vec<Report> = thread::scope(|scope| {
        let workers: Vec<_> =
            (0..threads).map(|n| scope.spawn(move || run_some(n, threads))).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect()
    });
    for report in &reports {
        assert_eq!(report.verdict, Ok(()), "{}", report.story());
    }
    let mut marks: BTreeMap<&str, u64> = BTreeMap::new();
    for (mark, count) in reports.iter().flat_map(|report| &report.marks) {
        *marks.entry(mark).or_default() += count;
    }
    let missed: Vec<_> = NOTABLE.iter().filter(|mark| !marks.contains_key(*mark)).collect();
    assert!(seeds() != SEEDS || missed.is_empty(), "never seen: {missed:?} among {marks:?}");
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [3, 50, 117] {
        let digests = [0, 1].map(|_| run(seed, &Options::default()).digest);
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
