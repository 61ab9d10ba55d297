//! This file checks what a hub does after another has opened its data.

use super::*;
use crate::command::Scope;

fn is_fenced(rig: &Rig) -> bool {
    matches!(&rig.ended, Some(Err(error)) if error.kind == StoreErrorKind::Fenced)
}

#[test]
fn a_hub_that_was_taken_over_lets_no_agent_in() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    let _other = rig.disk.open();
    let door = rig.door.clone();
    let mut connection = rig.ask(door.open()).unwrap();
    connection.outgoing.send(identify("a")).unwrap();
    rig.turn();
    assert!(is_fenced(&rig), "{:?}", rig.ended);
    assert_eq!(heard(&mut connection), Vec::<String>::new());
}

#[test]
fn a_hub_that_was_taken_over_ends_soon_after_a_heartbeat() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a");
    heard(&mut agent);
    let _other = rig.disk.open();
    rig.pass(5_000);
    assert!(rig.ended.is_none(), "nobody has spoken to it");
    agent.outgoing.send(ping()).unwrap();
    rig.turn();
    assert!(is_fenced(&rig), "{:?}", rig.ended);
    assert_eq!(heard(&mut agent), Vec::<String>::new());
}

#[test]
fn a_hub_that_was_taken_over_does_not_say_that_there_is_nothing_to_do() {
    let mut rig = Rig::new();
    let pause = || Command::Pause(Scope::All);
    assert_eq!(rig.call(pause()), Ok(Reply::Done));
    assert_eq!(rig.call(pause()), Ok(Reply::Done), "it is paused");
    let _other = rig.disk.open();
    assert_eq!(rig.call(pause()), Err(CallError::Indeterminate), "the other may have gone on");
    assert!(is_fenced(&rig), "{:?}", rig.ended);
}
