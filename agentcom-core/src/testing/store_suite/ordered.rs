//! This file holds the cases of *ordered*: numbers of batches grow, or the batch is refused.

use super::StoreFixture;
use super::words::{commit, keys, load, open, put, puts, refuse, seq};
use crate::port::store::{Batch, StoreErrorKind, Table};

/// Before the first batch there is nothing, on every opening.
pub async fn a_fresh_store_has_no_rows_and_no_seq(fixture: &impl StoreFixture) {
    for _ in 0..2 {
        let store = open(fixture).await;
        assert_eq!(load(&*store).await, (None, [].into()));
        for table in Table::ALL {
            assert!(keys(&*store, table).await.is_empty(), "table {table}");
        }
    }
}

/// The number is that of the last batch, at once and after reopening.
pub async fn load_returns_the_seq_of_the_last_batch(fixture: &impl StoreFixture) {
    for number in [7, 8, 300] {
        let store = open(fixture).await;
        commit(&*store, puts(number, [put(Table::Spec, "k", "v")])).await;
        assert_eq!(seq(&*store).await, Some(number));
        drop(store);
        assert_eq!(seq(&*open(fixture).await).await, Some(number), "reopened");
    }
}

/// A batch with the number of the last one is refused.
pub async fn a_seq_that_repeats_is_refused_as_fenced(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(3, [put(Table::Spec, "k", "v")])).await;
    refuse(&*store, puts(3, [put(Table::Spec, "l", "w")]), StoreErrorKind::Fenced).await;
    drop(store);
    assert_eq!(keys(&*open(fixture).await, Table::Spec).await, [b"k"]);
}

/// A batch with an older number is refused.
pub async fn a_seq_that_goes_back_is_refused_as_fenced(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(u64::MAX - 1, [put(Table::Spec, "k", "v")])).await;
    refuse(&*store, puts(1, [put(Table::Spec, "l", "w")]), StoreErrorKind::Fenced).await;
    drop(store);
    assert_eq!(keys(&*open(fixture).await, Table::Spec).await, [b"k"]);
}

/// Reopening forgets no number.
pub async fn a_seq_from_before_reopening_is_refused_as_fenced(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(2, [put(Table::Spec, "k", "v")])).await;
    drop(store);
    let store = open(fixture).await;
    refuse(&*store, puts(2, [put(Table::Spec, "l", "w")]), StoreErrorKind::Fenced).await;
    drop(store);
    let store = open(fixture).await;
    assert_eq!(keys(&*store, Table::Spec).await, [b"k"]);
    commit(&*store, puts(3, [put(Table::Spec, "l", "w")])).await;
}

/// Numbers grow; they need not follow each other. The largest is a number like others.
pub async fn a_seq_may_leap(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    for number in [0, 1, 1_000_000, u64::MAX] {
        commit(&*store, puts(number, [put(Table::Event, number.to_be_bytes(), "")])).await;
        assert_eq!(seq(&*store).await, Some(number));
    }
    drop(store);
    assert_eq!(seq(&*open(fixture).await).await, Some(u64::MAX));
}

/// A batch without rows moves the number.
pub async fn an_empty_batch_counts(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, Batch { seq: 4, ..Batch::default() }).await;
    drop(store);
    let store = open(fixture).await;
    assert_eq!(load(&*store).await, (Some(4), [].into()));
    refuse(&*store, Batch { seq: 4, ..Batch::default() }, StoreErrorKind::Fenced).await;
}
