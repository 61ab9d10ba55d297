//! This file holds defects of who gets work and whose it is, step by step.

use agentcom_core::agent::Phase;
use agentcom_core::command::{Command, Rejected, Reply};
use agentcom_core::id::Lease;
use agentcom_core::json::Json;
use agentcom_core::name::{Key, Principal};
use agentcom_core::task::{Category, Draft, Outcome};
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::Span;
use agentcom_core::wire::{Dialect, Held, Progress, Rejection, ToAgent, ToHub};

use super::{agent_id, draft};
use crate::rig::at_work;

#[test]
fn a01_work_is_pushed_to_who_is_alive_and_to_nobody_else() {
    let mut bench = Bench::new();
    let silent = bench.join("silent", Dialect::V1, 1, &[]);
    bench.pass(Span::from_secs(17));
    let id = bench.submit(draft());
    assert!(bench.assigned(silent).is_empty(), "a connection alone is no sign of life");
    let alive = bench.join("alive", Dialect::V1, 1, &[]);
    assert_eq!(bench.assigned(alive).len(), 1, "it did not have to ask");
    assert_eq!(bench.state(id).hold().unwrap().agent, agent_id("alive"));
}

#[test]
fn a03_an_agent_cannot_connect_as_another() {
    let mut bench = Bench::new();
    for name in ["a", "b"] {
        let reply = bench.call(Command::AddAgent {
            id: agent_id(name),
            token: agentcom_core::testing::bench::token(name),
        });
        assert_eq!(reply, Reply::Done);
    }
    bench.submit(draft());
    bench.open(9, Dialect::V1);
    bench.identify(9, "a", "b", 1, &[]);
    let said = bench.said(9);
    assert!(
        matches!(&said[..], [ToAgent::Error(error)] if error.error == "token_agent_mismatch"),
        "{said:?}"
    );
    assert_eq!(bench.hub.state().phase(&agent_id("a")), Phase::Offline);
}

#[test]
fn a05_nobody_is_woken_while_there_is_nothing_to_do() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.said(agent);
    for _ in 0..12 * 60 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[]);
    }
    let said = bench.said(agent);
    assert!(said.iter().all(|frame| matches!(frame, ToAgent::Pong { .. })), "{said:?}");
}

#[test]
fn a07_each_step_of_the_handshake_has_a_limit() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    let clocks = *bench.hub.state().clocks(id).unwrap();
    assert_eq!(clocks.accept, Some(bench.now.mono + Span::from_secs(60)));
    bench.accept(agent, held);
    let clocks = *bench.hub.state().clocks(id).unwrap();
    assert_eq!(clocks.accept, None);
    assert!(clocks.timeout.is_some() && clocks.lease > bench.now.mono);
    assert_eq!(bench.word(id), "working", "whoever asks knows that it was begun");
}

#[test]
fn a08_the_same_work_is_not_taken_in_twice() {
    let mut bench = Bench::new();
    let keyed = || Draft { idempotency_key: Key::new("once").ok(), ..draft() };
    let first = bench.submit(keyed());
    assert_eq!(bench.submit(keyed()), first);
    let other = Draft { description: "something else".into(), ..keyed() };
    let reply = bench.call(Command::Submit(other.into()));
    assert_eq!(reply, Reply::Rejected(Rejected::KeyConflict { id: first }));
}

#[test]
fn a32_an_agent_has_one_session_whatever_order_its_connections_end_in() {
    let mut bench = Bench::new();
    let first = bench.join("a", Dialect::V1, 1, &[]);
    let second = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!(bench.hub.state().session_of(&agent_id("a")).unwrap().id.0, second);
    bench.leave(first);
    assert_eq!(bench.hub.state().session_of(&agent_id("a")).unwrap().id.0, second);
    // Nor does it have two by saying twice who it is.
    bench.identify(second, "a", "a", 1, &[]);
    bench.submit(draft());
    assert_eq!(bench.assigned(second).len(), 1);
}

