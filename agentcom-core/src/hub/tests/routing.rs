//! This file checks how tasks come to models: which endpoint is chosen, what happens when it does not
//! serve, and who waits for what.

mod announced;
mod fallback;
mod faults;
pub(super) mod fleet;
mod hold;
mod looks;
mod programs;
mod quota;
mod random;
mod repos;
mod servers;

use super::*;
use crate::command::{EndpointCommand, Rejected};
use crate::endpoint::{
    Api, Breaker, Calls, Endpoint, Fault, Machine, Meant, ModelOptions, Seen, Served, Sign, Think,
    Tuning,
};
use crate::name::EndpointId;
use crate::route::Verdict;
use crate::state::probed_by;
use crate::task::{Category, Tier};
use crate::view::Reason;
use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use announced::announces;
use fleet::Fleet;

/// An endpoint that serves `models`, as is known without asking it.
pub(super) fn local(models: &[&str]) -> Endpoint {
    let meant = |model: &&str| Meant { model: (*model).into(), tiers: Vec::new() };
    let models = models.iter().map(meant).collect();
    Endpoint { models, ..Endpoint::new(Api::Ollama, "http://gpu:11434") }
}

pub(super) fn cloud(models: &[&str]) -> Endpoint {
    Endpoint { models: local(models).models, ..Endpoint::new(Api::Messages, "https://api.example") }
}

/// The same on another machine.
pub(super) fn elsewhere(endpoint: Endpoint) -> Endpoint {
    Endpoint { url: "http://elsewhere:11434".into(), ..endpoint }
}

#[test]
fn without_endpoints_whoever_runs_a_task_chooses() {
    let mut fleet = Fleet::new();
    let coder = fleet.join("a", 1, &[]);
    let task = fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.given(coder), [(task, None)]);
    assert_eq!(fleet.bench.hub.why(task).unwrap().route, None);
}

#[test]
fn a_task_is_given_its_model_and_keeps_what_else_there_was() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("work", cloud(&["opus"]));
    let coder = fleet.join("a", 3, &[]);
    let simple = fleet.submit(Tier::Standard, None);
    let hard = fleet.submit(Tier::Complex, None);
    let given = fleet.given(coder);
    let at = |endpoint: &str, model: &str| Some((endpoint.into(), model.into()));
    assert_eq!(given, [(simple, at("gpu", "qwen")), (hard, at("work", "opus"))]);
    let decided = fleet.bench.hub.why(hard).unwrap().route.unwrap();
    assert_eq!(decided.tier, Tier::Complex);
    let other = &decided.alternatives[0];
    assert_eq!((other.endpoint.as_str(), &other.verdict), ("gpu", &Verdict::Full(1)));
}

#[test]
fn b24_what_the_model_at_hand_failed_at_is_tried_by_the_next_class() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("work", cloud(&["opus"]));
    let coder = fleet.join("a", 1, &[]);
    let task = fleet.submit(Tier::Standard, None);
    let at = |name: &str, model: &str| Some((name.into(), model.into()));
    assert_eq!(fleet.given(coder), [(task, at("gpu", "qwen"))]);
    fleet.pass_hearing(coder, Span::from_secs(5));
    fleet.fail(coder, Category::Retryable);
    fleet.pass_hearing(coder, Span::from_secs(5));
    assert_eq!(fleet.given(coder), [(task, at("work", "opus"))]);
    // Others begin as ever.
    let next = fleet.submit(Tier::Standard, None);
    fleet.serve(coder);
    assert_eq!(fleet.given(coder), [(next, at("gpu", "qwen"))]);
}

#[test]
fn whoever_asks_a_model_is_told_how_it_is_asked() {
    let mut fleet = Fleet::new();
    let mut endpoint = local(&["small", "large"]);
    endpoint.models_at_once = 2;
    let thinking = |think| ModelOptions { think: Some(think), ..ModelOptions::default() };
    endpoint.tuning.all = thinking(Think::Off);
    endpoint.tuning.models.insert("large".into(), thinking(Think::High));
    fleet.set("gpu", endpoint);
    let coder = fleet.join("a", 9, &[]);
    for model in ["small", "large"] {
        fleet.submit(Tier::Standard, Some(model));
    }
    let told = fleet.bench.said(coder).into_iter().filter_map(|frame| {
        let ToAgent::TaskAssign(job) = frame else { return None };
        job.route.map(|route| (route.model, route.options.think))
    });
    let expected = [("small", Think::Off), ("large", Think::High)];
    assert_eq!(told.collect::<Vec<_>>(), expected.map(|(model, it)| (model.into(), Some(it))));
}

