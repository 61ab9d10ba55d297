//! This file checks what `why` says of tasks that wait for agents.

use super::*;
use crate::agent::Trust;
use crate::change::Change;
use crate::view::Reason;
use crate::wire::Rejection;
use schedule::{AgentFacts, TaskFacts};

/// Finds one agent unsuited.
#[derive(Debug)]
struct Choosy;

impl Policy for Choosy {
    fn key(&self, _: &TaskFacts<'_>) -> u64 {
        0
    }
    fn fit(&self, _: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        (agent.id.as_str() != "unsuited").then_some(0)
    }
}

#[test]
fn why_says_of_every_agent_that_could_do_it_what_keeps_it() {
    let mut bench = Bench::over(HubConfig::default(), Choosy);
    let leaving = bench.join("leaving", Dialect::V1, 1, &["gpu"]);
    bench.frame(leaving, ToHub::AgentDraining {});
    for name in ["distrusted", "unsuited"] {
        bench.join(name, Dialect::V1, 1, &["gpu"]);
    }
    bench.join("unable", Dialect::V1, 1, &[]);
    let mut distrusted = bench.hub.state().agent(&agent_id("distrusted")).unwrap().clone();
    let since = bench.now.wall;
    distrusted.trust = Trust::Quarantined { since, until: since + Span::from_mins(1) };
    bench.hub.apply(Change::AgentSet(distrusted.into()));
    let tired = bench.join("tired", Dialect::V1, 1, &["gpu"]);
    let refused = bench.submit(Draft { assign_to: Some(agent_id("tired")), ..draft() });
    let held = bench.assigned(tired)[0];
    bench.frame(
        tired,
        ToHub::TaskRejected(Rejection {
            task_id: refused,
            generation: Some(held.generation),
            reason: Some("busy".into()),
        }),
    );
    let id = bench.submit(needing("gpu"));
    let kept_by = [("draining", 1), ("quarantined", 1), ("resting", 1), ("unsuited", 1)].into();
    assert_eq!(bench.hub.why(id).unwrap().reason, Reason::AgentsBusy { able: 4, kept_by });
}

#[test]
fn why_says_of_a_pinned_task_what_keeps_its_agent_and_nothing_of_the_others() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        bench.join(name, Dialect::V1, 1, &[]);
    }
    let pinned = || Draft { assign_to: Some(agent_id("a")), ..draft() };
    bench.submit(pinned());
    let id = bench.submit(pinned());
    let kept_by = [("full", 1)].into();
    assert_eq!(bench.hub.why(id).unwrap().reason, Reason::AgentsBusy { able: 1, kept_by });
}
