//! This file holds the cases of *exclusive*: one writer at a time.

use super::StoreFixture;
use super::words::{all, commit, history, keys, open, put, puts, refuse};
use crate::port::store::{StoreErrorKind, Table};

/// A second opener is refused and leaves the first undisturbed, or it fences the first.
pub async fn two_writers_are_never_alive(fixture: &impl StoreFixture) {
    let first = open(fixture).await;
    commit(&*first, puts(1, [put(Table::Meta, "k", "first")])).await;
    match fixture.open().await {
        Err(error) => {
            assert_eq!(error.kind, StoreErrorKind::Fenced, "the second opener: {error}");
            commit(&*first, puts(2, [put(Table::Meta, "l", "first")])).await;
        }
        Ok(second) => {
            let stale = puts(2, [put(Table::Meta, "l", "stale")]);
            refuse(&*first, stale, StoreErrorKind::Fenced).await;
            let kind = first.get(&[]).await.map_err(|error| error.kind);
            assert_eq!(kind, Err(StoreErrorKind::Fenced), "a fenced store answers nothing");
            assert_eq!(keys(&*second, Table::Meta).await, [b"k"]);
            commit(&*second, puts(2, [put(Table::Meta, "l", "first")])).await;
        }
    }
    drop(first);
    let rows = history(&*open(fixture).await, all(Table::Meta)).await;
    assert_eq!(
        rows,
        [(b"k".to_vec(), b"first".to_vec()), (b"l".to_vec(), b"first".to_vec())],
        "what was confirmed, and nothing else"
    );
}

/// A store that is dropped without a word does not keep the next one out.
pub async fn a_dropped_store_makes_room_for_the_next(fixture: &impl StoreFixture) {
    for number in 1..=10 {
        let store = open(fixture).await;
        commit(&*store, puts(number, [put(Table::Meta, number.to_be_bytes(), "")])).await;
    }
    assert_eq!(keys(&*open(fixture).await, Table::Meta).await.len(), 10);
}