#[test]
fn a_model_works_on_no_more_tasks_than_it_has_slots_and_the_next_class_goes_on() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("a", 9, &[]);
    let tasks = [(); 3].map(|()| fleet.submit(Tier::Standard, None));
    assert_eq!(fleet.names(coder), ["gpu"]);
    let why = fleet.bench.hub.why(tasks[1]).unwrap().reason;
    let Reason::Endpoints { tier: Tier::Standard, model: None, passed_over } = why else {
        panic!("{why:?}")
    };
    assert_eq!(passed_over[0].verdict, Verdict::Full(1));
    fleet.set("work", cloud(&["opus"]));
    assert_eq!(fleet.names(coder), ["work", "work"]);
}

#[test]
fn a_slot_is_a_live_lease() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let lost = fleet.join("a", 1, &[]);
    fleet.submit(Tier::Standard, None);
    let second = fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.given(lost).len(), 1);
    fleet.bench.leave(lost);
    let coder = fleet.join("b", 1, &[]);
    assert_eq!(fleet.given(coder), []);
    fleet.pass_hearing(coder, Span::from_mins(1));
    assert_eq!(fleet.bench.word(second), "working");
}

#[test]
fn a_named_model_is_the_one_and_nobody_else_will_do() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen", "phi"]));
    let coder = fleet.join("a", 9, &[]);
    let task = fleet.submit(Tier::Standard, Some("phi"));
    assert_eq!(fleet.given(coder), [(task, Some(("gpu".into(), "phi".into())))]);
    let other = fleet.submit(Tier::Standard, Some("nobody-has-it"));
    let why = fleet.bench.hub.why(other).unwrap().reason;
    let named = Some(String::from("nobody-has-it"));
    let none = Reason::Endpoints { tier: Tier::Standard, model: named, passed_over: vec![] };
    assert_eq!(why, none);
}

#[test]
fn a_model_may_be_meant_for_some_tiers_only() {
    let mut fleet = Fleet::new();
    let mut endpoint = local(&["small", "large"]);
    endpoint.models[0].tiers = vec![Tier::Trivial, Tier::Standard];
    endpoint.models[1].tiers = vec![Tier::Complex];
    endpoint.models_at_once = 2;
    fleet.set("gpu", endpoint);
    let coder = fleet.join("a", 9, &[]);
    fleet.submit(Tier::Complex, None);
    fleet.submit(Tier::Standard, None);
    let models: Vec<_> = fleet.given(coder).into_iter().map(|(_, it)| it.unwrap().1).collect();
    assert_eq!(models, ["large", "small"]);
}

#[test]
fn an_endpoint_that_does_not_serve_costs_no_attempt_and_is_left_alone_for_longer_and_longer() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("a", 1, &[]);
    let task = fleet.submit(Tier::Standard, None);
    for wait in [15, 30, 60] {
        while fleet.names(coder) == ["gpu"] {
            fleet.fault(coder, Fault::Unreachable, None);
        }
        let Breaker::Open { backoff, .. } = fleet.breaker("gpu") else { panic!() };
        assert_eq!(backoff, Span::from_secs(wait));
        assert_eq!(fleet.bench.task(task).life.failures, 0);
        fleet.pass_hearing(coder, Span::from_secs(wait));
        assert!(matches!(fleet.breaker("gpu"), Breaker::HalfOpen { .. }));
    }
    fleet.serve(coder);
    assert_eq!(fleet.bench.word(task), "completed");
    assert_eq!(fleet.breaker("gpu"), Breaker::default());
}

#[test]
fn an_endpoint_is_well_whose_model_answered_whatever_came_of_the_task() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("a", 1, &[]);
    let ok = Breaker::default();
    let ill = Breaker::default().on(fleet.bench.now.mono, Sign::Failed(None));
    for (before, part, tokens, answered, after) in [
        (ok, true, 0, Some(false), ill),
        (ill, true, 9, Some(true), ok),
        (ok, false, 0, Some(false), ill),
        (ill, false, 9, Some(true), ok),
        // Agents that do not say it.
        (ill, true, 9, None, ok),
        (ill, true, 0, None, ill),
        (ill, false, 9, None, ill),
    ] {
        while fleet.breaker("gpu") != before {
            fleet.submit(Tier::Standard, None);
            fleet.stops(coder, true, 9, Some(before == ok));
        }
        fleet.submit(Tier::Standard, None);
        fleet.stops(coder, part, tokens, answered);
        assert_eq!(fleet.breaker("gpu"), after, "{part} {tokens} {answered:?}");
    }
}

