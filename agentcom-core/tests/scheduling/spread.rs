//! This file checks that equal agents get equal portions of the work.

use agentcom_core::testing::bench::Bench;
use agentcom_core::wire::Dialect;
use proptest::prelude::*;

use super::draft;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Agents end their tasks round by round, in any order within a round.
    #[test]
    fn five_tasks_for_each_agent_are_four_to_six(
        agents in 2..8_usize,
        joins_first in any::<bool>(),
        turns in proptest::collection::vec(any::<usize>(), 64),
    ) {
        let mut bench = Bench::new();
        if !joins_first {
            (0..agents * 5).for_each(|_| { bench.submit(draft()); });
        }
        let sessions: Vec<u64> = (0..agents).map(|n| bench.join(&format!("a{n}"), Dialect::V1, 1, &[])).collect();
        if joins_first {
            (0..agents * 5).for_each(|_| { bench.submit(draft()); });
        }
        let mut done = vec![0; agents];
        let mut turn = 0;
        while bench.hub.state().task_count() > 0 {
            let mut round: Vec<usize> = (0..agents).collect();
            while !round.is_empty() {
                let agent = round.remove(turns[turn % turns.len()] % round.len());
                turn += 1;
                done[agent] += usize::from(bench.serve(sessions[agent]).is_some());
            }
        }
        prop_assert!(done.iter().all(|count| (4..=6).contains(count)), "{:?}", done);
    }

    /// With several slots each, what is held is spread before any agent is filled.
    #[test]
    fn load_is_level_across_agents(agents in 2..6_usize, slots in 1..4_u32, tasks in 1..24_usize) {
        let mut bench = Bench::new();
        let names: Vec<String> = (0..agents).map(|n| format!("a{n}")).collect();
        for name in &names {
            bench.join(name, Dialect::V1, slots, &[]);
        }
        (0..tasks).for_each(|_| { bench.submit(draft()); });
        let held = names.iter().map(|name| {
            bench.hub.state().held_by(&agentcom_core::name::AgentId::new(name).unwrap()).count()
        });
        let held: Vec<usize> = held.collect();
        let (most, least) = (held.iter().max().unwrap(), held.iter().min().unwrap());
        prop_assert!(most - least <= 1, "{:?}", held);
    }
}