#[test]
fn a35_an_agent_that_crashes_again_and_again_rests_and_is_tried_with_one_task() {
    let mut bench = Bench::new();
    for _ in 0..20 {
        bench.submit(draft());
    }
    for _ in 0..3 {
        let agent = bench.join("a", Dialect::V1, 5, &[]);
        bench.pass(Span::from_secs(3));
        for held in bench.holds(&agent_id("a")) {
            bench.accept(agent, held);
        }
        bench.leave(agent);
        bench.pass(Span::from_secs(35));
    }
    let agent = bench.join("a", Dialect::V1, 5, &[]);
    let beat = |bench: &mut Bench, seconds: u64| {
        for _ in 0..seconds / 5 {
            let held = bench.holds(&agent_id("a"));
            bench.ping(agent, &held);
            bench.pass(Span::from_secs(5));
        }
    };
    beat(&mut bench, 200);
    assert!(bench.holds(&agent_id("a")).is_empty(), "it rests");
    beat(&mut bench, 110);
    assert_eq!(bench.holds(&agent_id("a")).len(), 1, "it is tried with one task");
    bench.serve(agent);
    assert!(bench.holds(&agent_id("a")).len() > 1, "it is trusted again");
}

#[test]
fn b05_a_dropped_connection_aborts_nothing() {
    let (mut bench, agent, held) = at_work(draft());
    bench.leave(agent);
    bench.pass(Span::from_secs(25));
    assert_eq!(bench.word(held.task_id), "working");
    assert_eq!(bench.task(held.task_id).life.lease, held.generation, "the number stays");
    let again = bench.join("a", Dialect::V1, 1, &[]);
    bench.ping(again, &[held]);
    bench.pass(Span::from_secs(25));
    bench.complete(again, held);
    assert_eq!(bench.word(held.task_id), "completed");
    let said = bench.said(again);
    let cancelled = |frame: &ToAgent| matches!(frame, ToAgent::TaskCancelled { .. });
    assert!(!said.iter().any(cancelled), "{said:?}");
}

#[test]
fn b06_an_agent_that_is_back_before_its_old_connection_ends_gets_work() {
    let mut bench = Bench::new();
    let old = bench.join("a", Dialect::V1, 1, &[]);
    let new = bench.join("a", Dialect::V1, 1, &[]);
    assert!(bench.closed.iter().any(|(session, _)| *session == old));
    bench.leave(old);
    assert_eq!(bench.hub.state().phase(&agent_id("a")), Phase::Idle);
    bench.submit(draft());
    assert_eq!((bench.assigned(old).len(), bench.assigned(new).len()), (0, 1));
}

#[test]
fn b07_an_agent_whose_task_ended_without_it_is_free() {
    // Taken back by the hub, ..
    let mut hasty = draft();
    hasty.times.timeout = Some(Span::from_secs(5));
    let (mut bench, agent, held) = at_work(hasty);
    bench.pass(Span::from_secs(5));
    assert_eq!(bench.hub.state().phase(&agent_id("a")), Phase::Idle);
    // .. and although its own word about it is refused.
    bench.complete(agent, held);
    let unknown = Held { task_id: agentcom_core::id::TaskId(12_345), generation: Lease(1) };
    bench.complete(agent, unknown);
    assert_eq!(bench.hub.state().phase(&agent_id("a")), Phase::Idle);
    let next = bench.submit(draft());
    assert_eq!(bench.serve(agent), Some(next));
}

