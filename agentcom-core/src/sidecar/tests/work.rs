//! This file tests how work is taken on, stopped and asked about.

use super::*;
use crate::ledger::{Granted, NotGranted, Spending};
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::port::executor::News;
use crate::question::Ask;
use crate::wire::{Answered, SpendAnswered};

#[test]
fn an_assignment_is_stored_before_it_is_accepted_and_started() {
    let mut rig = Rig::online(1);
    assert_eq!(
        rig.assign(assignment(1, 3)),
        [
            "store 1/3 shell work taken on, not ended",
            "> {task_accepted,t1,generation:3}",
            "start 1/3"
        ]
    );
}

#[test]
fn an_assignment_that_comes_twice_is_accepted_twice_and_started_once() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    assert_eq!(rig.assign(assignment(1, 1)), ["> {task_accepted,t1,generation:1}"]);
}

#[test]
fn work_for_which_there_is_no_slot_no_executor_or_no_time_is_rejected() {
    let mut rig = Rig::online(1);
    let mut foreign = assignment(2, 1);
    foreign.op.kind = kind("claude");
    assert_eq!(
        rig.assign(foreign),
        ["> {task_rejected,t2,generation:1,reason:unknown_kind claude}"]
    );
    let mut short = assignment(2, 1);
    short.lease_ttl_ms = Span(1999);
    assert_eq!(rig.assign(short), ["> {task_rejected,t2,generation:1,reason:lease_too_short}"]);
    let mut other = assignment(2, 1);
    other.incarnation = Incarnation(8);
    let said = rig.assign(other);
    assert!(said[0].ends_with("reason:wrong_incarnation}"), "{said:?}");
    rig.assign(assignment(1, 1));
    assert_eq!(rig.assign(assignment(2, 1)), ["> {task_rejected,t2,generation:1,reason:busy}"]);
}

#[test]
fn a_hub_that_hears_no_report_gives_no_more_work_after_a_while() {
    let mut rig = Rig::online(1);
    let max = rig.sidecar.config.outbox_max as u64;
    for task in 0..max {
        rig.assign(assignment(task, 1));
        rig.ends(task, 1, done());
    }
    let said = rig.assign(assignment(max, 1));
    assert!(said[0].ends_with("reason:busy}"), "{said:?}");
}

#[test]
fn cancelled_work_is_stopped_and_forgotten_without_a_report() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    assert_eq!(rig.cancel(1, 1), ["stop 1/1"]);
    assert!(rig.cancel(1, 1).is_empty() && rig.ack(1, 1, Acked::Superseded).is_empty());
    assert_eq!(rig.ends(1, 1, JobOutcome::Stopped), ["erase row"]);
    assert!(rig.cancel(1, 1).is_empty());
    assert!(rig.rows.is_empty());
}

#[test]
fn a_cancellation_of_another_lease_stops_nothing() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 2));
    assert!(rig.cancel(1, 1).is_empty() && rig.ack(1, 1, Acked::Superseded).is_empty());
}

#[test]
fn a_superseded_acceptance_stops_the_work() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    assert_eq!(rig.ack(1, 1, Acked::Superseded), ["stop 1/1"]);
}

#[test]
fn new_work_waits_until_what_is_being_stopped_leaves_its_slot() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.cancel(1, 1);
    let said = rig.assign(assignment(2, 1));
    assert_eq!(said[1..], ["> {task_accepted,t2,generation:1}"]);
    assert_eq!(rig.ends(1, 1, JobOutcome::Stopped), ["erase row", "start 2/1"]);
}

#[test]
fn two_leases_of_a_task_are_never_at_work_beside_each_other() {
    let mut rig = Rig::online(4);
    rig.assign(assignment(1, 1));
    let said = rig.assign(assignment(1, 2));
    assert!(said.contains(&"stop 1/1".into()) && !said.contains(&"start 1/2".into()), "{said:?}");
    assert_eq!(rig.ends(1, 1, JobOutcome::Stopped), ["erase row", "start 1/2"]);
}

#[test]
fn work_that_takes_too_long_is_stopped_and_fails_retryably() {
    let mut rig = Rig::online(1);
    let mut timed = assignment(1, 1);
    timed.timeout_ms = Some(Span(2000));
    rig.assign(timed);
    let started = rig.ms;
    let (wake, said) = rig.next();
    assert_eq!((wake, rig.ms - started), (Some(Wake::Timeout(claim(1, 1))), 2000));
    assert_eq!(said, ["stop 1/1"]);
    let said = rig.ends(1, 1, JobOutcome::Stopped);
    assert_eq!(
        said[1],
        "> {task_failed,t1,generation:1,error:timed out after 2 s,category:retryable}"
    );
}

