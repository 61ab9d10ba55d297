//! This file keeps the log: the latest batches, each appended as one record and synced once.
//!
//! The log is a ring of pages. A record begins on a page of its own:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | [`MAGIC`] |
//! | 8 | XXH3-64 of the next 40 bytes, seeded with the salt of the file |
//! | 8 | the number of the batch |
//! | 8 | the number of the batch before it |
//! | 8 | the length of the sealed batch |
//! | 8 | the namespace, as [`Seal::namespace`] has it |
//! | 8 | the checksum of the sealed batch |
//! | | the sealed batch, see [`tail`] |
//!
//! all numbers little-endian. A record is live until its batch is in the rows; the number of the last
//! one that is, is in the head of the store. So nothing has to be kept about where the log begins and
//! ends: when a file is opened its whole log is looked through.
//!
//! **A batch that was confirmed and rotted is told from one that was never confirmed** by the batches
//! behind it, each of which names the one before, and, for the last one, by a *mark*: its number,
//! written after its sync. A mark that is lost with the power loses nothing but that.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::Arc;

use redb::StorageBackend;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::layout::{Layout, PAGE, number_at};
use crate::record::{Seal, sealed_sum};
use crate::tail;

const MAGIC: [u8; 8] = *b"\xacbatch\x00\x01";
const HEADER_BYTES: usize = 56;
const MARK_BYTES: usize = 24;

/// The log of a file.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn StorageBackend>,
    layout: Layout,
    /// The live batches, the oldest first: number, first byte, byte behind the last.
    live: VecDeque<(u64, u64, u64)>,
    /// The record at hand, kept for its room.
    record: Vec<u8>,
}

/// A batch as it was found in the log, its own seal unchecked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<B> {
    pub(crate) seq: u64,
    /// The number of the batch before it.
    pub(crate) before: u64,
    /// The sealed batch, as far as the log has it.
    pub(crate) batch: B,
}

impl Log {
    /// The log of a file all of whose batches are in the rows.
    pub(crate) fn empty(disk: Arc<dyn StorageBackend>, layout: Layout) -> Self {
        Self { disk, layout, live: VecDeque::new(), record: Vec::new() }
    }

    /// Appends a sealed batch and makes it durable; `false` if there is no room for it. Batches up to
    /// `folded` are in the rows, and their room is free.
    pub(crate) fn append(
        &mut self,
        seal: Seal,
        entry: &Entry<&[u8]>,
        folded: Option<u64>,
    ) -> io::Result<bool> {
        while self.live.front().is_some_and(|(seq, ..)| Some(*seq) <= folded) {
            self.live.pop_front();
        }
        let length = (HEADER_BYTES + entry.batch.len()) as u64;
        let Some(start) = self.room(length.next_multiple_of(PAGE)) else { return Ok(false) };
        write_record(self.layout, seal, entry, &mut self.record);
        self.disk.write(self.layout.log() + start, &self.record)?;
        self.disk.sync_data()?;
        self.live.push_back((entry.seq, start, start + length.next_multiple_of(PAGE)));
        let mark = mark(self.layout, seal, entry.seq);
        self.disk.write(self.layout.mark(entry.seq), &mark)?;
        Ok(true)
    }

    /// Where so many bytes are free.
    fn room(&self, length: u64) -> Option<u64> {
        let total = self.layout.log_bytes;
        let (Some((_, first, _)), Some((_, _, end))) = (self.live.front(), self.live.back()) else {
            return (length <= total).then_some(0);
        };
        if end > first {
            // Free is what is behind the last, and what is before the first.
            (end + length <= total).then_some(*end).or_else(|| (length <= *first).then_some(0))
        } else {
            (end + length <= *first).then_some(*end)
        }
    }
}

fn write_record(layout: Layout, seal: Seal, entry: &Entry<&[u8]>, record: &mut Vec<u8>) {
    let sum = sealed_sum(entry.batch).unwrap_or_default();
    record.clear();
    record.extend_from_slice(&MAGIC);
    record.extend_from_slice(&[0; 8]);
    for number in [entry.seq, entry.before, entry.batch.len() as u64, seal.namespace(), sum] {
        record.extend_from_slice(&number.to_le_bytes());
    }
    let sum = xxh3_64_with_seed(&record[16..HEADER_BYTES], layout.salt);
    record[8..16].copy_from_slice(&sum.to_le_bytes());
    record.extend_from_slice(entry.batch);
}