#[test]
fn an_attempt_that_asked_no_model_says_nothing_of_its_endpoint() {
    // Of agents that do not count tokens nobody knows it.
    for (tokens, counts) in [(Some(0), false), (Some(9), true), (None, true)] {
        let mut fleet = Fleet::new();
        fleet.set("gpu", local(&["qwen"]));
        let coder = fleet.join("a", 1, &[]);
        fleet.submit(Tier::Standard, None);
        fleet.fault(coder, Fault::Busy, None);
        let ill = fleet.breaker("gpu");
        fleet.completes(coder, tokens);
        let after = if counts { Breaker::default() } else { ill };
        assert_eq!(fleet.breaker("gpu"), after, "{tokens:?}");
    }
}

#[test]
fn b24_what_one_endpoint_does_not_serve_another_does() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("work", cloud(&["opus"]));
    let coder = fleet.join("a", 1, &[]);
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(coder), ["gpu"]);
    fleet.fault(coder, Fault::Busy, None);
    assert_eq!(fleet.names(coder), ["gpu"]);
    fleet.fault(coder, Fault::Busy, None);
    assert_eq!(fleet.names(coder), ["work"]);
}

#[test]
fn only_who_has_the_key_is_given_what_wants_it_and_without_anybody_the_chain_goes_on() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let credential = Some(crate::name::Credential::new("me").unwrap());
    fleet.set("work", Endpoint { credential, ..cloud(&["opus"]) });
    let poor = fleet.join("a", 9, &[]);
    fleet.submit(Tier::Complex, None);
    assert_eq!(fleet.names(poor), ["gpu"]);
    let next = fleet.submit(Tier::Complex, None);
    assert_eq!(fleet.names(poor), [""; 0]);
    let rich = fleet.join("b", 1, &["key-me"]);
    assert_eq!(fleet.given(rich), [(next, Some(("work".into(), "opus".into())))]);
}

#[test]
fn tasks_for_two_models_in_turn_pay_for_one_change_of_model() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["a", "b"]));
    let coder = fleet.join("one", 1, &[]);
    for _ in 0..6 {
        fleet.submit(Tier::Standard, Some("a"));
        fleet.submit(Tier::Standard, Some("b"));
    }
    let served: Vec<_> = (0..12).map(|_| fleet.serve(coder).unwrap().1).collect();
    assert_eq!(served[..6], ["a"; 6]);
    assert_eq!(served[6..], ["b"; 6]);
}

#[test]
fn a_batch_keeps_nobody_waiting_where_another_model_is_loaded_beside() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", Endpoint { models_at_once: 2, ..local(&["a", "b"]) });
    let coder = fleet.join("one", 1, &[]);
    fleet.submit(Tier::Standard, Some("a"));
    fleet.submit(Tier::Standard, Some("b"));
    fleet.submit(Tier::Standard, Some("a"));
    let served: Vec<_> = (0..3).map(|_| fleet.serve(coder).unwrap().1).collect();
    assert_eq!(served, ["a", "b", "a"], "the oldest comes first");
}

#[test]
fn a_batch_does_not_keep_others_waiting_for_ever() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["a", "b"]));
    let coder = fleet.join("one", 1, &[]);
    fleet.submit(Tier::Standard, Some("a"));
    fleet.submit(Tier::Standard, Some("b"));
    let mut served = Vec::new();
    for _ in 0..13 {
        fleet.submit(Tier::Standard, Some("a"));
        fleet.pass_hearing(coder, Span::from_mins(1));
        served.push(fleet.serve(coder).unwrap().1);
    }
    let turn = served.iter().position(|model| model == "b").expect("the other has its turn");
    assert!((9..=11).contains(&turn), "{served:?}");
}

#[test]
fn a_task_of_which_nobody_said_what_it_is_is_routed_where_there_are_endpoints() {
    let mut fleet = Fleet::new();
    let auto = || Draft {
        description: "mend the parser".into(),
        ..Draft::new(Kind::new("auto").unwrap(), Json::null())
    };
    let before = fleet.bench.submit(auto());
    fleet.set("gpu", local(&["qwen"]));
    let after = fleet.bench.submit(auto());
    let kind = |id| fleet.bench.task(id).spec.op.kind.as_str().to_owned();
    assert_eq!([kind(before), kind(after)], ["wake", "code"]);
}

#[test]
fn what_is_wrong_with_an_endpoint_is_said_and_nothing_changes() {
    let mut fleet = Fleet::new();
    let id = EndpointId::new("gpu").unwrap();
    let bad = Endpoint { slots: 0, ..local(&[]) };
    let said = fleet.tell(EndpointCommand::Set(id.clone(), bad.into()));
    assert!(matches!(said, Reply::Rejected(Rejected::BadEndpoint(_))), "{said:?}");
    let unknown = Reply::Rejected(Rejected::UnknownEndpoint(id.clone()));
    assert_eq!(fleet.tell(EndpointCommand::Remove(id.clone())), unknown);
    assert_eq!(fleet.tell(EndpointCommand::Unpark(id.clone())), unknown);
    for n in 0..Endpoint::COUNT_MAX {
        fleet.set(&alloc::format!("e{n}"), local(&["m"]));
    }
    let said = fleet.tell(EndpointCommand::Set(id, local(&["m"]).into()));
    assert_eq!(said, Reply::Rejected(Rejected::TooManyEndpoints { max: Endpoint::COUNT_MAX }));
}

