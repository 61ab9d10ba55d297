//! This file checks what agents say about their work: what counts as lost, as busy, as heard, as done.

use super::*;
use crate::state::Session;
use crate::task::Category;
use crate::task::Traces;
use crate::wire::{Acked, Complete, Progress, Rejection, Released, ToAgent, Withdrawn};

fn session(bench: &Bench, number: u64) -> &Session {
    bench.hub.state().session(SessionId(number)).unwrap()
}

#[test]
fn work_counts_as_missing_from_two_heartbeats_after_it_was_given_out_and_not_before() {
    for (age, is_lost) in [(1, false), (0, true)] {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let id = bench.submit(draft());
        let held = bench.holds(&agent_id("a"))[0];
        bench.accept(agent, held);
        let heartbeat = HubConfig::default().heartbeat;
        bench.pass(Span(heartbeat.times(2).0 - age));
        bench.ping(agent, &[]);
        bench.ping(agent, &[]);
        assert_eq!(bench.word(id) != "working", is_lost);
    }
}

#[test]
fn an_agent_that_is_busy_is_left_alone_for_twice_as_long_each_time_until_it_accepts() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let mut waits = Vec::new();
    for _ in 0..3 {
        let held = bench.holds(&agent_id("a"))[0];
        bench.frame(
            agent,
            ToHub::TaskRejected(Rejection {
                task_id: id,
                generation: Some(held.generation),
                reason: None,
            }),
        );
        let wait = session(&bench, agent).busy_until.unwrap() - bench.now.mono;
        waits.push(wait);
        bench.pass(Span(wait.0 - 1));
        assert_eq!(bench.word(id), "ready");
        bench.pass(Span(1));
        bench.ping(agent, &[]);
        assert_eq!(bench.word(id), "assigned");
    }
    assert_eq!(waits, [waits[0], waits[0].times(2), waits[0].times(4)]);
    bench.accept(agent, bench.holds(&agent_id("a"))[0]);
    assert_eq!(session(&bench, agent).busy_count, 0);
}

#[test]
fn an_acceptance_puts_off_when_a_task_counts_as_stuck() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    let stuck = |bench: &Bench| bench.hub.state().clocks(id).unwrap().stuck.unwrap();
    let at_first = stuck(&bench);
    bench.now.mono = bench.now.mono + Span(1_000);
    bench.accept(agent, bench.holds(&agent_id("a"))[0]);
    assert_eq!(stuck(&bench), at_first + Span(1_000));
}

#[test]
fn progress_puts_off_when_a_task_counts_as_stuck() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    bench.accept(agent, bench.holds(&agent_id("a"))[0]);
    let stuck = |bench: &Bench| bench.hub.state().clocks(id).unwrap().stuck.unwrap();
    let at_first = stuck(&bench);
    bench.now.mono = bench.now.mono + Span(1_000);
    bench.frame(
        agent,
        ToHub::TaskProgress(Progress {
            task_id: id,
            generation: None,
            progress: Some(50),
            execution_event: None,
        }),
    );
    assert_eq!(stuck(&bench), at_first + Span(1_000));
}

fn complete(held: Held, partial: Option<bool>) -> Complete {
    Complete {
        task_id: held.task_id,
        generation: held.generation,
        incarnation: None,
        result: None,
        partial,
        tokens_used: None,
        verification_report: None,
        left: None,
    }
}

fn done(held: Held, partial: Option<bool>) -> ToHub {
    ToHub::TaskComplete(complete(held, partial))
}

fn failed(held: Held) -> wire::Failed {
    wire::Failed {
        task_id: held.task_id,
        generation: held.generation,
        incarnation: None,
        error: None,
        reason: None,
        category: Some(Category::Retryable),
        fault: None,
        retry_after_ms: None,
        tokens_used: None,
        left: Default::default(),
    }
}

#[test]
fn what_each_attempt_left_behind_is_kept_with_it() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let traces = |name: &str| Traces {
        transcripts: Vec::from([name.parse().unwrap()]),
        ..Traces::default()
    };
    let ends = |number: usize, left: Option<Traces>, held: Held| match number {
        0 => ToHub::TaskFailed(wire::Failed { left, ..failed(held) }),
        _ => ToHub::TaskComplete(Complete { left, ..complete(held, Some(true)) }),
    };
    for (number, name) in ["0a", "0b"].into_iter().enumerate() {
        while bench.holds(&agent_id("a")).is_empty() {
            bench.ping(agent, &[]);
            bench.pass(Span::from_secs(1));
        }
        let held = bench.holds(&agent_id("a"))[0];
        bench.accept(agent, held);
        bench.frame(agent, ends(number, Some(traces(name)), held));
    }
    let life = &bench.task(id).life;
    let left: Vec<_> = life.attempts.iter().map(|it| it.ended.clone().unwrap().left).collect();
    assert_eq!(left, [traces("0a"), traces("0b")]);
    assert_eq!(bench.word(id), "partial");
}

#[test]
fn work_that_is_done_in_part_is_not_complete() {
    for (partial, word) in
        [(None, "completed"), (Some(false), "completed"), (Some(true), "partial")]
    {
        let mut bench = Bench::new();
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        let id = bench.submit(draft());
        let held = bench.holds(&agent_id("a"))[0];
        bench.accept(agent, held);
        bench.frame(agent, done(held, partial));
        assert_eq!(bench.word(id), word);
    }
}

#[test]
fn only_who_was_heard_before_is_told_that_again() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    bench.complete(agent, held);
    let other = bench.join("b", Dialect::V1, 1, &[]);
    let stale = Held { generation: lease(held.generation.0 + 1), ..held };
    for (reporting, held, heard) in
        [(agent, held, true), (other, held, false), (agent, stale, false)]
    {
        bench.said(reporting);
        bench.frame(reporting, done(held, None));
        let said = bench.said(reporting);
        let acked = |frame: &ToAgent| matches!(frame, ToAgent::TaskAck(ack) if ack.status == Acked::Complete);
        assert_eq!(said.iter().any(acked), heard, "{said:?}");
    }
}

#[test]
fn a_plain_client_that_reports_twice_is_told_that_the_second_report_is_stale() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    bench.complete(agent, held);
    let Held { task_id, generation } = held;
    let reports = [
        ("task_complete", done(held, None)),
        ("task_failed", ToHub::TaskFailed(failed(held))),
        ("task_released", ToHub::TaskReleased(Released { task_id, generation })),
        ("task_withdrawn", ToHub::TaskWithdrawn(Withdrawn { task_id, generation, reason: None })),
    ];
    for (word, report) in reports {
        bench.said(agent);
        bench.frame(agent, report);
        let said = bench.said(agent);
        let [ToAgent::Error(error)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(error.error, alloc::format!("{word}_failed: stale_generation"));
        assert_eq!(error.task_id, Some(id));
        assert_eq!(bench.word(id), "completed");
    }
}
