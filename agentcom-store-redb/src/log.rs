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
use crate::record::Seal;
use crate::tail;

/// How many bytes of the log get room on the disk together: so many that it happens to few records,
/// and so few that one is not kept waiting for long.
const AHEAD: u64 = 2 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"\xacbatch\x00\x01";
const HEADER_BYTES: usize = 56;
const MARK_BYTES: usize = 24;

/// The log of a file.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn StorageBackend>,
    layout: Layout,
    /// The live batches, the oldest first: number, first byte.
    live: VecDeque<(u64, u64)>,
    /// The byte behind the last batch.
    end: u64,
    /// Up to where the log has room on the disk.
    roomy: u64,
    /// The record at hand, from its header on; kept for its room.
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
    /// The log of a file all of whose batches are in the rows; behind `roomy` it holds nothing.
    pub(crate) fn empty(disk: Arc<dyn StorageBackend>, layout: Layout, roomy: u64) -> Self {
        Self { disk, layout, live: VecDeque::new(), end: 0, roomy, record: Vec::new() }
    }

    /// Behind what the next batch is to be written.
    pub(crate) fn batch(&mut self) -> &mut Vec<u8> {
        self.record.clear();
        self.record.resize(HEADER_BYTES + Seal::OVERHEAD, 0);
        &mut self.record
    }

    /// Appends the batch that was written, which is `seq` and follows `before`, and makes it durable.
    /// Returns how many bytes that took, or `None` if there is no room for it. Batches up to `folded`
    /// are in the rows, and their room is free.
    pub(crate) fn append(
        &mut self,
        seal: Seal,
        [before, seq]: [u64; 2],
        folded: Option<u64>,
    ) -> io::Result<Option<usize>> {
        while self.live.front().is_some_and(|(seq, ..)| Some(*seq) <= folded) {
            self.live.pop_front();
        }
        let length = (self.record.len() as u64).next_multiple_of(PAGE);
        let Some(start) = self.free(length) else { return Ok(None) };
        self.reserve(start, length)?;
        finish_record(self.layout, seal, [before, seq], &mut self.record);
        self.disk.write(self.layout.log() + start, &self.record)?;
        self.disk.sync_data()?;
        self.live.push_back((seq, start));
        self.end = start + length;
        self.disk.write(self.layout.mark(seq), &mark(self.layout, seal, seq))?;
        Ok(Some(self.record.len()))
    }

    /// Gives the pages of a record room on the disk, and many behind them: a sync of a page that has
    /// it is one write, and otherwise the file system has to write where the page is as well.
    fn reserve(&mut self, start: u64, length: u64) -> io::Result<()> {
        let end = start + length;
        if end <= self.roomy {
            return Ok(());
        }
        let roomy = (end + AHEAD).min(self.layout.log_bytes);
        let nothing = vec![0; usize::try_from(roomy - end).unwrap_or_default()];
        self.disk.write(self.layout.log() + end, &nothing)?;
        self.roomy = roomy;
        Ok(())
    }

    /// Where so many bytes are free: behind the last record, or else from the first page on. So what
    /// is in the rows is overwritten late, and can be looked up when they are damaged.
    fn free(&self, length: u64) -> Option<u64> {
        let total = self.layout.log_bytes;
        let first = self.live.front().map(|(_, first)| *first);
        let goes_round = first.is_some_and(|first| self.end <= first);
        if goes_round {
            return Some(self.end).filter(|end| Some(end + length) <= first);
        }
        let behind = Some(self.end).filter(|end| end + length <= total);
        behind.or_else(|| (length <= first.unwrap_or(total)).then_some(0))
    }
}

/// Seals the batch in a record, and fills in the header.
fn finish_record(layout: Layout, seal: Seal, [before, seq]: [u64; 2], record: &mut [u8]) {
    let (header, batch) = record.split_at_mut(HEADER_BYTES);
    let sum = seal.seal_in_place(&tail::place(seq), batch);
    let (start, numbers) = header.split_at_mut(16);
    let told = [seq, before, batch.len() as u64, seal.namespace(), sum];
    for (bytes, number) in numbers.chunks_exact_mut(8).zip(told) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    start[..8].copy_from_slice(&MAGIC);
    start[8..].copy_from_slice(&xxh3_64_with_seed(numbers, layout.salt).to_le_bytes());
}

fn mark(layout: Layout, seal: Seal, seq: u64) -> [u8; MARK_BYTES] {
    let mut mark = [0; MARK_BYTES];
    mark[..8].copy_from_slice(&seal.namespace().to_le_bytes());
    mark[8..16].copy_from_slice(&seq.to_le_bytes());
    let sum = xxh3_64_with_seed(&mark[..16], layout.salt);
    mark[16..].copy_from_slice(&sum.to_le_bytes());
    mark
}

/// Behind which byte the log in the pages before a database holds nothing.
pub(crate) fn filled(bytes: &[u8], layout: Layout) -> u64 {
    const NOTHING: [u8; PAGE as usize] = [0; PAGE as usize];
    let log = usize::try_from(layout.log()).ok().and_then(|start| bytes.get(start..));
    let mut pages = log.unwrap_or_default().chunks(NOTHING.len());
    let last = pages.rposition(|page| *page != NOTHING[..page.len()]);
    last.map_or(0, |last| (last as u64 + 1) * PAGE)
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
