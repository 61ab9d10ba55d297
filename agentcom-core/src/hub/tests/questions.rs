//! This file checks what is an answer to a question, and what is refused.

use super::*;
use crate::command::Rejected;
use crate::id::QuestionId;
use crate::name::Principal;
use crate::question::Choices;
use crate::task::Category;
use crate::wire::Asked;

/// A task whose agent asks whether it may, with these choices.
fn asks(choices: Option<Choices>) -> (Bench, u64, TaskId) {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.frame(
        agent,
        ToHub::TaskQuestion(Asked {
            task_id: id,
            generation: held.generation,
            question: "may I?".into(),
            timeout_ms: Span::from_secs(60),
            default: Json::of(&"whatever").ok(),
            choices,
            park: None,
        }),
    );
    bench.said(agent);
    (bench, agent, id)
}

fn answer(bench: &mut Bench, json: &str) -> Reply {
    let id = bench.hub.state().questions().next().expect("a question is open").id;
    bench.call(Command::Answer { id, answer: Json::parse(json).unwrap() })
}

/// The answers that an agent is told of.
fn told(bench: &mut Bench, agent: u64) -> Vec<Json> {
    let said = bench.said(agent).into_iter();
    let answers = said.filter_map(|frame| {
        if let ToAgent::QuestionAnswered(answered) = frame { Some(answered.answer) } else { None }
    });
    answers.collect()
}

#[test]
fn what_is_no_answer_is_refused_with_what_would_be_and_the_question_stays_open() {
    let (mut bench, agent, _) = asks(Some(Choices::of(["Always"])));
    let id = bench.hub.state().questions().next().unwrap().id;
    for unclear in ["\"maybe\"", "\"\"", "null", "1", "{\"yes\":true}"] {
        let takes = ["yes", "no", "Always"].map(Into::into).into();
        let refused = Reply::Rejected(Rejected::UnclearAnswer { id, takes });
        assert_eq!(answer(&mut bench, unclear), refused, "{unclear}");
    }
    assert!(bench.hub.state().question(id).is_some());
    assert_eq!(told(&mut bench, agent), []);
    assert_eq!(answer(&mut bench, "\"always\""), Reply::Done);
    assert_eq!(told(&mut bench, agent), [Json::text("always")]);
}

#[test]
fn yes_and_no_are_said_by_their_words() {
    for word in ["true", "\"OK\"", "false", "\"reject\"", "\" no \""] {
        let (mut bench, agent, _) = asks(Some(Choices::default()));
        assert_eq!(answer(&mut bench, word), Reply::Done);
        assert_eq!(told(&mut bench, agent), [Json::parse(word).unwrap()]);
    }
}

#[test]
fn anything_answers_a_question_without_choices_or_with_more_than_are_kept() {
    for choices in [None, Some(Choices::of(["x"; Choices::OPTIONS_MAX + 1]))] {
        let (mut bench, agent, _) = asks(choices);
        assert_eq!(answer(&mut bench, "\"maybe\""), Reply::Done);
        assert_eq!(told(&mut bench, agent), [Json::text("maybe")]);
    }
}

#[test]
fn the_default_at_the_deadline_is_whatever_the_agent_said() {
    let (mut bench, agent, id) = asks(Some(Choices::default()));
    for _ in 0..12 {
        let held = bench.holds(&agent_id("a"));
        bench.ping(agent, &held);
        bench.pass(Span::from_secs(5));
    }
    assert_eq!(told(&mut bench, agent), [Json::text("whatever")]);
    assert_eq!(bench.word(id), "working");
}

/// A task whose agent asked in its first attempt, and is in its second, in which it may wait for an
/// answer to something else.
fn asked_before() -> (Bench, u64, QuestionId) {
    let (mut bench, agent, id) = asks(Some(Choices::default()));
    let question = bench.hub.state().questions().next().unwrap().id;
    let first = bench.holds(&agent_id("a"))[0];
    bench.fail(agent, first, Category::Retryable);
    bench.pass(Span::from_secs(10));
    bench.ping(agent, &[]);
    let second = bench.holds(&agent_id("a"))[0];
    assert_eq!(second.task_id, id);
    bench.accept(agent, second);
    bench.said(agent);
    (bench, agent, question)
}

#[test]
fn a_yes_to_what_an_earlier_attempt_asked_allows_nothing_in_a_later_one() {
    let (mut bench, agent, question) = asked_before();
    let yes = Command::Answer { id: question, answer: Json::text("yes") };
    assert_eq!(bench.call(yes), Reply::Done);
    assert_eq!(told(&mut bench, agent), []);
    let (mut bench, agent, question) = asked_before();
    for _ in 0..12 {
        let held = bench.holds(&agent_id("a"));
        bench.ping(agent, &held);
        bench.pass(Span::from_secs(5));
    }
    assert!(bench.hub.state().question(question).is_none());
    assert_eq!(told(&mut bench, agent), []);
}

#[test]
fn work_that_went_on_without_its_lease_still_hears_what_it_asked() {
    let (mut bench, agent, id) = asks(Some(Choices::default()));
    bench.leave(agent);
    bench.pass(Span::from_secs(31));
    assert_eq!(bench.word(id), "delayed");
    let again = bench.join("a", Dialect::V1, 1, &[]);
    bench.said(again);
    assert_eq!(answer(&mut bench, "\"yes\""), Reply::Done);
    assert_eq!(told(&mut bench, again), [Json::text("yes")]);
}

#[test]
fn an_answer_counts_once_and_is_never_that_of_an_agent() {
    let (mut bench, agent, _) = asks(Some(Choices::default()));
    let id = bench.hub.state().questions().next().unwrap().id;
    let yes = || Command::Answer { id, answer: Json::text("yes") };
    for name in ["a", "b"] {
        let by = Principal::Agent(agent_id(name));
        let refused = Reply::Rejected(Rejected::NotAllowed(by.clone()));
        assert_eq!(bench.call_as(by, yes()), refused);
    }
    assert_eq!(told(&mut bench, agent), []);
    assert_eq!(bench.call(yes()), Reply::Done);
    assert_eq!(told(&mut bench, agent), [Json::text("yes")]);
    let gone = Reply::Rejected(Rejected::UnknownQuestion(id));
    assert_eq!(bench.call(yes()), gone);
    assert_eq!(told(&mut bench, agent), []);
}
