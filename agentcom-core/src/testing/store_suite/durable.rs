//! This file holds the cases of *atomic* and *durable*: whole batches, and for ever.

use alloc::vec::Vec;

use super::StoreFixture;
use super::words::{
    all, commit, deletes, history, keys, load, open, put, puts, refuse, row, seq, value,
};
use crate::port::store::{Batch, StoreErrorKind, Table};

/// Rows of a confirmed batch are read by another store on the same data.
pub async fn what_was_confirmed_is_there_after_reopening(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(1, [put(Table::Spec, "k", "v"), put(Table::Event, "e", "f")])).await;
    drop(store);

    let store = open(fixture).await;
    let (seq, rows) = load(&*store).await;
    assert_eq!(seq, Some(1));
    assert_eq!(rows, [(Table::Spec, (b"k".to_vec(), b"v".to_vec()))]);
    assert_eq!(history(&*store, all(Table::Event)).await, [(b"e".to_vec(), b"f".to_vec())]);
}

/// Rows that a confirmed batch removed do not come back.
pub async fn what_was_deleted_is_gone_after_reopening(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(1, [put(Table::Life, "gone", "v"), put(Table::Life, "kept", "w")])).await;
    commit(&*store, deletes(2, [row(Table::Life, "gone")])).await;
    drop(store);

    let store = open(fixture).await;
    assert_eq!(keys(&*store, Table::Life).await, [b"kept"]);
    assert_eq!(value(&*store, row(Table::Life, "gone")).await, None);
    assert_eq!(seq(&*store).await, Some(2));
}

/// A long row of batches, with a restart now and then, is read back to the last one.
pub async fn many_batches_are_there_after_reopening(fixture: &impl StoreFixture) {
    let mut store = open(fixture).await;
    for number in 1..=100_u64 {
        let key = number.to_be_bytes();
        commit(&*store, puts(number, [put(Table::Event, key, key), put(Table::Meta, "at", key)]))
            .await;
        if number % 25 == 0 {
            drop(store);
            store = open(fixture).await;
        }
    }
    let expected: Vec<_> =
        (1..=100_u64).map(|n| (n.to_be_bytes().to_vec(), n.to_be_bytes().to_vec())).collect();
    assert_eq!(history(&*store, all(Table::Event)).await, expected);
    assert_eq!(value(&*store, row(Table::Meta, "at")).await, Some(100_u64.to_be_bytes().to_vec()));
    assert_eq!(seq(&*store).await, Some(100));
}

/// Every row of a batch, in whichever table, is there once it is confirmed.
pub async fn a_batch_is_there_whole(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let old: Vec<_> = Table::ALL.iter().map(|table| put(*table, "old", "1")).collect();
    commit(&*store, puts(1, old)).await;
    let batch = Batch {
        seq: 2,
        puts: Table::ALL.iter().map(|table| put(*table, "new", "2")).collect(),
        deletes: Table::ALL.iter().map(|table| row(*table, "old")).collect(),
    };
    commit(&*store, batch).await;
    for table in Table::ALL {
        assert_eq!(keys(&*store, table).await, [b"new"], "table {table}");
    }
    drop(store);

    let store = open(fixture).await;
    for table in Table::ALL {
        assert_eq!(keys(&*store, table).await, [b"new"], "table {table}, reopened");
    }
}

/// No part of a batch that was refused is there.
pub async fn a_refused_batch_leaves_nothing(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(5, [put(Table::Agent, "a", "1"), put(Table::Agent, "c", "1")])).await;
    let stale = Batch {
        seq: 5,
        puts: [put(Table::Agent, "a", "2"), put(Table::Agent, "b", "2")].into(),
        deletes: [row(Table::Agent, "c")].into(),
    };
    refuse(&*store, stale, StoreErrorKind::Fenced).await;
    drop(store);

    let store = open(fixture).await;
    let rows = history(&*store, all(Table::Agent)).await;
    assert_eq!(rows, [(b"a".to_vec(), b"1".to_vec()), (b"c".to_vec(), b"1".to_vec())]);
    assert_eq!(seq(&*store).await, Some(5));
}
