//! This file checks how agents come, are seen, and go; v1 and plain ones.

use super::*;
use crate::agent::{Phase, Trust};
use crate::command::Scope;
use crate::testing::bench;
use crate::wire::{Ping, ReportAction};

#[test]
fn waiting_work_goes_to_an_agent_that_connects() {
    let mut bench = Bench::new();
    let id = bench.submit(needing("gpu"));
    let weak = bench.join("weak", Dialect::V1, 1, &[]);
    assert_eq!(bench.assigned(weak), []);
    let strong = bench.join("strong", Dialect::V1, 1, &["gpu", "ssd"]);
    assert_eq!(bench.assigned(strong)[0].task_id, id);
}

#[test]
fn a_refused_token_is_answered_then_closed() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.open(50, Dialect::V1);
    bench.identify(50, "a", "wrong", 1, &[]);
    let said = bench.said(50);
    assert!(
        matches!(&said[..], [ToAgent::Error(error)] if error.error == "invalid_token"),
        "{said:?}"
    );
    bench.pass(Span::from_secs(30));
    assert_eq!(bench.closed, [(50, CloseReason::Unauthorised)]);
}

fn rotate(bench: &mut Bench, name: &str) {
    let command = Command::RotateToken { id: agent_id("a"), token: bench::token(name) };
    assert_eq!(bench.call(command), Reply::Done);
}

#[test]
fn a_connection_ends_when_its_token_is_rotated_out_and_its_work_waits_for_the_agent() {
    for accepts in [false, true] {
        let mut bench = Bench::new();
        let first = bench.join("a", Dialect::V1, 1, &[]);
        bench.join("b", Dialect::V1, 1, &[]);
        let id = bench.submit(Draft { assign_to: Some(agent_id("a")), ..draft() });
        let held = bench.assigned(first)[0];
        if accepts {
            bench.accept(first, held);
        }
        rotate(&mut bench, "second");
        assert_eq!(bench.closed, [], "two tokens are valid at once");
        rotate(&mut bench, "third");
        assert_eq!(bench.closed, [(first, CloseReason::Unauthorised)]);
        assert!(bench.hub.state().session_of(&agent_id("a")).is_none());
        let holder = bench.task(id).life.state.hold().map(|hold| (hold.agent.clone(), hold.lease));
        assert_eq!(holder, Some((agent_id("a"), held.generation)));
        // What it still says by the connection is not heard, nor may it come back by the token.
        bench.said(first);
        bench.frame(first, ToHub::Ping(Ping::default()));
        assert_eq!(bench.said(first), []);
        bench.open(50, Dialect::V1);
        bench.identify(50, "a", "a", 1, &[]);
        assert!(
            matches!(&bench.said(50)[..], [ToAgent::Error(error)] if error.error == "invalid_token")
        );
        bench.open(51, Dialect::V1);
        bench.identify(51, "a", "second", 1, &[]);
        assert_eq!(bench.holds(&agent_id("a")), [held]);
        assert_eq!(bench.closed, [(first, CloseReason::Unauthorised)]);
    }
}

#[test]
fn a_connection_is_of_the_token_that_it_showed_last() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    for name in ["second", "third", "fourth", "fifth"] {
        rotate(&mut bench, name);
        bench.identify(agent, "a", name, 1, &[]);
    }
    assert_eq!(bench.closed, []);
    // One that is refused leaves the connection with the token that it has.
    bench.identify(agent, "a", "second", 1, &[]);
    rotate(&mut bench, "sixth");
    assert_eq!(bench.closed, []);
    rotate(&mut bench, "seventh");
    assert_eq!(bench.closed, [(agent, CloseReason::Unauthorised)]);
}

#[test]
fn a_foreign_token_is_named_as_such() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.join("b", Dialect::V1, 1, &[]);
    bench.open(50, Dialect::V1);
    bench.identify(50, "a", "b", 1, &[]);
    let said = bench.said(50);
    assert!(matches!(&said[..], [ToAgent::Error(error)] if error.error == "token_agent_mismatch"));
}

