//! This file holds defects of a hub that runs for long: ticks, stalls, history that is lost.

use agentcom_core::command::Command;
use agentcom_core::time::Span;

use crate::rig::{Rig, work};

#[test]
fn b18_an_idle_hub_does_not_spin() {
    let mut rig = Rig::new();
    // Until whoever could come back after the start has.
    rig.pass(Span::from_mins(2));
    let naps = rig.clock.naps();
    rig.pass(Span::from_mins(24 * 60));
    assert_eq!(rig.clock.naps(), naps);
    assert_eq!(rig.faults.commits(), 1, "only the data set was made");
}

#[test]
fn b19_a_full_queue_costs_no_ticks() {
    let mut rig = Rig::new();
    for _ in 0..5 {
        rig.call(Command::SubmitBatch(vec![work("any"); 1_000])).unwrap();
    }
    let mut agent = rig.join("a", 1);
    rig.hear(&mut agent);
    drop(agent);
    rig.pass(Span::from_mins(10));
    let naps = rig.clock.naps();
    rig.pass(Span::from_mins(60));
    assert!(rig.clock.naps() - naps <= 2, "{} wakes in an hour", rig.clock.naps() - naps);
}

#[test]
fn a20_history_outlives_who_wrote_it() {
    let mut rig = Rig::new();
    let id = rig.submit(work("any"));
    rig.call(Command::Cancel(id)).unwrap();
    let handle = rig.handle.clone();
    let before = rig.ask(handle.events(0, 100)).unwrap();
    rig.restart();
    let handle = rig.handle.clone();
    assert_eq!(rig.ask(handle.events(0, 100)).unwrap(), before);
    assert!(before.iter().any(|event| &*event.kind == "task.cancelled"));
}

#[test]
fn b48_a_slow_store_breaks_no_reader() {
    let mut rig = Rig::new();
    rig.submit(work("any"));
    rig.faults.hold();
    let handle = rig.handle.clone();
    let mut slow = Box::pin(
        handle.call(agentcom_core::name::Principal::Admin, Command::Submit(work("any").into())),
    );
    assert!(futures_util::FutureExt::now_or_never(&mut slow).is_none());
    rig.turn();
    // Readers of what is in memory and of what has ended wait for what they saw, or are answered.
    let handle = rig.handle.clone();
    let mut stats = Box::pin(async { handle.stats().await.map(|stats| stats.seq) });
    assert!(futures_util::FutureExt::now_or_never(&mut stats).is_none());
    rig.pass(Span::from_mins(5));
    assert!(rig.ended.is_none(), "{:?}", rig.ended);
    rig.faults.release();
    assert!(rig.ask(slow).is_ok());
    assert!(rig.ask(stats).is_ok());
}

#[test]
fn b49_a_death_is_one_change() {
    // Whatever moment the store fails at, the task is alive or dead, and never both or neither.
    for stored in [false, true] {
        let mut rig = Rig::new();
        let mut agent = rig.join("a", 1);
        let mut fragile = work("any");
        fragile.retry.attempts_max = Some(1);
        let id = rig.submit(fragile);
        let held = rig.assigned(&mut agent).remove(0);
        rig.tell(&agent, "task_accepted", &held);
        let next = rig.faults.commits() + 1;
        if stored {
            rig.faults.fail_after(next)
        } else {
            rig.faults.fail_before(next)
        }
        rig.tell(&agent, "task_failed", &held);
        assert!(rig.ended.is_some(), "the hub stops when its store fails");
        rig.restart();
        assert_eq!(rig.word(id), if stored { "dead_letter" } else { "working" });
        let handle = rig.handle.clone();
        let page = rig.ask(handle.tasks(agentcom_core::view::TaskQuery::default())).unwrap();
        assert_eq!(page.tasks.len(), 1);
    }
}
