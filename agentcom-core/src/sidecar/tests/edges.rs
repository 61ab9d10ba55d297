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
