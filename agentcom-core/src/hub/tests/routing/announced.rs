//! This file checks the endpoints that agents announce: the models that they were started with.

use super::programs::program;
use super::*;
use crate::command::Command;
use crate::ledger::Cap;
use crate::money::Micros;
use crate::wire::Identify;

pub(super) fn announces(fleet: &mut Fleet, name: &'static str, models: &[(&str, Endpoint)]) -> u64 {
    let named =
        |(id, endpoint): &(&str, Endpoint)| (EndpointId::new(id).unwrap(), endpoint.clone());
    fleet.join_announcing(name, Some(models.iter().map(named).collect()))
}

fn names(fleet: &Fleet) -> Vec<String> {
    let endpoints = &fleet.bench.hub.state().settings().routing.endpoints;
    endpoints.keys().map(|id| id.as_str().to_owned()).collect()
}

fn refusals(fleet: &mut Fleet, session: u64) -> Vec<String> {
    let said = fleet.bench.said(session).into_iter();
    let errors = said.filter_map(|frame| {
        let ToAgent::Error(error) = frame else { return None };
        Some(error.error)
    });
    errors.collect()
}

#[test]
fn b22_what_an_agent_announces_is_asked_by_its_announcers_and_nobody_else() {
    let mut fleet = Fleet::new();
    let other = fleet.join("other", 9, &[]);
    let one = announces(&mut fleet, "one", &[("box-ollama", local(&["qwen"]))]);
    let task = fleet.submit(Tier::Standard, None);
    let at = Some(("box-ollama".into(), "qwen".into()));
    assert_eq!(fleet.given(one), [(task, at.clone())]);
    // An agent of the same machine shares the server, and its one slot.
    let two = announces(&mut fleet, "two", &[("box-ollama", local(&["qwen"]))]);
    let next = fleet.submit(Tier::Standard, None);
    assert_eq!((fleet.given(two), fleet.given(other)), (Vec::new(), Vec::new()));
    fleet.serve(one);
    let given = [fleet.given(one), fleet.given(two)].concat();
    assert_eq!(given, [(next, at)]);
    // It stays while one of them announces it.
    fleet.bench.call(Command::RemoveAgent(agent_id("one")));
    assert_eq!(names(&fleet), ["box-ollama"]);
    fleet.bench.call(Command::RemoveAgent(agent_id("two")));
    assert_eq!(names(&fleet), [""; 0]);
}

#[test]
fn a_model_whose_agents_have_no_room_is_passed_over() {
    let mut fleet = Fleet::new();
    let one = announces(&mut fleet, "one", &[("a-box", local(&["qwen"]))]);
    fleet.bench.call(Command::Drain(agent_id("one")));
    let two = announces(&mut fleet, "two", &[("b-box", local(&["qwen"]))]);
    let task = fleet.submit(Tier::Standard, None);
    assert_eq!((fleet.names(one), fleet.names(two)), (vec![], vec!["b-box".to_owned()]));
    let decided = fleet.bench.task(task).life.last_attempt().unwrap().route.clone().unwrap();
    let passed = decided.alternatives.iter().map(|it| (it.endpoint.as_str(), &it.verdict));
    assert_eq!(passed.collect::<Vec<_>>(), [("a-box", &Verdict::NoRoom)]);
    // It waits for room, or for an endpoint that others can ask.
    let next = fleet.submit(Tier::Standard, None);
    fleet.serve(two);
    assert_eq!(fleet.names(two), ["b-box"]);
    fleet.fault(two, Fault::Unreachable, None);
    fleet.fault(two, Fault::Unreachable, None);
    assert_eq!(fleet.bench.word(next), "ready");
    fleet.set("all", local(&["qwen"]));
    assert_eq!(fleet.names(two), ["b-box", "all"]);
}

#[test]
fn what_an_agent_no_longer_announces_is_forgotten_unless_it_says_nothing_of_it() {
    let mut fleet = Fleet::new();
    announces(&mut fleet, "a", &[("a-ollama", local(&["qwen"])), ("a-acp", program(Api::Acp))]);
    fleet.join_announcing("a", None);
    assert_eq!(names(&fleet), ["a-acp", "a-ollama"]);
    announces(&mut fleet, "a", &[("a-acp", program(Api::Acp))]);
    assert_eq!(names(&fleet), ["a-acp"]);
    announces(&mut fleet, "a", &[]);
    assert_eq!(names(&fleet), [""; 0]);
}

