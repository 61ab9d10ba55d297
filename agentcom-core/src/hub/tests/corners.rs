//! This file checks corners of ownership: who waits for what, for how long, and who is blamed.

use super::*;
use crate::agent::Trust;
use crate::task::{Category, LeaseLoss};
use crate::wire::{Asked, Released};

fn slots(bench: &mut Bench, slots: u32) -> u64 {
    bench.join("a", Dialect::V1, slots, &[])
}

fn held(bench: &Bench, id: TaskId) -> Held {
    Held { task_id: id, generation: bench.state(id).hold().unwrap().lease }
}

#[test]
fn a_released_task_comes_before_the_first_task_of_every_other_fair_key() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 1);
    let id = bench.submit(draft());
    for key in ["x", "y"] {
        let mut other = draft();
        other.share.fair_key = Key::new(key).ok();
        bench.submit(other);
    }
    bench.pass(Span::from_secs(1));
    let held = held(&bench, id);
    bench.frame(agent, ToHub::TaskReleased(Released { task_id: id, generation: held.generation }));
    assert_eq!(bench.word(id), "assigned");
}

fn ask(
    bench: &mut Bench,
    agent: u64,
    held: Held,
    seconds: u64,
    park: bool,
) -> crate::id::QuestionId {
    bench.frame(
        agent,
        ToHub::TaskQuestion(Asked {
            task_id: held.task_id,
            generation: held.generation,
            question: alloc::format!("what about {}?", held.generation),
            timeout_ms: Span::from_secs(seconds),
            default: None,
            choices: None,
            park: Some(park),
        }),
    );
    let questions = bench.hub.state().questions_about(held.task_id);
    questions
        .filter(|question| question.lease == held.generation)
        .map(|question| question.id)
        .last()
        .unwrap()
}

#[test]
fn the_answer_to_an_old_question_does_not_end_another_wait() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 1);
    let id = bench.submit(draft());
    let first = held(&bench, id);
    bench.accept(agent, first);
    let old = ask(&mut bench, agent, first, 3_000, false);
    bench.fail(agent, first, Category::Retryable);
    bench.pass(Span::from_secs(10));
    bench.ping(agent, &[]);
    let second = held(&bench, id);
    bench.accept(agent, second);
    bench.fail(agent, second, Category::Quota);
    assert_eq!(bench.word(id), "waiting");
    assert_eq!(bench.call(Command::Answer { id: old, answer: Json::null() }), Reply::Done);
    assert_eq!(bench.word(id), "waiting");
}

#[test]
fn no_agent_can_put_a_task_off_for_ever() {
    let mut bench = Bench::new();
    for category in [Category::Quota, Category::Retryable] {
        let agent = slots(&mut bench, 1);
        let id = bench.submit(draft());
        let lease = held(&bench, id).generation;
        let word = if category == Category::Quota { "quota" } else { "retryable" };
        bench.raw(agent, &alloc::format!(
            r#"{{"type":"task_failed","task_id":"{id}","generation":{lease},"category":"{word}","retry_after_ms":18446744073709551615}}"#
        ));
        assert!(["waiting", "delayed"].contains(&bench.word(id)));
        bench.leave(agent);
        bench.pass(Span::from_mins(9 * 24 * 60));
        assert_eq!(bench.word(id), "ready");
        assert!(matches!(bench.call(Command::Cancel(id)), Reply::Cancelled { .. }));
    }
}

#[test]
fn an_agent_that_dies_with_many_tasks_has_crashed_once() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 5);
    let ids: Vec<TaskId> = (0..5).map(|_| bench.submit(draft())).collect();
    for id in ids {
        let held = held(&bench, id);
        bench.accept(agent, held);
    }
    bench.leave(agent);
    bench.pass(Span::from_secs(31));
    assert_eq!(
        bench.hub.state().agent(&agent_id("a")).unwrap().trust,
        Trust::Shaken { crashes: 1 }
    );
}

#[test]
fn an_agent_that_reports_after_a_restart_what_it_lost_has_crashed_once() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 5);
    let ids: Vec<TaskId> = (0..5).map(|_| bench.submit(draft())).collect();
    let all: Vec<Held> = ids.into_iter().map(|id| held(&bench, id)).collect();
    all.iter().for_each(|held| bench.accept(agent, *held));
    bench.leave(agent);
    let again = slots(&mut bench, 5);
    for held in all {
        bench.pass(Span(1));
        bench.fail(again, held, Category::Crash);
    }
    let trust = |bench: &Bench| bench.hub.state().agent(&agent_id("a")).unwrap().trust;
    assert_eq!(trust(&bench), Trust::Shaken { crashes: 1 });
    bench.pass(Span::from_secs(5));
    let next = *bench.assigned(again).last().unwrap();
    bench.accept(again, next);
    bench.fail(again, next, Category::Crash);
    assert_eq!(trust(&bench), Trust::Shaken { crashes: 2 }, "another one is another one");
}

