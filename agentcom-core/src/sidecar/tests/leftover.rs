//! This file tests what becomes of work while processes of earlier work are left.

use super::*;
use crate::sandbox::{Level as Holds, Missing, Report};

/// A sidecar of two kinds of work, one of which runs commands, that is online and has proved a sandbox.
fn rig(slots: u32) -> Rig {
    let missing = Missing { level: Holds::L3, seen: "none".into(), hint: "allow".into() };
    let proved = Report { missing: alloc::vec![missing], ..Report::of(Holds::L2) };
    let config = SidecarConfig { sandbox: Some(proved), ..config(slots) };
    let kinds = alloc::vec![kind("notes"), kind("shell")];
    let sidecar = Sidecar::new(config, kinds, Boot(1), 1, Journal::default(), 0);
    let sidecar = sidecar.running_commands(alloc::vec![kind("shell")]);
    let mut rig = Rig { sidecar, ms: 1_000_000, rows: BTreeMap::new() };
    rig.identify();
    rig.pong();
    rig
}

/// The kinds of work, the capabilities and the quarantine that the hub was told of in what was said.
fn told(said: &[String]) -> (String, String, Option<String>) {
    let of = |line: &str, from: &str, to: &str| {
        let (_, behind) = line.split_once(from)?;
        behind.split_once(to).map(|(inside, _)| String::from(inside))
    };
    let lines: Vec<&String> = said.iter().filter(|line| line.starts_with("> {identify")).collect();
    let [line] = lines[..] else { panic!("{said:?}") };
    let quarantine = of(line, "quarantine:", "}");
    let kinds = of(line, "executors:[", "]").unwrap();
    (kinds, of(line, "capabilities:[", "]").unwrap(), quarantine)
}

const ONE: &str = "1 process of an earlier command could not be ended; commands are run again once none is \
                   left, or after a restart of the machine";

#[test]
fn the_hub_is_told_at_once_and_again_once_nothing_is_left() {
    let mut rig = rig(1);
    let said = rig.step(Input::Survivors(1));
    assert_eq!(said[0], format!("warn no more commands are run: {ONE}"));
    assert_eq!(told(&said), ("notes".into(), "sandbox-l1".into(), Some(ONE.into())));
    assert!(rig.step(Input::Survivors(1)).is_empty());
    let said = rig.step(Input::Survivors(3));
    assert!(told(&said).2.unwrap().starts_with("3 processes of earlier commands"), "{said:?}");
    let said = rig.step(Input::Survivors(0));
    assert_eq!(told(&said), ("notes,shell".into(), "sandbox-l1,sandbox-l2".into(), None));
}

#[test]
fn a_hub_that_was_away_is_told_when_it_is_back() {
    let mut rig = rig(1);
    rig.step(Input::Disconnected);
    assert_eq!(rig.step(Input::Survivors(1)), [format!("warn no more commands are run: {ONE}")]);
    while !matches!(rig.sidecar.session, Session::Connecting { .. }) {
        rig.next();
    }
    let said = rig.step(Input::Connected);
    assert_eq!(told(&said).2, Some(ONE.into()));
    // What changes before the hub has answered is told right after.
    rig.step(Input::Survivors(0));
    let said = rig.identified(LIFE);
    assert_eq!(told(&said).2, None);
}

#[test]
fn nothing_that_runs_commands_begins_and_what_has_not_begun_is_given_back() {
    let mut rig = rig(3);
    rig.assign(assignment(1, 1));
    // The next one of a task does not begin before the last one has ended.
    rig.assign(assignment(2, 1));
    rig.assign(assignment(2, 2));
    let said = rig.step(Input::Survivors(1));
    assert!(said.contains(&"> {task_released,t2,generation:2}".into()), "{said:?}");
    assert!(!said.iter().any(|line| line.starts_with("stop 1/1")), "what runs goes on: {said:?}");
    let said = rig.assign(assignment(3, 1));
    assert_eq!(said, [format!("> {{task_rejected,t3,generation:1,reason:quarantine: {ONE}}}")]);
    let notes =
        Assignment { op: Op { kind: kind("notes"), ..assignment(4, 1).op }, ..assignment(4, 1) };
    assert!(rig.assign(notes).contains(&"start 4/1".into()), "other work does begin");
    rig.ends(2, 1, JobOutcome::Stopped);
    rig.step(Input::Survivors(0));
    assert!(rig.assign(assignment(3, 2)).contains(&"start 3/2".into()));
}
