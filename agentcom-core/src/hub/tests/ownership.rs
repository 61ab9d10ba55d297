//! This file checks who owns a task when: leases, deadlines, crashes, late results.

use super::*;
use crate::task::{Category, Death, LeaseLoss, Outcome};
use crate::wire::{Acked, Released};

fn one_at_work() -> (Bench, u64, TaskId, Held) {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.said(agent);
    (bench, agent, id, held)
}

fn acks(bench: &mut Bench, session: u64) -> Vec<Acked> {
    let status =
        |frame: &ToAgent| if let ToAgent::TaskAck(ack) = frame { Some(ack.status) } else { None };
    bench.said(session).iter().filter_map(status).collect()
}

#[test]
fn heartbeats_renew_a_lease_and_silence_ends_it() {
    let (mut bench, agent, id, held) = one_at_work();
    for _ in 0..20 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[held]);
    }
    assert_eq!(bench.word(id), "working");
    bench.pass(Span::from_secs(31));
    assert_eq!(bench.word(id), "delayed");
    assert_eq!(bench.task(id).life.crashes, 1);
}

#[test]
fn a_dropped_connection_leaves_the_rest_of_the_lease_to_come_back_in() {
    let (mut bench, agent, id, held) = one_at_work();
    bench.leave(agent);
    bench.pass(Span::from_secs(20));
    let again = bench.join("a", Dialect::V1, 1, &[]);
    bench.ping(again, &[held]);
    bench.complete(again, held);
    assert_eq!(bench.word(id), "completed");
}

#[test]
fn a_task_missing_from_two_heartbeats_is_lost() {
    let (mut bench, agent, id, _) = one_at_work();
    bench.pass(Span::from_secs(11));
    bench.ping(agent, &[]);
    assert_eq!(bench.word(id), "working");
    bench.ping(agent, &[]);
    assert_eq!(bench.word(id), "delayed");
}

#[test]
fn a_result_is_taken_once_and_acknowledged_again() {
    let (mut bench, agent, _, held) = one_at_work();
    bench.complete(agent, held);
    bench.complete(agent, held);
    assert_eq!(acks(&mut bench, agent), [Acked::Complete, Acked::Complete]);
    let results = bench.events.iter().filter(|event| &*event.kind == "task.completed").count();
    assert_eq!(results, 1);
}

#[test]
fn a_stale_result_is_superseded() {
    let (mut bench, agent, id, held) = one_at_work();
    bench.pass(Span::from_secs(31));
    bench.pass(Span::from_secs(5));
    bench.complete(agent, held);
    assert_eq!(acks(&mut bench, agent), [Acked::Superseded]);
    assert_ne!(bench.word(id), "completed");
}

#[test]
fn a_late_result_counts_if_the_task_says_so_and_nobody_was_given_it_since() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(Draft { on_lease_loss: Some(LeaseLoss::Continue), ..draft() });
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.leave(agent);
    bench.pass(Span::from_secs(31));
    let again = bench.join("a", Dialect::V1, 1, &[]);
    bench.complete(again, held);
    assert_eq!(bench.word(id), "completed");
}

#[test]
fn results_of_another_life_of_the_data_set_are_superseded() {
    let (mut bench, agent, id, held) = one_at_work();
    let text = alloc::format!(
        r#"{{"type":"task_complete","task_id":"{id}","generation":{},"incarnation":"inc-0000000000000001"}}"#,
        held.generation
    );
    bench.raw(agent, &text);
    assert_eq!(acks(&mut bench, agent), [Acked::Superseded]);
    assert_eq!(bench.word(id), "working");
}

#[test]
fn an_agent_cannot_end_the_task_of_another() {
    let (mut bench, _, id, held) = one_at_work();
    let other = bench.join("b", Dialect::V1, 1, &[]);
    bench.said(other);
    bench.complete(other, held);
    let said = bench.said(other);
    assert!(
        matches!(&said[..], [ToAgent::Error(error)] if error.error == "not_your_task"),
        "{said:?}"
    );
    assert_eq!(bench.word(id), "working");
}

#[test]
fn a_poison_task_ends_in_the_dead_letters_with_those_it_took_down() {
    let mut bench = Bench::new();
    let id = bench.submit(draft());
    for name in ["a", "b", "c"] {
        let agent = bench.join(name, Dialect::V1, 1, &[]);
        bench.pass(Span::from_secs(10));
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        bench.leave(agent);
        bench.pass(Span::from_secs(31));
    }
    assert_eq!(bench.state(id), &TaskState::Dead(Death::Crashed));
    let agents: Vec<_> =
        bench.task(id).life.attempts.iter().map(|attempt| attempt.agent.as_str()).collect();
    assert_eq!(agents, ["a", "b", "c"]);
}

#[test]
fn failures_back_off_and_end_in_the_dead_letters() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    for attempt in 1..=3 {
        let held = bench.assigned(agent)[0];
        assert_eq!(held.generation, lease(attempt));
        bench.accept(agent, held);
        bench.fail(agent, held, Category::Retryable);
        bench.pass(Span::from_secs(10));
        bench.ping(agent, &[]);
    }
    assert_eq!(bench.state(id), &TaskState::Dead(Death::Exhausted));
    assert_eq!(bench.task(id).life.last_error(), Some("boom"));
}

