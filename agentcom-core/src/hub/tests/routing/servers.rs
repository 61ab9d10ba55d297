//! This file checks that a server under several names has the slots and the loaded model of one.

use super::announced::announces;
use super::*;
use crate::rng::Rng;

fn loopback(models: &[&str]) -> Endpoint {
    Endpoint { url: "http://127.0.0.1:11434".into(), ..local(models) }
}

/// How many tasks work with models of these endpoints.
fn at_work(fleet: &Fleet, names: &[&str]) -> usize {
    let held = |name: &&str| {
        let id = EndpointId::new(name).unwrap();
        let held = fleet.bench.hub.state().endpoints().held(&id);
        held.map(|(_, tasks)| tasks).sum::<usize>()
    };
    names.iter().map(held).sum()
}

#[test]
fn a_server_that_two_machines_announce_and_an_operator_sets_has_one_slot() {
    let mut fleet = Fleet::new();
    let names = ["one-ollama", "two-ollama", "gpu"];
    let one = announces(&mut fleet, "one", &[(names[0], local(&["qwen"]))]);
    let same = Endpoint { url: "http://GPU:11434/".into(), ..local(&["qwen"]) };
    announces(&mut fleet, "two", &[(names[1], same)]);
    fleet.set(names[2], local(&["qwen"]));
    let tasks = [(); 3].map(|()| fleet.submit(Tier::Standard, None));
    assert_eq!(at_work(&fleet, &names), 1);
    let why = fleet.bench.hub.why(tasks[1]).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = why else { panic!("{why:?}") };
    assert!(passed_over.len() == 3 && passed_over.iter().all(|it| it.verdict == Verdict::Full(1)));
    // One that is not that server is another slot, and so is what is configured.
    fleet.set("spare", elsewhere(local(&["qwen"])));
    assert_eq!((at_work(&fleet, &names), at_work(&fleet, &["spare"])), (1, 1));
    fleet.set(names[2], Endpoint { slots: 2, ..local(&["qwen"]) });
    assert_eq!(at_work(&fleet, &names), 2);
    assert!(fleet.holds(one) > 0);
}

#[test]
fn loopbacks_of_different_machines_are_different_servers() {
    let mut fleet = Fleet::new();
    let one = announces(&mut fleet, "one", &[("one-ollama", loopback(&["qwen"]))]);
    let two = announces(&mut fleet, "two", &[("two-ollama", loopback(&["qwen"]))]);
    // That is what the operator says of the first.
    fleet.set("gpu", Endpoint { host: Some(agent_id("one")), ..loopback(&["qwen"]) });
    for _ in 0..4 {
        fleet.submit(Tier::Standard, None);
    }
    assert_eq!((fleet.holds(one) + fleet.holds(two), at_work(&fleet, &["two-ollama"])), (2, 1));
    assert_eq!(at_work(&fleet, &["one-ollama", "gpu"]), 1);
}

#[test]
fn a_server_has_one_model_loaded_under_all_its_names() {
    let mut fleet = Fleet::new();
    fleet.set("x", local(&["a"]));
    fleet.set("y", local(&["b"]));
    let coder = fleet.join("one", 2, &[]);
    for _ in 0..3 {
        fleet.submit(Tier::Standard, Some("a"));
        fleet.submit(Tier::Standard, Some("b"));
    }
    assert_eq!(at_work(&fleet, &["x", "y"]), 1);
    let served: Vec<_> = (0..6).map(|_| fleet.serve(coder).unwrap().1).collect();
    assert_eq!(served, ["a", "a", "a", "b", "b", "b"]);
}

#[test]
fn whatever_happens_a_model_of_a_server_works_on_no_more_tasks_than_its_slots() {
    for seed in 0..20 {
        let mut rng = Rng::new(seed);
        let mut fleet = Fleet::new();
        for name in ["x", "y", "z"] {
            fleet.set(name, Endpoint { models_at_once: 2, ..local(&["a", "b"]) });
        }
        let coders = [fleet.join("one", 2, &[]), fleet.join("two", 2, &[])];
        for _ in 0..60 {
            let coder = coders[rng.below(2) as usize];
            let model = [None, Some("a"), Some("b")][rng.below(3) as usize];
            match rng.below(6) {
                0..=2 => _ = fleet.submit(Tier::Standard, model),
                3 => _ = fleet.serve(coder),
                4 if fleet.coding(coder) => fleet.fail(coder, Category::Retryable),
                _ => fleet.bench.pass(Span::from_secs(rng.below(40))),
            }
            for model in ["a", "b"] {
                let held = ["x", "y", "z"].map(|name| EndpointId::new(name).unwrap());
                let held = held.iter().flat_map(|id| fleet.bench.hub.state().endpoints().held(id));
                let tasks: usize = held.filter(|(it, _)| *it == model).map(|(_, n)| n).sum();
                assert!(tasks <= 1, "seed {seed}: {model} works on {tasks} tasks");
            }
        }
    }
}
