//! This file plays random scripts and judges each step: limits, capabilities, pins, pauses, rest.

use agentcom_core::config::HubConfig;
use agentcom_core::hub::schedule::{AgentFacts, Policy, TaskFacts};
use agentcom_core::testing::bench::Bench;
use agentcom_core::testing::strategy::{Happening, Play, fleets, scripts};
use proptest::prelude::*;

/// Orders and matches without any sense.
#[derive(Debug)]
struct Nonsense;

impl Policy for Nonsense {
    fn key(&self, task: &TaskFacts<'_>) -> u64 {
        task.id.0 % 5
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        Some((task.id.0 % 7) as u32 + agent.load % 3)
    }
}

fn play(
    bench: Bench,
    fleet: Vec<agentcom_core::testing::strategy::Member>,
    script: Vec<Happening>,
) -> Result<(), TestCaseError> {
    let mut play = Play::new(bench, fleet);
    for happening in script {
        play.make(happening).map_err(TestCaseError::fail)?;
    }
    play.bench.check();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn limits_needs_pins_and_pauses_hold_and_nothing_idles(fleet in fleets(1..6), script in scripts(1..120)) {
        // One crash puts an agent in quarantine, so that scripts meet some.
        let config = HubConfig { agent_crashes_max: 1, ..HubConfig::default() };
        play(Bench::with(config), fleet, script)?;
    }

    #[test]
    fn no_policy_can_break_them(fleet in fleets(1..6), script in scripts(1..60)) {
        play(Bench::over(HubConfig::default(), Nonsense), fleet, script)?;
    }
}
