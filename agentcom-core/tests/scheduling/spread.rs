//! This file checks that equal agents get equal portions of the work.

use agentcom_core::testing::bench::Bench;
use agentcom_core::wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;

use super::draft;

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    /// Work comes in bursts, from one task at a time to one for each agent, and agents end what
    /// they have in any order.
    #[test]
    fn five_tasks_for_each_agent_are_four_to_six(
        agents in 2..8_usize,
        bursts in vec(any::<usize>(), 64),
        turns in vec(any::<usize>(), 64),
    ) {
        let mut bench = Bench::new();
        let join = |n| bench.join(&format!("a{n}"), Dialect::V1, 1, &[]);
        let sessions: Vec<u64> = (0..agents).map(join).collect();
        let mut done = [0].repeat(agents);
        let (mut left, mut turn) = (agents * 5, 0);
        for burst in bursts {
            let burst = (1 + burst % agents).min(left);
            left -= burst;
            (0..burst).for_each(|_| { bench.submit(draft()); });
            let mut round: Vec<usize> = (0..agents).collect();
            while !round.is_empty() {
                let agent = round.remove(turns[turn % turns.len()] % round.len());
                turn += 1;
                done[agent] += usize::from(bench.serve(sessions[agent]).is_some());
            }
        }
        prop_assert_eq!(left + bench.hub.state().task_count(), 0);
        prop_assert!(done.iter().all(|count| (4..=6).contains(count)), "{:?}", done);
    }

    /// Twenty tasks that wait when four agents come.
    #[test]
    fn a_backlog_is_shared_evenly(agents in 2..8_usize) {
        let mut bench = Bench::new();
        (0..agents * 5).for_each(|_| { bench.submit(draft()); });
        let join = |n| bench.join(&format!("a{n}"), Dialect::V1, 1, &[]);
        let sessions: Vec<u64> = (0..agents).map(join).collect();
        for round in 1..=5 {
            let served = sessions.iter().filter_map(|agent| bench.serve(*agent)).count();
            prop_assert_eq!(served, agents, "round {}", round);
        }
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
