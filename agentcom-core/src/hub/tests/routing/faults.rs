//! This file checks what becomes of a task that an endpoint does not serve over and over, or that nobody
//! pays for there.

use super::*;
use crate::money::Micros;
use crate::price::Price;
use crate::task::Outcome;

fn tiers(fleet: &mut Fleet) -> u64 {
    fleet.set("gpu", local(&["qwen"]));
    fleet.set("work", cloud(&["claude-opus-4-8"]));
    fleet.join("one", 1, &[])
}

/// How the attempts at a task ended.
fn ends(fleet: &Fleet, id: TaskId) -> Vec<Outcome> {
    let attempts = &fleet.bench.task(id).life.attempts;
    attempts.iter().filter_map(|attempt| Some(attempt.ended.as_ref()?.outcome)).collect()
}

const RETRYABLE: Outcome = Outcome::Failed(Category::Retryable);

#[test]
fn an_answer_that_breaks_off_again_and_again_is_the_tasks_and_the_next_model_goes_on() {
    let mut fleet = Fleet::new();
    let coder = tiers(&mut fleet);
    let task = fleet.submit(Tier::Standard, None);
    let mut asked = Vec::new();
    for _ in 0..5 {
        fleet.pass_hearing(coder, Span::from_mins(2));
        asked.append(&mut fleet.names(coder));
        fleet.fault(coder, Fault::Broken, None);
    }
    // After two in a row the first is left alone for a while, whosever fault it is.
    assert_eq!(asked, ["gpu", "gpu", "work", "gpu", "work"]);
    let released = Outcome::Released;
    assert_eq!(ends(&fleet, task), [released, released, released, RETRYABLE, released]);
}

#[test]
fn a_task_at_which_the_only_model_breaks_off_has_an_end() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("one", 1, &[]);
    let task = fleet.submit(Tier::Standard, None);
    let mut tries = 0;
    while fleet.bench.hub.state().task(task).is_some() {
        fleet.pass_hearing(coder, Span::from_mins(11));
        fleet.fault(coder, Fault::Broken, None);
        tries += 1;
        assert!(tries < 20);
    }
    assert_eq!(fleet.bench.task(task).life.failures, 3);
}

#[test]
fn what_nobody_pays_for_another_model_does_and_with_none_it_ends() {
    for (has_other, ended) in [(true, RETRYABLE), (false, Outcome::Failed(Category::Permanent))] {
        let mut fleet = Fleet::new();
        let coder = tiers(&mut fleet);
        if !has_other {
            fleet.tell(EndpointCommand::Remove(EndpointId::new("gpu").unwrap()));
        }
        let task = fleet.submit(Tier::Complex, None);
        assert_eq!(fleet.names(coder), ["work"]);
        let before = fleet.breaker("work");
        fleet.fault(coder, Fault::NotPaid, None);
        assert_eq!((ends(&fleet, task), fleet.breaker("work")), (vec![ended], before));
        fleet.pass_hearing(coder, Span::from_mins(2));
        assert_eq!(fleet.names(coder), if has_other { vec!["gpu"] } else { vec![] });
    }
}

#[test]
fn an_unreachable_endpoint_is_never_the_tasks() {
    let mut fleet = Fleet::new();
    fleet.set("gpu", local(&["qwen"]));
    let coder = fleet.join("one", 1, &[]);
    let task = fleet.submit(Tier::Standard, None);
    for _ in 0..5 {
        fleet.pass_hearing(coder, Span::from_mins(11));
        fleet.fault(coder, Fault::Unreachable, None);
    }
    assert_eq!(ends(&fleet, task), [Outcome::Released; 5]);
}

#[test]
fn a_discovered_model_without_a_price_waits_for_one_where_there_are_caps() {
    let mut fleet = Fleet::new();
    fleet.set("open", Endpoint::new(Api::Messages, "https://api.example"));
    let (coder, looker) = (fleet.join("a", 1, &[]), fleet.looker());
    fleet.bench.pass(Span(1));
    let look = fleet.look(looker).unwrap();
    let served = Served { model: "mystery".into(), warm: true, context: None, tools: None };
    fleet.saw(looker, look, &Seen { models: vec![served], ..Seen::default() });
    let limit = Some(Micros(1_000));
    fleet.bench.call(Command::SetCap { cap: "day".parse().unwrap(), limit });
    let task = fleet.submit(Tier::Complex, None);
    assert_eq!(fleet.names(coder), [""; 0]);
    let reason = fleet.bench.hub.why(task).unwrap().reason;
    let Reason::Endpoints { passed_over, .. } = reason else { panic!("{reason:?}") };
    assert_eq!(passed_over[0].verdict, Verdict::NoPrice);
    let model = crate::name::ModelName::new("mystery").unwrap();
    fleet.bench.call(Command::SetPrice { model, price: Some(Price::FREE) });
    assert_eq!(fleet.given(coder), [(task, Some(("open".into(), "mystery".into())))]);
}

#[test]
fn a_server_of_ones_own_costs_nothing_whatever_it_speaks() {
    let mut fleet = Fleet::new();
    let own = Endpoint { class: crate::route::Class::Local, ..cloud(&["mystery"]) };
    fleet.set("own", own);
    let limit = Some(Micros(1_000));
    let capped = fleet.bench.call(Command::SetCap { cap: "day".parse().unwrap(), limit });
    let coder = fleet.join("a", 1, &[]);
    fleet.submit(Tier::Standard, None);
    assert_eq!((capped, fleet.names(coder)), (Reply::Done, vec!["own".to_owned()]));
    assert_eq!(fleet.asks_to_pay(coder, "mystery").micros, Micros(0));
}
