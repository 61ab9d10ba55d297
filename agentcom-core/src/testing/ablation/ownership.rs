//! This file misses the guards of who owns a task, for how long, and how often it is tried.

use alloc::format;
use alloc::vec::Vec;

use super::{Verdict, at_work, bench, draft, ensure};
use crate::command::Command;
use crate::guard::Guards;
use crate::id::Lease;
use crate::name::AgentId;
use crate::task::{
    Category, Draft, Ended, Hold, Life, Outcome, Place, TaskEvent, TaskState, Times,
};
use crate::testing::bench::Bench;
use crate::time::{Span, Wall};
use crate::wire::{Dialect, Held, Released, ToAgent, ToHub};

/// A result that comes back after its task was given out anew.
pub(super) fn lease(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, first) = at_work(&mut bench, Dialect::V1, draft());
    bench.pass(Span::from_secs(31));
    bench.pass(Span::from_secs(5));
    bench.ping(agent, &[]);
    let again = bench.assigned(agent);
    assert_eq!(again.first().map(|held| held.generation), Some(Lease(2)), "given out anew");
    bench.complete(agent, first);
    let moved = bench.word(first.task_id) != "assigned";
    ensure(!moved, "the result of the first attempt was taken for that of the second")
}

pub(super) fn owner(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (_, held) = at_work(&mut bench, Dialect::V1, draft());
    let other = bench.join("b", Dialect::V1, 1, &[]);
    bench.complete(other, held);
    ensure(bench.word(held.task_id) == "working", "an agent ended the task of another")
}

pub(super) fn incarnation(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, Held { task_id, generation }) = at_work(&mut bench, Dialect::V1, draft());
    let text = format!(
        r#"{{"type":"task_complete","task_id":"{task_id}","generation":{generation},"incarnation":"inc-0000000000000001"}}"#
    );
    bench.raw(agent, &text);
    ensure(bench.word(task_id) == "working", "a result of another life of the data was taken")
}

pub(super) fn lease_grows(guards: Guards) -> Verdict {
    let ready = || TaskState::Ready { since: Wall(1), place: Place::default() };
    let agent = AgentId::new("a").map_err(|bad| format!("{bad}"))?;
    let hold = Hold { agent, lease: Lease(1), since: Wall(1) };
    let given = |life: &Life| life.on_under(guards, Wall(1), TaskEvent::Assign(hold.clone(), None));
    let ended = Ended::new(Wall(1), Outcome::Released);
    let back = TaskEvent::End(hold.fence(), ended, ready());
    let life = given(&Life::new(ready(), Wall(1))).and_then(|life| life.on(Wall(1), back));
    let life = life.map_err(|refused| format!("{refused}"))?;
    ensure(given(&life).is_err(), "the same lease was given out twice")
}

pub(super) fn lease_expiry(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.leave(agent);
    bench.pass(Span::from_secs(31));
    ensure(bench.word(held.task_id) != "working", "an agent that is gone still holds its task")
}

pub(super) fn missing_twice(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.pass(Span::from_secs(11));
    bench.ping(agent, &[]);
    bench.ping(agent, &[]);
    ensure(bench.word(held.task_id) != "working", "a task waits for an agent that forgot it")
}

pub(super) fn accept_deadline(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent);
    beat(&mut bench, agent, &held, Span::from_secs(5), 13);
    let first = bench.task(id).life.attempts[0].ended.clone();
    let outcome = first.map(|ended| ended.outcome);
    ensure(outcome == Some(Outcome::NotAccepted), "an agent may take a minute and more to accept")
}

pub(super) fn timeout(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let times = Times { timeout: Some(Span::from_secs(20)), ..Times::default() };
    let (agent, held) = at_work(&mut bench, Dialect::V1, Draft { times, ..draft() });
    beat(&mut bench, agent, &[held], Span::from_secs(5), 5);
    ensure(bench.word(held.task_id) != "working", "an attempt takes longer than it may")
}

pub(super) fn stuck(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::Plain, draft());
    beat(&mut bench, agent, &[held], Span::from_secs(30), 11);
    ensure(bench.word(held.task_id) != "working", "a plain client says nothing for minutes")
}

pub(super) fn report_deadline(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::Plain, draft());
    bench.leave(agent);
    bench.join("a", Dialect::Plain, 1, &[]);
    bench.pass(Span::from_secs(6));
    ensure(bench.word(held.task_id) != "working", "a task waits for a client that came back bare")
}

pub(super) fn late_result(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.leave(agent);
    bench.pass(Span(30_010));
    let again = bench.join("a", Dialect::V1, 1, &[]);
    bench.complete(again, held);
    let done = bench.word(held.task_id) == "completed";
    ensure(!done, "work that had to stop with its lease was taken in after it")
}

pub(super) fn settled(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.complete(agent, held);
    bench.complete(agent, held);
    let acks = bench.said(agent);
    let acks = acks.iter().filter(|frame| matches!(frame, ToAgent::TaskAck(_))).count();
    ensure(acks == 2, "a repeated report is not answered, so it is sent for ever")
}

pub(super) fn attempt_limit(guards: Guards) -> Verdict {
    fails_for_good(guards, Category::Retryable, "a task is tried without end")
}

pub(super) fn crash_limit(guards: Guards) -> Verdict {
    fails_for_good(guards, Category::Crash, "a task takes down agent after agent")
}

fn fails_for_good(guards: Guards, category: Category, otherwise: &str) -> Verdict {
    let mut bench = bench(guards);
    let id = bench.submit(draft());
    for name in ["a", "b", "c"] {
        let agent = bench.join(name, Dialect::V1, 1, &[]);
        bench.pass(Span::from_secs(10));
        let held: Vec<Held> = bench.assigned(agent);
        bench.accept(agent, held[0]);
        bench.fail(agent, held[0], category);
        bench.leave(agent);
    }
    ensure(bench.word(id) == "dead_letter", otherwise)
}

pub(super) fn unspent(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, Held { task_id, generation }) = at_work(&mut bench, Dialect::V1, draft());
    bench.frame(agent, ToHub::TaskReleased(Released { task_id, generation }));
    ensure(bench.task(task_id).life.failures == 0, "what was given back cost an attempt")
}

pub(super) fn final_end(guards: Guards) -> Verdict {
    let mut bench = bench(guards);
    let (agent, held) = at_work(&mut bench, Dialect::V1, draft());
    bench.complete(agent, held);
    bench.call(Command::Revive(Vec::from([held.task_id])));
    let gone = bench.hub.state().task(held.task_id).is_none();
    ensure(gone, "a task that was done came back to life")
}

/// Beats so many times, each after so long.
fn beat(bench: &mut Bench, agent: u64, held: &[Held], every: Span, times: usize) {
    for _ in 0..times {
        bench.pass(every);
        bench.ping(agent, held);
    }
}
