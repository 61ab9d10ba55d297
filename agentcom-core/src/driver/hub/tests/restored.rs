//! This file checks what is out there against a hub that was restored from a backup.

use super::*;
use crate::port::store::{Batch, Table};
use crate::task::TaskState;

/// A copy of what is stored, on a disk of its own.
fn backup(rig: &mut Rig) -> MemoryDisk {
    let handle = rig.handle.clone();
    let seq = rig.ask(handle.view(|state| state.seq())).unwrap();
    let puts = rig.disk.rows().into_iter().collect();
    let copy = MemoryDisk::new();
    let committed = copy.open().commit(Batch { seq, puts, deletes: Vec::new() }).now_or_never();
    committed.unwrap().unwrap();
    copy
}

fn restored(disk: MemoryDisk) -> Rig {
    let clock = ManualClock(AtomicU64::new(2_000_000));
    let store = disk.open();
    let renewed = renew(&store, &clock, Incarnation(8)).now_or_never();
    renewed.unwrap().unwrap();
    drop(store);
    Rig::over(Arc::new(disk.open()), disk, Faults::new(), |builder| builder)
}

fn of(rig: &mut Rig, id: TaskId) -> crate::task::Task {
    let handle = rig.handle.clone();
    rig.ask(handle.task(id)).unwrap().unwrap()
}

#[test]
fn no_lease_task_or_event_gets_a_number_that_was_given_out_after_the_backup() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    let (old, _) = rig.submit(draft());
    let copy = backup(&mut rig);
    let (lost, _) = rig.submit(draft());
    let handle = rig.handle.clone();
    let seen = rig.ask(handle.stats()).unwrap();

    let mut rig = restored(copy);
    let stats = rig.handle.clone();
    let stats = rig.ask(stats.stats()).unwrap();
    assert_eq!((seen.incarnation, stats.incarnation), (Incarnation(7), Incarnation(8)));
    assert!(stats.seq > seen.seq + 1_000_000, "{} after {}", stats.seq, seen.seq);
    let _agent = rig.connect("a");
    let task = of(&mut rig, old);
    let hold = task.life.state.hold().expect("it is given out again");
    assert!(hold.lease.0 > 1 << 32, "lease {}", hold.lease);
    assert_eq!((task.life.failures, task.life.crashes), (0, 0), "the attempt is not spent");
    let handle = rig.handle.clone();
    assert_eq!(rig.ask(handle.task(lost)), Ok(None));
    assert!((0..10).all(|_| rig.submit(draft()).0 != lost));
}

#[test]
fn what_was_under_way_at_the_backup_waits_for_an_agent_after_the_restore() {
    let mut rig = Rig::new();
    let _agent = rig.join("a");
    let (id, _) = rig.submit(draft());
    assert!(of(&mut rig, id).life.state.hold().is_some());
    let copy = backup(&mut rig);
    let mut rig = restored(copy);
    let task = of(&mut rig, id);
    assert!(matches!(task.life.state, TaskState::Ready { .. }), "{:?}", task.life.state);
    let handle = rig.handle.clone();
    let events = rig.ask(handle.events(0, 100)).unwrap();
    let kinds: Vec<_> = events.iter().map(|event| &*event.kind).collect();
    assert_eq!(kinds[kinds.len() - 2..], ["hub.restored", "task.ready"]);
}

#[test]
fn an_empty_store_has_no_life_to_renew() {
    let clock = ManualClock(AtomicU64::new(1));
    let store = MemoryDisk::new().open();
    let error = renew(&store, &clock, Incarnation(8)).now_or_never().unwrap().unwrap_err();
    assert_eq!(error.message, "there is no data set");
}

#[test]
fn a_data_set_can_be_restored_again_and_again() {
    let mut rig = Rig::new();
    rig.submit(draft());
    for _ in 0..5 {
        let copy = backup(&mut rig);
        rig = restored(copy);
    }
    rig.join("a");
    let meta = rig.disk.rows().keys().filter(|key| key.table == Table::Meta).count();
    assert_eq!(meta, 1);
}
