//! This file writes down the whole table of moves: a changed rule is a changed cell.

use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec;
use core::fmt::Write as _;

use expect_test::expect;

use super::*;
use crate::id::QuestionId;
use crate::name::AgentId;
use crate::task::Shortfall;
use crate::time::Span;

const AT: Wall = Wall(100);
const OTHER: TaskId = TaskId(7);
const PLACE: Place = Place { order: 3, tag: 4 };

fn hold(lease: u64) -> Hold {
    Hold { agent: AgentId::new("a").unwrap(), lease: Lease(lease), since: Wall(50) }
}

fn fence() -> Fence {
    hold(1).fence()
}

fn ready() -> TaskState {
    TaskState::Ready { since: Wall(1), place: Place::default() }
}

/// A life in `state`; one that is past its first assignment lost that, unless it holds it still.
fn life(state: TaskState) -> Life {
    let born = Life::new(ready(), Wall(1));
    if matches!(state, TaskState::Blocked { .. }) {
        return Life { state, ..born };
    }
    let mut life = born.on(Wall(50), TaskEvent::Assign(hold(1), None)).unwrap();
    if state.hold().is_none() {
        let lost = ended(Outcome::LeaseLost);
        life = life.on(Wall(60), TaskEvent::End(fence(), lost, ready())).unwrap();
    }
    Life { state, ..life }
}

fn ended(outcome: Outcome) -> Ended {
    Ended::new(Wall(60), outcome)
}

fn failed(id: TaskId) -> FailedDependency {
    FailedDependency { id, ended: Shortfall::Partial }
}

fn finish() -> Box<Finish> {
    Box::new(Finish { tokens: Some(5), ..Finish::default() })
}

fn states() -> Vec<TaskState> {
    vec![
        TaskState::Blocked { on: vec![OTHER] },
        TaskState::Delayed(Delay::Backoff(Span(9))),
        ready(),
        TaskState::Assigned(hold(1)),
        TaskState::Working(hold(1)),
        TaskState::Waiting { on: Wait::Question(QuestionId(2)), until: Wall(999) },
        TaskState::Completed,
        TaskState::Partial,
        TaskState::Dead(Death::Exhausted),
        TaskState::Cancelled,
    ]
}

fn events() -> Vec<(&'static str, TaskEvent)> {
    use TaskEvent as E;
    vec![
        ("unblock", E::Unblock(OTHER, ready())),
        ("unblock by another", E::Unblock(TaskId(8), ready())),
        ("fail dependency", E::FailDependency(failed(OTHER))),
        ("fail another", E::FailDependency(failed(TaskId(8)))),
        ("due", E::Due(PLACE, None)),
        ("assign", E::Assign(hold(2), None)),
        ("assign an old lease", E::Assign(hold(1), None)),
        ("accept", E::Accept(fence())),
        ("finish", E::Finish(fence(), Outcome::Completed, finish())),
        ("finish in part", E::Finish(fence(), Outcome::Partial, finish())),
        ("finish late", E::FinishLate(fence(), Outcome::Completed, finish())),
        ("end", E::End(fence(), ended(Outcome::TimedOut), ready())),
        ("kill", E::Kill(Death::Deadline)),
        ("cancel", E::Cancel),
        ("revive", E::Revive(PLACE)),
    ]
}

/// The table of what `cell` says of each move.
fn table(cell: impl Fn(&Life, Result<Life, Refused>) -> String) -> String {
    let mut table = format!("{:<20}", "");
    for state in states() {
        write!(table, "{:<12}", state.as_str()).unwrap();
    }
    for (word, event) in events() {
        table.truncate(table.trim_end().len());
        write!(table, "\n{word:<20}").unwrap();
        for state in states() {
            let before = life(state);
            write!(table, "{:<12}", cell(&before, before.on(AT, event.clone()))).unwrap();
        }
    }
    table.truncate(table.trim_end().len());
    table + "\n"
}

fn refusal(refused: Refused) -> String {
    match refused {
        Refused::Stale => "! stale",
        Refused::NotHolder => "! holder",
        Refused::Over => "! over",
        Refused::OutOfTurn => "-",
    }
    .to_string()
}

