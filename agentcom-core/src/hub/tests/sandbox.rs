//! This file checks that tasks are given only to agents that have proved the sandbox which they want.

use super::*;
use crate::id::SessionId;
use crate::sandbox::{Attempt, Expected, Level, Missing, Report};
use crate::view::Reason;
use crate::wire::Identify;
use alloc::string::String;
use alloc::vec::Vec;

/// A bench with an agent that runs coding and shell tasks, and has these capabilities.
fn bench(proved: &[&str]) -> (Bench, u64) {
    let mut fleet = routing::fleet::Fleet::new();
    let session = fleet.join_as("a", &["code", "shell"], 9, proved);
    (fleet.bench, session)
}

fn wanting(kind: &str, sandbox: Option<Level>) -> Draft {
    Draft { sandbox, ..Draft::new(Kind::new(kind).unwrap(), Json::null()) }
}

/// What keeps a task from the agent; nothing if it was given it.
fn lacks(bench: &mut Bench, draft: Draft) -> Vec<String> {
    let id = bench.submit(draft);
    let reason = bench.hub.why(id).unwrap().reason;
    if let Reason::NoAgent { nearest } = reason {
        return nearest.unwrap().lacks;
    }
    assert!(matches!(reason, Reason::Accepting { .. }), "{reason:?}");
    Vec::new()
}

#[test]
fn an_agent_gets_what_it_has_proved_and_what_wants_less() {
    let proofs: [&[&str]; 4] = [
        &[],
        &["sandbox-l1"],
        &["sandbox-l1", "sandbox-l2"],
        &["sandbox-l1", "sandbox-l2", "sandbox-l3"],
    ];
    for (has, proved) in Level::ALL.into_iter().zip(proofs) {
        let (mut bench, _) = bench(proved);
        let kinds = ["code", "shell"].into_iter();
        let wants = Level::ALL.map(Some).into_iter().chain([None]);
        for (kind, wanted) in kinds.flat_map(|kind| wants.clone().map(move |want| (kind, want))) {
            let least = wanted.unwrap_or(if kind == "code" { Level::L2 } else { Level::L0 });
            let word = alloc::format!("sandbox-{}", least.as_str().to_lowercase());
            let expected = if least > has { vec![word] } else { vec![] };
            let lacks = lacks(&mut bench, wanting(kind, wanted));
            assert_eq!(lacks, expected, "{kind} that wants {wanted:?} of {has}");
            bench = self::bench(proved).0;
        }
    }
}

#[test]
fn what_a_task_needs_by_name_no_word_of_its_makes_less() {
    let (mut bench, _) = bench(&["sandbox-l1"]);
    let needs = vec![Capability::new("sandbox-l2").unwrap()];
    let draft = Draft { needs, ..wanting("code", Some(Level::L0)) };
    assert_eq!(lacks(&mut bench, draft), ["sandbox-l2"]);
}

#[test]
fn an_agent_is_told_which_sandbox_a_task_wants() {
    let (mut bench, session) = bench(&["sandbox-l1", "sandbox-l2"]);
    let needs = vec![Capability::new("sandbox-l2").unwrap()];
    let drafts = [
        wanting("code", None),
        wanting("code", Some(Level::L1)),
        wanting("code", Some(Level::L0)),
        wanting("shell", None),
        Draft { needs, ..wanting("shell", None) },
    ];
    for draft in drafts {
        bench.submit(draft);
    }
    let mut told = Vec::new();
    for frame in bench.said(session) {
        if let ToAgent::TaskAssign(job) = frame {
            told.push(job.sandbox);
        }
    }
    assert_eq!(told, [Some(Level::L2), Some(Level::L1), None, None, Some(Level::L2)]);
}

fn report(level: Level) -> Report {
    let missing = Missing { level: Level::L3, seen: "no namespaces".into(), hint: "allow".into() };
    let attempt = Attempt { what: "read".into(), expected: Expected::Blocked, held: true };
    Report { missing: vec![missing], attempts: vec![attempt], ..Report::of(level) }
}

/// An agent says what it has proved, and claims more.
fn identify(bench: &mut Bench, session: u64, report: Option<Report>) {
    let frame = Identify {
        capabilities: Some(["gpu", "sandbox-l3"].map(String::from).into()),
        executors: Some(["code"].map(String::from).into()),
        sandbox: report.map(Into::into),
        ..Identify::default()
    };
    say(bench, session, frame);
}

fn say(bench: &mut Bench, session: u64, frame: Identify) {
    let frame = Identify { agent_id: "a".into(), token: String::new(), ..frame };
    let frame = ToHub::Identify(frame);
    let (session, token) = (SessionId(session), Some(crate::testing::bench::token("a")));
    bench.step(Input::Frame { session, frame: Ok(frame), token, facts: Facts::default() });
}

