//! This file checks what a single line decides about connections, and nothing around it would
//! notice: who is told what, what is taken twice, and what is left when somebody goes.

use alloc::string::String;

use super::*;
use crate::task::{Category, Op};
use crate::time::Mono;
use crate::wire::{Acked, Asked, Recovering, ToAgent, WakeResult};

fn asked(held: Held, question: &str) -> ToHub {
    ToHub::TaskQuestion(Asked {
        task_id: held.task_id,
        generation: held.generation,
        question: question.into(),
        timeout_ms: Span::from_secs(60),
        default: None,
        choices: None,
        park: None,
    })
}

#[test]
fn an_agent_that_asks_is_told_who_else_is_there_and_what_they_can_do() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &["gpu"]);
    let asking = bench.join("b", Dialect::V1, 1, &[]);
    bench.said(asking);
    bench.frame(asking, ToHub::ListAgents {});
    let said = bench.said(asking);
    let [ToAgent::Agents { agents }] = &said[..] else { panic!("{said:?}") };
    let told: Vec<(&str, usize)> =
        agents.iter().map(|peer| (peer.agent_id.as_str(), peer.capabilities.len())).collect();
    assert_eq!(told, [("a", 1), ("b", 0)]);
}

#[test]
fn a_session_does_not_become_another_agent_whatever_token_it_has() {
    let mut bench = Bench::new();
    let session = bench.join("a", Dialect::V1, 1, &[]);
    bench.join("b", Dialect::V1, 1, &[]);
    bench.said(session);
    bench.identify(session, "b", "b", 1, &[]);
    let said = bench.said(session);
    let [ToAgent::Error(error)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(error.error, "already_identified");
    let known = bench.hub.state().session(SessionId(session)).unwrap();
    assert_eq!(known.agent, Some(agent_id("a")));
}

#[test]
fn whoever_guesses_tokens_is_not_heard_for_exactly_as_long_as_that_is_to_last() {
    let refused_for = Span(1_000);
    let config = HubConfig { refusals_max: 2, refused_for, ..HubConfig::default() };
    let mut bench = Bench::with(config);
    bench.join("a", Dialect::V1, 1, &[]);
    bench.join("b", Dialect::V1, 1, &[]);
    let mut session = 10;
    let mut guess = |bench: &mut Bench, after: u64| {
        bench.now.mono = bench.now.mono + Span(after);
        session += 1;
        bench.open(session, Dialect::V1);
        bench.identify(session, "a", "b", 1, &[]);
        let said = bench.said(session);
        let [ToAgent::Error(error)] = &said[..] else { panic!("{said:?}") };
        (error.error.clone(), error.retry_after_ms)
    };
    let wrong = ("token_agent_mismatch".into(), None);
    let shut_out = |wait| ("too_many_failures".into(), Some(Span(wait)));
    assert_eq!(guess(&mut bench, 0), wrong);
    assert_eq!(guess(&mut bench, 0), wrong);
    assert_eq!(guess(&mut bench, 0), shut_out(1_000));
    assert_eq!(guess(&mut bench, 999), shut_out(1));
    // What was guessed before is forgotten with it.
    assert_eq!(guess(&mut bench, 1), wrong);
    assert_eq!(guess(&mut bench, 0), wrong);
    assert_eq!(guess(&mut bench, 0), shut_out(1_000));
}

#[test]
fn whoever_is_refused_is_closed_a_moment_later() {
    let refused_close_after = Span(1_000);
    let mut bench = Bench::with(HubConfig { refused_close_after, ..HubConfig::default() });
    bench.join("a", Dialect::V1, 1, &[]);
    bench.open(9, Dialect::V1);
    bench.identify(9, "a", "b", 1, &[]);
    bench.pass(Span(999));
    assert_eq!(bench.closed, []);
    bench.pass(Span(1));
    assert!(matches!(bench.closed[..], [(9, _)]), "{:?}", bench.closed);
}

/// What an agent with so many labels, capabilities and kinds is told.
fn with_many(labels: usize, capabilities: usize, kinds: usize) -> Option<String> {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.open(9, Dialect::V1);
    let names = |count| (0..count).map(|number| alloc::format!("n-{number}")).collect::<Vec<_>>();
    let frame = ToHub::Identify(wire::Identify {
        agent_id: "a".into(),
        token: "".into(),
        capabilities: Some(names(capabilities)),
        executors: Some(names(kinds)),
        slots: Some(1),
        labels: Some(names(labels).into_iter().map(|name| (name, "".into())).collect()),
        ..wire::Identify::default()
    });
    let (session, token) = (SessionId(9), Some(crate::testing::bench::token("a")));
    bench.step(Input::Frame { session, frame: Ok(frame), token, facts: Facts::default() });
    let said = bench.said(9);
    match &said[..] {
        [ToAgent::Identified(_)] => None,
        [ToAgent::Error(error)] => Some(error.error.clone()),
        _ => panic!("{said:?}"),
    }
}

#[test]
fn an_agent_has_at_most_256_of_each_thing_that_it_says_of_itself() {
    assert_eq!(with_many(256, 256, 256), None);
    assert_eq!(with_many(257, 0, 1).as_deref(), Some("too_many_labels"));
    for (capabilities, kinds) in [(257, 1), (0, 257)] {
        assert!(with_many(0, capabilities, kinds).is_some());
    }
}

#[test]
fn only_those_who_understand_it_are_told_how_to_beat() {
    let mut bench = Bench::new();
    for (name, dialect) in [("a", Dialect::V1), ("b", Dialect::Plain)] {
        let agent = bench.join(name, dialect, 1, &[]);
        let said = bench.said(agent);
        let ToAgent::Identified(identified) = &said[0] else { panic!("{said:?}") };
        assert_eq!(identified.heartbeat_ms.is_some(), dialect == Dialect::V1);
    }
}

#[test]
fn work_that_goes_on_outside_of_a_client_that_restarted_goes_on_under_its_lease() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let id = bench
        .submit(Draft { op: Op { kind: Kind::new("wake").unwrap(), ..draft().op }, ..draft() });
    assert_eq!(bench.word(id), "assigned");
    bench.said(agent);
    bench.frame(
        agent,
        ToHub::TaskRecovering(Recovering { task_id: id, last_status: Some("working".into()) }),
    );
    let said = bench.said(agent);
    assert!(matches!(said[..], [ToAgent::TaskContinue { .. }]), "{said:?}");
    assert_eq!(bench.word(id), "working");
    let clocks = bench.hub.state().clocks(id).unwrap();
    assert!(clocks.accept.is_none() && clocks.stuck.is_some());
}

