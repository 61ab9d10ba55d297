//! This file checks what a single line decides, and nothing around it would notice: who is told
//! what, what is taken twice, and what is left when somebody goes.

use super::*;
use crate::command::Rejected;
use crate::task::{Category, Concurrency, Priority, Rate};
use crate::time::Mono;
use crate::wire::{Acked, Asked, Released, ToAgent, WakeResult};

fn asked(held: Held, question: &str) -> ToHub {
    ToHub::TaskQuestion(Asked {
        task_id: held.task_id,
        generation: held.generation,
        question: question.into(),
        timeout_ms: Span::from_secs(60),
        default: None,
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

fn rated(limit: u32) -> Draft {
    let mut draft = draft();
    draft.share.rates =
        vec![Rate { key: Key::new("r").unwrap(), limit, per: Span::from_secs(10), burst: 1 }];
    draft
}

#[test]
fn a_rate_that_is_in_use_keeps_its_figures_until_it_has_filled_up() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(rated(1));
    bench.serve(agent);
    let reply = bench.call(Command::Submit(rated(2).into()));
    let conflict = Rejected::RateConflict { key: Key::new("r").unwrap() };
    assert_eq!(reply, Reply::Rejected(conflict));
    bench.pass(Span::from_secs(10));
    bench.submit(rated(2));
}

#[test]
fn a_limit_that_no_task_names_any_more_is_forgotten() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let key = Key::new("c").unwrap();
    let mut capped = draft();
    capped.share.concurrency = Some(Concurrency { key: key.clone(), max: 1 });
    bench.submit(capped);
    assert!(bench.hub.state().limits().counter(&key).is_some());
    bench.serve(agent);
    assert!(bench.hub.state().limits().counter(&key).is_none());
}

#[test]
fn what_one_step_cannot_hand_out_the_next_ones_do() {
    let mut bench = Bench::new();
    let ids: Vec<TaskId> = (0..1_100).map(|_| bench.submit(draft())).collect();
    bench.join("a", Dialect::V1, 10_000, &[]);
    let given = |bench: &Bench| {
        ids.iter()
            .filter(|id| bench.hub.state().task(**id).unwrap().life.state.hold().is_some())
            .count()
    };
    assert_eq!(given(&bench), 1_024);
    bench.pass(Span(0));
    assert_eq!(given(&bench), ids.len());
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
        ToHub::TaskReleased(Released {
            task_id: held.task_id,
            generation: held.generation,
        })
    };
    let needed = |bench: &Bench, held| frame_needs(bench.hub.state(), &report(held)).tasks;
    assert_eq!(needed(&bench, held), []);
    let gone = Held { task_id: TaskId(1), ..held };
    assert_eq!(needed(&bench, gone), [TaskId(1)]);
    assert_eq!(frame_needs(bench.hub.state(), &ToHub::ListAgents {}).tasks, []);
}

fn keyed(key: &str) -> Draft {
    Draft { idempotency_key: Key::new(key).ok(), ..draft() }
}

#[test]
fn a_weight_is_one_to_ten_thousand() {
    let mut bench = Bench::new();
    for (weight, is_one) in [(0, false), (1, true), (10_000, true), (10_001, false)] {
        let reply = bench.call(Command::SetWeight { key: Key::new("x").unwrap(), weight });
        let refused = Reply::Rejected(Rejected::BadWeight(weight));
        assert_eq!(reply, if is_one { Reply::Done } else { refused });
    }
}

#[test]
fn bounds_on_a_batch_and_on_the_queue_are_the_largest_that_is_taken() {
    let config = HubConfig { batch_max: 2, ..HubConfig::default() };
    let mut bench = Bench::with(config.clone());
    let batch = |count: usize| Command::SubmitBatch(vec![draft(); count]);
    let refused = |reply: &Reply| matches!(reply, Reply::Rejected(_));
    assert!(!refused(&bench.call(batch(2))) && refused(&bench.call(batch(3))));
    let bytes_max = bench.hub.state().bytes();
    let mut bench = Bench::with(HubConfig { bytes_max, ..config.clone() });
    assert!(!refused(&bench.call(batch(2))) && refused(&bench.call(batch(1))));
    let mut bench = Bench::with(HubConfig { bytes_max: bytes_max - 1, ..config });
    assert!(refused(&bench.call(batch(2))));
}

#[test]
fn a_hub_whose_bounds_were_lowered_still_knows_what_it_took_before() {
    let mut bench = Bench::new();
    let ids = [bench.submit(keyed("x")), bench.submit(keyed("y"))];
    bench.hub.config.tasks_max = 1;
    assert_eq!([bench.submit(keyed("x")), bench.submit(keyed("y"))], ids);
}

#[test]
fn a_key_may_be_used_again_when_its_time_is_over_and_not_a_moment_before() {
    let mut bench = Bench::with(HubConfig { key_kept: Span(1_000), ..HubConfig::default() });
    let id = bench.submit(keyed("x"));
    bench.pass(Span(999));
    assert_eq!(bench.submit(keyed("x")), id);
    bench.pass(Span(1));
    assert_ne!(bench.submit(keyed("x")), id);
}

#[test]
fn two_tasks_of_a_batch_do_not_share_a_key() {
    let mut bench = Bench::new();
    let reply = bench.call(Command::SubmitBatch(vec![keyed("x"), keyed("x")]));
    assert!(matches!(reply, Reply::Rejected(Rejected::Draft { index: 1, .. })), "{reply:?}");
    assert_eq!(bench.hub.state().task_count(), 0);
}

#[test]
fn the_digest_of_what_was_asked_for_is_as_it_was_stored_by_earlier_releases() {
    let mut bench = Bench::new();
    let command = Command::Submit(keyed("x").into());
    let (by, call) = (Principal::Admin, CallId(0));
    let facts = Facts::default();
    let _ = bench.hub.step(bench.now, Input::Call { call, by, cause: None, command, facts });
    let used = bench.hub.state().just_used(&Key::new("x").unwrap()).unwrap();
    assert_eq!(used.body, 5_426_966_953_618_321_147);
}

#[test]
fn lanes_are_called_by_the_words_that_name_them() {
    for (word, number, lane) in [
        ("urgent", "0", Priority::Urgent),
        ("high", "1", Priority::High),
        ("normal", "2", Priority::Normal),
        ("low", "3", Priority::Low),
    ] {
        assert_eq!((lane.as_str(), alloc::format!("{lane}").as_str()), (word, word));
        assert_eq!((word.parse(), number.parse()), (Ok(lane), Ok(lane)));
    }
}
