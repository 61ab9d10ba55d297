//! This file checks how tasks come to programs of agents that have models of their own.

use super::*;
use crate::view::Reason;

pub(super) fn program(api: Api) -> Endpoint {
    Endpoint::new(api, "")
}

/// A task of a kind, that names a model or none.
fn task(fleet: &mut Fleet, kind: &str, model: Option<&str>) -> TaskId {
    let input = model.map(|model| alloc::format!(r#"{{"model":{model:?}}}"#));
    let input = input.map_or_else(Json::null, |input| Json::parse(&input).unwrap());
    let mut draft = Draft::new(Kind::new(kind).unwrap(), input);
    draft.coding.tier = Some(Tier::Standard);
    fleet.bench.submit(draft)
}

#[test]
fn a_program_is_one_of_the_models_that_a_coding_task_may_be_given() {
    let mut fleet = Fleet::new();
    fleet.set("cc", program(Api::ClaudeCode));
    let coder = fleet.join("a", 4, &[]);
    let first = fleet.submit(Tier::Standard, None);
    let why = fleet.bench.hub.why(first).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = why else { panic!("{why:?}") };
    let need = Capability::new("exec:claude-code").unwrap();
    assert_eq!(passed_over[0].verdict, Verdict::NoAgent(need));
    // Who has the program says so by the kind that it does.
    let has = fleet.join_with("b", &["code", "claude-code"], 4, &[]);
    let own = Some((String::from("cc"), String::from("own")));
    assert_eq!((fleet.given(coder), fleet.given(has)), (vec![], vec![(first, own)]));
    // A local model comes first for a standard task, and the program for a complex one.
    fleet.set("gpu", local(&["qwen"]));
    fleet.submit(Tier::Complex, None);
    assert_eq!(fleet.names(has), ["cc"]);
}

#[test]
fn a_task_for_a_program_is_routed_to_its_endpoints_only_and_without_any_to_whoever_has_it() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let has = fleet.join_with("a", &["code", "acp", "claude-code"], 9, &[]);
    let unrouted = task(&mut fleet, "acp", None);
    assert_eq!(fleet.given(has), [(unrouted, None)]);
    fleet.set("gemini", program(Api::Acp));
    fleet.set("cc", Endpoint { models: local(&["opus"]).models, ..program(Api::ClaudeCode) });
    let any = task(&mut fleet, "acp", Some("of-its-own"));
    let at = |endpoint: &str, model: &str| Some((String::from(endpoint), String::from(model)));
    assert_eq!(fleet.given(has), [(any, at("gemini", "of-its-own"))]);
    let meant = task(&mut fleet, "claude-code", None);
    assert_eq!(fleet.given(has), [(meant, at("cc", "opus"))]);
    let other = task(&mut fleet, "claude-code", Some("sonnet"));
    assert_eq!(fleet.given(has), [], "its models were said, and this is none");
    assert!(matches!(fleet.bench.hub.why(other).unwrap().reason, Reason::Endpoints { .. }));
    fleet.tell(EndpointCommand::Remove(EndpointId::new("cc").unwrap()));
    assert_eq!(fleet.given(has), [(other, None)]);
}

#[test]
fn a_used_up_quota_of_a_program_parks_its_key_for_all_who_use_it() {
    let mut fleet = Fleet::new();
    let key = crate::name::Credential::new("team").unwrap();
    let shared = || Endpoint { credential: Some(key.clone()), ..program(Api::ClaudeCode) };
    fleet.set("one", shared());
    fleet.set("two", shared());
    let has = fleet.join_with("a", &["code", "claude-code"], 2, &[]);
    let (first, second) =
        (task(&mut fleet, "claude-code", None), fleet.submit(Tier::Complex, None));
    assert_eq!(fleet.given(has).len(), 2);
    fleet.fault_of(has, "claude-code", Fault::Quota, Some(Span::from_mins(60)));
    let parked = |fleet: &Fleet, id| {
        let why = fleet.bench.hub.why(id).unwrap().reason;
        let Reason::Endpoints { passed_over, .. } = why else { return false };
        passed_over.iter().all(|it| matches!(it.verdict, Verdict::Parked(..)))
    };
    assert!(parked(&fleet, first));
    assert_eq!(fleet.bench.task(first).life.failures, 0, "it is not to blame");
    let third = fleet.submit(Tier::Complex, None);
    assert!(parked(&fleet, third) && fleet.holds(has) == 1 && !parked(&fleet, second));
    fleet.pass_hearing(has, Span::from_mins(61));
    assert_eq!(fleet.given(has).len(), 1, "the quota is renewed, and there is room for one");
}

#[test]
fn a_program_is_not_looked_at() {
    let mut fleet = Fleet::new();
    fleet.set("cc", program(Api::ClaudeCode));
    let looker = fleet.looker();
    for _ in 0..30 {
        fleet.bench.pass(Span::from_secs(60));
        assert_eq!(fleet.look(looker), None);
    }
}
