//! This file tests that of the assignments of a task only the newest that a sidecar has seen counts.

use super::*;
use crate::sidecar::fences::TASKS_MAX;

fn refused(task: u64, lease: u64) -> [String; 1] {
    [format!("> {{task_rejected,t{task},generation:{lease},reason:superseded}}")]
}

#[test]
fn an_older_assignment_does_not_displace_a_newer_one() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 2));
    assert_eq!(rig.assign(assignment(1, 1)), refused(1, 1));
    // What is waited for to end has a successor, and the one before it has not come back.
    rig.assign(assignment(1, 4));
    assert_eq!(rig.assign(assignment(1, 3)), refused(1, 3));
    assert_eq!(rig.ends(1, 2, JobOutcome::Stopped), ["erase row", "start 1/4"]);
}

#[test]
fn neither_does_it_begin_after_a_newer_one_was_done_or_turned_away() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 2));
    rig.ends(1, 2, done());
    assert_eq!(rig.assign(assignment(1, 1)), refused(1, 1));
    rig.ack(1, 2, Acked::Complete);
    assert_eq!(rig.assign(assignment(1, 1)), refused(1, 1));
    rig.assign(assignment(2, 1));
    assert_eq!(rig.assign(assignment(3, 5)), ["> {task_rejected,t3,generation:5,reason:busy}"]);
    rig.ends(2, 1, done());
    assert_eq!(rig.assign(assignment(3, 4)), refused(3, 4));
    assert!(
        rig.assign(assignment(3, 5)).contains(&"start 3/5".into()),
        "it was not taken on before"
    );
}

#[test]
fn one_that_was_done_is_not_done_again() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ends(1, 1, done());
    assert_eq!(rig.assign(assignment(1, 1)), ["> {task_complete,t1,generation:1,result:1}"]);
    rig.ack(1, 1, Acked::Complete);
    assert_eq!(rig.assign(assignment(1, 1)), refused(1, 1));
}

#[test]
fn what_the_journal_holds_counts_after_a_restart() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 2));
    let mut next = rig.restarted();
    next.identify();
    next.pong();
    assert_eq!(next.assign(assignment(1, 1)), refused(1, 1));
    next.ack(1, 2, Acked::Retried);
    assert_eq!(next.assign(assignment(1, 1)), refused(1, 1));
    assert_eq!(next.assign(assignment(1, 2)), refused(1, 2));
    assert!(next.assign(assignment(1, 3)).contains(&"start 1/3".into()));
}

#[test]
fn another_life_of_the_data_set_counts_anew() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 9));
    rig.ends(1, 9, done());
    rig.step(Input::Disconnected);
    rig.identify_to(Incarnation(8));
    rig.pong();
    let other = Assignment { incarnation: Incarnation(8), ..assignment(1, 1) };
    assert!(rig.assign(other).contains(&"start 1/1".into()));
}

#[test]
fn of_many_tasks_the_latest_are_remembered_and_those_that_are_held() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(0, 2));
    let most = TASKS_MAX as u64;
    for task in 1..=most {
        rig.assign(assignment(task, 2));
        rig.ends(task, 2, done());
        rig.ack(task, 2, Acked::Complete);
        rig.pong();
    }
    assert_eq!(rig.sidecar.fences.len(), TASKS_MAX);
    assert_eq!(rig.assign(assignment(0, 1)), refused(0, 1));
    assert_eq!(rig.assign(assignment(2, 1)), refused(2, 1));
    // It was forgotten for the one before.
    assert!(rig.assign(assignment(1, 1)).contains(&"start 1/1".into()));
}
