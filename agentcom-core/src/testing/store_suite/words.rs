//! This file holds the words in which the cases of the store suite are written.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::StoreFixture;
use crate::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};

pub(super) async fn open(fixture: &impl StoreFixture) -> Box<dyn Store> {
    fixture.open().await.expect("the store opens")
}

pub(super) fn row(table: Table, key: impl AsRef<[u8]>) -> RowKey {
    RowKey::new(table, key.as_ref())
}

pub(super) fn put(
    table: Table,
    key: impl AsRef<[u8]>,
    value: impl AsRef<[u8]>,
) -> (RowKey, Vec<u8>) {
    (row(table, key), value.as_ref().to_vec())
}

pub(super) fn puts(seq: u64, puts: impl Into<Vec<(RowKey, Vec<u8>)>>) -> Batch {
    Batch { seq, puts: puts.into(), deletes: Vec::new() }
}

pub(super) fn deletes(seq: u64, deletes: impl Into<Vec<RowKey>>) -> Batch {
    Batch { seq, puts: Vec::new(), deletes: deletes.into() }
}

pub(super) async fn commit(store: &dyn Store, batch: Batch) {
    let seq = batch.seq;
    if let Err(error) = store.commit(batch).await {
        panic!("batch {seq} was not committed: {error}");
    }
}

pub(super) async fn refuse(store: &dyn Store, batch: Batch, kind: StoreErrorKind) {
    let seq = batch.seq;
    match store.commit(batch).await {
        Ok(()) => panic!("batch {seq} was committed; it has to be refused as {kind:?}"),
        Err(error) => assert_eq!(error.kind, kind, "batch {seq}: {error}"),
    }
}

/// The value of one row.
pub(super) async fn value(store: &dyn Store, row: RowKey) -> Option<Vec<u8>> {
    let mut values = store.get(&[row]).await.expect("the row can be read");
    assert_eq!(values.len(), 1, "one key was asked for");
    values.pop().flatten()
}

/// What `load` says.
pub(super) async fn load(store: &dyn Store) -> (Option<u64>, Vec<(Table, Row)>) {
    try_load(store).await.expect("the store can be loaded")
}

/// What `load` says, or why it fails.
pub(super) async fn try_load(
    store: &dyn Store,
) -> Result<(Option<u64>, Vec<(Table, Row)>), StoreError> {
    let mut rows = Vec::new();
    let visit: &mut Visit<'_> = &mut |table, key: &[u8], value: &[u8]| {
        rows.push((table, (key.to_vec(), value.to_vec())));
        Ok(())
    };
    let seq = store.load(visit).await?;
    Ok((seq, rows))
}

pub(super) async fn seq(store: &dyn Store) -> Option<u64> {
    load(store).await.0
}

/// All rows of a table, forwards.
pub(super) fn all(table: Table) -> Range {
    Range { table, prefix: Vec::new(), after: None, backwards: false, limit: usize::MAX }
}

pub(super) async fn history(store: &dyn Store, range: Range) -> Vec<Row> {
    store.history(range).await.expect("the range can be read")
}

/// The keys of a table, forwards.
pub(super) async fn keys(store: &dyn Store, table: Table) -> Vec<Vec<u8>> {
    history(store, all(table)).await.into_iter().map(|(key, _)| key).collect()
}
