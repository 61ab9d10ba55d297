//! This file joins batches that follow each other into what they left of the rows that they name.

use std::collections::{BTreeMap, btree_map};
use std::ops::Bound;

use agentcom_core::port::store::{Batch, RowKey, Table};

/// What batches left of the rows that they name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    /// The number of the last batch.
    last: Option<u64>,
    batches: usize,
    bytes: usize,
    rows: BTreeMap<RowKey, Word>,
}

/// The last word on a row: its value, or that it was removed.
pub(crate) type Word = Option<Sealed>;

/// A value and the checksum that its record has in the place of its row.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) sum: u64,
    pub(crate) value: Vec<u8>,
}

impl Layer {
    /// Takes in a batch whose record has so many bytes, and whose puts have these checksums.
    pub(crate) fn take_in(&mut self, batch: Batch, bytes: usize, sums: &[u64]) {
        self.last = Some(batch.seq);
        self.batches += 1;
        self.bytes += bytes;
        for ((row, value), sum) in batch.puts.into_iter().zip(sums) {
            self.rows.insert(row, Some(Sealed { sum: *sum, value }));
        }
        for row in batch.deletes {
            self.rows.insert(row, None);
        }
    }

    /// The number of its last batch.
    pub(crate) const fn last(&self) -> Option<u64> {
        self.last
    }

    /// How many batches are in it.
    pub(crate) const fn batches(&self) -> usize {
        self.batches
    }

    /// How many bytes their records have.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The last word on a row, if it has one.
    pub(crate) fn get(&self, row: &RowKey) -> Option<&Word> {
        self.rows.get(row)
    }

    /// The last words on all rows, in their order.
    pub(crate) fn rows(&self) -> btree_map::Iter<'_, RowKey, Word> {
        self.rows.iter()
    }

    /// The last words on the rows within bounds, in their order.
    pub(crate) fn within(&self, bounds: &Bounds) -> btree_map::Range<'_, RowKey, Word> {
        self.rows.range((bounds.0.as_ref(), bounds.1.as_ref()))
    }
}

/// Bounds of rows.
pub(crate) type Bounds = (Bound<RowKey>, Bound<RowKey>);

/// The bounds of keys in a table as bounds of rows.
pub(crate) fn bounds(table: Table, keys: (Bound<Vec<u8>>, Bound<Vec<u8>>)) -> Bounds {
    let row = |key: Vec<u8>| RowKey::new(table, key);
    let last = match keys.1 {
        // Longer than any key, and not before any.
        Bound::Unbounded => Bound::Included(row(vec![u8::MAX; RowKey::BYTES_MAX + 1])),
        last @ (Bound::Included(_) | Bound::Excluded(_)) => last.map(row),
    };
    let first = match keys.0 {
        Bound::Unbounded => Bound::Included(row(Vec::new())),
        first @ (Bound::Included(_) | Bound::Excluded(_)) => first.map(row),
    };
    (first, last)
}

/// The words of two layers, both in the order of reading: the newer one where both have a word.
pub(crate) fn overlaid<'a>(
    older: impl Iterator<Item = (&'a RowKey, &'a Word)>,
    newer: impl Iterator<Item = (&'a RowKey, &'a Word)>,
    backwards: bool,
) -> impl Iterator<Item = (&'a RowKey, &'a Word)> {
    let (mut older, mut newer) = (older.peekable(), newer.peekable());
    core::iter::from_fn(move || {
        let Some(&(row, _)) = newer.peek() else { return older.next() };
        let comes_before = |(other, _): &(&RowKey, _)| match backwards {
            true => *other > row,
            false => *other < row,
        };
        older.next_if(comes_before).or_else(|| {
            older.next_if(|(other, _)| *other == row);
            newer.next()
        })
    })
}
