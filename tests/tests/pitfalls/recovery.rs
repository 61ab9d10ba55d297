//! This file holds pitfalls of recovery: herds, bad rows, work that falls between two steps, work
//! that agents keep without doing it.

use std::collections::{BTreeMap, BTreeSet};

use agentcom_core::change::decode;
use agentcom_core::config::HubConfig;
use agentcom_core::name::Capability;
use agentcom_core::port::store::{Batch, RowKey, Store as _, Table};
use agentcom_core::state::{Due, When};
use agentcom_core::task::{Category, Draft};
use agentcom_core::testing::bench::Bench;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::Span;
use agentcom_core::view::Event;
use agentcom_core::wire::Dialect;
use futures_util::FutureExt as _;

use super::{draft, next_work};
use crate::rig::{Rig, work};

#[test]
fn p07_work_that_was_lost_all_at_once_does_not_come_back_all_at_once() {
    const LOST: usize = 1_000;
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, LOST as u32, &[]);
    let ids: Vec<_> = (0..LOST).map(|_| bench.submit(draft())).collect();
    for held in bench.assigned(agent) {
        bench.accept(agent, held);
    }
    bench.leave(agent);
    let all = ids.iter().map(|id| bench.hub.state().clocks(*id).unwrap().lease).max().unwrap();
    // No step takes them all back, ..
    bench.pass(Span((all - bench.now.mono).as_millis() - 1));
    bench.now.mono = all;
    bench.step(agentcom_core::hub::Input::Wake);
    let back = |bench: &Bench| ids.iter().filter(|id| bench.word(**id) == "delayed").count();
    assert!((1..LOST).contains(&back(&bench)), "{} in one step", back(&bench));
    bench.pass(Span(0));
    assert_eq!(back(&bench), LOST, "the rest is not kept waiting for time to pass");
    // .. and each comes back at a moment of its own: soon, but not at once.
    let due = |id| match bench.hub.state().alarms().when(&Due::Backoff(id)) {
        Some(When::Mono(at)) => at - bench.now.mono,
        other => panic!("{other:?}"),
    };
    let waits: BTreeSet<_> = ids.iter().map(|id| due(*id)).collect();
    assert!(waits.len() > 150, "{} moments", waits.len());
    let (first, last) = (waits.first().unwrap(), waits.last().unwrap());
    assert!(*first >= Span::from_secs(1) && *last <= Span::from_secs(2), "{first} to {last}");
}

#[test]
fn p07_what_is_lost_again_waits_for_longer() {
    let mut bench = Bench::with(HubConfig { crashes_max: 100, ..HubConfig::default() });
    let id = bench.submit(draft());
    let mut waits = Vec::new();
    for n in 0..5 {
        let name = format!("a{n}");
        let agent = bench.join(&name, Dialect::V1, 1, &[]);
        let held = next_work(&mut bench, agent, &name).unwrap();
        bench.accept(agent, held);
        bench.leave(agent);
        while bench.word(id) != "delayed" {
            bench.pass_to_wake(bench.now.mono + Span::from_mins(1));
        }
        let Some(When::Mono(at)) = bench.hub.state().alarms().when(&Due::Backoff(id)) else {
            panic!("it waits")
        };
        waits.push(at - bench.now.mono);
    }
    assert!(waits.windows(2).all(|pair| pair[1] > pair[0]), "{waits:?}");
}

/// A disk with this content.
fn disk_of(seq: Option<u64>, rows: BTreeMap<RowKey, Vec<u8>>) -> MemoryDisk {
    let disk = MemoryDisk::new();
    let batch = Batch { seq: seq.unwrap(), puts: rows.into_iter().collect(), deletes: vec![] };
    disk.open().commit(batch).now_or_never().unwrap().unwrap();
    disk
}

#[test]
fn p08_one_damaged_row_does_not_stop_the_upkeep_of_the_rest() {
    let disk = MemoryDisk::new();
    let config = HubConfig { events_max: 100, ..HubConfig::default() };
    let mut rig = Rig::over(disk.clone(), config.clone());
    for _ in 0..20 {
        rig.submit(work("any"));
    }
    rig.kill();
    let events = |disk: &MemoryDisk| -> Vec<RowKey> {
        disk.rows().into_keys().filter(|key| key.table == Table::Event).collect()
    };
    let first = events(&disk).remove(0);
    let later = events(&disk).remove(10);
    let snapshot = disk.snapshot();
    let mut rows = snapshot.rows.clone();
    for key in [&first, &later] {
        rows.get_mut(key).unwrap().truncate(3);
        assert!(decode::<Vec<Event>>(Table::Event, &key.key, &rows[key]).is_err());
    }
    let rotten = disk_of(snapshot.seq, rows);
    let mut rig = Rig::over(rotten.clone(), config);
    for _ in 0..2_000 {
        rig.submit(work("any"));
    }
    assert!(rig.ended.is_none(), "{:?}", rig.ended);
    let left = events(&rotten);
    assert!(!left.contains(&first) && !left.contains(&later), "damaged rows go like the others");
    assert!(left.len() < 100 + 600, "{} rows of events are kept", left.len());
}

