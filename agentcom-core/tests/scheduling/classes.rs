//! This file checks fleets that can run more classes of tasks than are compared one by one.

use agentcom_core::command::Command;
use agentcom_core::id::TaskId;
use agentcom_core::name::Capability;
use agentcom_core::task::Draft;
use agentcom_core::testing::bench::Bench;
use agentcom_core::wire::Dialect;
use proptest::collection::vec;
use proptest::prelude::*;

use super::draft;

/// How many capabilities there are of each of two sorts; a class needs one of each.
const SORT: usize = 20;

fn all() -> Vec<String> {
    (0..SORT).flat_map(|n| [format!("tool-{n}"), format!("site-{n}")]).collect()
}

fn of_class(number: usize) -> Draft {
    let name = |text: String| Capability::new(&text).unwrap();
    let (tool, site) = (number % SORT, number / SORT % SORT);
    let needs = vec![name(format!("tool-{tool}")), name(format!("site-{site}"))];
    Draft { needs, ..draft() }
}

/// What happens next.
#[derive(Clone, Debug)]
enum Happening {
    /// A task of a class is submitted.
    Submit(usize),
    /// One of the waiting tasks is called off.
    Cancel(usize),
    /// An agent is done.
    Serve(usize),
}

fn happenings() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (0..SORT * SORT).prop_map(Happening::Submit),
        1 => any::<usize>().prop_map(Happening::Cancel),
        3 => (0..3_usize).prop_map(Happening::Serve),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    /// Tasks of one tenant and one lane start in the order of submission, of whatever class they
    /// are, and whichever of three groups of agents is asked.
    #[test]
    fn the_first_of_four_hundred_classes_is_found(script in vec(happenings(), 1..300)) {
        let mut bench = Bench::new();
        let mut waiting: Vec<TaskId> = (0..SORT * SORT).map(|n| bench.submit(of_class(n))).collect();
        let mut agents = Vec::new();
        for n in 0..3 {
            let own = format!("own-{n}");
            let capabilities = all();
            let capabilities: Vec<&str> = capabilities.iter().map(String::as_str).chain([&*own]).collect();
            agents.push(bench.join(&format!("a{n}"), Dialect::V1, 1, &capabilities));
        }
        // The agents are at work on the first tasks.
        let mut started = bench.starts.len();
        prop_assert_eq!(started, 3);
        waiting.drain(..3);
        for happening in script {
            match happening {
                Happening::Submit(class) => waiting.push(bench.submit(of_class(class))),
                Happening::Cancel(which) => {
                    let id = waiting.remove(which % waiting.len());
                    bench.call(Command::Cancel(id));
                }
                Happening::Serve(agent) => { bench.serve(agents[agent]); }
            }
            for start in &bench.starts[started..] {
                let first = waiting.remove(0);
                prop_assert_eq!(start.held.task_id, first);
            }
            started = bench.starts.len();
            bench.check();
        }
    }
}