#[test]
fn what_an_operator_sets_under_the_name_counts_instead() {
    let mut fleet = Fleet::new();
    let agent = announces(&mut fleet, "a", &[("gpu", local(&["qwen"]))]);
    fleet.set("gpu", local(&["llama"]));
    let task = fleet.submit(Tier::Standard, None);
    let at = |model: &str| Some((String::from("gpu"), String::from(model)));
    assert_eq!(fleet.given(agent), [(task, at("llama"))]);
    let agent = announces(&mut fleet, "a", &[("gpu", local(&["qwen"]))]);
    fleet.bench.call(Command::RemoveAgent(agent_id("a")));
    assert_eq!((names(&fleet), refusals(&mut fleet, agent)), (vec!["gpu".to_owned()], vec![]));
}

#[test]
fn what_cannot_be_an_endpoint_is_refused_with_a_word() {
    let mut fleet = Fleet::new();
    let many: Vec<String> = (0..9).map(|n| alloc::format!("a-{n}")).collect();
    let many: Vec<_> = many.iter().map(|name| (name.as_str(), local(&["m"]))).collect();
    let agent = announces(&mut fleet, "a", &many);
    assert_eq!(refusals(&mut fleet, agent), ["too_many_models"]);
    let agent = announces(&mut fleet, "a", &[("a", Endpoint { slots: 0, ..local(&["m"]) })]);
    assert_eq!(refusals(&mut fleet, agent), ["bad_models: slots must be 1 to 1024"]);
    assert_eq!(names(&fleet), [""; 0]);
    // Where spending is capped nobody asks a model of which nobody knows the price; the rest is had.
    let cap: Cap = "day".parse().unwrap();
    fleet.bench.call(Command::SetCap { cap, limit: Some(Micros(1)) });
    let models = [("dear", cloud(&["unheard-of"])), ("free", local(&["qwen"]))];
    let agent = announces(&mut fleet, "a", &models);
    assert_eq!(refusals(&mut fleet, agent), ["models_refused"]);
    assert_eq!(names(&fleet), ["free"]);
}

#[test]
fn there_are_no_more_endpoints_than_may_be() {
    let mut fleet = Fleet::new();
    for number in 0..Endpoint::COUNT_MAX - 1 {
        fleet.set(&alloc::format!("e-{number}"), local(&["m"]));
    }
    let agent = announces(&mut fleet, "a", &[("x", local(&["m"])), ("y", local(&["m"]))]);
    assert_eq!(refusals(&mut fleet, agent), ["models_refused"]);
    assert_eq!(names(&fleet).len(), Endpoint::COUNT_MAX);
}

#[test]
fn a_task_may_name_another_model_where_others_are_served() {
    let mut fleet = Fleet::new();
    let endpoint = || Endpoint { others: true, ..local(&["qwen"]) };
    let agent = announces(&mut fleet, "a", &[("a", endpoint())]);
    let looker = announces_probe(&mut fleet, endpoint());
    let served = |model: &str, tools| Served {
        model: model.into(),
        warm: false,
        context: None,
        tools: Some(tools),
    };
    let models = vec![served("llama:latest", true), served("embed", false)];
    let look = fleet.look(looker).expect("it was never heard of");
    fleet.saw(looker, look, &Seen { models, ..Seen::default() });
    let named = fleet.submit(Tier::Standard, Some("llama"));
    assert_eq!(fleet.given(agent), [(named, Some(("a".into(), "llama".into())))]);
    fleet.serve(agent);
    let why = |fleet: &mut Fleet, model| {
        let task = fleet.submit(Tier::Standard, model);
        let reason = fleet.bench.hub.why(task).unwrap().reason;
        let Reason::Endpoints { passed_over, .. } = reason else { panic!("{reason:?}") };
        passed_over[0].verdict.clone()
    };
    assert_eq!(why(&mut fleet, Some("embed")), Verdict::NoTools);
    assert_eq!(why(&mut fleet, Some("absent")), Verdict::Missing);
    assert_eq!(why(&mut fleet, None), Verdict::Missing, "what the agent was started with");
    fleet.set("b", elsewhere(local(&["qwen"])));
    assert_eq!(fleet.names(agent), ["b"], "one slot");
    let other = fleet.submit(Tier::Standard, Some("llama"));
    assert_eq!(fleet.names(agent), ["a"], "{other:?}");
}

