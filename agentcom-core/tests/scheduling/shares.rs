//! This file checks the portions of tenants: by weight, and unharmed by a flood.

use std::collections::BTreeMap;

use agentcom_core::command::Command;
use agentcom_core::id::TaskId;
use agentcom_core::name::AgentId;
use agentcom_core::task::Draft;
use agentcom_core::testing::bench::Bench;
use agentcom_core::wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{key, tenant};

/// How many tasks each tenant has waiting in the tests of portions.
const BACKLOG: usize = 40;

fn costing(name: &str, cost: u32) -> Draft {
    let mut draft = tenant(name);
    draft.share.cost = cost;
    draft
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// While any two tenants both have work waiting, what they are given differs, by weight, by at
    /// most the largest cost of a task of each: wherever one begins to count, so whoever comes
    /// late has saved nothing up.
    #[test]
    fn tenants_are_served_by_weight(
        tenants in vec((1..=20_u32, 1..=4_u32), 2..5),
        late in 0..BACKLOG / 2,
    ) {
        let mut bench = Bench::new();
        let mut owner: BTreeMap<TaskId, usize> = BTreeMap::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let queue = |bench: &mut Bench, owner: &mut BTreeMap<TaskId, usize>, n: usize| {
            let (weight, cost) = tenants[n];
            let name = format!("t{n}");
            bench.call(Command::SetWeight { key: key(&name), weight: weight * 100 });
            for _ in 0..BACKLOG {
                owner.insert(bench.submit(costing(&name, cost)), n);
            }
        };
        (1..tenants.len()).for_each(|n| queue(&mut bench, &mut owner, n));
        for _ in 0..late {
            bench.serve(agent);
        }
        queue(&mut bench, &mut owner, 0);
        let mut left = vec![0; tenants.len()];
        for id in owner.keys().filter(|id| bench.word(**id) == "ready") {
            left[owner[id]] += 1;
        }
        let mut given = vec![0_u32; tenants.len()];
        // What is held already was chosen before the last tenant came.
        bench.serve(agent);
        while left.iter().all(|left| *left > 1) {
            let n = owner[&bench.serve(agent).unwrap()];
            left[n] -= 1;
            given[n] += tenants[n].1;
            for (a, (weight_a, cost_a)) in tenants.iter().enumerate() {
                for (b, (weight_b, cost_b)) in tenants.iter().enumerate() {
                    let portion = |n: usize, weight: u32| f64::from(given[n]) / f64::from(weight);
                    let apart = portion(a, *weight_a) - portion(b, *weight_b);
                    let most = f64::from(*cost_a) / f64::from(*weight_a)
                        + f64::from(*cost_b) / f64::from(*weight_b);
                    prop_assert!(apart <= most + 0.001, "{given:?} of {tenants:?}: {apart} > {most}");
                }
            }
        }
    }
}

/// Works in ticks: each agent is done with a task after so many of them.
struct Fleet {
    bench: Bench,
    agents: Vec<u64>,
    service: usize,
    ends: BTreeMap<(usize, usize), TaskId>,
    seen: usize,
}

impl Fleet {
    fn new(agents: usize, service: usize) -> Self {
        let mut bench = Bench::new();
        let agents =
            (0..agents).map(|n| bench.join(&format!("a{n}"), Dialect::V1, 1, &[])).collect();
        Self { bench, agents, service, ends: BTreeMap::new(), seen: 0 }
    }

    /// One tick: who is done takes the next task.
    fn tick(&mut self, tick: usize) {
        while let Some((&(end, agent), _)) = self.ends.first_key_value() {
            if end > tick {
                break;
            }
            self.ends.remove(&(end, agent));
            self.bench.serve(self.agents[agent]);
            self.note(tick);
        }
        self.note(tick);
    }

    fn note(&mut self, tick: usize) {
        for start in &self.bench.starts[self.seen..] {
            let agent = self.agents.iter().position(|session| *session == start.session).unwrap();
            // Agents begin out of step with each other, as they do in life.
            let length = if tick == 0 {
                1 + (agent * self.service) / self.agents.len()
            } else {
                self.service
            };
            self.ends.insert((tick + length, agent), start.held.task_id);
        }
        self.seen = self.bench.starts.len();
    }
}

/// The waits and the times to the end, in ticks, of a light tenant's tasks: one every 37 ticks,
/// beside a neighbour who has `flood` tasks waiting at the start and keeps every agent busy.
fn light_waits(flood: usize) -> Vec<usize> {
    let (agents, service) = (20, 100);
    let mut fleet = Fleet::new(agents, service);
    for _ in 0..flood {
        fleet.bench.submit(tenant("flood"));
    }
    let mut came: BTreeMap<TaskId, usize> = BTreeMap::new();
    let mut waits = Vec::new();
    let mut counted = 0;
    for tick in 0..4_000 {
        if tick % 5 == 0 {
            // Whoever floods does not stop.
            fleet.bench.submit(tenant("flood"));
        }
        if tick % 37 == 36 {
            came.insert(fleet.bench.submit(tenant("light")), tick);
        }
        fleet.tick(tick);
        for start in &fleet.bench.starts[counted..] {
            waits.extend(came.get(&start.held.task_id).map(|came| tick - came));
        }
        counted = fleet.bench.starts.len();
    }
    assert!(waits.len() >= 100, "{} light tasks started", waits.len());
    waits.sort_unstable();
    waits
}

fn p99(sorted: &[usize]) -> usize {
    sorted[(sorted.len() * 99).div_ceil(100) - 1]
}

/// With 20 agents that are all busy, one is free every 5 ticks; so a light task waits as long
/// whether 20 tasks or 3,000 wait beside it.
#[test]
fn a_flood_adds_less_than_a_tenth_to_a_light_tenants_wait() {
    let (usual, flooded) = (light_waits(20), light_waits(3_000));
    let (usual, flooded) = (p99(&usual), p99(&flooded));
    assert!(flooded * 10 <= usual * 11, "p99 grew from {usual} to {flooded} ticks");
    // Beside an idle fleet a light task takes its 100 ticks of service and no more.
    assert!(100 + flooded < 110, "a light task takes {} ticks instead of 100", 100 + flooded);
}

#[test]
fn the_wait_of_a_light_tenant_is_that_of_one_slot() {
    let name = AgentId::new("a0").unwrap();
    let mut bench = Bench::new();
    let agent = bench.join("a0", Dialect::V1, 1, &[]);
    (0..500).for_each(|_| {
        bench.submit(tenant("flood"));
    });
    (0..100).for_each(|_| {
        bench.serve(agent);
    });
    let light = bench.submit(tenant("light"));
    bench.serve(agent);
    let next = bench.holds(&name)[0].task_id;
    assert!(
        next == light || bench.serve(agent).is_some_and(|_| bench.holds(&name)[0].task_id == light)
    );
}
