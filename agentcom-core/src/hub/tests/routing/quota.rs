//! This file checks what a used-up quota means for those that use the same key.

use super::*;
use crate::command::Parking;
use crate::name::Credential;

fn shared(model: &str) -> Endpoint {
    Endpoint { credential: Some(Credential::new("me").unwrap()), ..cloud(&[model]) }
}

/// Two endpoints of one key, and an agent that has the key.
fn walled() -> (Fleet, u64, [TaskId; 12]) {
    let mut fleet = Fleet::new();
    fleet.set("one", Endpoint { slots: 20, ..shared("opus") });
    fleet.set("two", Endpoint { slots: 20, ..shared("haiku") });
    let coder = fleet.join("a", 30, &["key-me"]);
    let first = fleet.submit(Tier::Standard, None);
    fleet.fault(coder, Fault::Quota, Some(Span::from_mins(60)));
    assert_eq!(fleet.bench.word(first), "ready");
    let mut tasks = [first; 12];
    tasks[1..].fill_with(|| fleet.submit(Tier::Standard, None));
    (fleet, coder, tasks)
}

#[test]
fn a_used_up_quota_parks_all_endpoints_of_its_key_until_it_is_renewed() {
    let (mut fleet, coder, tasks) = walled();
    let looker = fleet.looker();
    assert_eq!(fleet.holds(coder), 0);
    let reset = fleet.bench.now.wall + Span::from_mins(60);
    let why = fleet.bench.hub.why(tasks[3]).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = why else { panic!("{why:?}") };
    let key = Credential::new("me").unwrap();
    assert_eq!(passed_over.len(), 2);
    assert!(passed_over.iter().all(|it| it.verdict == Verdict::Parked(key.clone(), reset)));
    assert_eq!(fleet.bench.task(tasks[0]).life.failures, 0);
    fleet.bench.pass(Span(1));
    assert!(fleet.look(looker).is_some(), "the key is parked, and the endpoint can be looked at");
    fleet.pass_hearing(coder, Span::from_mins(59));
    assert_eq!(fleet.holds(coder), 0);
}

#[test]
fn after_a_quota_was_renewed_its_users_come_back_one_by_one() {
    let (mut fleet, coder, tasks) = walled();
    let coding = |fleet: &Fleet| {
        let held = tasks.iter().filter(|id| fleet.bench.state(**id).hold().is_some());
        held.count()
    };
    fleet.pass_hearing(coder, Span::from_mins(60));
    assert_eq!(coding(&fleet), 1, "the first is let through at once");
    let mut before = 1;
    let mut rises = Vec::new();
    for second in 0..200 {
        fleet.pass_hearing(coder, Span::from_secs(1));
        let held = coding(&fleet);
        if held > before {
            rises.push(second);
        }
        assert!(held == before || held == before + 1 || before == 8, "{before} {held}");
        before = held;
    }
    assert_eq!(before, 12);
    assert!(rises.windows(2).all(|pair| pair[1] - pair[0] >= 4), "{rises:?}");
    assert!(fleet.bench.hub.state().settings().routing.parked.is_empty());
}

#[test]
fn a_quota_that_is_used_up_again_parks_its_key_again() {
    let (mut fleet, coder, _) = walled();
    fleet.pass_hearing(coder, Span::from_mins(60));
    fleet.names(coder);
    fleet.fault(coder, Fault::Quota, Some(Span::from_mins(5)));
    assert_eq!(fleet.names(coder).len(), 0);
    fleet.pass_hearing(coder, Span::from_mins(4));
    assert_eq!(fleet.names(coder).len(), 0);
}

#[test]
fn an_operator_parks_keys_and_uses_them_again() {
    let (mut fleet, coder, _) = walled();
    let two = EndpointId::new("two").unwrap();
    assert_eq!(fleet.tell(EndpointCommand::Unpark(two.clone())), Reply::Done);
    assert_eq!(fleet.names(coder).len(), 13, "all of them, and the first for the second time");
    fleet.tell(EndpointCommand::Park(two, Span::from_mins(1)));
    fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.names(coder).len(), 0);
}

#[test]
fn where_keys_are_not_parked_a_used_up_quota_concerns_the_task_that_met_it() {
    let mut fleet = Fleet::new();
    fleet.set("one", Endpoint { slots: 9, ..shared("opus") });
    fleet.tell(EndpointCommand::Parking(Parking::Off));
    let coder = fleet.join("a", 9, &["key-me"]);
    let met = fleet.submit(Tier::Standard, None);
    fleet.fault(coder, Fault::Quota, Some(Span::from_mins(60)));
    assert_eq!(fleet.bench.word(met), "waiting");
    let other = fleet.submit(Tier::Standard, None);
    assert_eq!(fleet.bench.word(other), "assigned");
}

#[test]
fn a_quota_leaves_the_next_class_of_the_chain_to_go_on() {
    let mut fleet = Fleet::new();
    fleet.set("one", shared("opus"));
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("a", 1, &["key-me"]);
    fleet.submit(Tier::Complex, None);
    assert_eq!(fleet.names(coder), ["one"]);
    fleet.fault(coder, Fault::Quota, None);
    assert_eq!(fleet.names(coder), ["gpu"]);
}