#[test]
fn the_feed_tells_once_how_an_attempt_ended() {
    let mut bench = Bench::new();
    let agent = slots(&mut bench, 1);
    let id = bench.submit(draft());
    let held = held(&bench, id);
    bench.accept(agent, held);
    bench.fail(agent, held, Category::Retryable);
    bench.leave(agent);
    bench.pass(Span::from_secs(5));
    let told: Vec<_> = bench
        .events
        .iter()
        .filter(|event| event.task_id == Some(id))
        .map(|event| (&*event.kind, event.agent_id.is_some(), event.detail.is_some()))
        .collect();
    let last = &told[told.len() - 2..];
    assert_eq!(last, [("task.delayed", true, true), ("task.ready", false, false)]);
}

fn is_told_to_stop(bench: &mut Bench, session: u64) -> bool {
    bench.said(session).iter().any(|frame| matches!(frame, ToAgent::TaskCancelled { .. }))
}

#[test]
fn work_that_goes_on_without_its_lease_is_not_told_to_stop() {
    for (on_lease_loss, stops) in [(LeaseLoss::Stop, true), (LeaseLoss::Continue, false)] {
        let mut bench = Bench::new();
        let agent = slots(&mut bench, 1);
        let id = bench.submit(Draft { on_lease_loss: Some(on_lease_loss), ..draft() });
        let held = held(&bench, id);
        bench.accept(agent, held);
        bench.pass(Span::from_secs(31));
        assert_eq!(bench.word(id), "delayed");
        assert_eq!(is_told_to_stop(&mut bench, agent), stops);
        bench.complete(agent, held);
        assert_eq!(bench.word(id), if stops { "delayed" } else { "completed" });
    }
}

#[test]
fn a_plain_client_that_does_not_have_a_task_may_be_given_it_again() {
    let mut bench = Bench::new();
    let lost = bench.join("p", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    bench.leave(lost);
    let again = bench.join("p", Dialect::Plain, 1, &[]);
    bench.pass(Span::from_secs(6));
    assert_eq!(bench.word(id), "assigned");
    assert_eq!(bench.assigned(again).len(), 1);
}

#[test]
fn what_an_agent_does_not_report_is_not_taken_from_the_next() {
    let mut bench = Bench::new();
    let first = bench.join("p", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(first)[0];
    bench.accept(first, held);
    bench.leave(first);
    bench.pass(Span::from_secs(74));
    bench.join("p", Dialect::Plain, 1, &[]);
    bench.join("q", Dialect::V1, 1, &[]);
    bench.pass(Span::from_secs(4));
    assert_eq!(bench.state(id).hold().unwrap().agent, agent_id("q"));
    bench.pass(Span::from_secs(4));
    assert_eq!(bench.state(id).hold().unwrap().agent, agent_id("q"));
}

#[test]
fn an_answer_reaches_whoever_is_given_the_task_next() {
    for answered in [true, false] {
        let mut bench = Bench::new();
        let agent = slots(&mut bench, 1);
        let id = bench.submit(draft());
        let held = held(&bench, id);
        bench.accept(agent, held);
        bench.raw(agent, &alloc::format!(
            r#"{{"type":"task_question","task_id":"{id}","generation":1,"question":"which?","timeout_ms":5000,"default":"a","park":true}}"#
        ));
        assert_eq!(bench.word(id), "waiting");
        bench.said(agent);
        if answered {
            let question = bench.hub.state().questions().next().unwrap().id;
            let answer = Json::parse("\"b\"").unwrap();
            assert_eq!(bench.call(Command::Answer { id: question, answer }), Reply::Done);
        } else {
            bench.pass(Span::from_secs(5));
        }
        let said = bench.said(agent);
        let given = said.iter().find_map(|frame| {
            if let ToAgent::TaskAssign(given) = frame { Some(&given.answers[..]) } else { None }
        });
        let Some([answer]) = given else { panic!("{said:?}") };
        let expected = if answered { "\"b\"" } else { "\"a\"" };
        assert_eq!((&*answer.question, answer.answer.as_str()), ("which?", expected));
        assert_eq!(answer.defaulted, !answered);
    }
}

#[test]
fn a_drained_agent_gets_no_room_back_by_what_it_is_not_offered() {
    let mut bench = Bench::new();
    let agent = bench.join("p", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    bench.call(Command::Drain(agent_id("p")));
    bench.call(Command::Cancel(id));
    // It is left alone for as long as it may run what was taken from it.
    for _ in 0..70 {
        bench.pass(Span::from_secs(10));
        bench.ping(agent, &[]);
        bench.check();
    }
    let waiting = bench.submit(draft());
    assert_eq!(bench.word(waiting), "ready");
    bench.call(Command::Resume(agent_id("p")));
    assert_eq!(bench.word(waiting), "assigned");
}
