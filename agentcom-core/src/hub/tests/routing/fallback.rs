//! This file checks where a task goes at which a model failed: to the same tier elsewhere, then to
//! models for higher tiers, and only then to who failed at it.

use super::*;
use crate::route::{Decision, Fallback};
use crate::task::Retry;

/// A standard task that may fail often.
fn stubborn(fleet: &mut Fleet) -> TaskId {
    let mut draft = Draft::new(Kind::new("code").unwrap(), Json::null());
    draft.coding.tier = Some(Tier::Standard);
    draft.retry = Retry { attempts_max: Some(9), ..Retry::default() };
    fleet.bench.submit(draft)
}

/// The model of the latest attempt at a task, and what else there was.
fn decided(fleet: &Fleet, task: TaskId) -> Decision {
    *fleet.bench.hub.why(task).unwrap().route.unwrap()
}

/// The models, with their endpoints, of so many attempts of an agent, each of which fails.
fn tried(fleet: &mut Fleet, coder: u64, times: usize) -> Vec<(String, String)> {
    let mut tried = Vec::new();
    for _ in 0..times {
        tried.extend(fleet.given(coder).into_iter().filter_map(|(_, at)| at));
        fleet.fail(coder, Category::Retryable);
        fleet.pass_hearing(coder, Span::from_mins(3));
    }
    tried
}

fn names(tried: &[(String, String)]) -> Vec<&str> {
    tried.iter().map(|(endpoint, _)| endpoint.as_str()).collect()
}

#[test]
fn what_failed_goes_to_the_same_class_elsewhere_then_to_the_next_and_then_again() {
    let mut fleet = Fleet::new();
    fleet.set("a", local(&["qwen"]));
    fleet.set("b", elsewhere(local(&["qwen"])));
    fleet.set("work", cloud(&["opus"]));
    let coder = fleet.join("one", 1, &[]);
    let task = stubborn(&mut fleet);
    let all = tried(&mut fleet, coder, 5);
    assert_eq!(names(&all), ["a", "b", "work", "a", "work"]);
    let Decision { chosen, alternatives, .. } = decided(&fleet, task);
    assert_eq!(chosen.unwrap().fallback, Some(Fallback::Again));
    assert!(alternatives.iter().all(|it| it.fallback == Some(Fallback::Again)));
    // Others begin as ever.
    fleet.given(coder);
    fleet.serve(coder);
    stubborn(&mut fleet);
    assert_eq!(names(&tried(&mut fleet, coder, 1)), ["a"]);
}

#[test]
fn another_name_of_the_server_that_failed_is_not_elsewhere() {
    let mut fleet = Fleet::new();
    fleet.set("x", local(&["qwen"]));
    fleet.set("y", local(&["qwen", "phi"]));
    fleet.set("z", elsewhere(local(&["qwen"])));
    let coder = fleet.join("one", 1, &[]);
    let task = stubborn(&mut fleet);
    let all = tried(&mut fleet, coder, 3);
    let at = |endpoint: &str, model: &str| (endpoint.to_owned(), model.to_owned());
    assert_eq!(all, [at("x", "qwen"), at("z", "qwen"), at("y", "phi")]);
    assert_eq!(decided(&fleet, task).chosen.unwrap().fallback, Some(Fallback::Again));
}

/// A model for standard tasks and one for complex ones, on one server.
fn of_two_tiers() -> Endpoint {
    let mut endpoint = local(&["small", "large"]);
    endpoint.models[0].tiers = vec![Tier::Trivial, Tier::Standard];
    endpoint.models[1].tiers = vec![Tier::Complex];
    endpoint
}

#[test]
fn b24_models_for_higher_tiers_are_tried_when_those_for_its_own_failed() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", of_two_tiers());
    let coder = fleet.join("one", 1, &[]);
    let task = stubborn(&mut fleet);
    assert_eq!(decided(&fleet, task).alternatives, [], "nobody failed at it");
    let first = tried(&mut fleet, coder, 1);
    assert_eq!(first[0].1, "small");
    let Decision { chosen, alternatives, .. } = decided(&fleet, task);
    let chosen = chosen.unwrap();
    let higher = Some(Fallback::HigherTier(Tier::Complex));
    assert_eq!((&*chosen.model, chosen.fallback), ("large", higher));
    assert_eq!(
        (&*alternatives[0].model, alternatives[0].fallback),
        ("small", Some(Fallback::Again))
    );
}

/// A server with models for easy tasks, and another with one for complex tasks.
fn two_servers() -> (Fleet, u64) {
    let mut fleet = Fleet::new();
    let mut hard = elsewhere(local(&["best"]));
    hard.models[0].tiers = vec![Tier::Complex];
    fleet.set("hard", hard);
    let mut easy = local(&["small"]);
    easy.models[0].tiers = vec![Tier::Standard];
    fleet.set("easy", easy);
    let coder = fleet.join("one", 9, &[]);
    (fleet, coder)
}

