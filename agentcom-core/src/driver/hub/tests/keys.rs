//! This file checks that idempotency keys are kept for their time, and no longer.

use super::*;
use crate::command::Rejected;
use crate::config::HubConfig;
use crate::port::store::Table;
use crate::task::{Dependency, Shortfall};
use crate::time::Span;

#[test]
fn a_key_that_is_used_again_after_its_time_is_kept_for_all_of_the_next() {
    let kept = Span::from_mins(10);
    let mut rig =
        Rig::with(|builder| builder.config(HubConfig { key_kept: kept, ..HubConfig::default() }));
    let (first, _) = rig.submit(keyed("weekly"));
    rig.pass(kept.0 + 1);
    let (second, existing) = rig.submit(keyed("weekly"));
    assert!(first != second && !existing);
    for _ in 0..600 {
        rig.submit(draft());
    }
    assert_eq!(rig.submit(keyed("weekly")), (second, true));
}

#[test]
fn keys_are_let_go_as_fast_as_they_come() {
    let kept = Span::from_mins(10);
    let mut rig =
        Rig::with(|builder| builder.config(HubConfig { key_kept: kept, ..HubConfig::default() }));
    for batch in 0..5 {
        let drafts = (0..1_000).map(|n| keyed(&alloc::format!("{batch}-{n}"))).collect();
        assert!(rig.call(Command::SubmitBatch(drafts)).is_ok());
    }
    rig.pass(kept.0 + 1);
    for _ in 0..300 {
        rig.submit(draft());
    }
    let keys = rig
        .disk
        .rows()
        .keys()
        .filter(|key| matches!(key.table, Table::Key | Table::KeyEnd))
        .count();
    assert_eq!(keys, 0);
}

fn is_rotten(key: &[u8]) -> bool {
    [&b"0-0"[..], b"0-1", b"1-7", b"4-999"].iter().any(|name| key.ends_with(name))
}

#[test]
fn a_key_whose_end_is_damaged_does_not_keep_the_others() {
    let kept = Span::from_mins(10);
    let (disk, faults) = (MemoryDisk::new(), Faults::new());
    let store = Watched::over(disk.open(), |table, keys| {
        match keys.iter().find(|key| table == Table::KeyEnd && is_rotten(key)) {
            Some(key) => Err(StoreError::corrupt(table, key, "rotten")),
            None => Ok(()),
        }
    });
    let mut rig = Rig::over(store, disk, faults, |builder| {
        builder.config(HubConfig { key_kept: kept, ..HubConfig::default() })
    });
    for batch in 0..5 {
        let drafts = (0..1_000).map(|n| keyed(&alloc::format!("{batch}-{n}"))).collect();
        assert!(rig.call(Command::SubmitBatch(drafts)).is_ok());
    }
    rig.pass(kept.0 + 1);
    for _ in 0..300 {
        rig.submit(draft());
    }
    let rows = rig.disk.rows();
    let left: Vec<_> = rows.keys().filter(|key| key.table == Table::KeyEnd).collect();
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(left.iter().all(|key| is_rotten(&key.key)));
}

#[test]
fn what_a_batch_finds_dead_under_a_key_does_not_count_as_done() {
    let mut rig = Rig::new();
    let (first, _) = rig.submit(keyed("once"));
    assert!(rig.call(Command::Cancel(first)).is_ok());
    let second = Draft { depends_on: Vec::from([Dependency::Sibling(0)]), ..draft() };
    let reply = rig.call(Command::SubmitBatch(Vec::from([keyed("once"), second])));
    let ended = Shortfall::Cancelled;
    assert_eq!(reply, Ok(Reply::Rejected(Rejected::DeadDependency { index: 1, id: first, ended })));
}
