//! This file checks that nobody pays for a store that stands still or is slow.

use std::sync::OnceLock;

use super::*;

#[test]
fn a_store_that_stands_still_costs_nobody_a_lease() {
    let mut rig = Rig::new();
    let agent = rig.join("a");
    let (id, _) = rig.submit(draft());
    agent.outgoing.send(accept(id)).unwrap();
    rig.turn();
    rig.faults.hold();
    let mut call = rig.begin(draft());
    rig.turn();
    assert_eq!(rig.faults.held(), 1);
    // Its agent hears nothing and gives up; its lease of 30 s would be over.
    drop(agent);
    (0..8).for_each(|_| rig.pass(5_000));
    rig.faults.release();
    assert!(rig.ask(&mut call).is_ok());
    (0..8).for_each(|_| rig.pass(5_000));
    let _agent = rig.connect("a");
    let handle = rig.handle.clone();
    let held = rig.ask(handle.view(move |state| state.held().collect::<Vec<_>>()));
    assert_eq!(held, Ok(alloc::vec![id]), "its agent is back, and has it");
    (0..20).for_each(|_| rig.pass(5_000));
    let handle = rig.handle.clone();
    let held = rig.ask(handle.view(move |state| state.held().count()));
    assert_eq!(
        held,
        Ok(1),
        "who is silent afterwards loses what it has, and the other task is out"
    );
}

#[test]
fn what_was_decided_is_stored_soon_however_slow_it_is_to_read() {
    let (disk, faults) = (MemoryDisk::new(), Faults::new());
    let clock = Arc::new(OnceLock::<Arc<ManualClock>>::new());
    let known = Arc::clone(&clock);
    let store = FaultyStore::new(disk.open(), &faults);
    let store = Watched::over(store, move |table, _| {
        if let (Table::Key, Some(clock)) = (table, known.get()) {
            clock.0.fetch_add(30, Ordering::Relaxed);
        }
        Ok(())
    });
    let mut rig = Rig::over(store, disk, faults, |builder| builder);
    let _ = clock.set(Arc::clone(&rig.clock));
    rig.faults.hold();
    let mut calls: Vec<_> = (0..20).map(|n| rig.begin(keyed(&alloc::format!("k-{n}")))).collect();
    rig.turn();
    assert!(rig.faults.release_one());
    rig.turn();
    let told = calls.iter_mut().filter_map(now_of).count();
    assert!((1..5).contains(&told), "{told} were read for before the first was stored");
    rig.faults.release();
    for call in &mut calls[told..] {
        assert!(rig.ask(call).is_ok());
    }
}

#[test]
fn a_key_that_is_used_in_a_commit_that_stands_still_is_known_to_whoever_comes_next() {
    let mut rig = Rig::new();
    rig.faults.hold();
    let mut first = rig.begin(keyed("k"));
    rig.turn();
    rig.pass(2_000);
    let mut second = rig.begin(keyed("k"));
    rig.turn();
    rig.faults.release();
    let told = |reply| match reply {
        Ok(Reply::Submitted(submitted)) => (submitted.id, submitted.existing),
        other => panic!("{other:?}"),
    };
    let (first, second) = (told(rig.ask(&mut first)), told(rig.ask(&mut second)));
    assert_eq!((first.1, second), (false, (first.0, true)));
}