#[test]
fn p09_lost_work_waits_for_an_agent_that_can_do_it() {
    let mut bench = Bench::new();
    let id = bench.submit(Draft { needs: vec![Capability::new("gpu").unwrap()], ..draft() });
    let able = bench.join("able", Dialect::V1, 1, &["gpu"]);
    let held = bench.assigned(able)[0];
    bench.accept(able, held);
    let unable = bench.join("unable", Dialect::V1, 1, &[]);
    bench.leave(able);
    for _ in 0..60 {
        bench.pass(Span::from_secs(5));
        bench.ping(unable, &[]);
    }
    assert_eq!(bench.word(id), "ready", "it is neither given to who cannot do it nor given up");
    assert!(bench.assigned(unable).is_empty());
    // Nor can somebody who does not hold it decide what becomes of it.
    bench.fail(unable, held, Category::Permanent);
    assert_eq!(bench.word(id), "ready");
    let able = bench.join("able", Dialect::V1, 1, &["gpu"]);
    assert_eq!(bench.serve(able), Some(id));
}

#[test]
fn p10_a_grant_is_stored_before_it_is_sent() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a", 1);
    rig.faults.hold();
    let handle = rig.handle.clone();
    let mut call = Box::pin(taken(&handle));
    assert!((&mut call).now_or_never().is_none());
    rig.turn();
    assert!(rig.assigned(&mut agent).is_empty(), "its commit is under way");
    rig.faults.release();
    assert_eq!(rig.assigned(&mut agent).len(), 1);
}

/// Whether a task was taken in, as its submitter knows.
async fn taken(handle: &agentcom_core::driver::Handle) -> bool {
    let command = agentcom_core::command::Command::Submit(work("any").into());
    handle.call(agentcom_core::name::Principal::Admin, command).await.is_ok()
}

#[test]
fn p10_a_grant_that_was_stored_and_never_sent_is_not_lost() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a", 1);
    let next = rig.faults.commits() + 1;
    // The task and its assignment become durable; then the store is gone before anybody hears.
    rig.faults.fail_after(next);
    let handle = rig.handle.clone();
    assert!(!rig.ask(taken(&handle)), "nobody was told that it is taken");
    assert!(rig.assigned(&mut agent).is_empty());
    rig.restart();
    let stored = rig.disk.rows().keys().filter(|key| key.table == Table::Life).count();
    assert_eq!(stored, 1);
    // Its agent is told when it is back, ..
    let mut agent = rig.connect("a", 1);
    let told = rig.assigned(&mut agent);
    assert_eq!(told.len(), 1, "{told:?}");
    // .. and if it never comes, another one is.
    drop(agent);
    let mut other = rig.join("b", 1);
    let again = (0..20).find_map(|_| {
        rig.pass(Span::from_secs(5));
        rig.beat(&other, &[]);
        rig.assigned(&mut other).pop()
    });
    let again = again.unwrap();
    assert!(again["generation"].as_u64() > told[0]["generation"].as_u64());
}

#[test]
fn p21_what_was_handed_out_and_not_begun_comes_back_within_a_minute() {
    let mut bench = Bench::new();
    let hoarder = bench.join("hoarder", Dialect::V1, 8, &[]);
    let ids: Vec<_> = (0..8).map(|_| bench.submit(draft())).collect();
    let held = bench.assigned(hoarder);
    assert_eq!(held.len(), 8);
    bench.accept(hoarder, held[0]);
    for _ in 0..12 {
        bench.pass(Span::from_secs(5));
        bench.ping(hoarder, &held);
    }
    let back = ids.iter().filter(|id| bench.state(**id).hold().is_none()).count();
    assert_eq!(back, 7, "all that it did not begin, and nothing that it did");
}

#[test]
fn p21_a_crashed_agent_keeps_what_it_had_not_begun_for_a_lease_and_no_longer() {
    let mut bench = Bench::new();
    let hoarder = bench.join("hoarder", Dialect::V1, 8, &[]);
    let ids: Vec<_> = (0..8).map(|_| bench.submit(draft())).collect();
    bench.leave(hoarder);
    bench.pass(Span::from_secs(30));
    assert!(ids.iter().all(|id| bench.state(*id).hold().is_none()));
}

#[test]
fn p23_a_drain_spends_no_attempt_and_what_it_gives_back_comes_first() {
    let mut rig = Rig::new();
    let leaving = rig.sidecar("leaving", 1);
    let id = rig.submit(work("heed"));
    let behind = rig.submit(work("done"));
    rig.pass(Span::from_secs(1));
    assert_eq!([rig.word(id), rig.word(behind)], ["working", "ready"]);
    rig.sidecars[leaving].handle.as_ref().unwrap().drain();
    rig.pass(Span::from_secs(60));
    assert!(rig.sidecars[leaving].ended.is_some(), "it has left");
    let life = rig.task(id).life;
    assert_eq!((life.failures, life.crashes), (0, 0));
    rig.sidecar("staying", 1);
    let started = rig.noted("started");
    assert_eq!(started[1].task, id, "in front of what came behind it");
    assert!(started[1].lease > started[0].lease);
}
