//! This file tests what a single line of a sidecar decides.

use super::*;

fn ask(rig: &mut Rig, number: u64, text: &str, seconds: u64) -> Vec<String> {
    rig.step(Input::JobAsks {
        claim: claim(1, 1),
        ask: AskId(number),
        question: text.into(),
        timeout: Span::from_secs(seconds),
        default: Json::text("no"),
    })
}

fn answer(rig: &mut Rig, text: &str) -> Vec<String> {
    rig.hears(ToAgent::QuestionAnswered(crate::wire::Answered {
        question_id: crate::id::QuestionId(1),
        task_id: TaskId(1),
        answer: Json::text(text),
        defaulted: false,
    }))
}

#[test]
fn an_answer_that_comes_too_late_is_not_taken_for_that_to_the_next_question() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    ask(&mut rig, 1, "A?", 1);
    ask(&mut rig, 2, "B?", 600);
    let said = rig.after(3_000, Input::Wake);
    assert!(said.contains(&"answer 1/1 \"no\"".into()), "{said:?}");
    assert!(said.iter().any(|line| line.contains("question:B?")), "{said:?}");
    assert!(answer(&mut rig, "to A").is_empty());
    assert_eq!(answer(&mut rig, "to B"), ["answer 1/1 \"to B\""]);
}

#[test]
fn work_whose_acceptance_is_refused_for_good_stops_and_one_refused_for_the_moment_goes_on() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let about = Some(("task_accepted", 1));
    assert!(!rig.error("internal", about).contains(&"stop 1/1".into()));
    assert!(rig.error("task_not_held", about).contains(&"stop 1/1".into()));
}

#[test]
fn a_reason_that_is_too_long_is_cut_between_two_letters() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    let reason = "x".repeat(4_095) + "éé";
    let said = rig.ends(1, 1, JobOutcome::Cancel { reason });
    let withdrawn = said.iter().find(|line| line.contains("task_withdrawn")).unwrap();
    assert_eq!(withdrawn.matches('x').count(), 4_095);
    assert!(!withdrawn.contains('é'));
}

#[test]
fn a_report_that_the_hub_puts_off_goes_out_when_the_hub_says_and_the_others_when_they_are_due() {
    let mut rig = Rig::online(2);
    for task in [1, 2] {
        rig.assign(assignment(task, 1));
        rig.ends(task, 1, done());
    }
    let ended = rig.ms;
    rig.hears(ToAgent::Error(ErrorFrame {
        error: "busy".into(),
        message_type: Some("task_complete".into()),
        task_id: Some(TaskId(1)),
        retry_after_ms: Some(Span(33_333)),
        ..ErrorFrame::default()
    }));
    let mut again = [None, None];
    while rig.ms < ended + 60_000 {
        let (_, said) = rig.next();
        for (at, task) in again.iter_mut().zip(["task_complete,t1", "task_complete,t2"]) {
            if at.is_none() && said.iter().any(|line| line.contains(task)) {
                *at = Some(rig.ms - ended);
            }
        }
        rig.pong();
    }
    let usual = rig.sidecar.config.resend_every.0;
    assert_eq!(again, [Some(33_333), Some(usual)]);
}

#[test]
fn the_shortest_lease_that_is_long_enough_is_taken_on() {
    let mut rig = Rig::online(1);
    let mut short = assignment(1, 1);
    short.lease_ttl_ms = Span(2_000);
    assert!(rig.assign(short).contains(&"start 1/1".into()));
}

#[test]
fn every_ping_is_told_from_the_one_before() {
    let mut rig = Rig::online(1);
    let first = rig.sidecar.nonce;
    assert_eq!(rig.next(), (Some(Wake::Ping), alloc::vec!["> ping []".into()]));
    assert_ne!(rig.sidecar.nonce, first);
}
