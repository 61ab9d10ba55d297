//! This file saves what can be saved of a damaged file.
//!
//! The file is read as bytes and never changed. A row is saved only if its own seal holds. Where
//! the way to some rows is damaged, they are looked for in the tree of the commit before, and then
//! in every page of the file; of those that are found there in several versions, none of which can
//! be proved to be the last, none is taken.

mod pages;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::ops::Bound;
use std::path::Path;

use agentcom_core::port::store::{Batch, RowKey, StoreError, Table};

use crate::book::Book;
use crate::copy::{self, Partial};
use crate::files;
use crate::head::{self, Head};
use crate::layout::Layout;
use crate::log::{self, Entry};
use crate::record::Seal;
use crate::tail;
use crate::upkeep::{Staged, Stop};
use crate::{Namespace, Options, error, file};
use pages::{Gap, Link, Pages, Walk};

/// How many bytes of rows are written at once to a fresh file.
const PIECE_BYTES: usize = 1 << 20;

/// What was saved of a store, and what was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Salvage {
    /// The number of the last batch that is known of; `None` if nothing was found.
    pub seq: Option<u64>,
    /// The rows whose seals hold.
    pub rows: BTreeMap<RowKey, Vec<u8>>,
    /// What is known to be lost.
    pub lost: BTreeSet<Lost>,
    /// How many of the saved rows were found in pages that no tree leads to, and so may be older
    /// than they should be, or have been removed.
    pub unlinked: u64,
    /// By how many rows a table is larger than it should be, or if negative smaller, as far as that
    /// is known; the latest batches are not counted.
    pub differs: Vec<(Table, i64)>,
}

/// Something that is lost.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lost {
    /// A row that cannot be read.
    Row(RowKey),
    /// A row that was found in several versions, none of which can be proved to be the last.
    Doubtful(RowKey),
    /// A batch of which no more could be read.
    Batch(u64),
    /// So many of the latest batches. The rows that they wrote are as they were before.
    Batches(u64),
    /// What the store says about itself. No table can be told to be complete.
    Head,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |row: &RowKey| format!("table {}, row {}", row.table, row.key.escape_ascii());
        match self {
            Self::Row(row) => write!(f, "{}: it cannot be read", name(row)),
            Self::Doubtful(row) => write!(f, "{}: it is not known which version counts", name(row)),
            Self::Batch(seq) => write!(f, "batch {seq}: a part of it cannot be read"),
            Self::Batches(count) => {
                write!(f, "{count} of the latest batches: what they changed is as it was before")
            }
            Self::Head => f.write_str("the head of the store: how many rows there were is unknown"),
        }
    }
}

/// Reads what can be saved of the store `namespace` in a file, and keeps others from opening the
/// file meanwhile.
///
/// # Errors
///
/// `Fenced` if somebody uses the file, `Unavailable` if it is not there or cannot be read at all.
pub fn salvage(path: &Path, namespace: &Namespace) -> Result<Salvage, StoreError> {
    let _locked = file::lock(&files::os(), path)?;
    let bytes = fs::read(path).map_err(|why| error::of(path, &why))?;
    Ok(salvage_bytes(&bytes, namespace))
}

/// As [`salvage`], of the bytes of a file.
#[must_use]
pub fn salvage_bytes(bytes: &[u8], namespace: &Namespace) -> Salvage {
    let known = Layout::of(bytes);
    let layout = known.unwrap_or_else(|| Layout::guessed(bytes));
    // Of a file that was cut off, or has a forged header, there is no more log than file.
    let layout = Layout { log_bytes: layout.log_bytes.min(bytes.len() as u64), ..layout };
    let start = usize::try_from(layout.database()).unwrap_or(usize::MAX).min(bytes.len());
    let (log, database) = bytes.split_at(start);
    let (pages, seal) = (Pages::new(database), Seal::new(namespace.as_str()));
    let log = log::read(log, layout, seal);
    let (known_batches, last) = (log.known(), log.last());
    let [latest, before] = pages.roots(Book::tree_name(namespace).as_bytes());
    let follow = |root: Option<(Link, bool)>| root.map_or_else(Walk::lost, |root| pages.walk(root));
    let walk = follow(latest);
    let mut saved = Saved::of(&walk, seal);
    let mut gaps = walk.gaps;
    if !gaps.is_empty() {
        let earlier = follow(before);
        let mut then = Saved::of(&earlier, seal);
        // What was folded since is in the log, unless something else is in its place.
        if then.add_log(&known_batches, saved.seq()) {
            saved.fill(then, &gaps, seal);
        }
        let seen = walk.seen.union(&earlier.seen).copied().collect();
        if !earlier.gaps.is_empty() {
            gaps.retain(|gap| !gap.is_leaf);
            let pairs = pages.scan(&seen, &walk.missed);
            saved.scan(pairs, &gaps, &earlier.gaps, seal);
        }
        saved.add_last(pages.scan(&seen, &walk.missed), seal);
    }
    saved.add_log(&known_batches, last);
    if known.is_none() {
        // Batches that were in the log only are not told from what somebody submitted.
        saved.salvage.lost.insert(Lost::Head);
    }
    saved.finish(seal)
}

