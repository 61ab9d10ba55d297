//! This file holds the cases of *sorted*: ranges of rows in the order of their keys.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::StoreFixture;
use super::words::{all, commit, history, open, put, puts};
use crate::port::store::{Range, Row, Store, Table};

/// Keys with zero bytes, high bytes, common beginnings and the look of numbers.
const KEYS: [&[u8]; 12] = [
    b"\0",
    b"\0\0",
    b"\x01",
    b"10",
    b"2",
    b"a",
    b"a\0",
    b"a\xFF",
    b"a\xFF\xFF",
    b"b",
    b"\xFF",
    b"\xFF\xFF",
];

/// The order is that of unsigned bytes, a key before those that it begins; no locale, no numbers.
pub async fn history_is_in_the_order_of_raw_bytes(fixture: &impl StoreFixture) {
    let store = filled(fixture).await;
    let forwards = history(&*store, all(Table::EndedIndex)).await;
    assert_eq!(forwards, rows());
    let mut backwards = history(&*store, Range { backwards: true, ..all(Table::EndedIndex) }).await;
    backwards.reverse();
    assert_eq!(backwards, rows());
}

/// All combinations of prefix, `after`, direction and limit, against the definition.
pub async fn history_reads_every_range_as_defined(fixture: &impl StoreFixture) {
    let store = filled(fixture).await;
    let prefixes: [&[u8]; 9] =
        [b"", b"\0", b"a", b"a\xFF", b"b", b"\xFF", b"\xFF\xFF", b"c", b"\xFF\xFF\xFF"];
    let afters: [&[u8]; 8] = [b"", b"\0", b"a", b"a\x80", b"a\xFF", b"b", b"z", b"\xFF\xFF\xFF"];
    for prefix in prefixes {
        for after in afters.iter().map(Some).chain([None]) {
            for backwards in [false, true] {
                for limit in [0, 1, 3, usize::MAX] {
                    let range = Range {
                        table: Table::EndedIndex,
                        prefix: prefix.to_vec(),
                        after: after.map(|after| after.to_vec()),
                        backwards,
                        limit,
                    };
                    let expected = defined(rows(), &range);
                    let found = history(&*store, range.clone()).await;
                    assert_eq!(found, expected, "{range:?}");
                }
            }
        }
    }
}

/// Pages chained by their last key give every row once, in both directions.
pub async fn history_pages_through_a_table(fixture: &impl StoreFixture) {
    let store = open(fixture).await;
    let key = |number: u64| [b"page-".as_slice(), &number.to_be_bytes()].concat();
    let rows: Vec<_> = (0..500).map(|n| put(Table::Event, key(n), "v")).collect();
    commit(&*store, puts(1, rows)).await;
    for backwards in [false, true] {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let prefix = b"page-".to_vec();
            let range = Range { table: Table::Event, prefix, after, backwards, limit: 33 };
            let page = history(&*store, range).await;
            assert!(page.len() <= 33, "a page has at most `limit` rows");
            let Some((last, _)) = page.last() else { break };
            after = Some(last.clone());
            found.extend(page);
        }
        if backwards {
            found.reverse();
        }
        assert!(found.iter().map(|(key, _)| key.clone()).eq((0..500).map(key)));
    }
}

/// Empty tables and prefixes that nothing has give nothing.
pub async fn history_of_nothing_is_empty(fixture: &impl StoreFixture) {
    let store = filled(fixture).await;
    assert_eq!(history(&*store, all(Table::Artifact)).await, []);
    let absent = Range { prefix: b"absent".to_vec(), ..all(Table::EndedIndex) };
    assert_eq!(history(&*store, absent).await, []);
}

/// A store with the table in question between two that have the same keys.
async fn filled(fixture: &impl StoreFixture) -> Box<dyn Store> {
    let store = open(fixture).await;
    // Not in their order, and in two batches.
    let (late, early): (Vec<_>, Vec<_>) =
        KEYS.into_iter().rev().enumerate().partition(|(at, _)| at % 3 == 0);
    for (seq, part) in [(1, early), (2, late)] {
        let mut rows = Vec::new();
        for (_, key) in part {
            rows.push(put(Table::EndedIndex, key, [b"=", key].concat()));
            rows.push(put(Table::Ended, key, "the table before"));
            rows.push(put(Table::Job, key, "a table behind"));
        }
        commit(&*store, puts(seq, rows)).await;
    }
    store
}

fn rows() -> Vec<Row> {
    KEYS.iter().map(|key| (key.to_vec(), [b"=", *key].concat())).collect()
}

/// What a range selects of `rows`, which are all rows of its table: its definition, word by word.
pub(super) fn defined(rows: Vec<Row>, range: &Range) -> Vec<Row> {
    let mut selected: Vec<Row> = rows
        .into_iter()
        .filter(|(key, _)| key.starts_with(&range.prefix))
        .filter(|(key, _)| match &range.after {
            Some(after) if range.backwards => key < after,
            Some(after) => key > after,
            None => true,
        })
        .collect();
    if range.backwards {
        selected.reverse();
    }
    selected.truncate(range.limit);
    selected
}