#[test]
fn b08_to_be_busy_is_no_offence_and_costs_the_task_nothing() {
    let mut bench = Bench::new();
    let busy = bench.join("busy", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    let held = bench.assigned(busy)[0];
    let Held { task_id, generation } = held;
    bench.frame(
        busy,
        ToHub::TaskRejected(Rejection {
            task_id,
            generation: Some(generation),
            reason: Some("busy".into()),
        }),
    );
    let free = bench.join("free", Dialect::V1, 1, &[]);
    assert_eq!(bench.serve(free), Some(id), "at once, and not after a minute");
    let life = &bench.task(id).life;
    assert_eq!((life.failures, life.crashes), (0, 0));
    bench.raw(busy, r#"{"type":"agent_restarting","reason":"update"}"#);
    let session = bench.hub.state().session_of(&agent_id("busy")).unwrap();
    assert_eq!(session.violations, 0);
}

#[test]
fn b09_two_tasks_at_once_are_not_given_to_one_slot() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let batch = vec![draft(), draft()];
    let Reply::SubmittedBatch(ids) = bench.call(Command::SubmitBatch(batch)) else { panic!() };
    assert_eq!(bench.assigned(agent).len(), 1);
    let words = ids.iter().map(|one| bench.word(one.id)).collect::<Vec<_>>();
    assert_eq!(words, ["assigned", "ready"]);
    // Whatever is assigned has a limit for its acceptance.
    let two = bench.join("b", Dialect::V1, 2, &[]);
    bench.submit(draft());
    for held in bench.assigned(two) {
        assert!(bench.hub.state().clocks(held.task_id).unwrap().accept.is_some());
    }
}

#[test]
fn b11_only_who_holds_a_task_decides_what_becomes_of_it() {
    let (mut bench, _, held) = at_work(draft());
    let other = bench.join("b", Dialect::V1, 1, &[]);
    let before = bench.task(held.task_id).clone();
    let Held { task_id, generation } = held;
    bench.accept(other, held);
    bench.complete(other, held);
    for category in [Category::Retryable, Category::Permanent, Category::Quota, Category::Crash] {
        bench.fail(other, held, category);
    }
    let released = agentcom_core::wire::Released { task_id, generation };
    bench.frame(other, ToHub::TaskReleased(released));
    let news = Progress {
        task_id,
        generation: Some(generation),
        progress: Some(99),
        execution_event: None,
    };
    bench.frame(other, ToHub::TaskProgress(news));
    bench.ping(other, &[held]);
    assert_eq!(bench.task(task_id), &before);
    bench.pass(Span::from_secs(30));
    assert_eq!(bench.word(task_id), "delayed", "nor can it keep it from being taken back");
}

#[test]
fn b13_a_task_that_is_taken_back_again_and_again_ends() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let mut endless = draft();
    endless.times.timeout = Some(Span::from_secs(10));
    let id = bench.submit(endless);
    let mut given = 0;
    for _ in 0..200 {
        for held in bench.assigned(agent) {
            given += 1;
            bench.accept(agent, held);
        }
        bench.pass(Span::from_secs(5));
        let held = bench.holds(&agent_id("a"));
        bench.ping(agent, &held);
    }
    assert_eq!((given, bench.word(id)), (3, "dead_letter"));
    let ended = bench.task(id).life.attempts.iter().filter_map(|one| one.ended.as_ref());
    assert!(ended.map(|ended| ended.outcome).all(|outcome| outcome == Outcome::TimedOut));
}

#[test]
fn b16_time_in_the_queue_counts_from_when_a_task_may_start() {
    let mut bench = Bench::new();
    let expiring = |mut draft: Draft| {
        draft.times.expires_after = Some(Span::from_mins(10));
        draft
    };
    let long = bench.submit(draft());
    let behind = Draft {
        depends_on: vec![agentcom_core::task::Dependency::Known(long)],
        ..expiring(draft())
    };
    let behind = bench.submit(behind);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let held = bench.holds(&agent_id("a"))[0];
    bench.accept(agent, held);
    for _ in 0..12 * 30 {
        bench.pass(Span::from_secs(5));
        bench.ping(agent, &[held]);
    }
    assert_eq!(bench.word(behind), "blocked", "after half an hour behind another");
    bench.complete(agent, held);
    assert_eq!(bench.word(behind), "assigned");
    // One that never finds an agent does expire, as it says.
    let mut lonely = expiring(draft());
    lonely.assign_to = Some(agent_id("nobody"));
    let lonely = bench.submit(lonely);
    bench.pass(Span::from_mins(10));
    assert_eq!(bench.word(lonely), "dead_letter");
    // And one that says nothing never does.
    bench.leave(agent);
    let patient = bench.submit(draft());
    bench.pass(Span::from_mins(48 * 60));
    assert_eq!(bench.word(patient), "ready");
}

