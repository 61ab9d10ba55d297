//! This file holds the pitfall of a queue inside another program: background work that never runs.

use agentcom_core::time::Span;

use crate::rig::{Rig, work};

#[test]
fn p26_an_embedded_hub_needs_nothing_but_to_be_run() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    let mut failing = work("fail at first");
    failing.retry.attempts_max = Some(3);
    let retried = rig.submit(failing);
    let mut late = work("done");
    late.times.run_after = Some(agentcom_core::time::Wall(1_700_000_000_000) + Span::from_mins(30));
    let later = rig.submit(late);
    // From here on nobody asks the hub for anything.
    rig.pass(Span::from_mins(40));
    assert_eq!(rig.word(retried), "dead_letter", "repetitions");
    assert_eq!(rig.word(later), "completed", "work for later");
    let lost = rig.submit(work("heed"));
    rig.pass(Span::from_secs(1));
    assert_eq!(rig.word(lost), "working");
    rig.kill_sidecar(0);
    rig.pass(Span::from_secs(40));
    assert_eq!(rig.word(lost), "ready", "recovery");
    assert_eq!(rig.handle.lag().max, Span(0));
}

#[test]
fn p26_a_host_that_runs_its_hub_too_late_shows() {
    let mut rig = Rig::new();
    let mut soon = work("any");
    soon.times.run_after = Some(agentcom_core::time::Wall(1_700_000_000_000) + Span::from_secs(5));
    let id = rig.submit(soon);
    // The program is busy with other things and polls nobody for a quarter of an hour.
    rig.clock.set(5_000 + 900_000);
    rig.turn();
    assert_eq!(rig.word(id), "ready", "late, but done");
    assert_eq!(rig.handle.lag().max, Span(900_000));
}
