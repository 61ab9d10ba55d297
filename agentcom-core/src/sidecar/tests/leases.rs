//! This file tests how leases are renewed, lost and outlived.

use super::*;

fn lost(task: u64, lease: u64) -> Vec<Held> {
    alloc::vec![claim(task, lease).held()]
}

#[test]
fn held_work_is_listed_in_each_ping() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    rig.assign(assignment(2, 5));
    assert_eq!(rig.next().1, ["> ping [1/1 2/5]"]);
}

#[test]
fn a_lease_is_counted_from_before_the_ping_that_renewed_it() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ms += 5000;
    rig.wake();
    let pinged = rig.ms;
    rig.ms += 4000;
    rig.pong();
    rig.step(Input::Disconnected);
    let until = rig.sidecar.jobs.get(claim(1, 1)).unwrap().stop_at();
    // Thirty seconds of lease, six of them to stop in.
    assert_eq!(until, Some(Mono(pinged + 24_000)));
}

#[test]
fn a_first_lease_is_counted_from_before_the_last_answer_of_the_hub() {
    let mut rig = Rig::online(1);
    let heard = rig.ms;
    rig.ms += 3000;
    rig.assign(assignment(1, 1));
    assert_eq!(rig.sidecar.jobs.get(claim(1, 1)).unwrap().stop_at(), Some(Mono(heard + 24_000)));
}

#[test]
fn work_stops_before_a_lease_that_cannot_be_renewed_runs_out() {
    let mut rig = Rig::online(1);
    let heard = rig.ms;
    rig.assign(assignment(1, 1));
    rig.step(Input::Disconnected);
    loop {
        let (wake, said) = rig.next();
        rig.step(Input::Unreachable("down".into()));
        if wake == Some(Wake::Lease(claim(1, 1))) {
            assert_eq!(rig.ms - heard, 24_000);
            assert!(said.contains(&"stop 1/1".into()), "{said:?}");
            break;
        }
    }
    rig.ends(1, 1, JobOutcome::Stopped);
    let said = rig.identify();
    let nobody_is_blamed = "> {task_released,t1,generation:1}";
    assert_eq!(said, [nobody_is_blamed, "> ping []"]);
}

#[test]
fn work_that_may_outlive_its_lease_does_and_reports_late() {
    let mut rig = Rig::online(1);
    let mut lasting = assignment(1, 1);
    lasting.on_lease_loss = LeaseLoss::Continue;
    rig.assign(lasting);
    rig.step(Input::Disconnected);
    rig.ms += 100_000;
    assert!(rig.wake().iter().all(|line| !line.starts_with("stop")));
    rig.step(Input::Unreachable("down".into()));
    let said = rig.identify();
    assert_eq!(said, ["> {task_accepted,t1,generation:1}", "> ping [1/1]"]);
    let said = rig.pong_without(lost(1, 1));
    assert!(said[0].contains("works on"), "{said:?}");
    assert_eq!(rig.next().1, ["> ping []"]);
    let said = rig.ends(1, 1, done());
    assert_eq!(said[1], "> {task_complete,t1,generation:1,result:1}");
}

#[test]
fn work_whose_lease_the_hub_did_not_renew_is_stopped_and_forgotten() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    rig.assign(assignment(2, 1));
    rig.next();
    assert_eq!(rig.pong_without(lost(1, 1)), ["stop 1/1"]);
    assert_eq!(rig.ends(1, 1, JobOutcome::Stopped), ["erase row"]);
    assert_eq!(rig.next().1, ["> ping [2/1]"]);
}

#[test]
fn a_lease_that_no_ping_listed_is_not_lost_by_its_answer() {
    let mut rig = Rig::online(1);
    rig.next();
    rig.assign(assignment(1, 1));
    assert!(rig.pong_without(lost(1, 1)).is_empty());
}

#[test]
fn running_work_is_listed_right_after_a_reconnect_behind_what_the_hub_missed() {
    let mut rig = Rig::online(2);
    rig.assign(assignment(1, 1));
    rig.ack(1, 1, Acked::Accepted);
    rig.assign(assignment(2, 1));
    rig.step(Input::Disconnected);
    assert_eq!(rig.identify(), ["> {task_accepted,t2,generation:1}", "> ping [1/1 2/1]"]);
}

#[test]
fn a_short_lease_is_confirmed_before_work_starts_and_pinged_three_times() {
    let mut rig = Rig::online(1);
    rig.ms += 3000;
    let mut brief = assignment(1, 1);
    brief.lease_ttl_ms = Span::from_secs(6);
    let said = rig.assign(brief);
    assert_eq!(said[1..], ["> {task_accepted,t1,generation:1}", "> ping [1/1]"]);
    assert_eq!(rig.pong(), ["start 1/1"]);
    let pinged = rig.ms;
    assert_eq!(rig.next(), (Some(Wake::Ping), alloc::vec!["> ping [1/1]".into()]));
    assert_eq!(rig.ms - pinged, 2000);
}

#[test]
fn work_with_a_lease_shorter_than_the_silence_before_it_waits_for_the_confirmation() {
    let mut rig = Rig::online(1);
    rig.ms += 4900;
    let mut brief = assignment(1, 1);
    brief.lease_ttl_ms = Span::from_secs(5);
    let said = rig.assign(brief);
    assert_eq!(said[1..], ["> {task_accepted,t1,generation:1}", "> ping [1/1]"]);
    assert!(rig.after(200, Input::Wake).is_empty(), "it is not given back");
    assert_eq!(rig.pong(), ["start 1/1"]);
}

#[test]
fn work_that_never_had_a_sure_lease_is_given_back_unstarted() {
    let mut rig = Rig::online(1);
    rig.ms += 3000;
    let mut brief = assignment(1, 1);
    brief.lease_ttl_ms = Span::from_secs(6);
    rig.assign(brief);
    rig.step(Input::Disconnected);
    rig.ms += 6000;
    let said = rig.wake();
    assert!(said[0].starts_with("store 1/1 waits to be reported as released"), "{said:?}");
    assert!(said.iter().all(|line| !line.starts_with("start")));
}

#[test]
fn a_machine_that_slept_through_a_lease_stops_its_work_when_it_wakes() {
    let mut rig = Rig::online(1);
    rig.assign(assignment(1, 1));
    rig.ms += 8 * 3_600_000;
    assert!(rig.wake().contains(&"stop 1/1".into()));
}