/// Another agent of that machine connects, that looks at endpoints.
fn announces_probe(fleet: &mut Fleet, endpoint: Endpoint) -> u64 {
    let models = [(EndpointId::new("a").unwrap(), endpoint)];
    let frame = Identify {
        executors: Some(["probe"].map(String::from).into()),
        models: Some(models.into()),
        ..Identify::default()
    };
    let session = fleet.identify("a-2", frame);
    fleet.bench.pass(Span(1));
    session
}

#[test]
fn b23_an_agent_that_is_back_resets_nothing_of_what_is_known_of_its_endpoint() {
    let mut fleet = Fleet::new();
    let endpoint = || Endpoint::new(Api::Ollama, "http://gpu:11434");
    let joins = |fleet: &mut Fleet| announces(fleet, "one", &[("a", endpoint())]);
    joins(&mut fleet);
    let looker = announces_probe(&mut fleet, endpoint());
    let look = fleet.look(looker).expect("it was never heard of");
    let served = Served { model: "qwen".into(), warm: true, context: None, tools: Some(true) };
    fleet.saw(looker, look, &Seen { models: vec![served], ..Seen::default() });
    let health = |fleet: &Fleet| {
        let id = EndpointId::new("a").unwrap();
        fleet.bench.hub.state().endpoints().health(&id).unwrap().clone()
    };
    let well = health(&fleet);
    assert_eq!(well.seen.as_ref().unwrap().models.len(), 1);
    let one = joins(&mut fleet);
    assert_eq!(health(&fleet), well);
    let task = fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.given(one), [(task, Some(("a".into(), "qwen".into())))], "at once");
    for _ in 0..2 {
        fleet.fault(one, Fault::Busy, None);
    }
    let ill = health(&fleet);
    assert!(matches!(ill.breaker, Breaker::Open { .. }), "{ill:?}");
    joins(&mut fleet);
    assert_eq!(health(&fleet), ill, "nor is it taken for well by that");
    announces(&mut fleet, "one", &[("a", endpoint()), ("a-acp", program(Api::Acp))]);
    assert_eq!(health(&fleet), ill, "nor with another that it has now");
}

#[test]
fn what_another_announces_by_a_name_is_not_replaced_nor_can_it_be_claimed() {
    let mut fleet = Fleet::new();
    let one = announces(&mut fleet, "one", &[("box", local(&["qwen"]))]);
    let two = announces(&mut fleet, "two", &[("box", elsewhere(local(&["qwen"])))]);
    assert_eq!(refusals(&mut fleet, two), ["models_refused"]);
    let three = fleet.join("three", 9, &["models:box"]);
    for _ in 0..2 {
        fleet.submit(Tier::Standard, None);
    }
    assert_eq!(fleet.names(one), ["box"], "it has one slot");
    assert_eq!((fleet.names(two), fleet.names(three)), (vec![], vec![]));
    let known = &fleet.bench.hub.state().settings().routing.endpoints["box"];
    assert_eq!(&*known.url, "http://gpu:11434");
    // Who announces nothing this time keeps what it announced.
    let again = fleet.join_announcing("one", None);
    fleet.bench.pass(Span(1));
    let can = &fleet.bench.hub.state().profile(&agent_id("one")).unwrap().capabilities;
    assert!(can.iter().any(|can| can.as_str() == "models:box"), "{again} {can:?}");
}

#[test]
fn a_model_is_there_by_the_alias_of_a_dated_one_where_servers_know_aliases() {
    let mut fleet = Fleet::new();
    let any = |endpoint| Endpoint { others: true, ..endpoint };
    fleet.set("far", any(cloud(&["claude-opus-4-1"])));
    fleet.set("near", any(local(&["qwen"])));
    let (coder, looker) = (fleet.join("c", 9, &[]), fleet.looker());
    fleet.bench.pass(Span(1));
    while let Some(look) = fleet.look(looker) {
        let model = "claude-sonnet-4-5-20250929".into();
        let served = Served { model, warm: true, context: None, tools: None };
        fleet.saw(looker, look, &Seen { models: vec![served], ..Seen::default() });
    }
    for alias in ["claude-sonnet-4-5", "claude-sonnet-4-5-latest"] {
        let task = fleet.submit(Tier::Standard, Some(alias));
        assert_eq!(fleet.given(coder), [(task, Some(("far".into(), alias.into())))]);
    }
    let task = fleet.submit(Tier::Standard, Some("claude-sonnet-4"));
    assert_eq!(fleet.given(coder), []);
    let reason = fleet.bench.hub.why(task).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = reason else { panic!("{reason:?}") };
    assert_eq!(passed_over.iter().map(|it| it.endpoint.as_str()).collect::<Vec<_>>(), ["near"]);
}
