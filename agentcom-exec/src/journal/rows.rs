//! This file holds the rows of a journal in memory.

use std::collections::BTreeMap;

use agentcom_core::port::store::{Batch, Range, Row, RowKey, Table};

/// What the records of a journal add up to.
#[derive(Debug, Default)]
pub(super) struct Rows {
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
    seq: Option<u64>,
    bytes: u64,
}

impl Rows {
    /// The number of the last batch.
    pub(super) fn seq(&self) -> Option<u64> {
        self.seq
    }

    /// About how many bytes of file the rows take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn get(&self, row: &RowKey) -> Option<&Vec<u8>> {
        self.tables.get(&row.table)?.get(&row.key)
    }

    pub(super) fn range(&self, range: &Range) -> Vec<Row> {
        let (Some(rows), Some(bounds)) = (self.tables.get(&range.table), range.bounds()) else {
            return Vec::new();
        };
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let rows = rows.range(bounds);
        if range.backwards {
            rows.rev().take(range.limit).map(owned).collect()
        } else {
            rows.take(range.limit).map(owned).collect()
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Table, &Vec<u8>, &Vec<u8>)> {
        self.tables
            .iter()
            .flat_map(|(&table, rows)| rows.iter().map(move |(key, value)| (table, key, value)))
    }

    /// How many bytes the rows would take after `batch`.
    pub(super) fn bytes_after(&self, batch: &Batch) -> u64 {
        let size_of = |row: &RowKey| self.get(row).map_or(0, |old| size(&row.key, old));
        let named = batch.puts.iter().map(|(row, _)| row).chain(&batch.deletes);
        let goes: u64 = named.map(size_of).sum();
        let comes: u64 = batch.puts.iter().map(|(row, value)| size(&row.key, value)).sum();
        (self.bytes + comes).saturating_sub(goes)
    }

    pub(super) fn apply(&mut self, batch: Batch) {
        self.seq = Some(batch.seq);
        for (row, value) in batch.puts {
            self.bytes += size(&row.key, &value);
            let rows = self.tables.entry(row.table).or_default();
            let key_size = row.key.len();
            if let Some(old) = rows.insert(row.key, value) {
                self.bytes -= (key_size + old.len()) as u64 + FRAME_BYTES;
            }
        }
        for row in batch.deletes {
            let old = self.tables.get_mut(&row.table).and_then(|rows| rows.remove(&row.key));
            self.bytes -= old.map_or(0, |old| size(&row.key, &old));
        }
    }
}

/// What a row takes in a record besides its key and value.
const FRAME_BYTES: u64 = 7;

fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64 + FRAME_BYTES
}