#[test]
fn who_does_not_identify_is_closed() {
    let mut bench = Bench::new();
    bench.open(50, Dialect::Plain);
    bench.raw(50, r#"{"type":"ping"}"#);
    assert!(
        matches!(&bench.said(50)[..], [ToAgent::Error(error)] if error.error == "not_identified")
    );
    bench.pass(Span::from_secs(5));
    assert_eq!(bench.closed, [(50, CloseReason::Unauthorised)]);
}

#[test]
fn bad_frames_are_answered_and_then_end_the_connection() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.said(agent);
    for text in ["{", r#"{"type":"nonsense"}"#, r#"{"type":"task_accepted"}"#] {
        bench.raw(agent, text);
    }
    let errors: Vec<_> = bench
        .said(agent)
        .into_iter()
        .filter_map(|frame| {
            let ToAgent::Error(error) = frame else { return None };
            Some((error.error, error.errors.first().map(|e| (e.field.clone(), e.error.clone()))))
        })
        .collect();
    assert_eq!(errors[0], ("invalid_json".into(), None));
    assert_eq!(errors[1].1, Some(("type".into(), "unknown_message_type".into())));
    assert_eq!(errors[2].1, Some(("task_id".into(), "required".into())));
    (0..10_000).for_each(|_| bench.raw(agent, "{"));
    assert_eq!(bench.closed, [(agent, CloseReason::Violation)]);
}

#[test]
fn messaging_is_declined_without_a_violation() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::Plain, 1, &[]);
    bench.said(agent);
    (0..50).for_each(|_| bench.raw(agent, r#"{"type":"list_channels"}"#));
    assert_eq!(bench.closed, []);
    let declined = |frame: &ToAgent| {
        let ToAgent::Error(error) = frame else { return false };
        let hint = error.hint.as_deref();
        let named = error.message_type.as_deref() == Some("list_channels");
        error.error == "not_supported"
            && hint == Some("this hub does not serve messages and channels")
            && named
    };
    let said = bench.said(agent);
    assert_eq!(said.len(), 50);
    assert!(said.iter().all(declined), "{said:?}");
}

#[test]
fn a_second_connection_of_an_agent_takes_the_place_of_the_first() {
    let mut bench = Bench::new();
    let old = bench.join("a", Dialect::V1, 1, &[]);
    let new = bench.join("a", Dialect::V1, 1, &[]);
    assert_eq!(bench.closed, [(old, CloseReason::Replaced)]);
    bench.leave(old);
    bench.submit(draft());
    assert_eq!(bench.assigned(new).len(), 1);
}

#[test]
fn phases_follow_from_what_an_agent_holds() {
    let mut bench = Bench::new();
    let id = agent_id("a");
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    assert_eq!(bench.hub.state().phase(&id), Phase::Idle);
    let task = bench.submit(draft());
    assert_eq!(bench.hub.state().phase(&id), Phase::Assigned);
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    assert_eq!(bench.hub.state().phase(&id), Phase::Working);
    bench.raw(agent, &alloc::format!(
        r#"{{"type":"task_question","task_id":"{task}","generation":1,"question":"which?","timeout_ms":5000,"default":"a"}}"#
    ));
    assert_eq!(bench.hub.state().phase(&id), Phase::Blocked);
    bench.pass(Span::from_secs(5));
    assert_eq!(bench.hub.state().phase(&id), Phase::Working);
    assert!(bench.said(agent).iter().any(
        |f| matches!(f, ToAgent::QuestionAnswered(a) if a.defaulted && a.answer.as_str() == "\"a\"")
    ));
    bench.call(Command::Drain(id.clone()));
    assert_eq!(bench.hub.state().phase(&id), Phase::Draining);
    bench.leave(agent);
    assert_eq!(bench.hub.state().phase(&id), Phase::Offline);
}

#[test]
fn a_silent_agent_gets_no_more_work_but_keeps_what_it_holds() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 2, &[]);
    let first = bench.submit(draft());
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.pass(Span::from_secs(17));
    let second = bench.submit(draft());
    assert_eq!([bench.word(first), bench.word(second)], ["working", "ready"]);
    bench.ping(agent, &[held]);
    assert_eq!(bench.word(second), "assigned");
}