fn capabilities(bench: &Bench) -> Vec<String> {
    let profile = bench.hub.state().profile(&agent_id("a")).unwrap();
    profile.capabilities.iter().map(|it| it.as_str().into()).collect()
}

#[test]
fn what_an_agent_has_proved_counts_and_not_what_it_claims_and_is_kept_while_it_is_away() {
    let (mut bench, session) = bench(&[]);
    let known = |bench: &Bench| bench.hub.state().agent(&agent_id("a")).unwrap().sandbox.clone();
    assert_eq!(known(&bench), None);
    identify(&mut bench, session, Some(report(Level::L2)));
    assert_eq!(capabilities(&bench), ["gpu", "sandbox-l1", "sandbox-l2"]);
    assert_eq!(lacks(&mut bench, wanting("code", Some(Level::L3))), ["sandbox-l3"]);
    bench.leave(session);
    assert_eq!(known(&bench), Some(report(Level::L2).into()));
    // It has sunk when the agent comes back, and so it gets less.
    bench.open(77, Dialect::V1);
    identify(&mut bench, 77, Some(report(Level::L1)));
    assert_eq!(known(&bench), Some(report(Level::L1).into()));
    assert_eq!(lacks(&mut bench, wanting("code", None)), ["sandbox-l2"]);
    // One that says nothing of it, as older ones do, is believed what it can do.
    identify(&mut bench, 77, None);
    assert_eq!(
        (known(&bench), capabilities(&bench)),
        (None, ["gpu", "sandbox-l3"].map(String::from).into())
    );
}

#[test]
fn an_agent_in_quarantine_gets_no_commands_until_it_is_out_of_it_and_keeps_what_it_has() {
    let (mut bench, _) = bench(&[]);
    bench.open(77, Dialect::V1);
    identify(&mut bench, 77, Some(report(Level::L2)));
    bench.submit(wanting("code", None));
    let held = bench.assigned(77)[0];
    bench.accept(77, held);
    let report_of_it = report(Level::L2).in_quarantine("1 process is left".into());
    let frame = Identify {
        executors: Some(Vec::new()),
        sandbox: Some(report_of_it.clone().into()),
        ..Identify::default()
    };
    say(&mut bench, 77, frame);
    let known = bench.hub.state().agent(&agent_id("a")).unwrap().sandbox.clone();
    assert_eq!(
        (known, capabilities(&bench)),
        (Some(report_of_it.into()), vec!["sandbox-l1".into()])
    );
    assert!(lacks(&mut bench, wanting("code", None)).contains(&"sandbox-l2".into()));
    bench.complete(77, held);
    assert_eq!(bench.word(held.task_id), "completed");
    identify(&mut bench, 77, Some(report(Level::L2)));
    assert_eq!(bench.assigned(77).len(), 1, "the one that waited");
}

#[test]
fn one_that_runs_nothing_and_says_nothing_of_its_sandbox_leaves_what_is_known() {
    let (mut bench, _) = bench(&[]);
    bench.open(77, Dialect::V1);
    identify(&mut bench, 77, Some(report(Level::L2)));
    let known = |bench: &Bench| bench.hub.state().agent(&agent_id("a")).unwrap().sandbox.clone();
    // As `agentcom-sidecar check` does, with the name of an agent.
    let look = Identify { executors: Some(Vec::new()), ..Identify::default() };
    bench.open(78, Dialect::V1);
    say(&mut bench, 78, look.clone());
    assert_eq!(known(&bench), Some(report(Level::L2).into()));
    assert!(capabilities(&bench).is_empty());
    // What it does say counts.
    say(&mut bench, 78, Identify { sandbox: Some(report(Level::L1).into()), ..look });
    assert_eq!(known(&bench), Some(report(Level::L1).into()));
}

#[test]
fn a_report_that_is_too_long_is_refused() {
    let (mut bench, _) = bench(&[]);
    bench.open(77, Dialect::V1);
    let mut long = report(Level::L2);
    long.missing[0].seen = "x".repeat(Report::TEXT_CHARS_MAX + 1);
    identify(&mut bench, 77, Some(long));
    let said = bench.said(77);
    let [ToAgent::Error(error)] = &said[..] else { panic!("{said:?}") };
    assert_eq!(error.error, "bad_sandbox: the characters of a text must be at most 500, not 501");
    assert_eq!(bench.hub.state().agent(&agent_id("a")).unwrap().sandbox, None);
}
