//! This file tests how a sidecar leaves.

use super::*;

#[test]
fn an_idle_sidecar_leaves_at_once() {
    let mut rig = Rig::online(1);
    assert_eq!(rig.step(Input::Drain), ["> {agent_draining}", "hang up", "exit 0"]);
    assert!(rig.sidecar.is_closed() && rig.sidecar.next_wake().is_none());
}

#[test]
fn one_without_a_hub_leaves_at_once_too() {
    let mut rig = Rig::new(1);
    rig.wake();
    assert_eq!(rig.step(Input::Drain), ["hang up", "exit 0"]);
}

#[test]
fn running_work_may_end_and_its_result_is_heard_before_the_sidecar_leaves() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    assert_eq!(rig.step(Input::Drain), ["> {agent_draining}"]);
    assert!(rig.step(Input::Drain).is_empty());
    assert_eq!(rig.assign(assignment(2, 1)), ["> {task_rejected,t2,generation:1,reason:draining}"]);
    rig.ends(1, 1, done());
    assert_eq!(rig.ack(1, 1, Acked::Complete), ["erase row", "hang up", "exit 0"]);
}

#[test]
fn work_that_does_not_end_in_time_is_stopped_and_given_back_unspent() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.step(Input::Drain);
    let began = rig.ms;
    while !rig.next().1.contains(&"stop 1/1".into()) {
        assert!(rig.ms - began < 30_000);
        rig.pong();
    }
    assert_eq!(rig.ms - began, 30_000);
    let said = rig.ends(1, 1, JobOutcome::retryable("killed by signal 15"));
    assert_eq!(said[1], "> {task_released,t1,generation:1}");
    assert_eq!(rig.ack(1, 1, Acked::Released), ["erase row", "hang up", "exit 0"]);
}

#[test]
fn what_was_not_started_is_given_back_at_once() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.cancel(1, 1);
    rig.assign(assignment(2, 1));
    let said = rig.step(Input::Drain);
    assert!(said.contains(&"> {task_released,t2,generation:1}".into()), "{said:?}");
}

#[test]
fn a_report_that_nobody_hears_stays_for_the_next_run() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.step(Input::Disconnected);
    rig.ends(1, 1, done());
    rig.step(Input::Drain);
    let began = rig.ms;
    while !rig.sidecar.is_closed() {
        rig.next();
        rig.step(Input::Unreachable("down".into()));
    }
    assert_eq!((rig.ms - began, rig.rows.len()), (5000, 1));
    let mut next = rig.restarted();
    assert_eq!(next.identify()[0], "> {task_complete,t1,generation:1,result:1}");
}

#[test]
fn a_job_that_never_ends_does_not_keep_the_sidecar() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.step(Input::Drain);
    let began = rig.ms;
    while !rig.sidecar.is_closed() {
        rig.next();
        rig.pong();
    }
    assert_eq!(rig.ms - began, 30_000 + 2000 + 5000);
    assert_eq!(rig.rows.len(), 1);
}

#[test]
fn a_restart_that_the_hub_asks_for_drains_first_and_exits_with_75() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    assert_eq!(
        rig.hears(ToAgent::RestartSidecar { reason: "update".into() }),
        ["> {agent_draining}"]
    );
    rig.ends(1, 1, done());
    let said = rig.ack(1, 1, Acked::Complete);
    assert_eq!(
        said,
        ["erase row", "> {agent_restarting,reason:asked by the hub}", "hang up", "exit 75"]
    );
}

#[test]
fn who_is_asked_to_stop_while_it_was_to_restart_stops() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.hears(ToAgent::RestartSidecar { reason: "update".into() });
    rig.step(Input::Drain);
    rig.ends(1, 1, done());
    assert!(rig.ack(1, 1, Acked::Complete).contains(&"exit 0".into()));
}

#[test]
fn a_hub_that_comes_back_hears_of_the_drain_again() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.step(Input::Drain);
    rig.step(Input::Disconnected);
    assert_eq!(rig.identify()[0], "> {agent_draining}");
}