#[test]
fn repeated_crashes_quarantine_an_agent_and_a_probe_restores_it() {
    let mut bench = Bench::with(HubConfig { crashes_max: 100, ..HubConfig::default() });
    let agent = bench.join("a", Dialect::V1, 4, &[]);
    let id = bench.submit(draft());
    for _ in 0..3 {
        let held = bench.assigned(agent)[0];
        bench.accept(agent, held);
        bench.fail(agent, held, crate::task::Category::Crash);
        for _ in 0..2 {
            bench.pass(Span::from_secs(5));
            bench.ping(agent, &[]);
        }
    }
    assert!(bench.hub.state().agent(&agent_id("a")).unwrap().trust.is_quarantined());
    assert_eq!(bench.word(id), "ready");
    let more = bench.submit(draft());
    for _ in 0..60 {
        bench.pass(Span::from_secs(5));
        let held: Vec<Held> = bench
            .hub
            .state()
            .held_by(&agent_id("a"))
            .map(|id| Held { task_id: id, generation: bench.task(id).life.lease })
            .collect();
        bench.ping(agent, &held);
    }
    assert_eq!(bench.hub.state().agent(&agent_id("a")).unwrap().trust, Trust::Probing);
    let held = bench.assigned(agent);
    assert_eq!(held.len(), 1, "a probe is one task");
    bench.accept(agent, held[0]);
    bench.complete(agent, held[0]);
    assert_eq!(bench.hub.state().agent(&agent_id("a")).unwrap().trust, Trust::Good);
    assert!(bench.state(more).hold().is_some() || bench.state(id).hold().is_some());
}

#[test]
fn a_pause_keeps_work_from_starting_until_it_is_lifted() {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 9, &["gpu"]);
    for scope in [Scope::All, Scope::Capability(Capability::new("gpu").unwrap())] {
        bench.call(Command::Pause(scope.clone()));
        let id = bench.submit(needing("gpu"));
        assert_eq!(bench.word(id), "ready");
        let why = bench.hub.why(id).unwrap().reason;
        assert_eq!(why, crate::view::Reason::Paused { scope: scope.clone() });
        bench.call(Command::Unpause(scope));
        assert_eq!(bench.assigned(agent).len(), 1);
    }
}

fn plain_at_work(kind: &str) -> (Bench, u64, TaskId) {
    let mut bench = Bench::new();
    let agent = bench.join("p", Dialect::Plain, 1, &[]);
    let mut draft = draft();
    draft.op.kind = Kind::new(kind).unwrap();
    let id = bench.submit(draft);
    bench.raw(
        agent,
        &alloc::format!(r#"{{"type":"task_accepted","task_id":"{id}","protocol_version":1}}"#),
    );
    assert_eq!(bench.word(id), "working");
    (bench, agent, id)
}

#[test]
fn a_plain_client_is_told_what_to_run_in_the_metadata() {
    let mut bench = Bench::new();
    let agent = bench.join("p", Dialect::Plain, 1, &[]);
    bench.said(agent);
    bench.submit(draft());
    let said = bench.said(agent);
    let [ToAgent::TaskAssign(assignment)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(assignment.metadata.as_str(), r#"{"shell_command":"true"}"#);
    assert_eq!(assignment.routing_decision.as_ref().unwrap().target_type, "sidecar");
    assert!(wire::write(&said[0]).len() < 2_000);
}

#[test]
fn a_plain_result_that_says_failed_is_a_failure() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.raw(agent, &alloc::format!(
        r#"{{"type":"task_complete","task_id":"{id}","generation":1,"result":{{"status":"failed","error":"exit 3","tokens_in":2,"tokens_out":3}},"verification_report":null}}"#
    ));
    assert_eq!(bench.word(id), "delayed");
    assert_eq!(bench.task(id).life.last_error(), Some("exit 3"));
    assert_eq!(bench.task(id).life.attempts[0].ended.as_ref().unwrap().tokens, Some(5));
}

#[test]
fn generation_zero_of_a_plain_client_is_stale() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.said(agent);
    bench.raw(
        agent,
        &alloc::format!(r#"{{"type":"task_complete","task_id":"{id}","generation":0}}"#),
    );
    assert!(
        matches!(&bench.said(agent)[..], [ToAgent::Error(e)] if e.error == "task_complete_failed: stale_generation")
    );
    assert_eq!(bench.word(id), "working");
}

#[test]
fn a_plain_client_that_reports_its_task_goes_on() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.leave(agent);
    let again = bench.join("p", Dialect::Plain, 1, &[]);
    let other = bench.submit(draft());
    assert_eq!(bench.word(other), "ready", "no work before the report");
    bench.said(again);
    bench.raw(
        again,
        &alloc::format!(
            r#"{{"type":"state_report","task_id":"{id}","generation":1,"status":"working"}}"#
        ),
    );
    let said = bench.said(again);
    assert!(
        matches!(&said[..], [ToAgent::StateReportAck { action: ReportAction::Continue, .. }]),
        "{said:?}"
    );
    bench.raw(
        again,
        &alloc::format!(
            r#"{{"type":"task_complete","task_id":"{id}","generation":1,"result":null}}"#
        ),
    );
    assert_eq!([bench.word(id), bench.word(other)], ["completed", "assigned"]);
}

#[test]
fn what_a_plain_client_does_not_report_it_has_lost() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.leave(agent);
    bench.join("p", Dialect::Plain, 1, &[]);
    bench.pass(Span::from_secs(5));
    assert_eq!((bench.word(id), bench.task(id).life.crashes), ("delayed", 1));
}