#[test]
fn the_chain_of_a_tier_can_be_changed() {
    use crate::route::Class;
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("work", cloud(&["opus"]));
    let coder = fleet.join("a", 9, &[]);
    fleet.tell(EndpointCommand::Chain(Tier::Standard, vec![Class::Cloud]));
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(coder), ["work"]);
    fleet.tell(EndpointCommand::Chain(Tier::Standard, vec![]));
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(coder), ["gpu"]);
}

#[test]
fn b21_of_two_that_are_alike_the_one_on_the_idle_machine_is_chosen() {
    let mut fleet = Fleet::new();
    fleet.set("a", local(&["qwen"]));
    fleet.set("b", Endpoint { host: Some(agent_id("host")), ..local(&["qwen"]) });
    let host = fleet.join("host", 1, &[]);
    let report = |cpu: &str| {
        ToHub::ResourceReport {
        figures: Json::parse(&alloc::format!(
            r#"{{"cpu_percent":{cpu},"ram_total_bytes":17179869184,"vram_total_bytes":10,"vram_used_bytes":5}}"#
        ))
        .unwrap(),
    }
    };
    fleet.bench.frame(host, report("3.7"));
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(host), ["b"]);
    fleet.serve(host);
    fleet.bench.frame(host, report("98"));
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(host), ["a"]);
}

#[test]
fn b21_how_busy_an_agent_is_counts_for_the_loopback_that_it_announces() {
    let url = "http://127.0.0.1:11434";
    let endpoint = || Endpoint { url: url.into(), ..local(&["qwen"]) };
    for (busy, chosen) in [(0, "b"), (1, "a")] {
        let mut fleet = Fleet::new();
        let one = announces(&mut fleet, "one", &[("a", endpoint())]);
        let two = announces(&mut fleet, "two", &[("b", endpoint())]);
        for (at, session) in [one, two].into_iter().enumerate() {
            let cpu = if at == busy { "97" } else { "2" };
            let figures = Json::parse(&alloc::format!(r#"{{"cpu_percent":{cpu}}}"#)).unwrap();
            fleet.bench.frame(session, ToHub::ResourceReport { figures });
        }
        fleet.submit(Tier::Standard, None);
        let given = [fleet.names(one), fleet.names(two)].concat();
        assert_eq!(given, [chosen]);
    }
}

#[test]
fn whoever_of_the_machine_is_there_says_how_busy_it_is() {
    let url = "http://127.0.0.1:11434";
    let endpoint = || Endpoint { url: url.into(), ..local(&["qwen"]) };
    let mut fleet = Fleet::new();
    let first = announces(&mut fleet, "first", &[("a", endpoint())]);
    let second = announces(&mut fleet, "second", &[("a", endpoint())]);
    let other = announces(&mut fleet, "third", &[("b", endpoint())]);
    fleet.bench.leave(first);
    for (session, cpu) in [(second, "97"), (other, "60")] {
        let figures = Json::parse(&alloc::format!(r#"{{"cpu_percent":{cpu}}}"#)).unwrap();
        fleet.bench.frame(session, ToHub::ResourceReport { figures });
    }
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(other), ["b"]);
}

#[test]
fn b21_how_busy_a_machine_is_that_looks_at_its_own_endpoint_counts_for_that() {
    for (busy, chosen) in [("a", "b"), ("b", "a")] {
        let mut fleet = Fleet::new();
        fleet.set("a", local(&["qwen"]));
        fleet.set("b", elsewhere(local(&["qwen"])));
        let (coder, looker) = (fleet.join("c", 1, &[]), fleet.looker());
        fleet.bench.pass(Span(1));
        while let Some(look) = fleet.look(looker) {
            let looked_at = probed_by(&fleet.bench.task(look.task_id).spec).unwrap();
            let cpu_per_mille = if looked_at.as_str() == busy { 950 } else { 30 };
            let machine = Some(Machine { cpu_per_mille, ram_mib: 16 << 10 });
            let served = Served { model: "qwen".into(), warm: true, context: None, tools: None };
            fleet.saw(looker, look, &Seen { machine, models: vec![served], ..Seen::default() });
        }
        fleet.submit(Tier::Standard, None);
        assert_eq!(fleet.names(coder), [chosen]);
    }
}