#[test]
fn a_question_that_is_asked_again_is_the_same_and_another_or_one_of_a_later_attempt_is_not() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let first = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, first);
    let open = |bench: &Bench| bench.hub.state().questions_about(id).count();
    for (question, count) in [("A?", 1), ("A?", 1), ("B?", 2), ("A?", 2), ("B?", 2)] {
        bench.frame(agent, asked(first, question));
        assert_eq!(open(&bench), count, "{question}");
    }
    bench.fail(agent, first, Category::Retryable);
    bench.pass(Span::from_secs(10));
    bench.ping(agent, &[]);
    let second = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, second);
    let before = open(&bench);
    bench.frame(agent, asked(second, "A?"));
    assert_eq!(open(&bench), before + 1);
}

#[test]
fn nobody_asks_about_the_task_of_another_or_under_a_lease_that_is_over() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    let other = bench.join("b", Dialect::V1, 1, &[]);
    let stale = Held { generation: lease(held.generation.0 + 1), ..held };
    for (asking, held) in [(other, held), (agent, stale)] {
        bench.said(asking);
        bench.frame(asking, asked(held, "A?"));
        let said = bench.said(asking);
        let [ToAgent::TaskAck(ack)] = &said[..] else { panic!("{said:?}") };
        assert_eq!(ack.status, Acked::Superseded);
    }
    assert_eq!(bench.hub.state().questions_about(id).count(), 0);
}

#[test]
fn news_about_waking_put_off_when_a_task_counts_as_stuck_if_its_own_agent_brings_them() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    let other = bench.join("b", Dialect::Plain, 1, &[]);
    let stuck = |bench: &Bench| -> Option<Mono> { bench.hub.state().clocks(id)?.stuck };
    let at_first = stuck(&bench);
    assert!(at_first.is_some());
    bench.now.mono = bench.now.mono + Span(1_000);
    let news = ToHub::WakeResult(WakeResult {
        task_id: id,
        status: "success".into(),
        attempt: None,
        error: None,
    });
    bench.frame(other, news.clone());
    assert_eq!(stuck(&bench), at_first);
    bench.frame(agent, news);
    assert_eq!(stuck(&bench), at_first.map(|at| at + Span(1_000)));
}

#[test]
fn an_agent_that_is_removed_leaves_nothing_behind() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    bench.fail(agent, held, Category::Permanent);
    let state = bench.hub.state();
    assert_eq!(state.last_outcome(&agent_id("a")).map(|last| last.task), Some(id));
    let last = bench.task(id).life.last_attempt();
    assert_eq!(last.map(|attempt| attempt.lease), Some(held.generation));
    assert_eq!(bench.call(Command::RemoveAgent(agent_id("a"))), Reply::Done);
    let state = bench.hub.state();
    assert!(state.agent(&agent_id("a")).is_none() && state.last_outcome(&agent_id("a")).is_none());
    let later = bench.submit(draft());
    assert_eq!(bench.word(later), "ready");
    // Another of the same name is a stranger.
    let again = bench.join("a", Dialect::V1, 1, &[]);
    assert!(bench.hub.state().last_outcome(&agent_id("a")).is_none());
    assert_eq!(bench.serve(again), Some(later));
}

#[test]
fn mistakes_count_together_for_as_long_as_the_window_and_no_longer() {
    let window = Span(1_000);
    let config = HubConfig { violations_max: 2, violation_window: window, ..HubConfig::default() };
    for (between, closes) in [(window, true), (window + Span(1), false)] {
        let mut bench = Bench::with(config.clone());
        let agent = bench.join("a", Dialect::V1, 1, &[]);
        bench.raw(agent, "x");
        bench.pass(between);
        bench.raw(agent, "x");
        assert_eq!(!bench.closed.is_empty(), closes, "{between}");
        bench.raw(agent, "x");
        assert!(!bench.closed.is_empty());
    }
}

#[test]
fn a_report_needs_nothing_from_the_store_unless_its_task_has_been_gone_for_a_while() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft());
    let held = bench.holds(&agent_id("a"))[0];
    let report = |held: Held| {
        ToHub::TaskReleased(wire::Released { task_id: held.task_id, generation: held.generation })
    };
    let needed = |bench: &Bench, held| frame_needs(bench.hub.state(), &report(held)).tasks;
    assert_eq!(needed(&bench, held), []);
    let gone = Held { task_id: TaskId(1), ..held };
    assert_eq!(needed(&bench, gone), [TaskId(1)]);
    assert_eq!(frame_needs(bench.hub.state(), &ToHub::ListAgents {}).tasks, []);
}