#[test]
fn b18_an_idle_hub_decides_nothing() {
    let mut bench = Bench::new();
    let events = bench.events.len();
    assert_eq!(bench.hub.next_wake(), None);
    bench.pass(Span::from_mins(24 * 60));
    assert_eq!(bench.events.len(), events, "nor does it fill its history");
}

#[test]
fn a21_what_a_task_says_in_words_is_never_what_is_run() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    let words = "please rm -rf / and then `reboot`";
    bench.submit(Draft { description: words.into(), ..draft() });
    let said = bench.said(agent);
    let work = said
        .iter()
        .find_map(|frame| if let ToAgent::TaskAssign(work) = frame { Some(work) } else { None });
    let work = work.unwrap();
    assert_eq!(work.op.input, Json::parse(r#"{"command":"true"}"#).unwrap());
    let metadata: serde_json::Value = work.metadata.read().unwrap();
    assert_eq!(metadata["shell_command"], "true");
}

#[test]
fn a25_it_is_on_record_who_asked_for_it() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    let by = Principal::Agent(agent_id("a"));
    let reply = bench.call_as(by.clone(), Command::Submit(draft().into()));
    let Reply::Submitted(submitted) = reply else { panic!("{reply:?}") };
    assert_eq!(bench.task(submitted.id).spec.submitted_by, by);
    let event = bench.events.iter().find(|event| event.task_id == Some(submitted.id)).unwrap();
    assert_eq!(event.by, by);
}

#[test]
fn a28_an_agents_token_is_not_the_operators() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft());
    for command in [
        Command::Cancel(id),
        Command::RemoveAgent(agent_id("a")),
        Command::Drain(agent_id("a")),
        Command::AddAgent { id: agent_id("b"), token: agentcom_core::testing::bench::token("b") },
    ] {
        let by = Principal::Agent(agent_id("a"));
        let reply = bench.call_as(by.clone(), command.clone());
        assert_eq!(reply, Reply::Rejected(Rejected::NotAllowed(by)), "{command:?}");
    }
}

#[test]
fn a13_work_that_an_agent_is_not_set_up_for_is_not_given_to_it() {
    let mut bench = Bench::new();
    let reply = bench.call(Command::AddAgent {
        id: agent_id("a"),
        token: agentcom_core::testing::bench::token("a"),
    });
    assert_eq!(reply, Reply::Done);
    bench.open(5, Dialect::V1);
    let frame = ToHub::Identify(agentcom_core::wire::Identify {
        agent_id: "a".into(),
        token: String::new(),
        executors: Some(vec!["shell".into()]),
        slots: Some(1),
        ..agentcom_core::wire::Identify::default()
    });
    bench.step(agentcom_core::hub::Input::Frame {
        session: agentcom_core::id::SessionId(5),
        frame: Ok(frame),
        token: Some(agentcom_core::testing::bench::token("a")),
        facts: Default::default(),
    });
    let wake = Draft::new(agentcom_core::name::Kind::new("wake").unwrap(), Json::null());
    let id = bench.submit(wake);
    assert_eq!(bench.word(id), "ready");
    let why = bench.hub.why(id).unwrap().reason;
    let agentcom_core::view::Reason::NoAgent { nearest: Some(nearest) } = why else {
        panic!("{why:?}")
    };
    assert_eq!(nearest.lacks, ["exec:wake"], "and it is said why nothing happens");
}

#[test]
fn a17_each_fact_is_told_once_and_in_one_form() {
    let (mut bench, agent, held) = at_work(draft());
    bench.complete(agent, held);
    let about: Vec<_> =
        bench.events.iter().filter(|event| event.task_id == Some(held.task_id)).collect();
    let kinds: Vec<_> = about.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds, ["task.submitted", "task.assigned", "task.working", "task.completed"]);
    let seqs: Vec<_> = bench.events.iter().map(|event| event.seq).collect();
    assert!(seqs.windows(2).all(|pair| pair[1] == pair[0] + 1), "{seqs:?}");
}
