//! This file keeps the latest batches, which are stored whole and are not in the rows yet.
//!
//! A commit appends its batch to the [`log`](crate::log) as one record, and does not touch the rows
//! that it names. Once there are many batches they are *folded*: what they left of each row is written
//! to the row. That takes a while, so they are *settling* meanwhile, and batches that come in lie over
//! them. What comes and goes before it settles never becomes a row. What is stored is the rows
//! overlaid by what is settling, and that by the latest batches.
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

use std::ops::Bound;
use std::sync::Arc;

use agentcom_core::port::store::{Batch, Range, RowKey, StoreError, Table};

use crate::error;
use crate::layer::{self, Layer, Word};
use crate::record::{Damage, Seal};

/// The number of the table of batches, behind all tables of rows: the place that a batch is sealed
/// with. Earlier releases kept batches there, too.
pub(crate) const TABLE: u8 = u8::MAX;

/// From how many batches on they are folded, unless an option says otherwise.
pub(crate) const BATCHES: usize = 1_024;

/// From how many bytes on batches are folded.
const BYTES: usize = 6 << 20;

/// The length that stands for a row that was removed.
const REMOVED: u32 = u32::MAX;

/// What the latest batches left of the rows that they name.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    batches_max: usize,
    /// The number of the last batch that is in the rows.
    folded: Option<u64>,
    /// The batches that are being written to the rows.
    settling: Arc<Layer>,
    /// Those after them.
    latest: Layer,
}

impl Tail {
    /// An empty tail behind the batch `folded`, whose batches are to be folded once there are
    /// `batches_max`.
    pub(crate) fn new(batches_max: usize, folded: Option<u64>) -> Self {
        Self { batches_max, folded, settling: Arc::default(), latest: Layer::default() }
    }

    /// The number of the last batch, whether it is in the rows or not.
    pub(crate) fn last(&self) -> Option<u64> {
        self.unfolded().or(self.folded)
    }

    /// The number of the last batch that is in the rows.
    pub(crate) const fn folded(&self) -> Option<u64> {
        self.folded
    }

    /// The number of the last batch if it is not in the rows.
    pub(crate) fn unfolded(&self) -> Option<u64> {
        self.latest.last().or(self.settling.last())
    }

    /// Whether it is time to fold what there is.
    pub(crate) fn is_due(&self) -> bool {
        let enough = self.latest.batches() >= self.batches_max || self.latest.bytes() >= BYTES;
        enough && self.latest.last().is_some() && self.settling.last().is_none()
    }

    /// What is to be written to the rows, if it is time to, or `all` of it.
    pub(crate) fn settle(&mut self, all: bool) -> Option<Arc<Layer>> {
        if self.is_due() || (all && self.settling.last().is_none()) {
            self.settling = Arc::new(core::mem::take(&mut self.latest));
        }
        self.settling.last().is_some().then(|| Arc::clone(&self.settling))
    }

    /// The latest batches, joined with one more.
    pub(crate) fn with(&self, batch: Batch, sums: &[u64]) -> Layer {
        let mut layer = self.latest.clone();
        layer.take_in(batch, 0, sums);
        layer
    }

    /// Forgets the batches up to `seq`, which are in the rows.
    pub(crate) fn forget(&mut self, seq: Option<u64>) {
        self.settling = Arc::default();
        if self.latest.last() <= seq {
            self.latest = Layer::default();
        }
        self.folded = seq;
    }

    /// Takes in a batch whose record has so many bytes, and whose puts have these checksums.
    pub(crate) fn take_in(&mut self, batch: Batch, bytes: usize, sums: &[u64]) {
        self.latest.take_in(batch, bytes, sums);
    }

    /// The last word on a row, if the tail has one.
    pub(crate) fn get(&self, row: &RowKey) -> Option<&Word> {
        self.latest.get(row).or_else(|| self.settling.get(row))
    }

    /// The last word on all rows of a table, in the order of their keys.
    pub(crate) fn of_table(&self, table: Table) -> impl Iterator<Item = (&[u8], &Word)> {
        let all = layer::bounds(table, (Bound::Unbounded, Bound::Unbounded));
        let [settling, latest] = [&*self.settling, &self.latest].map(|layer| layer.within(&all));
        let words = layer::overlaid(settling, latest, false);
        words.map(|(row, word)| (row.key.as_slice(), word))
    }

    /// As many of the last words on a range as it takes to find all rows of the range, however
    /// many the tree has.
    pub(crate) fn range(&self, range: &Range) -> Vec<(Vec<u8>, Word)> {
        let Some(keys) = range.bounds() else { return Vec::new() };
        let bounds = layer::bounds(range.table, keys);
        let [settling, latest] = [&*self.settling, &self.latest].map(|layer| layer.within(&bounds));
        let mut puts = 0;
        let enough = |(row, word): (&RowKey, &Word)| {
            let wanted = puts < range.limit;
            puts += usize::from(word.is_some());
            wanted.then(|| (row.key.clone(), word.clone()))
        };
        if range.backwards {
            layer::overlaid(settling.rev(), latest.rev(), true).map_while(enough).collect()
        } else {
            layer::overlaid(settling, latest, false).map_while(enough).collect()
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

/// Writes a batch behind `bytes`. Returns the checksums of its puts.
pub(crate) fn write(seal: Seal, batch: &Batch, bytes: &mut Vec<u8>) -> Vec<u64> {
    let mut sums = Vec::with_capacity(batch.puts.len());
    let mut place = Vec::new();
    for (row, value) in &batch.puts {
        write_place(row, &mut place);
        write_name(row, Seal::record_len(value) as u32, bytes);
        sums.push(seal.append(&place, value, bytes));
    }
    for row in &batch.deletes {
        write_name(row, REMOVED, bytes);
    }
    sums
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