#[test]
fn models_for_higher_tiers_go_on_while_those_for_its_own_are_out_of_order() {
    let (mut fleet, coder) = two_servers();
    let task = stubborn(&mut fleet);
    for _ in 0..2 {
        assert_eq!(fleet.names(coder), ["easy"]);
        fleet.fault(coder, Fault::Unreachable, None);
    }
    assert_eq!(fleet.names(coder), ["hard"]);
    let Decision { chosen, alternatives, .. } = decided(&fleet, task);
    assert_eq!(chosen.unwrap().fallback, Some(Fallback::HigherTier(Tier::Complex)));
    assert_eq!(&*alternatives[0].model, "small");
    assert!(matches!(alternatives[0].verdict, Verdict::Open(_)), "{alternatives:?}");
    // Nobody failed at it, so that it begins as ever where it is tried anew.
    assert_eq!(fleet.bench.task(task).life.failures, 0);
    let waits = stubborn(&mut fleet);
    let why = fleet.bench.hub.why(waits).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = why else { panic!("{why:?}") };
    assert_eq!(passed_over.len(), 2, "it waits for either: {passed_over:?}");
    fleet.pass_hearing(coder, Breaker::BACKOFF_BASE);
    assert_eq!(fleet.names(coder), ["easy"]);
}

#[test]
fn a_model_that_is_only_at_work_is_waited_for() {
    let (mut fleet, coder) = two_servers();
    stubborn(&mut fleet);
    let waits = stubborn(&mut fleet);
    assert_eq!(fleet.names(coder), ["easy"]);
    assert_eq!(fleet.bench.word(waits), "ready");
    fleet.serve(coder);
    assert_eq!(fleet.names(coder), ["easy"]);
}

#[test]
fn what_no_model_is_for_goes_to_one_for_a_higher_tier_and_never_to_one_for_a_lower() {
    let (mut fleet, coder) = two_servers();
    fleet.submit(Tier::Trivial, None);
    assert_eq!(fleet.names(coder), ["easy"], "the next tier comes first");
    let mut lower = elsewhere(local(&["tiny"]));
    lower.models[0].tiers = vec![Tier::Trivial];
    fleet.set("hard", lower);
    let hard = fleet.submit(Tier::Complex, None);
    assert_eq!((fleet.names(coder).len(), fleet.bench.word(hard)), (0, "ready"));
}

#[test]
fn models_for_higher_tiers_go_on_when_the_agent_of_those_for_its_own_leaves() {
    let (mut fleet, coder) = two_servers();
    let mut easy = local(&["small"]);
    easy.models[0].tiers = vec![Tier::Standard];
    easy.needs = vec![Capability::new("lan").unwrap()];
    fleet.set("easy", easy);
    let near = fleet.join("near", 1, &["lan"]);
    let task = stubborn(&mut fleet);
    assert_eq!(fleet.names(near), ["easy"]);
    let waits = stubborn(&mut fleet);
    assert_eq!((fleet.names(coder).len(), fleet.bench.word(waits)), (0, "ready"));
    fleet.bench.leave(near);
    assert_eq!(fleet.given(coder), [(waits, Some(("hard".into(), "best".into())))]);
    assert_ne!(fleet.bench.word(task), "dead_letter");
}

#[test]
fn what_models_an_endpoint_has_is_waited_for() {
    let (mut fleet, coder) = two_servers();
    fleet.set("easy", local(&[]));
    let task = stubborn(&mut fleet);
    assert_eq!((fleet.names(coder).len(), fleet.bench.word(task)), (0, "ready"));
    let looker = fleet.looker();
    fleet.bench.pass(Span(1));
    while let Some(look) = fleet.look(looker) {
        let at = probed_by(&fleet.bench.task(look.task_id).spec).unwrap();
        let served = Served { model: "small".into(), warm: false, context: None, tools: None };
        let models = if at.as_str() == "easy" { vec![served] } else { vec![] };
        fleet.saw(looker, look, &Seen { models, ..Seen::default() });
    }
    assert_eq!(fleet.names(coder), ["easy"]);
}

#[test]
fn a_task_of_which_nothing_is_known_is_done_as_a_standard_one() {
    let (mut fleet, coder) = two_servers();
    fleet.bench.submit(Draft::new(Kind::new("code").unwrap(), Json::null()));
    assert_eq!(fleet.names(coder), ["easy"]);
}

#[test]
fn a_named_model_stays_the_one_whatever_failed() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", of_two_tiers());
    let coder = fleet.join("one", 1, &[]);
    fleet.submit(Tier::Standard, Some("small"));
    let all = tried(&mut fleet, coder, 2);
    assert_eq!(all.iter().map(|(_, model)| model.as_str()).collect::<Vec<_>>(), ["small"; 2]);
}

#[test]
fn a_task_that_may_go_to_a_higher_tier_does_not_wait_behind_one_that_may_not() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", Endpoint { models_at_once: 0, ..of_two_tiers() });
    let coder = fleet.join("one", 9, &[]);
    let failed = stubborn(&mut fleet);
    let (_, waits) = (stubborn(&mut fleet), stubborn(&mut fleet));
    fleet.fail(coder, Category::Retryable);
    fleet.pass_hearing(coder, Span::from_mins(3));
    assert_eq!(&*decided(&fleet, failed).chosen.unwrap().model, "large");
    let why = fleet.bench.hub.why(waits).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = why else { panic!("{why:?}") };
    assert_eq!(passed_over.iter().map(|it| &*it.model).collect::<Vec<_>>(), ["small"]);
}
