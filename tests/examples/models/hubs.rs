//! This file plays random loads on a hub and on the model of it.

use agentcom_core::testing::model::machine::{
    Ageing, Caps, Load, Machine, Queue, Scheduler, Whims,
};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest_state_machine::{ReferenceStateMachine as _, StateMachineTest as _};

/// Plays so many sequences of a seed; or says how a smallest one differs.
pub(crate) type Player = fn(u32, u64) -> Result<(), String>;

/// The loads by name.
pub(crate) const ALL: &[(&str, Player)] = &[
    ("hub-lives", load::<Queue>),
    ("hub-scheduler", load::<Scheduler>),
    ("hub-ageing", load::<Ageing>),
    ("hub-caps", load::<Caps>),
    ("hub-policy", load::<Whims>),
];

fn load<L: Load>(sequences: u32, seed: u64) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config = Config { cases: sequences, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config.clone(), rng);
    let sequences = Machine::<L>::sequential_strategy(1..120);
    let outcome = runner.run(&sequences, |(model, happenings, seen)| {
        Machine::<L>::test_sequential(config.clone(), model, happenings, seen);
        Ok(())
    });
    outcome.map_err(|error| error.to_string())
}
