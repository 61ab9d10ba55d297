//! This file checks for whom others stand back where one model is loaded at a time: for tasks of that
//! model which could start there soon, and for no others.

use super::*;
use crate::command::Scope;
use crate::name::{Key, Repo};
use crate::route::Class;
use crate::task::{Concurrency, Priority, Rate};

/// A coding task that names its model.
pub(super) fn draft(model: &str) -> Draft {
    let input = Json::parse(&alloc::format!(r#"{{"model":{model:?}}}"#)).unwrap();
    let mut draft = Draft::new(Kind::new("code").unwrap(), input);
    draft.coding.tier = Some(Tier::Standard);
    draft
}

/// An agent with an endpoint at which `a` is loaded, and nothing is at work.
fn loaded() -> (Fleet, u64) {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["a", "b"]));
    let coder = fleet.join("one", 1, &[]);
    fleet.submit(Tier::Standard, Some("a"));
    assert_eq!(served(&mut fleet, coder), ["a"]);
    (fleet, coder)
}

/// The models of the tasks that an agent is given and does, one after the other.
fn served(fleet: &mut Fleet, coder: u64) -> Vec<String> {
    core::iter::from_fn(|| fleet.serve(coder).map(|(_, model)| model)).collect()
}

/// One start in an hour.
pub(super) fn hourly() -> Rate {
    Rate { key: Key::new("hourly").unwrap(), limit: 1, per: Span::from_mins(60), burst: 1 }
}

pub(super) fn alone() -> Concurrency {
    Concurrency { key: Key::new("alone").unwrap(), max: 1 }
}

pub(super) fn repo() -> Repo {
    Repo::new("https://host/a").unwrap()
}

#[test]
fn others_stand_back_for_a_task_of_the_loaded_model_that_could_start() {
    let (mut fleet, coder) = loaded();
    let rest = fleet.join_as("rest", &["shell"], 1, &[]);
    fleet.bench.leave(coder);
    fleet.bench.submit(draft("b"));
    fleet.bench.submit(draft("a"));
    let coder = fleet.join("one", 1, &[]);
    assert_eq!(served(&mut fleet, coder), ["a", "b"]);
    assert_eq!(fleet.holds(rest), 0);
}

#[test]
fn nobody_stands_back_for_a_task_that_its_rate_bars() {
    let (mut fleet, coder) = loaded();
    let limited = || {
        let mut draft = draft("a");
        draft.share.rates = vec![hourly()];
        draft
    };
    fleet.bench.submit(limited());
    assert_eq!(served(&mut fleet, coder), ["a"]);
    let barred = fleet.bench.submit(limited());
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), ["b"]);
    assert_eq!(fleet.bench.word(barred), "ready");
}

#[test]
fn nobody_stands_back_for_a_task_that_others_with_its_key_bar() {
    let (mut fleet, coder) = loaded();
    let other = fleet.join_as("other", &["shell"], 1, &[]);
    let limited = |mut draft: Draft| {
        draft.share.concurrency = Some(alone());
        draft
    };
    fleet.bench.submit(limited(Draft::new(Kind::new("shell").unwrap(), Json::null())));
    assert_eq!(fleet.holds(other), 1);
    let barred = fleet.bench.submit(limited(draft("a")));
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), ["b"]);
    assert_eq!(fleet.bench.word(barred), "ready");
}

#[test]
fn nobody_stands_back_for_a_task_of_a_paused_repository() {
    let (mut fleet, coder) = loaded();
    fleet.bench.call(Command::Pause(Scope::Repo(repo())));
    fleet.bench.submit(Draft { repo: Some(repo()), ..draft("a") });
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), ["b"]);
    fleet.bench.call(Command::Unpause(Scope::Repo(repo())));
    assert_eq!(served(&mut fleet, coder), ["a"]);
}

#[test]
fn nobody_stands_back_for_a_task_that_no_agent_at_the_endpoint_may_run() {
    let (mut fleet, coder) = loaded();
    let other = fleet.join("other", 1, &[]);
    fleet.bench.call(Command::Drain(agent_id("other")));
    fleet.bench.submit(Draft { assign_to: Some(agent_id("absent")), ..draft("a") });
    fleet.bench.submit(Draft { assign_to: Some(agent_id("other")), ..draft("a") });
    fleet.bench.submit(Draft { needs: vec![Capability::new("gpu").unwrap()], ..draft("a") });
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), ["b"]);
    assert_eq!(fleet.holds(other), 0);
}