#[test]
fn a_life_moves_by_this_table() {
    let table = table(|_, after| match after {
        Ok(after) => after.state.as_str().to_string(),
        Err(refused) => refusal(refused),
    });
    expect![[r#"
                            blocked     delayed     ready       assigned    working     waiting     completed   partial     dead_letter cancelled
        unblock             ready       -           -           -           -           -           ! over      ! over      ! over      ! over
        unblock by another  -           -           -           -           -           -           ! over      ! over      ! over      ! over
        fail dependency     dead_letter -           -           -           -           -           ! over      ! over      ! over      ! over
        fail another        -           -           -           -           -           -           ! over      ! over      ! over      ! over
        due                 -           ready       -           -           -           ready       ! over      ! over      ! over      ! over
        assign              -           -           assigned    -           -           -           ! over      ! over      ! over      ! over
        assign an old lease -           -           ! stale     -           -           -           ! over      ! over      ! over      ! over
        accept              ! stale     ! stale     ! stale     working     working     ! stale     ! stale     ! stale     ! stale     ! stale
        finish              ! stale     ! stale     ! stale     completed   completed   ! stale     ! stale     ! stale     ! stale     ! stale
        finish in part      ! stale     ! stale     ! stale     partial     partial     ! stale     ! stale     ! stale     ! stale     ! stale
        finish late         ! stale     completed   completed   ! stale     ! stale     completed   ! stale     ! stale     ! stale     ! stale
        end                 ! stale     ! stale     ! stale     ready       ready       ! stale     ! stale     ! stale     ! stale     ! stale
        kill                dead_letter dead_letter dead_letter dead_letter dead_letter dead_letter ! over      ! over      ! over      ! over
        cancel              cancelled   cancelled   cancelled   cancelled   cancelled   cancelled   ! over      ! over      ! over      ! over
        revive              -           -           -           -           -           -           ! over      ! over      ready       ! over
    "#]].assert_eq(&table);
}

#[test]
fn foreign_words_about_a_held_task_are_refused_by_this_table() {
    let strangers = [
        ("another lease", Fence { lease: Lease(2), ..fence() }),
        ("another agent", Fence { agent: AgentId::new("b").unwrap(), ..fence() }),
    ];
    let mut table = String::new();
    for (word, fence) in strangers {
        let late = (ready(), TaskEvent::FinishLate(fence.clone(), Outcome::Completed, finish()));
        let held = TaskState::Working(hold(1));
        let words = [
            ("accept", (held.clone(), TaskEvent::Accept(fence.clone()))),
            (
                "finish",
                (held.clone(), TaskEvent::Finish(fence.clone(), Outcome::Completed, finish())),
            ),
            ("end", (held, TaskEvent::End(fence, ended(Outcome::TimedOut), ready()))),
            ("late", late),
        ];
        for (what, (state, event)) in words {
            let answer = life(state).on(AT, event).map_or_else(refusal, |_| "done".into());
            writeln!(table, "{word} {what:<7} {answer}").unwrap();
        }
    }
    expect![[r#"
        another lease accept  ! stale
        another lease finish  ! stale
        another lease end     ! stale
        another lease late    ! stale
        another agent accept  ! holder
        another agent finish  ! holder
        another agent end     ! holder
        another agent late    ! holder
    "#]]
    .assert_eq(&table);
}

#[test]
fn ends_are_counted_by_this_table() {
    let outcomes = [
        Outcome::Completed,
        Outcome::Partial,
        Outcome::Failed(Category::Retryable),
        Outcome::Failed(Category::Permanent),
        Outcome::Failed(Category::Quota),
        Outcome::Failed(Category::Crash),
        Outcome::TimedOut,
        Outcome::NotAccepted,
        Outcome::LeaseLost,
        Outcome::Released,
        Outcome::CalledOff,
    ];
    let mut table = String::new();
    for outcome in outcomes {
        let event = TaskEvent::End(fence(), ended(outcome), ready());
        let after = life(TaskState::Working(hold(1))).on(AT, event).unwrap();
        let word = format!("{outcome:?}");
        writeln!(table, "{word:<18} failures {} crashes {}", after.failures, after.crashes)
            .unwrap();
    }
    expect![[r#"
        Completed          failures 0 crashes 0
        Partial            failures 0 crashes 0
        Failed(Retryable)  failures 1 crashes 0
        Failed(Permanent)  failures 1 crashes 0
        Failed(Quota)      failures 0 crashes 0
        Failed(Crash)      failures 0 crashes 1
        TimedOut           failures 1 crashes 0
        NotAccepted        failures 1 crashes 0
        LeaseLost          failures 0 crashes 1
        Released           failures 0 crashes 0
        CalledOff          failures 0 crashes 0
    "#]]
    .assert_eq(&table);
}

#[test]
fn only_a_lost_lease_can_be_made_good_by_a_late_result() {
    let late = || TaskEvent::FinishLate(fence(), Outcome::Completed, finish());
    for outcome in [Outcome::TimedOut, Outcome::Released, Outcome::Failed(Category::Crash)] {
        let held = life(TaskState::Working(hold(1)));
        let after = held.on(AT, TaskEvent::End(fence(), ended(outcome), ready())).unwrap();
        assert_eq!(after.on(AT, late()), Err(Refused::Stale), "{outcome:?}");
    }
    assert!(life(ready()).on(AT, late()).is_ok());
}

#[test]
fn attempts_are_kept_up_to_a_bound_and_the_lease_never_rewinds() {
    let mut life = Life::new(ready(), Wall(1));
    for lease in 1..=30 {
        life = life.on(AT, TaskEvent::Assign(hold(lease), None)).unwrap();
        let lost = ended(Outcome::LeaseLost);
        life = life.on(AT, TaskEvent::End(hold(lease).fence(), lost, ready())).unwrap();
    }
    let kept: Vec<u64> = life.attempts.iter().map(|attempt| attempt.lease.0).collect();
    assert_eq!(kept, (11..=30).collect::<Vec<_>>());
    let dead = life.on(AT, TaskEvent::Kill(Death::Crashed)).unwrap();
    let again = dead.on(AT, TaskEvent::Revive(PLACE)).unwrap();
    assert_eq!((again.lease, again.failures, again.crashes), (Lease(30), 0, 0));
    assert_eq!(again.on(AT, TaskEvent::Assign(hold(30), None)), Err(Refused::Stale));
}
