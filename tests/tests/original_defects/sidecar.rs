//! This file holds defects of the sidecar: results that get lost, work that cannot be stopped,
//! connections that are torn down while it works.

use agentcom_core::command::Command;
use agentcom_core::port::store::Table;
use agentcom_core::task::{Category, Outcome};
use agentcom_core::time::Span;

use crate::rig::{Rig, work};

/// The state and the numbers of failures and crashes of a task.
fn life(rig: &mut Rig, id: agentcom_core::id::TaskId) -> (&'static str, u32, u32) {
    let life = rig.task(id).life;
    (life.state.as_str(), life.failures, life.crashes)
}

/// What a sidecar has written down of its work.
fn jobs_in_journal(rig: &Rig, place: usize) -> usize {
    let rows = rig.sidecars[place].journal.rows();
    rows.keys().filter(|key| key.table == Table::Job).count()
}

#[test]
fn a14_runaway_work_is_stopped_and_its_agent_goes_on() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    let mut endless = work("hang");
    endless.times.timeout = Some(Span::from_secs(30));
    endless.retry.attempts_max = Some(1);
    let id = rig.submit(endless);
    let next = rig.submit(work("done"));
    rig.pass(Span::from_secs(29));
    assert_eq!([rig.word(id), rig.word(next)], ["working", "ready"]);
    rig.pass(Span::from_secs(5));
    assert_eq!([rig.word(id), rig.word(next)], ["dead_letter", "completed"]);
}

#[test]
fn a15_a_restarted_sidecar_still_knows_which_assignment_its_result_is_of() {
    let mut rig = Rig::new();
    let place = rig.sidecar("a", 1);
    let id = rig.submit(work("sleep 10000"));
    rig.pass(Span::from_secs(5));
    rig.kill();
    rig.pass(Span::from_secs(6));
    assert_eq!(rig.noted("ended").len(), 1, "it is done, and nobody can be told");
    rig.kill_sidecar(place);
    rig.restart();
    rig.boot(place, "a");
    assert_eq!(life(&mut rig, id), ("completed", 0, 0));
    assert_eq!(rig.noted("started").len(), 1, "it is not done again");
}

#[test]
fn a18_what_goes_wrong_in_one_job_takes_nobody_along() {
    let mut rig = Rig::new();
    rig.sidecar("a", 2);
    let fine = rig.submit(work("sleep 5000"));
    let mut odd = work("explode");
    odd.retry.attempts_max = Some(1);
    let odd = rig.submit(odd);
    rig.pass(Span::from_secs(6));
    assert_eq!(rig.word(fine), "completed");
    let ended = rig.task(odd).life.attempts[0].ended.clone().unwrap();
    assert_eq!(ended.outcome, Outcome::Failed(Category::Crash));
    assert_eq!(ended.error.as_deref(), Some("panicked: told to explode"));
}

#[test]
fn a36_a_reconnect_and_a_deadline_in_one_life() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    let mut urgent = work("hang");
    urgent.times.complete_by = Some(agentcom_core::time::Wall(1_700_000_000_000 + 90_000));
    let id = rig.submit(urgent);
    rig.pass(Span::from_secs(20));
    rig.restart();
    rig.pass(Span::from_secs(40));
    assert_eq!(life(&mut rig, id), ("working", 0, 0), "it went on over the restart");
    rig.pass(Span::from_secs(60));
    assert_eq!(rig.word(id), "dead_letter");
    let next = rig.submit(work("done"));
    rig.pass(Span::from_secs(5));
    assert_eq!(rig.word(next), "completed", "and the work was stopped");
}

#[test]
fn b01_news_do_not_push_a_result_out() {
    let mut rig = Rig::new();
    let place = rig.sidecar("a", 1);
    let id = rig.submit(work("chatter"));
    rig.pass(Span::from_secs(1));
    assert_eq!(life(&mut rig, id), ("completed", 0, 0));
    assert_eq!(jobs_in_journal(&rig, place), 0, "and the hub has said that it has it");
    let next = rig.submit(work("done"));
    rig.pass(Span(0));
    assert_eq!(rig.word(next), "completed", "the agent gets more work at once");
}