impl Salvage {
    /// Writes what was saved to a fresh file, which is closed, opened again and checked. What has
    /// to change about the data is changed there, before it is put in its place.
    ///
    /// # Errors
    ///
    /// `Unavailable` if `target` exists, there is no room for it, or `stop` was asked.
    pub fn stage(
        self,
        target: &Path,
        namespace: &Namespace,
        stop: &Stop,
    ) -> Result<Staged, StoreError> {
        let files = files::os();
        crate::upkeep::must_not_exist(&files, target)?;
        file::make_parent(&files, target)?;
        let partial = Partial::beside(&files, target)?;
        let options = Options { namespace: namespace.clone(), ..Options::default() };
        let of_target = |why| file::named(target, why);
        let fresh = file::fresh(&files, &partial.path, options.cache_bytes, options.log_bytes);
        let book = Book::new(fresh.map_err(of_target)?, &options).map_err(of_target)?;
        self.write(&book, stop).and_then(|()| book.fold(true)).map_err(of_target)?;
        let mut written = book.close();
        written.trim().map_err(of_target)?;
        written.close();
        let told = copy::check(&files, &partial.path, stop)?;
        Ok(Staged::new(partial, target, told))
    }

    /// Writes the rows in several batches, up to the last one that is known of: all are kept whole
    /// for a while, and one that is large makes everything slow that is stored beside it.
    fn write(self, book: &Book, stop: &Stop) -> Result<(), StoreError> {
        let seq = self.seq.unwrap_or_default();
        let bytes_of = |(row, value): (&RowKey, &Vec<u8>)| row.key.len() + value.len();
        let pieces = self.rows.iter().map(bytes_of).sum::<usize>() / PIECE_BYTES;
        let mut batch = Batch { seq: seq.saturating_sub(pieces as u64), ..Batch::default() };
        let mut bytes = 0;
        for (row, value) in self.rows {
            bytes += bytes_of((&row, &value));
            batch.puts.push((row, value));
            if bytes >= PIECE_BYTES && batch.seq < seq {
                stop.check()?;
                let next = Batch { seq: batch.seq + 1, ..Batch::default() };
                book.commit(core::mem::replace(&mut batch, next))?;
                bytes = 0;
            }
        }
        book.commit(Batch { seq, ..batch })
    }

    fn count(&mut self, head: &Head) {
        for table in Table::ALL {
            let told = head.tally(table as u8).rows;
            let found = self.rows.keys().filter(|row| row.table == table).count() as u64;
            let differs = found.cast_signed().wrapping_sub(told.cast_signed());
            if differs != 0 {
                self.differs.push((table, differs));
            }
        }
    }
}

fn row_at(place: &[u8]) -> Option<RowKey> {
    let (table, key) = place.split_first()?;
    let table = Table::ALL.into_iter().find(|known| *known as u8 == *table)?;
    Some(RowKey::new(table, key))
}

fn batch_at(place: &[u8]) -> Option<u64> {
    (place.first() == Some(&tail::TABLE)).then(|| tail::seq_at(place).ok()).flatten()
}

/// What was found on the way to a [`Salvage`].
#[derive(Clone, Debug, Default)]
struct Saved<'a> {
    salvage: Salvage,
    head: Option<Head>,
    /// Whether that is the head of the commit before.
    head_is_earlier: bool,
    /// The records of the latest batches, whether or not their seals hold.
    batches: BTreeMap<u64, &'a [u8]>,
}

