//! This file keeps the latest batches, which are stored whole and are not in the rows yet.
//!
//! A commit appends its batch to the [`log`](crate::log) as one record, and does not touch the rows
//! that it names. Once there are more than a few batches the oldest are *folded*: what they left of
//! each row is written to the row, unless a later batch has a newer word on it. What comes and goes
//! while it is in the tail never becomes a row. What is stored is the rows overlaid by the tail.
//!
//! A batch is, for each row that it names, puts first:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | the number of the table |
//! | 2 | the length of the key, little-endian |
//! | 4 | the length of the record, little-endian; `u32::MAX` if the row was removed |
//! | | the key |
//! | | the sealed record of the row, as it will be in its place |
//!
//! and is sealed as a whole. The seals of its rows allow to save the others when one is damaged.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;

use agentcom_core::port::store::{Batch, Range, RowKey, StoreError, Table};

use crate::error;
use crate::record::{Damage, Seal};

/// The number of the table of batches, behind all tables of rows: the place that a batch is sealed
/// with. Earlier releases kept batches there, too.
pub(crate) const TABLE: u8 = u8::MAX;

/// From how many batches on the oldest are folded, unless an option says otherwise.
pub(crate) const BATCHES: usize = 1_024;

/// From how many bytes on the oldest batches are folded.
const BYTES: usize = 8 << 20;

/// The length that stands for a row that was removed.
const REMOVED: u32 = u32::MAX;

/// What the latest batches left of the rows that they name.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    batches_max: usize,
    /// The number of the last batch that is in the rows.
    folded: Option<u64>,
    batches: VecDeque<Kept>,
    bytes: usize,
    rows: BTreeMap<RowKey, Left>,
}

/// A batch in the tail.
#[derive(Clone, Copy, Debug)]
struct Kept {
    seq: u64,
    bytes: usize,
}

/// The last word on a row.
#[derive(Clone, Debug)]
pub(crate) struct Left {
    /// The number of the batch that had it.
    seq: u64,
    pub(crate) value: Option<Sealed>,
}

/// A value and the checksum that its record has in the place of its row.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) sum: u64,
    pub(crate) value: Vec<u8>,
}

impl Tail {
    /// An empty tail behind the batch `folded`, which folds its oldest batches once there are
    /// `batches_max`.
    pub(crate) const fn new(batches_max: usize, folded: Option<u64>) -> Self {
        Self { batches_max, folded, batches: VecDeque::new(), bytes: 0, rows: BTreeMap::new() }
    }

    /// The number of the last batch, whether it is in the rows or not.
    pub(crate) fn last(&self) -> Option<u64> {
        self.batches.back().map(|kept| kept.seq).or(self.folded)
    }

    /// The number of the last batch that is in the rows.
    pub(crate) const fn folded(&self) -> Option<u64> {
        self.folded
    }

    /// The number of the last batch if it is not in the rows.
    pub(crate) fn unfolded(&self) -> Option<u64> {
        self.last().filter(|_| !self.batches.is_empty())
    }

    /// The number of the last of the oldest batches if it is time to fold some: about a quarter, and
    /// never the last.
    pub(crate) fn due(&self) -> Option<u64> {
        if self.batches.len() < self.batches_max && self.bytes < BYTES {
            return None;
        }
        let (batches_kept, bytes_kept) = (self.batches_max / 4 * 3, BYTES / 4 * 3);
        let (mut batches, mut bytes) = (self.batches.len(), self.bytes);
        let oldest = self.batches.iter().take(self.batches.len().saturating_sub(1));
        let goes = oldest.take_while(|kept| {
            let goes = batches > batches_kept || bytes > bytes_kept;
            batches -= 1;
            bytes -= kept.bytes;
            goes
        });
        goes.last().map(|kept| kept.seq)
    }

    /// The numbers of its batches.
    pub(crate) fn batches(&self) -> Vec<u64> {
        self.batches.iter().map(|kept| kept.seq).collect()
    }

    /// The rows on which no batch after `seq` has a word.
    pub(crate) fn settled(&self, seq: u64) -> Self {
        let rows = self.rows.iter().filter(|(_, left)| left.seq <= seq);
        let rows = rows.map(|(row, left)| (row.clone(), left.clone())).collect();
        Self { rows, ..Self::new(self.batches_max, self.folded) }
    }

