//! This file checks what a hub decides that was stopped for a while: nobody pays for what it did not
//! hear, and whoever is silent afterwards still loses what it holds.

use super::*;
use crate::agent::Trust;
use crate::task::Times;
use crate::wire::Dialect;
use alloc::string::String;
use alloc::vec::Vec;

/// Long enough for everything that counts the silence of agents to be over.
const LONG: Span = Span::from_mins(1);

fn busy(agents: usize) -> (Bench, Vec<(u64, Held)>) {
    let mut bench = Bench::new();
    let names: Vec<String> = (0..agents).map(|number| alloc::format!("a-{number}")).collect();
    let sessions: Vec<u64> =
        names.iter().map(|name| bench.join(name, Dialect::V1, 1, &[])).collect();
    let at_work = sessions.into_iter().map(|session| {
        bench.submit(draft());
        let held = bench.starts.last().unwrap().clone();
        assert_eq!(held.session, session);
        bench.accept(session, held.held);
        (session, held.held)
    });
    let at_work = at_work.collect();
    (bench, at_work)
}

#[test]
fn a_hub_that_was_stopped_takes_no_lease_from_those_it_did_not_hear() {
    let (mut bench, at_work) = busy(3);
    bench.stall(LONG);
    let waiting = bench.submit(draft());
    assert_eq!(bench.word(waiting), "ready", "everybody still has what they had");
    for (session, held) in &at_work {
        bench.ping(*session, &[*held]);
        bench.complete(*session, *held);
        assert_eq!(bench.word(held.task_id), "completed");
    }
    assert_eq!(bench.hub.state().agent(&agent_id("a-0")).unwrap().trust, Trust::Good);
}

#[test]
fn after_a_stall_silence_ends_a_lease_as_ever() {
    let (mut bench, at_work) = busy(2);
    bench.stall(LONG);
    for _ in 0..15 {
        bench.ping(at_work[0].0, &[at_work[0].1]);
        bench.pass(Span::from_secs(5));
    }
    let words = at_work.iter().map(|(_, held)| bench.word(held.task_id)).collect::<Vec<_>>();
    assert_eq!(words, ["working", "delayed"]);
}

/// A sidecar that hears nothing hangs up, and waits for up to half a minute between two attempts.
#[test]
fn who_gave_up_on_a_hub_that_was_stopped_has_the_time_to_come_back() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    let lease_ttl = Some(Span::from_secs(5));
    let [renewed, ended] = [None, Some(Span::from_secs(20))].map(|timeout| {
        let times = Times { lease_ttl, timeout, ..Times::default() };
        bench.submit(Draft { times, ..draft() });
        let held = *bench.assigned(agent).last().unwrap();
        bench.accept(agent, held);
        held
    });
    bench.stall(LONG);
    bench.leave(agent);
    bench.pass(Span::from_secs(70));
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    bench.ping(agent, &[renewed, ended]);
    bench.complete(agent, ended);
    assert_eq!(bench.word(renewed.task_id), "working");
    assert_eq!(bench.word(ended.task_id), "completed", "it ended while the hub was stopped");
    bench.pass(Span::from_secs(6));
    assert_eq!(bench.word(renewed.task_id), "delayed", "its lease is as short as before");
}

#[test]
fn what_was_assigned_may_still_be_accepted_after_a_stall() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.stall(Span::from_mins(5));
    bench.accept(agent, held);
    assert_eq!(bench.word(id), "working");
}

#[test]
fn a_result_that_waited_while_the_hub_was_stopped_is_in_time() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let timeout = Some(Span::from_secs(20));
    let id = bench.submit(Draft { times: Times { timeout, ..Times::default() }, ..draft() });
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.stall(LONG);
    bench.ping(agent, &[held]);
    bench.complete(agent, held);
    assert_eq!(bench.word(id), "completed");
}