fn mark(layout: Layout, seal: Seal, seq: u64) -> [u8; MARK_BYTES] {
    let mut mark = [0; MARK_BYTES];
    mark[..8].copy_from_slice(&seal.namespace().to_le_bytes());
    mark[8..16].copy_from_slice(&seq.to_le_bytes());
    let sum = xxh3_64_with_seed(&mark[..16], layout.salt);
    mark[16..].copy_from_slice(&sum.to_le_bytes());
    mark
}

/// What the pages before the database of a file say of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// All batches, live ones and others, by their number.
    pub(crate) entries: BTreeMap<u64, Entry<&'a [u8]>>,
    /// Those that do not open: they are damaged, or were being written when the power went.
    pub(crate) unreadable: BTreeMap<u64, Entry<&'a [u8]>>,
    /// The number of a batch that was confirmed.
    pub(crate) confirmed: Option<u64>,
}

impl<'a> Found<'a> {
    /// All batches of which it has something, whether or not they open, that are sure to have been
    /// confirmed: they are followed by others, or marked.
    pub(crate) fn known(&self) -> BTreeMap<u64, Entry<&'a [u8]>> {
        let last = self.last().unwrap_or_default();
        let unreadable = self.unreadable.range(..=last);
        unreadable.chain(&self.entries).map(|(seq, entry)| (*seq, *entry)).collect()
    }

    /// The number of the last batch that was confirmed or is whole.
    pub(crate) fn last(&self) -> Option<u64> {
        self.entries.keys().next_back().copied().max(self.confirmed)
    }
}

/// Looks through the pages before the database.
pub(crate) fn read(bytes: &[u8], layout: Layout, seal: Seal) -> Found<'_> {
    let at = |at: u64| usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
    let confirmed = [0, 1].into_iter().filter_map(|turn| {
        let found = at(layout.mark(turn)).get(..MARK_BYTES)?;
        let seq = number_at(found, 8)?;
        (found == mark(layout, seal, seq)).then_some(seq)
    });
    let mut found = Found { confirmed: confirmed.max(), ..Found::default() };
    let mut start = 0;
    while start < layout.log_bytes {
        let left = usize::try_from(layout.log_bytes - start).unwrap_or(usize::MAX);
        let page = at(layout.log() + start);
        let record = read_record(&page[..page.len().min(left)], layout, seal);
        start += match record {
            Some(Record { entry, is_whole: true }) => {
                let length = (HEADER_BYTES + entry.batch.len()) as u64;
                found.entries.insert(entry.seq, entry);
                length.next_multiple_of(PAGE)
            }
            // The next may begin anywhere behind its first page.
            Some(Record { entry, is_whole: false }) => {
                found.unreadable.insert(entry.seq, entry);
                PAGE
            }
            None => PAGE,
        };
    }
    found
}

struct Record<'a> {
    entry: Entry<&'a [u8]>,
    is_whole: bool,
}

/// The record of the namespace that these bytes begin with, if there is one.
fn read_record(bytes: &[u8], layout: Layout, seal: Seal) -> Option<Record<'_>> {
    let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
    let number = |at| number_at(header, at);
    let is_header = header.starts_with(&MAGIC)
        && number(8)? == xxh3_64_with_seed(&header[16..], layout.salt)
        && number(40)? == seal.namespace();
    if !is_header {
        return None;
    }
    let length = usize::try_from(number(32)?).ok()?;
    let batch = &rest[..rest.len().min(length)];
    let entry = Entry { seq: number(16)?, before: number(24)?, batch };
    let opened = seal.open(&tail::place(entry.seq), batch);
    let is_whole = opened.is_ok_and(|opened| Some(opened.sum) == number(48));
    Some(Record { entry, is_whole })
}

#[cfg(test)]
mod tests;
