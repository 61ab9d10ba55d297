//! This file holds the cases of what `load` and `get` answer.

use alloc::vec::Vec;

use futures_util::future::join;

use super::StoreFixture;
use super::words::{commit, load, open, put, puts, row, value};
use crate::port::store::{StoreError, StoreErrorKind, Table, Visit};

/// One answer for each key, in their order, `None` for rows that are not there.
pub async fn get_answers_in_the_order_of_the_question(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(1, [put(Table::Ended, "a", "1"), put(Table::Key, "b", "2")])).await;
    let keys = [
        row(Table::Key, "b"),
        row(Table::Ended, "b"),
        row(Table::Ended, "a"),
        row(Table::Key, "b"),
        row(Table::Event, "absent"),
    ];
    let values = store.get(&keys).await.expect("the rows can be read");
    let expected = [Some("2"), None, Some("1"), Some("2"), None];
    assert_eq!(values, expected.map(|text| text.map(Vec::from)));
    assert_eq!(store.get(&[]).await.expect("no rows can be read"), []);
}

/// Tables come in the order of [`Table::LIVE`]; the others do not come.
pub async fn load_visits_live_tables_only_in_their_order(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let rows: Vec<_> =
        Table::ALL.iter().flat_map(|table| [put(*table, "2", ""), put(*table, "1", "")]).collect();
    commit(&*store, puts(1, rows)).await;
    let (_, rows) = load(&*store).await;
    let found: Vec<_> = rows.into_iter().map(|(table, (key, _))| (table, key)).collect();
    let expected: Vec<_> = Table::LIVE
        .iter()
        .flat_map(|table| [(*table, b"1".to_vec()), (*table, b"2".to_vec())])
        .collect();
    assert_eq!(found, expected);
}

/// Rows of one table come in the order of unsigned bytes.
pub async fn load_visits_rows_in_the_order_of_raw_bytes(fixture: &impl StoreFixture) {
    let keys: [&[u8]; 7] = [b"\0", b"\0\0", b"10", b"2", b"a", b"a\0", b"\xFF"];
    let store = open(fixture).await;
    for (seq, key) in (1..).zip(keys.iter().rev()) {
        commit(&*store, puts(seq, [put(Table::Life, key, "")])).await;
    }
    let (_, rows) = load(&*store).await;
    assert!(rows.iter().map(|(_, (key, _))| &key[..]).eq(keys));
}

/// When the visitor gives up, `load` gives up with its error, and the store goes on.
pub async fn load_ends_with_the_visitors_error(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let rows: Vec<_> = (0..100_u8).map(|n| put(Table::Spec, [n], "")).collect();
    commit(&*store, puts(1, rows)).await;
    let mut visits = 0;
    let visit: &mut Visit<'_> = &mut |table, key, _| {
        visits += 1;
        if visits == 3 { Err(StoreError::corrupt(table, key, "not today")) } else { Ok(()) }
    };
    let error = store.load(visit).await.expect_err("the visitor's error");
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert!(error.message.contains("not today"), "{error}");
    assert_eq!(visits, 3, "nothing is visited behind the error");
    assert_eq!(load(&*store).await.1.len(), 100);
}

/// More rows than fit one piece of any size that a store may load in.
pub async fn load_sees_every_row_of_a_large_table(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let key = |number: u64| number.to_be_bytes();
    for (seq, start) in (1..).zip((0..20_000_u64).step_by(5_000)) {
        let rows: Vec<_> =
            (start..start + 5_000).map(|n| put(Table::Spec, key(n), key(n).repeat(8))).collect();
        commit(&*store, puts(seq, rows)).await;
    }
    let (seq, rows) = load(&*store).await;
    assert_eq!(seq, Some(4));
    assert_eq!(rows.len(), 20_000);
    let expected = (0..20_000).map(|n| (Table::Spec, (key(n).to_vec(), key(n).repeat(8))));
    assert!(rows.into_iter().eq(expected));
}

/// Reads that run at the same time as a commit see it whole or not at all.
pub async fn reads_go_on_beside_a_commit(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    commit(&*store, puts(1, [put(Table::Meta, "a", "1"), put(Table::Key, "b", "1")])).await;
    let keys = [row(Table::Meta, "a"), row(Table::Key, "b")];
    for number in 2..20_u64 {
        let text = [number as u8];
        let batch = puts(number, [put(Table::Meta, "a", text), put(Table::Key, "b", text)]);
        let (written, values) = join(store.commit(batch), store.get(&keys)).await;
        written.expect("the batch is committed");
        let values = values.expect("the rows can be read");
        assert_eq!(values[0], values[1], "both rows are of one batch");
    }
    assert_eq!(value(&*store, row(Table::Meta, "a")).await, Some([19].into()));
}
