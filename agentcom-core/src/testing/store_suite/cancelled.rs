//! This file holds the cases of *cancel safe*: futures that are dropped before their end.

use alloc::vec::Vec;

use futures_util::FutureExt as _;

use super::StoreFixture;
use super::words::{all, commit, keys, load, open, put, puts, row};
use crate::port::store::{Batch, Table};

/// Reads that are dropped when they have just begun leave a store that works as before.
pub async fn dropped_reads_change_nothing(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let rows: Vec<_> = (0..5_000_u32).map(|n| put(Table::Spec, n.to_be_bytes(), "v")).collect();
    commit(&*store, puts(1, rows)).await;
    for number in 2..10 {
        // Each is polled once at most, then dropped.
        let _ = store.get(&[row(Table::Spec, "k")]).now_or_never();
        let _ = store.history(all(Table::Spec)).now_or_never();
        let _ = store.load(&mut |_, _, _| Ok(())).now_or_never();
        drop(store.history(all(Table::Spec)));
        commit(&*store, puts(number, [put(Table::Meta, "at", number.to_be_bytes())])).await;
    }
    let (seq, rows) = load(&*store).await;
    assert_eq!((seq, rows.len()), (Some(9), 5_001));
    let _ = store.load(&mut |_, _, _| Ok(())).now_or_never();
    drop(store);
    assert_eq!(load(&*open(fixture).await).await.1.len(), 5_001, "reopened");
}

/// A commit that is dropped when it has just begun may happen or not, but not by half.
pub async fn a_dropped_commit_is_there_whole_or_not_at_all(fixture: &impl StoreFixture) {
    for round in 0..5_u64 {
        let store = open(fixture).await;
        let old = Batch {
            seq: 2 * round,
            puts: Table::ALL.map(|table| put(table, "old", "")).into(),
            deletes: Table::ALL.map(|table| row(table, "new")).into(),
        };
        commit(&*store, old).await;
        let new = Batch {
            seq: 2 * round + 1,
            puts: Table::ALL.map(|table| put(table, "new", "")).into(),
            deletes: Table::ALL.map(|table| row(table, "old")).into(),
        };
        let _ = store.commit(new).now_or_never();
        drop(store);

        let store = open(fixture).await;
        let seq = load(&*store).await.0;
        let expected = if seq == Some(2 * round + 1) { b"new" } else { b"old" };
        assert!(seq == Some(2 * round) || seq == Some(2 * round + 1), "seq {seq:?}");
        for table in Table::ALL {
            assert_eq!(keys(&*store, table).await, [expected], "table {table}, round {round}");
        }
    }
}
