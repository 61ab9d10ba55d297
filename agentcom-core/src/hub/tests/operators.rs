//! This file checks what operators may do, and how their tokens come, expire and go.

use super::money::{at_work, call, question, reserve, restarted, set_cap};
use super::*;
use crate::command::{OperatorCommand, Rejected, Scope};
use crate::name::{Key, OperatorId};
use crate::operator::{Bearer, Holder, Right, Validity};
use crate::testing::bench::token;
use crate::wire::{Dialect, ToAgent};
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

const HOUR: Span = Span::from_mins(60);

fn operator_id(name: &str) -> OperatorId {
    OperatorId::new(name).unwrap()
}

fn add(bench: &mut Bench, name: &str, rights: &[Right], validity: Validity) -> Reply {
    let (id, rights) = (operator_id(name), rights.iter().copied().collect());
    let token = token(name);
    bench.call(Command::Operator(OperatorCommand::Add { id, rights, validity, token }))
}

fn rotate(bench: &mut Bench, name: &str, validity: Option<Validity>, text: &str) -> Reply {
    let (id, token) = (operator_id(name), token(text));
    bench.call(Command::Operator(OperatorCommand::Rotate { id, validity, token }))
}

fn remove(bench: &mut Bench, name: &str) -> Reply {
    bench.call(Command::Operator(OperatorCommand::Remove(operator_id(name))))
}

/// What the hub knows of the token made from `text`, in a word.
fn known(bench: &Bench, text: &str) -> String {
    match bench.hub.state().bearer(&token(text)) {
        Bearer::Nobody => "nobody".into(),
        Bearer::Expired(id, at) => alloc::format!("{id} until {}", at.0),
        Bearer::Holder(holder) => holder.principal().to_string(),
    }
}

fn told(bench: &Bench) -> Vec<String> {
    let own = bench.events.iter().filter(|event| event.operator.is_some());
    own.map(|event| alloc::format!("{} by {}", event.kind, event.by)).collect()
}

fn hour() -> Validity {
    Validity::of(HOUR).unwrap()
}

/// One command of each right, and of none.
fn commands() -> [(Option<Right>, Command); 9] {
    let (agent, key) = (agent_id("a"), Key::new("k").unwrap());
    let rights = BTreeSet::from(Right::ALL);
    let validity = Validity::ENDLESS;
    let more = OperatorCommand::Add { id: operator_id("x"), rights, validity, token: token("x") };
    [
        (Some(Right::TaskSubmit), Command::Submit(draft().into())),
        (Some(Right::TaskSubmit), Command::SubmitBatch(vec![draft()])),
        (Some(Right::TaskSubmit), Command::Cancel(TaskId(9))),
        (Some(Right::AdminWrite), Command::Pause(Scope::All)),
        (Some(Right::AdminWrite), Command::SetWeight { key, weight: 7 }),
        (Some(Right::AdminWrite), Command::Drain(agent.clone())),
        (None, Command::AddAgent { id: agent_id("more"), token: token("more") }),
        (None, Command::RemoveAgent(agent)),
        (None, Command::Operator(more)),
    ]
}

#[test]
fn an_operator_may_do_what_its_rights_say_and_nothing_makes_a_token_but_the_admin() {
    for right in Right::ALL {
        for (needed, command) in commands() {
            let mut bench = Bench::new();
            bench.join("a", Dialect::V1, 1, &[]);
            add(&mut bench, "ci", &[right], Validity::USUAL);
            let by = Principal::Operator(operator_id("ci"));
            let reply = bench.call_as(by.clone(), command.clone());
            let refused = reply == Reply::Rejected(Rejected::NotAllowed(by));
            assert_eq!(refused, needed != Some(right), "{right}: {command:?}: {reply:?}");
        }
    }
}

#[test]
fn an_operator_that_is_not_there_may_do_nothing() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &Right::ALL, Validity::USUAL);
    assert_eq!(remove(&mut bench, "ci"), Reply::Done);
    let by = Principal::Operator(operator_id("ci"));
    let reply = bench.call_as(by.clone(), Command::Submit(draft().into()));
    assert_eq!(reply, Reply::Rejected(Rejected::NotAllowed(by)));
    assert_eq!(known(&bench, "ci"), "nobody");
}

#[test]
fn what_an_operator_submits_is_submitted_in_its_name() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskSubmit], Validity::USUAL);
    let by = Principal::Operator(operator_id("ci"));
    let reply = bench.call_as(by.clone(), Command::Submit(draft().into()));
    let Reply::Submitted(submitted) = reply else { panic!("{reply:?}") };
    assert_eq!(bench.task(submitted.id).spec.submitted_by, by);
    assert_eq!(bench.events.last().unwrap().by, by);
}

