//! This file checks that the loop is fair, ends when asked, and keeps house.

use core::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::HubConfig;
use crate::port::store::Table;
use crate::time::Span;

#[test]
fn a_flood_of_calls_does_not_keep_frames_waiting() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a");
    heard(&mut agent);
    rig.faults.hold();
    let calls: Vec<_> = (0..3_000).map(|_| rig.begin(draft())).collect();
    agent.outgoing.send(ping()).unwrap();
    rig.turn();
    assert!(rig.faults.release_one());
    rig.turn();
    let heard = heard(&mut agent);
    assert!(heard.iter().any(|frame| frame.contains("pong")), "{heard:?}");
    rig.faults.release();
    drop(calls);
}

#[test]
fn a_hub_that_is_asked_to_stop_does_so_whatever_its_agents_say() {
    let mut rig = Rig::new();
    let agent = rig.join("a");
    let (id, _) = rig.submit(draft());
    rig.faults.hold();
    // Each acceptance is a change of its own.
    agent.outgoing.send(accept(id)).unwrap();
    rig.turn();
    rig.handle.stop();
    for _ in 0..10 {
        let _ = agent.outgoing.send(accept(id));
        rig.turn();
        rig.faults.release_one();
    }
    assert!(matches!(rig.ended, Some(Ok(()))), "{:?}", rig.ended);
}

#[test]
fn a_hub_that_is_gone_says_so_for_ever() {
    let mut rig = Rig::new();
    rig.handle.stop();
    rig.turn();
    rig.turn();
    assert!(rig.ended.is_some());
    for _ in 0..5_000 {
        assert_eq!(rig.call(Command::Cancel(TaskId(1))), Err(CallError::Stopped));
    }
}

#[test]
fn there_are_no_events_after_the_last_number_there_is() {
    let mut rig = Rig::new();
    let handle = rig.handle.clone();
    assert_eq!(rig.ask(handle.events(u64::MAX, 10)), Ok(Vec::new()));
}

#[test]
fn a_hub_that_was_frozen_hears_its_agents_before_it_takes_their_leases() {
    let mut rig = Rig::new();
    let mut agent = rig.join("a");
    let (id, _) = rig.submit(draft());
    agent.outgoing.send(accept(id)).unwrap();
    rig.turn();
    rig.clock.0.fetch_add(60_000, Ordering::Relaxed);
    agent
        .outgoing
        .send(alloc::format!(
            r#"{{"type":"task_complete","task_id":"{id}","generation":1,"result":1}}"#
        ))
        .unwrap();
    rig.turn();
    rig.turn();
    let said = heard(&mut agent);
    assert!(said.iter().any(|frame| frame.contains(r#""status":"complete""#)), "{said:?}");
    let lag = rig.handle.lag();
    assert_eq!(lag.max, Span(60_000 - 5_000), "it was late for its own watch");
}

#[test]
fn a_damaged_row_of_history_stops_only_whoever_asks_for_it() {
    let (disk, faults) = (MemoryDisk::new(), Faults::new());
    // All that is ended has rotted, and so have the events.
    let store = Watched::over(disk.open(), |table, keys| {
        if !matches!(table, Table::Ended | Table::Event) {
            return Ok(());
        }
        let key = keys.first().copied().unwrap_or_default();
        Err(StoreError::corrupt(table, key, "rotten"))
    });
    let mut rig = Rig::over(store, disk, faults, |builder| builder);
    let (id, _) = rig.submit(draft());
    assert!(rig.call(Command::Cancel(id)).is_ok());
    let again = rig.call(Command::Cancel(id));
    assert!(
        matches!(again, Err(CallError::Store { kind: StoreErrorKind::Corrupt, .. })),
        "{again:?}"
    );
    let mut agent = rig.join("a");
    heard(&mut agent);
    agent
        .outgoing
        .send(alloc::format!(r#"{{"type":"task_complete","task_id":"{id}","generation":1}}"#))
        .unwrap();
    rig.turn();
    let heard = heard(&mut agent);
    assert!(heard.iter().any(|frame| frame.contains("task_ack")), "{heard:?}");
    for _ in 0..300 {
        rig.submit(draft());
    }
    assert!(rig.ended.is_none(), "{:?}", rig.ended);
}

#[test]
fn old_events_are_let_go_a_few_rows_at_a_time() {
    let (disk, faults) = (MemoryDisk::new(), Faults::new());
    let most = Arc::new(AtomicUsize::new(0));
    let noted = Arc::clone(&most);
    let store = Watched::over(disk.open(), move |table, keys| {
        if table == Table::Event {
            noted.fetch_max(keys.len(), Ordering::Relaxed);
        }
        Ok(())
    });
    let mut rig = Rig::over(store, disk, faults, |builder| {
        builder.config(HubConfig { events_max: 100, ..HubConfig::default() })
    });
    for _ in 0..1_200 {
        rig.submit(draft());
    }
    // A row may be as large as a commit, and the loop waits while they are read.
    assert_eq!(most.load(Ordering::Relaxed), 16);
    let left = rig.disk.rows().keys().filter(|key| key.table == Table::Event).count();
    assert!(left < 100 + 300, "{left} rows of events are kept");
}