    /// The last word on all rows, in their order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&RowKey, &Left)> {
        self.rows.iter()
    }

    /// Forgets the batches up to `seq`, which are in the rows.
    pub(crate) fn forget(&mut self, seq: u64) {
        while let Some(kept) = self.batches.front().filter(|kept| kept.seq <= seq) {
            self.bytes -= kept.bytes;
            self.batches.pop_front();
        }
        self.rows.retain(|_, left| left.seq > seq);
        self.folded = Some(seq);
    }

    /// Takes in a batch whose record has so many bytes, and whose puts have these checksums.
    pub(crate) fn take_in(&mut self, batch: Batch, bytes: usize, sums: &[u64]) {
        let seq = batch.seq;
        self.batches.push_back(Kept { seq, bytes });
        self.bytes += bytes;
        for ((row, value), sum) in batch.puts.into_iter().zip(sums) {
            self.rows.insert(row, Left { seq, value: Some(Sealed { sum: *sum, value }) });
        }
        for row in batch.deletes {
            self.rows.insert(row, Left { seq, value: None });
        }
    }

    /// The last word on a row, if the tail has one.
    pub(crate) fn get(&self, row: &RowKey) -> Option<&Left> {
        self.rows.get(row)
    }

    /// The last word on all rows of a table, in the order of their keys.
    pub(crate) fn of_table(&self, table: Table) -> impl Iterator<Item = (&[u8], &Left)> {
        let first = RowKey::new(table, Vec::new());
        let rows = self.rows.range(first..).take_while(move |(row, _)| row.table == table);
        rows.map(|(row, left)| (row.key.as_slice(), left))
    }

    /// As many of the last words on a range as it takes to find all rows of the range, however
    /// many the tree has.
    pub(crate) fn range(&self, range: &Range) -> Vec<(Vec<u8>, Left)> {
        let Some((first, last)) = range.bounds() else { return Vec::new() };
        let row = |key: Vec<u8>| RowKey::new(range.table, key);
        let last = match last {
            // Longer than any key, and not before any.
            Bound::Unbounded => Bound::Included(row(vec![u8::MAX; RowKey::BYTES_MAX + 1])),
            Bound::Included(key) => Bound::Included(row(key)),
            Bound::Excluded(key) => Bound::Excluded(row(key)),
        };
        let words = self.rows.range((first.map(row), last));
        let mut puts = 0;
        let enough = |(row, left): (&RowKey, &Left)| {
            let wanted = puts < range.limit;
            puts += usize::from(left.value.is_some());
            wanted.then(|| (row.key.clone(), left.clone()))
        };
        if range.backwards {
            words.rev().map_while(enough).collect()
        } else {
            words.map_while(enough).collect()
        }
    }
}

/// The place of a batch in the tree.
pub(crate) fn place(seq: u64) -> [u8; 9] {
    let mut place = [TABLE; 9];
    place[1..].copy_from_slice(&seq.to_be_bytes());
    place
}

/// The number of the batch at a place.
pub(crate) fn seq_at(place: &[u8]) -> Result<u64, StoreError> {
    let seq = place.get(1..).and_then(|seq| seq.try_into().ok()).map(u64::from_be_bytes);
    seq.ok_or_else(|| error::corrupt(format_args!("a batch at {}", place.escape_ascii())))
}

/// Writes a batch over `bytes`, and the checksums of its puts over `sums`.
pub(crate) fn write(seal: Seal, batch: &Batch, bytes: &mut Vec<u8>, sums: &mut Vec<u64>) {
    bytes.clear();
    sums.clear();
    let mut place = Vec::new();
    for (row, value) in &batch.puts {
        write_place(row, &mut place);
        write_name(row, Seal::record_len(value) as u32, bytes);
        sums.push(seal.append(&place, value, bytes));
    }
    for row in &batch.deletes {
        write_name(row, REMOVED, bytes);
    }
}

fn write_name(row: &RowKey, record_len: u32, bytes: &mut Vec<u8>) {
    bytes.push(row.table as u8);
    bytes.extend_from_slice(&(row.key.len() as u16).to_le_bytes());
    bytes.extend_from_slice(&record_len.to_le_bytes());
    bytes.extend_from_slice(&row.key);
}

/// Writes the place of a row in the tree over `place`.
pub(crate) fn write_place(row: &RowKey, place: &mut Vec<u8>) {
    place.clear();
    place.push(row.table as u8);
    place.extend_from_slice(&row.key);
}

/// A row as a batch names it: `None` in the place of its record if the batch removed it.
pub(crate) type Named<'a> = (RowKey, Option<&'a [u8]>);

/// Reads the rows that a batch names, one by one, up to the first that is cut off or of an
/// unknown table. Their own seals are not looked at.
pub(crate) fn read(mut bytes: &[u8]) -> impl Iterator<Item = Result<Named<'_>, Damage>> {
    core::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let Some((named, rest)) = read_row(bytes) else {
            bytes = &[];
            return Some(Err(Damage::Short));
        };
        bytes = rest;
        Some(Ok(named))
    })
}

fn read_row(bytes: &[u8]) -> Option<(Named<'_>, &[u8])> {
    let (table, bytes) = bytes.split_first()?;
    let table = Table::ALL.into_iter().find(|known| *known as u8 == *table)?;
    let (key_len, bytes) = bytes.split_first_chunk()?;
    let (record_len, bytes) = bytes.split_first_chunk()?;
    let (key, bytes) = bytes.split_at_checked(usize::from(u16::from_le_bytes(*key_len)))?;
    let row = RowKey::new(table, key);
    match u32::from_le_bytes(*record_len) {
        REMOVED => Some(((row, None), bytes)),
        length => {
            let (record, bytes) = bytes.split_at_checked(length as usize)?;
            Some(((row, Some(record)), bytes))
        }
    }
}

/// The batch in a record that was found at its place, with the checksums of its puts.
pub(crate) fn open(seal: Seal, seq: u64, record: &[u8]) -> Result<(Batch, Vec<u64>), StoreError> {
    let outer = seal.open(&place(seq), record);
    let mut batch = Batch { seq, ..Batch::default() };
    let (mut sums, mut at) = (Vec::new(), Vec::new());
    let damaged = |damage| error::corrupt(format_args!("batch {seq}: {damage}"));
    // The rows are read even if the whole does not open: the damaged one is to be named.
    for named in read(record.get(Seal::OVERHEAD..).unwrap_or_default()) {
        let (row, record) = named.map_err(damaged)?;
        let Some(record) = record else {
            batch.deletes.push(row);
            continue;
        };
        write_place(&row, &mut at);
        let opened = seal.open(&at, record);
        let opened = opened.map_err(|damage| StoreError::corrupt(row.table, &row.key, damage))?;
        sums.push(opened.sum);
        batch.puts.push((row, opened.value.to_vec()));
    }
    outer.map_err(damaged)?;
    Ok((batch, sums))
}

#[cfg(test)]
mod tests;
