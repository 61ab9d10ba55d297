//! This file runs simulated fleets from many seeds, and holds one seed to one trace.

use agentcom_core::testing::sim::{Options, run};

/// Seeds of the normal test run. `AGENTCOM_SIM_SEEDS=FROM..TO` runs others.
const SEEDS: core::ops::Range<u64> = 0..200;

fn seeds() -> core::ops::Range<u64> {
    let Ok(said) = std::env::var("AGENTCOM_SIM_SEEDS") else { return SEEDS };
    let read = |text: &str| text.parse().expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    let (from, to) = said.split_once("..").expect("AGENTCOM_SIM_SEEDS is FROM..TO");
    read(from)..read(to)
}

/// Runs every `step`-th seed from `first` on, so that the cores share the work.
fn run_seeds(first: u64, step: usize) {
    for seed in seeds().skip(first as usize).step_by(step) {
        let report = run(seed, &Options::default());
        assert_eq!(report.verdict, Ok(()), "{}", report.story());
    }
}

#[test]
fn no_seed_breaks_a_promise_even_ones() {
    run_seeds(0, 2);
}

#[test]
fn no_seed_breaks_a_promise_odd_ones() {
    run_seeds(1, 2);
}

#[test]
fn one_seed_gives_one_trace() {
    for seed in [3, 50, 117] {
        let digests = [0, 1].map(|_| run(seed, &Options::default()).digest);
        assert_eq!(digests[0], digests[1], "seed {seed}");
    }
}