#[test]
fn who_wanted_to_come_in_while_the_hub_was_stopped_is_let_in() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.leave(agent);
    bench.open(7, Dialect::V1);
    bench.stall(LONG);
    bench.identify(7, "a", "a", 1, &[]);
    assert_eq!(bench.closed, []);
    let id = bench.submit(draft());
    assert_eq!(bench.word(id), "assigned", "nor does it count as silent");
}

#[test]
fn a_hub_that_is_only_a_little_late_gives_no_grace() {
    let (mut bench, at_work) = busy(1);
    bench.leave(at_work[0].0);
    bench.pass(Span(29_950));
    bench.stall(Span(150));
    bench.step(Input::Wake);
    assert_eq!(bench.word(at_work[0].1.task_id), "delayed");
}

#[test]
fn a_hub_that_is_a_little_late_hears_what_waits_before_it_lets_deadlines_pass() {
    let (mut bench, at_work) = busy(2);
    bench.pass(Span(29_950));
    bench.stall(Span(150));
    let (session, held) = at_work[1];
    bench.ping(session, &[held]);
    bench.step(Input::Wake);
    let words = at_work.iter().map(|(_, held)| bench.word(held.task_id)).collect::<Vec<_>>();
    assert_eq!(words, ["delayed", "working"]);
}

#[test]
fn a_hub_that_is_a_little_late_takes_no_lease_before_it_has_heard_everybody() {
    let (mut bench, at_work) = busy(2);
    bench.pass(Span(29_950));
    bench.stall(Span(150));
    for (session, held) in &at_work {
        bench.ping(*session, &[*held]);
    }
    bench.step(Input::Wake);
    let words = at_work.iter().map(|(_, held)| bench.word(held.task_id)).collect::<Vec<_>>();
    assert_eq!(words, ["working", "working"]);
}

#[test]
fn a_hub_that_is_late_by_no_more_than_it_may_be_lets_deadlines_pass_with_whatever_comes() {
    for late in [Span(10), LATE] {
        let (mut bench, at_work) = busy(1);
        let id = at_work[0].1.task_id;
        bench.pass(Span(29_950));
        let lease = bench.hub.state().clocks(id).unwrap().lease;
        bench.stall(lease - bench.now.mono + late);
        bench.submit(draft());
        assert_eq!(bench.word(id), "delayed", "{late:?}");
    }
}

#[test]
fn what_is_granted_while_agents_have_yet_to_come_back_lasts_until_they_have() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.stall(LONG);
    // It hung up meanwhile, which the hub has not heard when it gives it a task.
    let lease_ttl = Some(Span::from_secs(5));
    let id = bench.submit(Draft { times: Times { lease_ttl, ..Times::default() }, ..draft() });
    assert_eq!(bench.word(id), "assigned");
    let granted = bench.assigned(agent);
    bench.leave(agent);
    bench.pass(Span::from_secs(70));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let held = bench.assigned(agent)[0];
    assert_eq!([held], granted[..], "it is told again of the same lease");
    bench.accept(agent, held);
    assert_eq!(bench.word(id), "working");
}

#[test]
fn a_hub_wakes_often_as_long_as_a_standstill_could_cost_somebody_something() {
    let mut bench = Bench::new();
    let wait = |bench: &Bench| Some(bench.hub.next_wake()? - bench.now.mono);
    assert_eq!(wait(&bench), None, "nobody is there");
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!(wait(&bench), Some(WATCH_EVERY), "somebody is there");
    bench.stall(LONG);
    bench.leave(agent);
    assert_eq!(wait(&bench), Some(WATCH_EVERY), "somebody may come back");
    bench.pass(Span::from_mins(60));
    assert_eq!(wait(&bench), None, "nobody came back");
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    bench.leave(agent);
    assert_eq!(wait(&bench), Some(WATCH_EVERY), "somebody is at work");
}

#[test]
fn whoever_is_heard_often_enough_never_counts_as_silent() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for _ in 0..6 {
        bench.pass(Span::from_secs(5));
        assert!(!bench.hub.state().session(SessionId(agent)).unwrap().silent);
        bench.ping(agent, &[]);
    }
}