#[test]
fn b02_a_result_that_nobody_is_there_to_hear_waits() {
    let mut rig = Rig::new();
    let place = rig.sidecar("a", 1);
    let id = rig.submit(work("sleep 10000"));
    rig.pass(Span::from_secs(1));
    rig.kill();
    rig.pass(Span::from_secs(20));
    assert_eq!((rig.noted("ended").len(), jobs_in_journal(&rig, place)), (1, 1));
    rig.restart();
    rig.pass(Span::from_secs(60));
    assert_eq!(life(&mut rig, id), ("completed", 0, 0));
    assert_eq!((rig.noted("started").len(), jobs_in_journal(&rig, place)), (1, 0));
}

#[test]
fn b03_failed_work_is_not_recorded_as_done() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    let id = rig.submit(work("fail no such branch"));
    rig.pass(Span::from_secs(30));
    assert_eq!(life(&mut rig, id), ("dead_letter", 3, 0));
    let task = rig.task(id);
    assert_eq!(task.life.last_error(), Some("no such branch"), "it is told why");
    assert_eq!(rig.noted("started").len(), 3, "and it was tried again");
}

#[test]
fn b10_called_off_work_stops_and_does_not_disturb_what_comes_after() {
    let mut rig = Rig::new();
    let place = rig.sidecar("a", 1);
    let id = rig.submit(work("heed"));
    let next = rig.submit(work("sleep 5000"));
    rig.pass(Span::from_secs(1));
    rig.call(Command::Cancel(id)).unwrap();
    rig.pass(Span::from_secs(1));
    assert_eq!(rig.noted("stopped").len(), 1);
    assert_eq!([rig.word(id), rig.word(next)], ["cancelled", "working"]);
    rig.pass(Span::from_secs(10));
    assert_eq!(life(&mut rig, next), ("completed", 0, 0));
    assert_eq!(jobs_in_journal(&rig, place), 0);
    // What does not heed is dropped, and its slot is free as well.
    let deaf = rig.submit(work("hang"));
    rig.pass(Span::from_secs(1));
    rig.call(Command::Cancel(deaf)).unwrap();
    let after = rig.submit(work("done"));
    rig.pass(Span::from_secs(5));
    assert_eq!([rig.word(deaf), rig.word(after)], ["cancelled", "completed"]);
}

#[test]
fn b12_long_work_does_not_keep_an_agent_from_showing_that_it_lives() {
    let mut rig = Rig::new();
    rig.sidecar("a", 1);
    let id = rig.submit(work("sleep 3600000"));
    for _ in 0..59 {
        rig.pass(Span::from_mins(1));
        assert_eq!(life(&mut rig, id), ("working", 0, 0));
        let handle = rig.handle.clone();
        let agents = rig.ask(handle.agents()).unwrap();
        assert!(agents[0].silent_for.unwrap() <= Span::from_secs(5));
    }
    rig.pass(Span::from_mins(2));
    assert_eq!(life(&mut rig, id), ("completed", 0, 0));
}

#[test]
fn b13b_a_bad_token_makes_no_reconnect_loop() {
    let mut rig = Rig::new();
    let place = rig.sidecar("a", 1);
    rig.kill_sidecar(place);
    rig.boot(place, "not its token");
    let naps = rig.clock.naps();
    rig.pass(Span::from_mins(60));
    let tried = rig.clock.naps() - naps;
    assert!(tried < 60 * 12, "{tried} naps in an hour are a loop");
    let handle = rig.handle.clone();
    let agents = rig.ask(handle.agents()).unwrap();
    assert!(agents[0].connected_at.is_none());
    // With the right one it is let in again.
    rig.kill_sidecar(place);
    rig.pass(Span::from_mins(2));
    rig.boot(place, "a");
    let id = rig.submit(work("done"));
    rig.pass(Span::from_secs(1));
    assert_eq!(rig.word(id), "completed");
}

#[test]
fn b34_whoever_leaves_in_the_middle_of_something_has_it_written_down() {
    for after in [0, 10, 500, 5_000, 29_999] {
        let mut rig = Rig::new();
        let place = rig.sidecar("a", 1);
        let id = rig.submit(work("hang"));
        rig.pass(Span::from_secs(1));
        rig.sidecars[place].handle.as_ref().unwrap().drain();
        rig.pass(Span(after));
        rig.kill_sidecar(place);
        assert_eq!(jobs_in_journal(&rig, place), 1, "killed {after} ms into its drain");
        rig.boot(place, "a");
        let (state, failures, crashes) = life(&mut rig, id);
        assert_eq!((failures, crashes), (0, 1), "{state}: it is reported as lost, and once");
    }
}
