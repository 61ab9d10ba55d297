//! This file checks that tasks are given only to agents that have proved the sandbox which they want.

use super::*;
use crate::sandbox::Level;
use crate::view::Reason;
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