#[test]
fn nobody_stands_back_for_a_task_whose_chain_does_not_lead_there() {
    let (mut fleet, coder) = loaded();
    fleet.tell(EndpointCommand::Chain(Tier::Complex, vec![Class::Cloud]));
    fleet.submit(Tier::Complex, Some("a"));
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), ["b"]);
}

#[test]
fn a_batch_begins_anew_when_nobody_stands_back() {
    let (mut fleet, coder) = loaded();
    fleet.pass_hearing(coder, Span::from_mins(11));
    for _ in 0..3 {
        fleet.bench.submit(draft("a"));
        fleet.bench.submit(draft("b"));
    }
    assert_eq!(served(&mut fleet, coder), ["a", "a", "a", "b", "b", "b"]);
}

#[test]
fn the_model_that_worked_last_is_taken_for_the_loaded_one_until_somebody_looks() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&[]));
    let looker = fleet.looker();
    fleet.bench.pass(Span(1));
    let look = fleet.look(looker).unwrap();
    let served =
        |model: &str, warm| Served { model: model.into(), warm, context: None, tools: None };
    let models = vec![served("a", true), served("b", false)];
    fleet.saw(looker, look, &Seen { models, ..Seen::default() });
    fleet.bench.leave(looker);
    let coder = fleet.join("one", 1, &[]);
    for (named, done) in [(None, "a"), (Some("b"), "b"), (None, "b")] {
        fleet.submit(Tier::Standard, named);
        assert_eq!(self::served(&mut fleet, coder), [done]);
        fleet.pass_hearing(coder, Span::from_mins(11));
    }
}

#[test]
fn a_batch_that_had_its_time_does_not_begin_anew_while_others_wait() {
    let (mut fleet, coder) = loaded();
    let urgent = || Draft { priority: Priority::Urgent, ..draft("a") };
    fleet.bench.submit(urgent());
    fleet.bench.submit(draft("b"));
    let mut models = Vec::new();
    for _ in 0..14 {
        fleet.bench.submit(urgent());
        fleet.pass_hearing(coder, Span::from_mins(1));
        models.push(fleet.serve(coder).unwrap().1);
    }
    let turn = models.iter().position(|model| model == "b").expect("the other has its turn");
    assert!((9..=11).contains(&turn), "{models:?}");
}

/// `b` waits for `a`, which is for `other` alone, and `happens` bars `a`.
fn barred_while_others_wait(happens: impl FnOnce(&mut Fleet, u64)) {
    let (mut fleet, coder) = loaded();
    let other = fleet.join("other", 1, &["gpu"]);
    fleet.set("spare", elsewhere(local(&["c"])));
    fleet.bench.submit(Draft { assign_to: Some(agent_id("other")), ..draft("c") });
    assert_eq!(fleet.holds(other), 1);
    let mut wanted = Draft { repo: Some(repo()), ..draft("a") };
    wanted.assign_to = Some(agent_id("other"));
    wanted.share.concurrency = Some(alone());
    let wanted = fleet.bench.submit(wanted);
    fleet.bench.submit(draft("b"));
    assert_eq!(served(&mut fleet, coder), [""; 0], "b stands back");
    happens(&mut fleet, other);
    assert_eq!(served(&mut fleet, coder), ["b"]);
    assert_eq!(fleet.bench.word(wanted), "ready");
}

#[test]
fn whoever_stands_back_goes_on_when_the_other_is_paused() {
    barred_while_others_wait(|fleet, _| {
        fleet.bench.call(Command::Pause(Scope::Repo(repo())));
    });
}

#[test]
fn whoever_stands_back_goes_on_when_the_agent_of_the_other_leaves_or_gets_no_more_work() {
    barred_while_others_wait(|fleet, other| fleet.bench.leave(other));
    barred_while_others_wait(|fleet, _| {
        fleet.bench.call(Command::Drain(agent_id("other")));
    });
}

#[test]
fn whoever_stands_back_goes_on_when_a_limit_of_the_other_is_reached() {
    barred_while_others_wait(|fleet, _| {
        fleet.join_as("shell", &["shell"], 1, &[]);
        let mut limited = Draft::new(Kind::new("shell").unwrap(), Json::null());
        limited.share.concurrency = Some(alone());
        fleet.bench.submit(limited);
    });
}
