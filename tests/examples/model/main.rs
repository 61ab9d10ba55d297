//! This file explores every order in which things can happen, and says which promise breaks.
//!
//! Two models. The *protocol* is small enough for millions of states: hubs with memory, a store
//! that fences, agents, messages that are late, repeated or lost. The *steps* are the real step
//! functions of hubs and sidecars on a stage, up to a number of actions. In both, what stands
//! between a fault and a broken promise is taken away in turn, and has to be missed.

#![expect(clippy::print_stdout, reason = "a proof tells people what it did")]

mod protocol;
mod steps;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use agentcom_core::guard::{Guard, Guards};
use agentcom_tests::proof::{Outcome, Usage, prove};
use protocol::{Check, Protocol};
use serde_json::json;
use stateright::{Checker, HasDiscoveries, Model};
use steps::Steps;

const HELP: &str = "\
cargo xtask model [--states N] [--depth N] [--figures FILE]

  --states N      states that the protocol is to have at least (5000000); with fewer a smaller
                  world is explored, also exhaustively
  --depth N       actions of the real steps in a row, plus one (6)
  --figures FILE  write the figures there as one JSON object

For a short slice say --states 100000 --depth 5.";

/// What an exploration saw.
struct Seen {
    unique: usize,
    total: usize,
    depth: usize,
    seconds: f64,
    /// Properties, and those of them that do not hold, each with the actions that lead there.
    properties: usize,
    broken: Vec<(&'static str, usize)>,
}

/// Everything, on all cores.
fn explore<M>(model: M, depth: Option<usize>) -> Seen
where
    M: Model + Send + Sync + 'static,
    M::State: Send + Sync + std::hash::Hash + Clone + std::fmt::Debug + PartialEq,
    M::Action: Send + Sync + Clone + std::fmt::Debug + PartialEq,
{
    let began = Instant::now();
    let properties = model.properties().len();
    let always: Vec<_> = model.properties().into_iter().collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let checker = model.checker().threads(threads).finish_when(HasDiscoveries::AnyFailures);
    let checker = match depth {
        Some(depth) => checker.target_max_depth(depth),
        None => checker,
    };
    let checker = checker.spawn_bfs().join();
    let found = checker.discoveries();
    let mut broken = Vec::new();
    for property in always {
        let path = found.get(property.name);
        let wanted = matches!(property.expectation, stateright::Expectation::Sometimes);
        if let Some(path) = path.filter(|_| !wanted) {
            broken.push((property.name, path.clone().into_actions().len()));
        }
        if wanted && path.is_none() {
            broken.push((property.name, 0));
        }
    }
    Seen {
        unique: checker.unique_state_count(),
        total: checker.state_count(),
        depth: checker.max_depth(),
        seconds: began.elapsed().as_secs_f64(),
        properties,
        broken,
    }
}

/// The smallest world that has so many states.
fn protocol(states: usize) -> Protocol {
    let small = Protocol { tasks: 1, agents: 2, leases: 2, epochs: 2, crashes: 1, without: None };
    if states <= 100_000 {
        small
    } else {
        Protocol { agents: 3, leases: 3, epochs: 5, crashes: 2, ..small }
    }
}

fn main() -> ExitCode {
    prove(&Usage::new(HELP, &[("states", 5_000_000), ("depth", 6)]), |arguments| {
        let number = |name| usize::try_from(arguments.number(name)).map_err(|e| e.to_string());
        let (states, depth) = (number("states")?, number("depth")?);
        let mut found = Vec::new();
        let whole = explore(protocol(states), None);
        tell("protocol", &whole, &mut found);
        if whole.unique < states && states > 100_000 {
            found.push(format!("the protocol has {} states only", whole.unique));
        }
        let real = explore(Steps::new(2, 1, Guards::all()), Some(depth));
        tell("real steps", &real, &mut found);
        let caught = ablations(&mut found);
        let figures = json!({
            "states_unique": whole.unique,
            "states_total": whole.total,
            "depth": whole.depth,
            "states_seconds": whole.seconds,
            "properties": whole.properties + real.properties,
            "real_states_unique": real.unique,
            "real_states_total": real.total,
            "real_depth": real.depth,
            "real_seconds": real.seconds,
            "ablations": caught.len(),
            "ablations_caught": caught.iter().flatten().count(),
            "ablations_depth_most": caught.iter().flatten().max(),
        });
        Ok(Outcome::new(figures, found))
    })
}

fn tell(name: &str, seen: &Seen, failures: &mut Vec<String>) {
    let rate = seen.unique as f64 / Duration::from_secs_f64(seen.seconds.max(0.001)).as_secs_f64();
    println!(
        "{name}: {} unique states ({} in all), {} deep, {} properties, {:.1} s, {rate:.0} states/s",
        seen.unique, seen.total, seen.depth, seen.properties, seen.seconds
    );
    for (property, actions) in &seen.broken {
        failures.push(format!("{name}: not \"{property}\" after {actions} actions"));
    }
}

/// Takes each check away, and returns after how many actions it is missed.
fn ablations(failures: &mut Vec<String>) -> Vec<Option<usize>> {
    let mut caught = Vec::new();
    for check in Check::ALL {
        let seen = explore(Protocol { without: Some(check), ..protocol(0) }, None);
        caught.push(missed(&format!("protocol without {check:?}"), &seen, failures));
    }
    for (guard, agents) in [(Guard::OneWriter, 1), (Guard::CommitFirst, 1)] {
        let seen = explore(Steps::without(agents, guard), Some(14));
        caught.push(missed(&format!("real steps without {guard:?}"), &seen, failures));
    }
    caught
}

fn missed(name: &str, seen: &Seen, failures: &mut Vec<String>) -> Option<usize> {
    let Some((property, depth)) = seen.broken.iter().find(|(_, depth)| *depth > 0) else {
        failures.push(format!("{name}: nothing is missed in {} states", seen.unique));
        return None;
    };
    println!("{name}: not \"{property}\" after {depth} actions, {} states", seen.unique);
    Some(*depth)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_small_world_keeps_its_promises_and_misses_every_check() {
        let mut failures = Vec::new();
        tell("protocol", &explore(protocol(0), None), &mut failures);
        for check in Check::ALL {
            let seen = explore(Protocol { without: Some(check), ..protocol(0) }, None);
            missed(&format!("without {check:?}"), &seen, &mut failures);
        }
        assert_eq!(failures, [""; 0]);
    }

    #[test]
    fn the_real_steps_keep_their_promises_in_any_order_of_a_few_actions() {
        let mut failures = Vec::new();
        tell("real steps", &explore(Steps::new(1, 1, Guards::all()), Some(4)), &mut failures);
        assert_eq!(failures, [""; 0]);
    }
}
