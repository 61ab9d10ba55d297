//! This file holds the cases of *exact*: rows read are the rows last written, byte for byte.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::StoreFixture;
use super::words::{all, commit, deletes, history, load, open, put, puts, row, value};
use crate::port::store::{Batch, RowKey, Store, Table};

/// A row without bytes is there; it is not absent.
pub async fn empty_values_are_values(fixture: &impl StoreFixture) {
    check(fixture, Table::Spec, b"k".to_vec(), Vec::new()).await;
}

/// Zero bytes, high bytes and everything between them survive, in keys and in values.
pub async fn all_bytes_are_kept(fixture: &impl StoreFixture) {
    let bytes: Vec<u8> = (0..=u8::MAX).chain((0..=u8::MAX).rev()).collect();
    check(fixture, Table::Spec, bytes.clone(), bytes).await;
}

/// Keys of one byte and of [`RowKey::BYTES_MAX`] bytes are kept.
pub async fn the_shortest_and_longest_keys_are_kept(fixture: &impl StoreFixture) {
    let longest = |last: u8| {
        let mut key = vec![0xAB; RowKey::BYTES_MAX];
        key[RowKey::BYTES_MAX - 1] = last;
        key
    };
    let keys = [vec![0], longest(0), longest(1), vec![0xFF]];
    let store = open(fixture).await;
    let rows: Vec<_> = keys.iter().map(|key| put(Table::Key, key, key)).collect();
    commit(&*store, puts(1, rows)).await;
    drop(store);

    let store = open(fixture).await;
    let rows = history(&*store, all(Table::Key)).await;
    assert!(rows.iter().all(|(key, value)| key == value));
    assert!(rows.into_iter().map(|(key, _)| key).eq(keys), "keys differ in their last byte only");
}

/// Values far larger than a page are kept.
pub async fn values_of_one_mebibyte_are_kept(fixture: &impl StoreFixture) {
    check(fixture, Table::Spec, b"k".to_vec(), pattern(1024 * 1024)).await;
}

/// Values of [`RowKey::VALUE_BYTES_MAX`] bytes are kept.
pub async fn the_longest_value_is_kept(fixture: &impl StoreFixture) {
    check(fixture, Table::Artifact, b"k".to_vec(), pattern(RowKey::VALUE_BYTES_MAX)).await;
}

/// A later batch overwrites a row, with longer and with shorter values.
pub async fn the_last_put_wins(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    for (number, text) in (1..).zip(["one", "a longer two", "", "3"]) {
        commit(&*store, puts(number, [put(Table::Life, "k", text)])).await;
        assert_eq!(value(&*store, row(Table::Life, "k")).await, Some(text.into()));
    }
    drop(store);
    let rows = history(&*open(fixture).await, all(Table::Life)).await;
    assert_eq!(rows, [(b"k".to_vec(), b"3".to_vec())]);
}

/// A row can be written again after it was removed.
pub async fn a_row_may_come_and_go(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    for number in 0..6_u64 {
        let batch = if number.is_multiple_of(2) {
            puts(number, [put(Table::Life, "k", number.to_be_bytes())])
        } else {
            deletes(number, [row(Table::Life, "k")])
        };
        commit(&*store, batch).await;
        let expected = number.is_multiple_of(2).then(|| number.to_be_bytes().to_vec());
        assert_eq!(value(&*store, row(Table::Life, "k")).await, expected);
    }
}

/// Deletes of absent rows do nothing, and the rest of the batch is done.
pub async fn removing_a_row_that_is_not_there_is_no_error(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let batch = Batch {
        seq: 1,
        puts: [put(Table::Spec, "k", "v")].into(),
        deletes: [row(Table::Spec, "absent"), row(Table::Bucket, "k")].into(),
    };
    commit(&*store, batch).await;
    let rows = history(&*open_again(fixture, store).await, all(Table::Spec)).await;
    assert_eq!(rows, [(b"k".to_vec(), b"v".to_vec())]);
}

/// Tables do not share rows.
pub async fn the_same_key_in_other_tables_is_another_row(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let rows: Vec<_> =
        Table::ALL.iter().map(|table| put(*table, "k", table.as_str().as_bytes())).collect();
    commit(&*store, puts(1, rows)).await;
    commit(&*store, deletes(2, [row(Table::Spec, "k")])).await;
    for table in Table::ALL {
        let expected = (table != Table::Spec).then(|| table.as_str().into());
        assert_eq!(value(&*store, row(table, "k")).await, expected, "table {table}");
    }
}

/// Writes one row and reads it in every way, before and after reopening.
async fn check(fixture: &impl StoreFixture, table: Table, key: Vec<u8>, written: Vec<u8>) {
    let store = open(fixture).await;
    commit(&*store, puts(1, [(RowKey::new(table, key.clone()), written.clone())])).await;
    let at_once = value(&*store, RowKey::new(table, key.clone())).await;
    assert!(at_once.as_ref() == Some(&written), "get reads what was written");

    let store = open_again(fixture, store).await;
    let expected = [(key, written)];
    let found = history(&*store, all(table)).await;
    assert!(found == expected, "history reads what was written, after reopening");
    if Table::LIVE.contains(&table) {
        let (_, rows) = load(&*store).await;
        assert!(rows.len() == 1 && rows[0].1 == expected[0], "load reads what was written");
    }
}

async fn open_again(fixture: &impl StoreFixture, store: Box<dyn Store>) -> Box<dyn Store> {
    drop(store);
    open(fixture).await
}

/// Bytes without a short period, so that a lost or doubled page shows.
fn pattern(length: usize) -> Vec<u8> {
    (0..length as u64).map(|at| (crate::rng::scramble(at / 8) >> (8 * (at % 8))) as u8).collect()
}