#[test]
fn a_recovering_shell_task_is_reassigned_and_a_woken_one_continues() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.leave(agent);
    let again = bench.join("p", Dialect::Plain, 1, &[]);
    bench.said(again);
    bench.raw(
        again,
        &alloc::format!(r#"{{"type":"task_recovering","task_id":"{id}","last_status":"working"}}"#),
    );
    assert!(matches!(&bench.said(again)[0], ToAgent::TaskReassign { .. }));
    assert_eq!(bench.task(id).life.crashes, 1);

    let (mut bench, agent, id) = plain_at_work("wake");
    bench.leave(agent);
    let again = bench.join("p", Dialect::Plain, 1, &[]);
    bench.said(again);
    bench.raw(
        again,
        &alloc::format!(r#"{{"type":"task_recovering","task_id":"{id}","last_status":"working"}}"#),
    );
    assert!(
        matches!(&bench.said(again)[0], ToAgent::TaskContinue { generation, .. } if *generation == lease(1))
    );
    assert_eq!(bench.word(id), "working");
}

#[test]
fn a_plain_client_whose_hold_ended_is_left_alone() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.said(agent);
    bench.call(Command::Cancel(id));
    assert!(matches!(&bench.said(agent)[..], [ToAgent::TaskCancelled { .. }]));
    let other = bench.submit(draft());
    assert_eq!(bench.word(other), "ready");
    bench.leave(agent);
    bench.join("p", Dialect::Plain, 1, &[]);
    assert_eq!(bench.word(other), "assigned");
}

#[test]
fn a_busy_plain_client_gives_the_task_back_and_is_left_alone_for_a_while() {
    let mut bench = Bench::new();
    let agent = bench.join("p", Dialect::Plain, 1, &[]);
    let id = bench.submit(draft());
    bench.raw(
        agent,
        &alloc::format!(r#"{{"type":"task_rejected","task_id":"{id}","reason":"busy"}}"#),
    );
    assert_eq!((bench.word(id), bench.task(id).life.failures), ("ready", 0));
    bench.pass(Span::from_secs(1));
    assert_eq!(bench.word(id), "assigned");
}

#[test]
fn a_plain_client_without_news_is_stuck_after_a_while() {
    let (mut bench, agent, id) = plain_at_work("shell");
    for _ in 0..11 {
        bench.pass(Span::from_secs(30));
        bench.raw(agent, r#"{"type":"ping"}"#);
    }
    assert_eq!(bench.task(id).life.crashes, 1);
}

#[test]
fn a_silent_plain_client_is_closed_and_its_task_taken_back() {
    let (mut bench, agent, id) = plain_at_work("shell");
    bench.pass(Span::from_secs(60));
    assert_eq!(bench.closed, [(agent, CloseReason::TooSlow)]);
    bench.pass(Span::from_secs(15));
    assert_eq!(bench.word(id), "delayed");
}

#[test]
fn who_fails_to_prove_an_identity_again_and_again_is_not_listened_to_for_a_while() {
    let mut bench = Bench::new();
    bench.join("a", Dialect::V1, 1, &[]);
    bench.join("b", Dialect::V1, 1, &[]);
    bench.open(50, Dialect::Plain);
    (0..10).for_each(|_| bench.identify(50, "a", "wrong", 1, &[]));
    bench.said(50);
    bench.identify(50, "a", "a", 1, &[]);
    let said = bench.said(50);
    assert!(
        matches!(&said[..], [ToAgent::Error(e)] if e.error == "too_many_failures" && e.retry_after_ms.is_some()),
        "{said:?}"
    );
    bench.open(51, Dialect::Plain);
    bench.identify(51, "b", "b", 1, &[]);
    assert!(
        matches!(&bench.said(51)[..], [ToAgent::Identified(_)]),
        "others on the host are let in"
    );
    bench.pass(Span::from_secs(60));
    bench.open(52, Dialect::Plain);
    bench.identify(52, "a", "a", 1, &[]);
    assert!(matches!(&bench.said(52)[..], [ToAgent::Identified(_)]));
}