#[test]
fn news_are_sent_behind_control_frames_and_ten_times_a_second() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let news = || Input::JobNews {
        claim: claim(1, 1),
        news: News { percent: Some(5), event: None, left: None },
    };
    rig.ms += 5000;
    assert_eq!(rig.step(news()), ["> ping [1/1]", "> {task_progress,t1,generation:1,progress:5}"]);
    let sent = (0..100).filter(|_| !rig.step(news()).is_empty()).count();
    assert_eq!(sent, 9);
    rig.step(Input::Disconnected);
    assert!(rig.after(900, news()).iter().all(|line| !line.contains("progress")));
}

#[test]
fn work_that_is_stopped_can_still_tell_unless_nobody_listens_any_more() {
    let mut rig = Rig::online(1);
    let mut timed = assignment(1, 1);
    timed.timeout_ms = Some(Span(2000));
    rig.assign(timed);
    assert_eq!(rig.next().1, ["stop 1/1"]);
    let news = || Input::JobNews {
        claim: claim(1, 1),
        news: News { percent: Some(5), event: None, left: None },
    };
    assert_eq!(rig.step(news()), ["> {task_progress,t1,generation:1,progress:5}"]);
    rig.cancel(1, 1);
    assert_eq!(rig.step(news()), [""; 0]);
}

fn ask(rig: &mut Rig, number: u64, text: &str) -> Vec<String> {
    rig.step(Input::JobAsks {
        claim: claim(1, 1),
        ask: AskId(number),
        question: text.into(),
        timeout: Span(60_000),
        default: Json::text("no"),
    })
}

fn answer(rig: &mut Rig, text: &str) -> Vec<String> {
    rig.hears(ToAgent::QuestionAnswered(Answered {
        question_id: crate::id::QuestionId(1),
        task_id: TaskId(1),
        answer: Json::text(text),
        defaulted: false,
    }))
}

#[test]
fn questions_are_asked_one_at_a_time_and_answered_in_turn() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let said = ask(&mut rig, 1, "A?");
    assert_eq!(said, ["> {task_question,t1,generation:1,question:A?,timeout_ms:60000,default:no}"]);
    assert!(ask(&mut rig, 2, "B?").is_empty());
    let said = answer(&mut rig, "a");
    assert_eq!(said[0], "answer 1/1 \"a\"");
    assert!(said[1].contains("question:B?"));
    assert_eq!(answer(&mut rig, "b"), ["answer 1/1 \"b\""]);
    assert!(answer(&mut rig, "c").is_empty());
}

#[test]
fn what_is_an_answer_is_told_with_the_question() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let said = rig.step(Input::JobAsks {
        claim: claim(1, 1),
        ask: AskId(1),
        question: Ask::one_of("A?", ["always"]),
        timeout: Span(60_000),
        default: Json::text("no"),
    });
    assert!(said[0].contains("choices:[always]"), "{said:?}");
}

#[test]
fn what_a_call_came_to_is_told_of_a_job_that_is_called_off() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let claim = claim(1, 1);
    let spending = |input_tokens| Spending {
        model: ModelName::new("m").unwrap(),
        usage: Usage { input_tokens, ..Usage::default() },
        micros: None,
    };
    rig.step(Input::JobSpends { claim, ask: AskId(1), spending: spending(9) });
    let granted = Some(Granted { micros: Micros(9), price: None });
    let (task_id, generation) = (TaskId(1), Lease(1));
    let answer = SpendAnswered { task_id, generation, call: 1, granted, refused: None };
    assert_eq!(rig.hears(ToAgent::SpendAnswered(answer)), ["grant 1/1 $0.000009"]);
    assert_eq!(rig.cancel(1, 1), ["stop 1/1"]);
    let said = rig.step(Input::JobSpent { claim, spending: spending(7) });
    assert_eq!(
        said,
        ["> {spend_used,t1,generation:1,call:1,model:m,input_tokens:7,output_tokens:0}"]
    );
    rig.ends(1, 1, JobOutcome::Stopped);
    // What the hub says of it then is about nothing that there is.
    let refused = Some(NotGranted::Superseded);
    let answer = SpendAnswered { task_id, generation, call: 1, granted: None, refused };
    assert_eq!(rig.hears(ToAgent::SpendAnswered(answer)), [""; 0]);
}

#[test]
fn a_question_is_asked_again_after_a_reconnect_and_has_its_default_in_the_end() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    ask(&mut rig, 1, "A?");
    rig.step(Input::Disconnected);
    let said = rig.identify();
    assert!(said.iter().any(|line| line.contains("question:A?")), "{said:?}");
    let asked = rig.ms;
    while rig.ms < asked + 70_000 {
        let (wake, said) = rig.next();
        rig.pong();
        if wake == Some(Wake::Question(claim(1, 1))) {
            assert_eq!(said, ["answer 1/1 \"no\""]);
            assert!(answer(&mut rig, "late").is_empty());
            return;
        }
    }
    panic!("the question was never answered");
}

#[test]
fn more_questions_than_may_be_open_have_their_defaults_at_once() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    for number in 0..8 {
        ask(&mut rig, number, "A?");
    }
    assert_eq!(ask(&mut rig, 9, "B?"), ["answer 1/1 \"no\""]);
}