impl<'a> Saved<'a> {
    fn of(walk: &Walk<'a>, seal: Seal) -> Self {
        let mut saved = Self::default();
        for (place, record) in &walk.pairs {
            let opened = seal.open(place, record);
            if let Some(seq) = batch_at(place) {
                saved.batches.insert(seq, record);
            } else if let Some(row) = row_at(place) {
                match opened {
                    Ok(opened) => drop(saved.salvage.rows.insert(row, opened.value.to_vec())),
                    Err(_) => drop(saved.salvage.lost.insert(Lost::Row(row))),
                }
            } else if *place == head::PLACE {
                saved.head = opened.ok().and_then(|opened| Head::read(opened.value).ok());
            }
        }
        saved
    }

    /// All that was stored at the time: the rows and over them the batches.
    fn overlaid(mut self, seal: Seal) -> Self {
        for (seq, record) in core::mem::take(&mut self.batches) {
            self.lay_over(seq, record, seal);
        }
        self
    }

    /// The number of the last batch in the rows, if that is known.
    fn seq(&self) -> Option<u64> {
        self.head.as_ref().and_then(|head| head.seq)
    }

    /// Adds the batches of the log from the last one in the rows on, up to `last`. Returns whether all
    /// of them are there.
    fn add_log(&mut self, known: &BTreeMap<u64, Entry<&'a [u8]>>, last: Option<u64>) -> bool {
        let Some(last) = last else { return true };
        let mut before = self.seq();
        let mut is_whole = before.is_some();
        let first = before.map_or(Bound::Unbounded, Bound::Excluded);
        let known = known.range((first, Bound::Unbounded));
        for (seq, entry) in known.take_while(|(seq, _)| **seq <= last) {
            if before.is_some_and(|before| entry.before != before) {
                self.salvage.lost.insert(Lost::Batch(entry.before));
                is_whole = false;
            }
            self.batches.insert(*seq, entry.batch);
            before = Some(*seq);
        }
        if before.is_none_or(|before| before < last) {
            self.salvage.lost.insert(Lost::Batch(last));
            is_whole = false;
        }
        is_whole
    }

    /// Adds what the commit before had in the gaps, and all its batches: what the latest commit
    /// folded of them lies in the rows already, and what was added since lies over them.
    fn fill(&mut self, mut earlier: Self, gaps: &[Gap], seal: Seal) {
        for (seq, record) in &earlier.batches {
            self.batches.entry(*seq).or_insert(record);
        }
        earlier = earlier.overlaid(seal);
        let mut place = Vec::new();
        for (row, value) in &earlier.salvage.rows {
            tail::write_place(row, &mut place);
            let is_missing = !self.salvage.rows.contains_key(row);
            if is_missing && gaps.iter().any(|gap| gap.holds(&place)) {
                self.salvage.rows.insert(row.clone(), value.clone());
                self.salvage.lost.remove(&Lost::Row(row.clone()));
            }
        }
        if self.head.is_none() {
            self.head = earlier.head;
            self.head_is_earlier = true;
        }
    }

    /// Adds the batch of the latest commit, which is on no page of the commit before, if it is
    /// missing and there is one that can be it.
    fn add_last(&mut self, pairs: impl Iterator<Item = (&'a [u8], &'a [u8], bool)>, seal: Seal) {
        let known = self.batches.keys().next_back().copied();
        let told = self.seq().filter(|_| !self.head_is_earlier);
        if told.is_some() && known >= told {
            return;
        }
        let mut found: BTreeMap<u64, BTreeSet<&[u8]>> = BTreeMap::new();
        for (place, record, _) in pairs {
            let seq = batch_at(place).filter(|seq| known.is_none_or(|known| *seq > known));
            let seq = seq.filter(|seq| told.is_none_or(|told| *seq == told));
            if let Some(seq) = seq
                && seal.open(place, record).is_ok()
            {
                found.entry(seq).or_default().insert(record);
            }
        }
        match (found.len(), found.pop_last()) {
            (1, Some((seq, records))) if records.len() == 1 => {
                self.batches.extend(records.first().map(|record| (seq, *record)));
            }
            (_, Some((seq, _))) => drop(self.salvage.lost.insert(Lost::Batch(seq))),
            (_, None) => {}
        }
    }