#[test]
fn a_token_expires_when_its_time_is_over_and_not_before() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskSubmit], hour());
    let end = bench.now.wall + HOUR;
    bench.pass(Span(HOUR.0 - 1));
    assert_eq!(known(&bench, "ci"), "operator:ci");
    bench.pass(Span(1));
    assert_eq!(known(&bench, "ci"), alloc::format!("ci until {}", end.0));
    assert_eq!(told(&bench), ["token.added by admin", "token.expired by system"]);
    let by = Principal::Operator(operator_id("ci"));
    let late = bench.call_as(by.clone(), Command::Submit(draft().into()));
    assert_eq!(late, Reply::Rejected(Rejected::NotAllowed(by)), "authorised a moment before");
}

#[test]
fn a_token_without_an_end_has_none() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskRead], Validity::ENDLESS);
    bench.pass(Span::from_mins(60 * 24 * 4_000));
    assert_eq!(known(&bench, "ci"), "operator:ci");
}

#[test]
fn the_latest_two_tokens_are_valid_each_until_its_own_end() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskRead], hour());
    bench.pass(Span(HOUR.0 / 2));
    assert_eq!(rotate(&mut bench, "ci", None, "second"), Reply::Done);
    assert_eq!(known(&bench, "ci"), "operator:ci");
    bench.pass(Span(HOUR.0 / 2));
    assert!(known(&bench, "ci").contains("until"), "the end of the first has come");
    assert_eq!(known(&bench, "second"), "operator:ci", "as long as the first, from then on");
    rotate(&mut bench, "ci", Some(Validity::ENDLESS), "third");
    assert_eq!(known(&bench, "ci"), "nobody");
    bench.pass(HOUR);
    assert!(known(&bench, "second").contains("until"));
    rotate(&mut bench, "ci", None, "fourth");
    bench.pass(HOUR.times(24_000));
    assert_eq!(["third", "fourth"].map(|text| known(&bench, text)), ["operator:ci", "operator:ci"]);
}

#[test]
fn a_restart_forgets_no_operator_and_what_expired_meanwhile_is_found_out() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskRead, Right::AdminRead], hour());
    add(&mut bench, "gone", &[Right::TaskRead], Validity::ENDLESS);
    remove(&mut bench, "gone");
    restarted(&mut bench);
    let rights = BTreeSet::from([Right::TaskRead, Right::AdminRead]);
    let holder = Holder::Operator(operator_id("ci"), rights);
    assert_eq!(bench.hub.state().bearer(&token("ci")), Bearer::Holder(holder));
    assert_eq!(known(&bench, "gone"), "nobody");
    bench.now.wall = bench.now.wall + HOUR.times(5);
    restarted(&mut bench);
    assert!(known(&bench, "ci").contains("until"), "before the hub has said so");
    bench.pass(Span(0));
    assert_eq!(told(&bench).last().unwrap(), "token.expired by system");
    bench.now.wall = crate::testing::bench::START.wall;
    restarted(&mut bench);
    assert!(known(&bench, "ci").contains("until"), "a clock that is set back changes nothing");
    let events = bench.events.len();
    bench.pass(HOUR.times(10));
    assert_eq!(bench.events.len(), events, "it is told once");
}

#[test]
fn names_are_given_once_and_what_is_not_there_cannot_change() {
    let mut bench = Bench::new();
    add(&mut bench, "ci", &[Right::TaskRead], Validity::USUAL);
    let again = add(&mut bench, "ci", &Right::ALL, Validity::USUAL);
    assert_eq!(again, Reply::Rejected(Rejected::OperatorExists(operator_id("ci"))));
    let unknown = Reply::Rejected(Rejected::UnknownOperator(operator_id("x")));
    assert_eq!(rotate(&mut bench, "x", None, "x"), unknown);
    assert_eq!(remove(&mut bench, "x"), unknown);
}

#[test]
fn who_says_how_much_may_be_spent_needs_the_right_to_say_so() {
    let mut bench = Bench::new();
    set_cap(&mut bench, "task", 10);
    let (agent, held) = at_work(&mut bench, "a", draft());
    reserve(&mut bench, agent, call(held, 1, 11));
    add(&mut bench, "asks", &[Right::TaskSubmit], Validity::USUAL);
    add(&mut bench, "pays", &[Right::AdminWrite], Validity::USUAL);
    let answer = Command::Answer { id: question(&bench).id, answer: Json::text("yes") };
    let mut say = |name| {
        let by = Principal::Operator(operator_id(name));
        bench.call_as(by, answer.clone())
    };
    assert!(matches!(say("asks"), Reply::Rejected(Rejected::NotAllowed(_))));
    assert_eq!(say("pays"), Reply::Done);
}

#[test]
fn the_token_of_an_operator_makes_nobody_an_agent() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    add(&mut bench, "ci", &Right::ALL, Validity::USUAL);
    for name in ["a", "ci"] {
        let session = if name == "a" { 50 } else { 51 };
        bench.open(session, Dialect::V1);
        bench.identify(session, name, "ci", 1, &[]);
        let said = bench.said(session);
        assert!(
            matches!(&said[..], [ToAgent::Error(error)] if error.error == "invalid_token"),
            "{said:?}"
        );
    }
}
