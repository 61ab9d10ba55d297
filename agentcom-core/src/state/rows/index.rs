//! This file is the index of ended tasks: by which values they are found, and its rows.
//!
//! The tasks that ended in one batch and share a value share a row. Its key is the letter of the
//! index, the value and a zero byte, then the time of the end and the number of the first of them and
//! the number of the batch; its value are time and number of the others. All numbers are eight bytes,
//! the biggest first. Rows of earlier releases are of one task and do not name a batch.
//!
//! A row is never changed. So a task that came back and ended again is in the index twice, and only
//! the time of its latest end counts.

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::vec::Vec;

use crate::port::store::{Batch, RowKey, StoreError, Table};
use crate::task::Task;
use crate::time::Wall;

/// How many tasks share a row at most.
const ENTRIES_MAX: usize = 1_000;

/// A task that ended, as its index has it. The earlier end comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndedEntry {
    /// When it ended.
    pub at: Wall,
    /// Its number.
    pub number: u64,
}

impl EndedEntry {
    const BYTES: usize = 16;

    fn write(self, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(&self.at.0.to_be_bytes());
        bytes.extend_from_slice(&self.number.to_be_bytes());
    }

    /// The first one in these bytes, and what is behind it.
    fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (at, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let at = Wall(u64::from_be_bytes(*at));
        Some((Self { at, number: u64::from_be_bytes(*number) }, rest))
    }
}

/// What the index says of the tasks that end in one batch.
#[derive(Debug, Default)]
pub(super) struct EndedIndex {
    /// By what the keys of a value start with.
    entries: BTreeMap<Vec<u8>, Vec<EndedEntry>>,
}

impl EndedIndex {
    /// Adds a task that ended. Index `t` is by time alone.
    pub(super) fn add(&mut self, task: &Task, number: u64) {
        let entry = EndedEntry { at: task.life.updated_at, number };
        let mut add = |index, value: &str| {
            self.entries.entry(index_prefix(index, value)).or_default().push(entry)
        };
        add(b't', "");
        add(b's', task.life.state.as_str());
        add(b'b', &task.spec.submitted_by.to_string());
        if let Some(attempt) = task.life.attempts.last() {
            add(b'a', attempt.agent.as_str());
        }
        if let Some(goal) = task.spec.goal_id() {
            add(b'g', goal.as_str());
        }
    }

    /// Writes its rows.
    pub(super) fn write(self, batch: &mut Batch) {
        for (prefix, mut entries) in self.entries {
            entries.sort_unstable();
            for some in entries.chunks(ENTRIES_MAX) {
                let Some((first, others)) = some.split_first() else { continue };
                let mut key = prefix.clone();
                first.write(&mut key);
                key.extend_from_slice(&batch.seq.to_be_bytes());
                let mut value = Vec::with_capacity(others.len() * EndedEntry::BYTES);
                others.iter().for_each(|entry| entry.write(&mut value));
                batch.puts.push((RowKey::new(Table::EndedIndex, key), value));
            }
        }
    }
}

/// What the keys of one value of an index start with.
#[must_use]
pub fn index_prefix(index: u8, value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 26);
    bytes.push(index);
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
    bytes
}

/// The tasks in a row of an index whose key starts with `prefix`, the one that ended first in front.
///
/// # Errors
///
/// A row that cannot be read, by name.
pub fn index_entries(
    prefix: &[u8],
    key: &[u8],
    value: &[u8],
) -> Result<Vec<EndedEntry>, StoreError> {
    let bad = || StoreError::corrupt(Table::EndedIndex, key, "it is no row of the index");
    let first = key.strip_prefix(prefix).and_then(EndedEntry::read);
    let (first, batch) = first.ok_or_else(bad)?;
    if !matches!(batch.len(), 0 | 8) {
        return Err(bad());
    }
    let mut entries = Vec::from([first]);
    let mut rest = value;
    while !rest.is_empty() {
        let (entry, behind) = EndedEntry::read(rest).ok_or_else(bad)?;
        entries.push(entry);
        rest = behind;
    }
    Ok(entries)
}

/// Whether a row can be read, whatever its value and index.
///
/// # Errors
///
/// A row that cannot be read, by name.
pub(in crate::state) fn check_index(key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    let prefix = key.iter().position(|byte| *byte == 0).map_or(key, |zero| &key[..=zero]);
    index_entries(prefix, key, value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at: u64, number: u64) -> EndedEntry {
        EndedEntry { at: Wall(at), number }
    }

    fn rows(index: EndedIndex) -> Vec<(Vec<u8>, Vec<u8>)> {
        let mut batch = Batch { seq: 9, ..Batch::default() };
        index.write(&mut batch);
        batch.puts.into_iter().map(|(row, value)| (row.key, value)).collect()
    }

    #[test]
    fn those_that_share_a_value_share_a_row_the_first_end_in_front() {
        let entries =
            BTreeMap::from([(b"t\0".to_vec(), Vec::from([entry(2, 5), entry(1, 7), entry(2, 4)]))]);
        let found = rows(EndedIndex { entries });
        let [(key, value)] = &found[..] else { panic!("{found:?}") };
        assert_eq!(
            *key,
            [&b"t\0"[..], &1_u64.to_be_bytes(), &7_u64.to_be_bytes(), &9_u64.to_be_bytes()]
                .concat()
        );
        assert_eq!(
            index_entries(b"t\0", key, value).unwrap(),
            [entry(1, 7), entry(2, 4), entry(2, 5)]
        );
    }

    #[test]
    fn a_row_has_a_bound() {
        let all: Vec<_> = (0..=ENTRIES_MAX as u64).map(|number| entry(1, number)).collect();
        let found = rows(EndedIndex { entries: BTreeMap::from([(b"t\0".to_vec(), all.clone())]) });
        let read = found.iter().map(|(key, value)| index_entries(b"t\0", key, value).unwrap());
        let read: Vec<_> = read.collect();
        assert_eq!(read.iter().map(Vec::len).collect::<Vec<_>>(), [ENTRIES_MAX, 1]);
        assert_eq!(read.concat(), all);
    }

    #[test]
    fn rows_of_earlier_releases_are_of_one_task() {
        let key = [&b"t\0"[..], &3_u64.to_be_bytes(), &8_u64.to_be_bytes()].concat();
        assert_eq!(index_entries(b"t\0", &key, &[]).unwrap(), [entry(3, 8)]);
    }

    #[test]
    fn what_is_no_row_of_the_index_is_named() {
        let key = [&b"t\0"[..], &[0; 24]].concat();
        let bad = [(&key[..3], &[][..]), (&key[..22], &[]), (&key, &[0; 15]), (b"s", &[])];
        for (key, value) in bad {
            let error = index_entries(b"t\0", key, value).unwrap_err();
            assert_eq!(error.row.map(|row| row.key), Some(key.to_vec()));
            assert!(check_index(key, value).is_err());
        }
    }
}