#[test]
fn a_quota_parks_the_task_and_spends_no_attempt() {
    let (mut bench, agent, id, held) = one_at_work();
    bench.fail(agent, held, Category::Quota);
    assert_eq!(bench.word(id), "waiting");
    bench.pass(Span::from_secs(59));
    bench.ping(agent, &[]);
    assert_eq!(bench.word(id), "waiting");
    bench.pass(Span::from_secs(1));
    assert_eq!((bench.word(id), bench.task(id).life.failures), ("assigned", 0));
}

#[test]
fn a_released_task_goes_to_the_front_unspent() {
    let (mut bench, agent, id, held) = one_at_work();
    let behind = bench.submit(draft());
    bench.frame(agent, ToHub::TaskReleased(Released { task_id: id, generation: held.generation }));
    assert_eq!(bench.task(id).life.failures + bench.task(id).life.crashes, 0);
    assert_eq!([bench.word(id), bench.word(behind)], ["assigned", "ready"]);
}

#[test]
fn nobody_waits_for_an_acceptance_for_ever_and_the_agent_is_flagged() {
    let mut bench = Bench::new();
    let slow = bench.join("slow", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(slow)[0];
    for _ in 0..12 {
        bench.pass(Span::from_secs(5));
        bench.ping(slow, &[held]);
    }
    assert_eq!(
        bench.task(id).life.attempts[0].ended.as_ref().unwrap().outcome,
        Outcome::NotAccepted
    );
    assert_eq!(
        bench.hub.state().agent(&agent_id("slow")).unwrap().trust,
        crate::agent::Trust::Flagged
    );
    bench.join("quick", Dialect::V1, 1, &[]);
    bench.pass(Span::from_secs(3));
    let held = bench.state(id).hold().unwrap().clone();
    assert_eq!(held.agent.as_str(), "quick");
}

#[test]
fn deadlines_end_a_task_whatever_attempts_are_left() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let mut draft = draft();
    draft.times.complete_by = Some(bench.now.wall + Span::from_secs(10));
    let id = bench.submit(draft);
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.pass(Span::from_secs(10));
    assert_eq!(bench.state(id), &TaskState::Dead(Death::Deadline));
    assert!(bench.said(agent).iter().any(
        |frame| matches!(frame, ToAgent::TaskCancelled { reason, .. } if reason == "deadline")
    ));
}

#[test]
fn a_timeout_ends_the_attempt_and_counts() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let mut draft = draft();
    draft.times.timeout = Some(Span::from_secs(7));
    let id = bench.submit(draft);
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.pass(Span::from_secs(7));
    assert_eq!((bench.word(id), bench.task(id).life.failures), ("delayed", 1));
}

#[test]
fn a_ready_task_expires_if_it_says_so() {
    let mut bench = Bench::new();
    let mut draft = draft();
    draft.times.expires_after = Some(Span::from_secs(7));
    let id = bench.submit(draft);
    bench.pass(Span::from_secs(7));
    assert_eq!(bench.state(id), &TaskState::Dead(Death::Expired));
}

#[test]
fn a_restarted_hub_grants_every_lease_again() {
    let (bench, _, id, held) = one_at_work();
    let mut state = State::default();
    let mut loader = crate::state::Loader::default();
    let mut dirty: BTreeSet<Dirty> =
        [Dirty::Settings, Dirty::Spec(id), Dirty::Life(id), Dirty::Agent(agent_id("a"))].into();
    dirty.insert(Dirty::Settings);
    let mut rows = crate::state::rows_of(bench.hub.state(), &dirty, &[]).puts;
    let rank = |table| crate::port::store::Table::LIVE.iter().position(|live| *live == table);
    rows.sort_by_key(|(key, _)| rank(key.table));
    for (key, value) in rows {
        if let Some(change) = loader.row(&state, key.table, &key.key, &value).unwrap() {
            state.apply(change);
        }
    }
    assert_eq!(state.durable(), bench.hub.state().durable());
    let mut again = Bench::new();
    again.hub = Hub::new(state, HubConfig::default(), Box::new(FairPolicy));
    again.now = Now { mono: Mono(5), wall: bench.now.wall };
    let _ = again.hub.resume(again.now);
    again.hub.state().check().unwrap();
    again.pass(Span::from_secs(29));
    let agent = again.join("a", Dialect::V1, 1, &[]);
    again.ping(agent, &[held]);
    again.complete(agent, held);
    assert_eq!(again.word(id), "completed");
}

/// Whoever is told again counts the lease from then on, and says what it runs when it has heard.
#[test]
fn who_is_told_again_after_a_reconnect_has_the_whole_lease_and_two_heartbeats() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    bench.leave(agent);
    bench.pass(Span::from_secs(25));
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let held = bench.assigned(agent)[0];
    assert_eq!(held.task_id, id);
    // Pings that were on their way before it heard.
    bench.ping(agent, &[]);
    bench.ping(agent, &[]);
    assert_eq!(bench.word(id), "assigned");
    bench.pass(Span::from_secs(29));
    bench.ping(agent, &[held]);
    assert_eq!(bench.word(id), "assigned", "its lease of 30 s began when it was told");
    bench.pass(Span::from_secs(20));
    let failures = bench.hub.state().task(id).unwrap().life.failures;
    assert_eq!(failures, 1, "there is no more time to accept it than ever");
}