    /// Adds rows of any page that are missing in a gap of both trees, and either are on a page that
    /// belongs to the tree or have one version only.
    fn scan(
        &mut self,
        pairs: impl Iterator<Item = (&'a [u8], &'a [u8], bool)>,
        gaps: &[Gap],
        earlier: &[Gap],
        seal: Seal,
    ) {
        let mut found: BTreeMap<RowKey, BTreeSet<&[u8]>> = BTreeMap::new();
        let mut batches = BTreeMap::new();
        let within = |gaps: &[Gap], place: &[u8]| gaps.iter().any(|gap| gap.holds(place));
        for (place, record, belongs) in pairs {
            let Ok(opened) = seal.open(place, record) else { continue };
            if belongs && let Some(row) = row_at(place) {
                self.salvage.rows.insert(row, opened.value.to_vec());
                continue;
            }
            if !within(gaps, place) || !within(earlier, place) {
                continue;
            }
            if let Some(seq) = batch_at(place) {
                batches.insert(seq, record);
            } else if let Some(row) = row_at(place) {
                found.entry(row).or_default().insert(opened.value);
            } else if *place == head::PLACE {
                let head = Head::read(opened.value).ok();
                let seq = |head: &Option<Head>| head.as_ref().and_then(|head| head.seq);
                self.head = core::cmp::max_by_key(self.head.take(), head, seq);
            }
        }
        for (row, versions) in found {
            let lost = Lost::Row(row.clone());
            if self.salvage.rows.contains_key(&row) || self.salvage.lost.contains(&lost) {
                continue;
            }
            match (versions.len(), versions.first()) {
                (1, Some(value)) => {
                    self.salvage.unlinked += 1;
                    self.salvage.rows.insert(row, value.to_vec());
                }
                _ => drop(self.salvage.lost.insert(Lost::Doubtful(row))),
            }
        }
        self.add_batches(batches);
    }

    /// Adds those of the batches found that had not been folded into the rows.
    fn add_batches(&mut self, found: BTreeMap<u64, &'a [u8]>) {
        let told = self.head.as_ref().map(|head| head.tally(tail::TABLE).rows);
        let oldest = self.batches.keys().next().copied();
        self.batches.extend(found);
        let surplus = match (oldest, told) {
            (Some(oldest), _) => self.batches.range(..oldest).count(),
            (None, Some(told)) => {
                self.batches.len().saturating_sub(usize::try_from(told).unwrap_or(usize::MAX))
            }
            // It is not known which were folded, so all of them are told to be doubtful.
            (None, None) => 0,
        };
        for _ in 0..surplus {
            self.batches.pop_first();
        }
    }

    /// Lays a batch over the rows, as far as its rows can be read.
    fn lay_over(&mut self, seq: u64, record: &[u8], seal: Seal) {
        let Salvage { rows, lost, .. } = &mut self.salvage;
        let mut place = Vec::new();
        for named in tail::read(record.get(Seal::OVERHEAD..).unwrap_or_default()) {
            let Ok((row, record)) = named else {
                lost.insert(Lost::Batch(seq));
                return;
            };
            tail::write_place(&row, &mut place);
            lost.remove(&Lost::Row(row.clone()));
            lost.remove(&Lost::Doubtful(row.clone()));
            match record.map(|record| seal.open(&place, record)) {
                None => drop(rows.remove(&row)),
                Some(Ok(opened)) => drop(rows.insert(row, opened.value.to_vec())),
                Some(Err(_)) => {
                    // What it was before is not what it was last.
                    rows.remove(&row);
                    lost.insert(Lost::Row(row));
                }
            }
        }
    }

    fn finish(mut self, seal: Seal) -> Salvage {
        let last = self.batches.keys().next_back().copied();
        self.salvage.seq = self.seq().max(last);
        match &self.head {
            Some(head) => {
                let told = head.tally(tail::TABLE).rows;
                // Where batches are kept in the tree, the last one always is.
                let is_last_missing =
                    told > 0 && head.seq.is_some_and(|seq| !self.batches.contains_key(&seq));
                let missing = told.saturating_sub(self.batches.len() as u64);
                let missing = missing.max(u64::from(is_last_missing));
                self.salvage.lost.extend((missing > 0).then_some(Lost::Batches(missing)));
                self.salvage.count(head);
            }
            None => drop(self.salvage.lost.insert(Lost::Head)),
        }
        self.overlaid(seal).salvage
    }
}

#[cfg(test)]
mod tests;
