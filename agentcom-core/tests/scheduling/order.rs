//! This file checks in which order tasks start: lanes, age, and arrival within lane and tenant.

use std::collections::BTreeMap;

use agentcom_core::command::Command;
use agentcom_core::id::TaskId;
use agentcom_core::name::{AgentId, Capability};
use agentcom_core::task::{Draft, Priority};
use agentcom_core::testing::bench::Bench;
use agentcom_core::testing::strategy::{CAPABILITIES, free_drafts, priorities};
use agentcom_core::time::{Mono, Span, Wall};
use agentcom_core::wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{draft, tenant};

/// Time passes for an agent that is alive and holds on to what it has.
fn pass(bench: &mut Bench, agent: u64, end: Mono) {
    while bench.now.mono < end {
        bench.pass((end - bench.now.mono).min(Span::from_secs(5)));
        let held = bench.holds(&agent_id());
        for held in &held {
            bench.accept(agent, *held);
        }
        bench.ping(agent, &held);
    }
}

/// Serves one task after the other until none is left.
fn serve_all(bench: &mut Bench, agent: u64) -> Vec<TaskId> {
    core::iter::from_fn(|| bench.serve(agent)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arrival_decides_within_lane_and_tenant(drafts in vec(free_drafts(), 2..60), early in 0..10_usize) {
        let mut bench = Bench::new();
        let mut flows: BTreeMap<_, Vec<TaskId>> = BTreeMap::new();
        let mut agent = None;
        let mut served = Vec::new();
        for (n, draft) in drafts.into_iter().enumerate() {
            if n == early {
                agent = Some(bench.join("a", Dialect::V1, 1, &CAPABILITIES));
            }
            let flow = (draft.priority, draft.share.fair_key.clone());
            flows.entry(flow).or_default().push(bench.submit(draft));
            if n % 3 == 0 {
                served.extend(agent.and_then(|agent| bench.serve(agent)));
            }
        }
        let agent = agent.unwrap_or_else(|| bench.join("a", Dialect::V1, 1, &CAPABILITIES));
        served.extend(serve_all(&mut bench, agent));
        for (flow, submitted) in flows {
            let mut started = served.clone();
            started.retain(|id| submitted.contains(id));
            prop_assert_eq!(started, submitted, "{:?}", flow);
        }
    }

    #[test]
    fn no_task_is_overtaken_by_one_that_came_a_minute_later(
        arrivals in vec((priorities(), 0..40_000_u64), 2..40),
        each in 5_000..60_000_u64,
    ) {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let mut ready: BTreeMap<TaskId, (Wall, Priority)> = BTreeMap::new();
        let mut free_at = bench.now.mono;
        for (priority, gap) in arrivals {
            let comes = bench.now.mono + Span(gap);
            while free_at <= comes {
                pass(&mut bench, agent, free_at);
                bench.serve(agent);
                free_at = bench.now.mono + Span(each);
            }
            pass(&mut bench, agent, comes);
            let id = bench.submit(Draft { priority, ..draft() });
            ready.insert(id, (bench.now.wall, priority));
        }
        while bench.serve(agent).is_some() {
            let end = bench.now.mono + Span(each);
            pass(&mut bench, agent, end);
        }
        let starts: Vec<_> = bench.starts.iter().map(|start| (start.at.wall, start.held.task_id)).collect();
        prop_assert_eq!(starts.len(), ready.len());
        for (n, (at, first)) in starts.iter().enumerate() {
            for (_, late) in &starts[n + 1..] {
                let ((came, lane), (waits, behind)) = (ready[first], ready[late]);
                let lanes = (behind.lane() as u64).saturating_sub(lane.lane() as u64);
                let overtaken = waits <= *at && came > waits + Span::from_secs(20 * lanes);
                prop_assert!(!overtaken, "{late} of {waits:?} started behind {first} of {came:?}");
            }
        }
    }

    /// Every newcomer of a new tenant goes before the rest of a long queue; with the pick of the
    /// oldest switched on, that rest still moves.
    #[test]
    fn the_oldest_task_is_not_put_off_for_ever(
        every in 2..20_u32,
        backlog in 1..30_usize,
        needs in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &CAPABILITIES);
        bench.call(Command::SetOldestFirst { every });
        let mut last = None;
        for _ in 0..=backlog {
            last = Some(bench.submit(tenant("patient")));
        }
        let last = last.unwrap();
        let bound = (backlog + 2) * every as usize;
        for n in 0..bound {
            if bench.word(last) == "completed" {
                return Ok(());
            }
            for twin in 0..2 {
                let mut newcomer = tenant(&format!("new-{n}-{twin}"));
                if needs {
                    newcomer.needs = vec![Capability::new("gpu").unwrap()];
                }
                bench.pass(Span(1));
                bench.submit(newcomer);
            }
            bench.serve(agent);
        }
        prop_assert_eq!(bench.word(last), "completed", "after {} picks", bound);
    }
}

fn agent_id() -> AgentId {
    AgentId::new("a").unwrap()
}
