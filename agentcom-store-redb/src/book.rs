//! This file reads and writes the rows of one namespace through redb. All of it blocks.
//!
//! All tables of a namespace share one tree: a row's place in it is the number of its table, then
//! its key. The latest batches are in the log, whole, and lie over the rows.

use std::ops::RangeBounds;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};

use agentcom_core::port::store::{Batch, Range, Row, RowKey, StoreError, StoreErrorKind, Table};
use redb::{ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError, TableHandle as _};

use crate::error::Way;
use crate::files::Files;
use crate::head::{self, Head};
use crate::layer::Layer;
use crate::log::Log;
use crate::merge::merged;
use crate::record::Seal;
use crate::rows::Rows;
use crate::tail::{self, Tail, write_place};
use crate::{Namespace, Options, error, file, recover, write};

#[cfg(test)]
mod tests;

/// What the names of all stores' trees begin with; the namespace follows.
const TREES: &str = "agentcom/";

pub(crate) type Tree = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The rows of one namespace.
///
/// Whoever takes in a batch holds the log, whoever writes rows the head; one may wait for the head
/// while it holds the log, and never the other way about.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) database: file::Open,
    tree: String,
    pub(crate) seal: Seal,
    log: Mutex<Log>,
    /// What the file says about itself.
    head: Mutex<Head>,
    /// The latest batches: each is there from when it is durable until it is in the rows.
    tail: RwLock<Tail>,
    /// Whether batches are folded beside others being taken in, and not by whoever takes one in.
    folds_beside: bool,
    /// Whether somebody is about to fold.
    folding: AtomicBool,
    /// Why nothing is answered any more.
    failed: OnceLock<String>,
}

impl Book {
    pub(crate) fn open(files: &Files, path: &Path, options: &Options) -> Result<Self, StoreError> {
        let open = file::open(files, path, options.cache_bytes, options.log_bytes)?;
        let book = Self::new(open, options)?;
        Ok(Self { folds_beside: true, ..book })
    }

    /// As [`Book::open`], on a disk for tests, on which the same is done in the same order each time.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn on(disk: crate::testing::Disk, options: &Options) -> Result<Self, StoreError> {
        Self::new(file::on(disk, options.cache_bytes, options.log_bytes)?, options)
    }

    pub(crate) fn new(open: file::Open, options: &Options) -> Result<Self, StoreError> {
        Ok(Self::of(recover::recovered(open)?, &options.namespace, options.tail_batches)?.0)
    }

    /// The rows of a namespace, without the batches that lie over them, and what the file says about
    /// itself if there are any.
    pub(crate) fn of(
        database: file::Open,
        namespace: &Namespace,
        tail_batches: usize,
    ) -> Result<(Self, Option<Head>), StoreError> {
        let log = Log::empty(Arc::clone(&database.disk), database.layout, database.log_filled);
        let book = Self {
            database,
            tree: Self::tree_name(namespace),
            seal: Seal::new(namespace.as_str()),
            log: Mutex::new(log),
            head: Mutex::default(),
            tail: RwLock::new(Tail::new(tail_batches, None)),
            folds_beside: false,
            folding: AtomicBool::new(false),
            failed: OnceLock::new(),
        };
        let Some(tree) = book.tree()? else { return Ok((book, None)) };
        let head = book.read_head(&tree)?;
        let tail = RwLock::new(Tail::new(tail_batches, head.seq));
        Ok((Self { head: Mutex::new(head.clone()), tail, ..book }, Some(head)))
    }

    /// The name of the tree of a store.
    pub(crate) fn tree_name(namespace: &Namespace) -> String {
        format!("{TREES}{namespace}")
    }

    /// The stores in a file.
    pub(crate) fn namespaces(database: &file::Open) -> Result<Vec<Namespace>, StoreError> {
        let reading = database.begin_read().map_err(error::transaction)?;
        let names = reading.list_tables().map_err(error::storage)?;
        let namespace = |name: &str| name.strip_prefix(TREES).and_then(|text| text.parse().ok());
        names
            .map(|handle| {
                let name = handle.name();
                namespace(name).ok_or_else(|| {
                    error::corrupt(format_args!("the file holds {name:?}, which is no store"))
                })
            })
            .collect()
    }

    /// Gives the file back for another use.
    pub(crate) fn close(self) -> file::Open {
        self.database
    }

    /// Answers nothing but errors from here on.
    pub(crate) fn fail(&self, error: &StoreError) {
        // The first failure is the one that explains the others.
        let _ = self.failed.set(error.to_string());
    }

    /// Fails once anything has failed.
    pub(crate) fn usable(&self) -> Result<(), StoreError> {
        let closed = |why: &dyn core::fmt::Display| {
            Err(error::unavailable(format_args!("closed by an earlier failure ({why})")))
        };
        self.failed.get().map_or(Ok(()), |why| closed(why))?;
        // Not every failing call of the file is one that somebody waits for.
        self.database.check().or_else(|why| closed(&why))
    }

    /// The rows at this moment and, of the same moment, what `of_tail` takes from the batches that
    /// lie over them; `None` before the first batch.
    pub(crate) fn snapshot<T>(
        &self,
        of_tail: impl FnOnce(&Tail) -> T,
    ) -> Result<Option<(Tree, T)>, StoreError> {
        // A batch leaves the tail after it is in the tree. As long as that waits, both tell the same,
        // whichever is read first.
        let tail = self.tail();
        Ok(self.tree()?.map(|tree| (tree, of_tail(&tail))))
    }

    /// The rows without the latest batches; `None` before the first batch.
    pub(crate) fn tree(&self) -> Result<Option<Tree>, StoreError> {
        self.usable()?;
        let reading = self.database.begin_read().map_err(error::transaction)?;
        match reading.open_table(self.definition()) {
            Ok(tree) => Ok(Some(tree)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(other) => Err(error::table(other)),
        }
    }

    pub(crate) fn definition(&self) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
        TableDefinition::new(&self.tree)
    }

    /// What the file says about itself.
    pub(crate) fn read_head(&self, tree: &Tree) -> Result<Head, StoreError> {
        read_head(tree, &self.tree, self.seal)
    }

    /// How many rows each table has.
    pub(crate) fn rows(&self, tables: &[Table]) -> Result<Vec<(Table, u64)>, StoreError> {
        let head = self.head.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((tree, tail)) = self.snapshot(Tail::clone)? else {
            return Ok(tables.iter().map(|table| (*table, 0)).collect());
        };
        let mut place = Vec::new();
        let mut count = |table: Table| {
            let mut rows = head.tally(table as u8).rows;
            for (key, word) in tail.of_table(table) {
                write_place(&RowKey::new(table, key), &mut place);
                let before = error::reading(Way::To(&place), || tree.get(place.as_slice()))?;
                let before = before.is_some();
                rows = rows + u64::from(word.is_some()) - u64::from(before);
            }
            Ok((table, rows))
        };
        tables.iter().map(|table| count(*table)).collect()
    }

    pub(crate) fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let of_tail =
            |tail: &Tail| keys.iter().map(|row| tail.get(row).cloned()).collect::<Vec<_>>();
        let Some((tree, words)) = self.snapshot(of_tail)? else {
            return Ok(vec![None; keys.len()]);
        };
        let mut place = Vec::new();
        let mut values = Vec::with_capacity(keys.len());
        for (row, word) in keys.iter().zip(words) {
            if let Some(word) = word {
                values.push(word.map(|sealed| sealed.value));
                continue;
            }
            write_place(row, &mut place);
            let record = error::reading(Way::To(&place), || tree.get(place.as_slice()))?;
            let value = record.map(|record| {
                let opened = self.seal.open(&place, record.value());
                opened.map(|opened| opened.value.to_vec())
            });
            let named = |damage| StoreError::corrupt(row.table, &row.key, damage);
            values.push(value.transpose().map_err(named)?);
        }
        Ok(values)
    }

    pub(crate) fn history(&self, range: &Range) -> Result<Vec<Row>, StoreError> {
        let Some((tree, words)) = self.snapshot(|tail| tail.range(range))? else {
            return Ok(Vec::new());
        };
        let place = |key: Vec<u8>| [&[range.table as u8], key.as_slice()].concat();
        let places = Range {
            table: range.table,
            prefix: place(range.prefix.clone()),
            after: range.after.clone().map(place),
            ..*range
        };
        let Some((first, last)) = places.bounds() else { return Ok(Vec::new()) };
        let bounds = (first.as_ref().map(Vec::as_slice), last.as_ref().map(Vec::as_slice));
        let mut cursor =
            Rows::within(&tree, places.after.as_deref().unwrap_or(&[range.table as u8]), bounds)?;
        let rows = core::iter::from_fn(|| {
            let next = if range.backwards { cursor.next_back() } else { cursor.next() };
            next.transpose().map(|row| {
                let (place, record) = row?;
                let (place, record) = (place.value(), record.value());
                let key = place.get(1..).unwrap_or_default();
                let opened = self.seal.open(place, record);
                let damaged = |damage| StoreError::corrupt(range.table, key, damage);
                // A torn page can hold whole records of places that are elsewhere.
                if !RangeBounds::<[u8]>::contains(&bounds, place) {
                    return Err(misplaced(range.table, key));
                }
                Ok((key.to_vec(), opened.map_err(damaged)?.value.to_vec()))
            })
        });
        merged(rows, words, range.backwards).take(range.limit).collect()
    }

    /// Makes a batch durable. After an error nothing is answered any more.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Ok(mut log) = self.log.lock() else {
            return Err(error::unavailable("an earlier commit did not come to its end"));
        };
        self.take_in(&mut log, batch).inspect_err(|error| self.fail(error))
    }

    fn take_in(&self, log: &mut Log, batch: Batch) -> Result<(), StoreError> {
        self.usable()?;
        let last = self.tail().last();
        write::check(last, &batch)?;
        if !self.folds_beside {
            self.fold(false).map_err(before_the_batch)?;
        }
        let sums = tail::write(self.seal, &batch, log.batch());
        let appended = match last {
            Some(before) => self.append(log, [before, batch.seq])?,
            // There is no tree, and so no head that tells which batches are in the rows.
            None => None,
        };
        let Some(bytes) = appended else { return self.write_through(batch, &sums) };
        self.tail_mut().take_in(batch, bytes, &sums);
        Ok(())
    }

    /// Appends the batch that was written to the log, and makes room there if need be. Returns how
    /// many bytes that took, or `None` if it is too large.
    fn append(&self, log: &mut Log, follows: [u64; 2]) -> Result<Option<usize>, StoreError> {
        let mut append = || {
            let folded = self.tail().folded();
            let appended = log.append(self.seal, follows, folded);
            // What was written may be found when the file is opened again.
            let unknown = |why| StoreError::new(StoreErrorKind::Unknown, error::io(&why).message);
            appended.map_err(unknown)
        };
        if let Some(bytes) = append()? {
            return Ok(Some(bytes));
        }
        self.fold(true).map_err(before_the_batch)?;
        append()
    }

    /// Writes a batch to its rows at once, and all before it.
    fn write_through(&self, batch: Batch, sums: &[u64]) -> Result<(), StoreError> {
        let mut head = self.writing()?;
        let layer = self.tail().with(batch, sums);
        self.write_rows(&mut head, &layer)
    }

    /// Writes the batches of the tail to their rows if it is time to, or `all` of them in any case.
    pub(crate) fn fold(&self, all: bool) -> Result<(), StoreError> {
        let mut head = self.writing()?;
        let settling = self.tail_mut().settle(all);
        settling.map_or(Ok(()), |layer| self.write_rows(&mut head, &layer))
    }

    /// Writes what a layer left of its rows to the rows.
    fn write_rows(&self, head: &mut Head, layer: &Layer) -> Result<(), StoreError> {
        *head = write::fold(self, head, layer, &[])?;
        self.tail_mut().forget(head.seq);
        Ok(())
    }

    fn writing(&self) -> Result<MutexGuard<'_, Head>, StoreError> {
        self.head.lock().map_err(|_| error::unavailable("writing rows did not come to its end"))
    }

    /// Whether whoever asks is to fold, beside others who take in batches.
    pub(crate) fn wants_folding(&self) -> bool {
        self.folds_beside && self.tail().is_due() && !self.folding.swap(true, Ordering::AcqRel)
    }

    /// Folds what is due. After an error nothing is answered any more.
    pub(crate) fn fold_due(&self) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| self.fold(false)));
        self.folding.store(false, Ordering::Release);
        match outcome {
            Ok(outcome) => drop(outcome.inspect_err(|error| self.fail(error))),
            Err(_) => self.fail(&error::corrupt("the file is damaged: redb gave up")),
        }
    }

    fn tail(&self) -> RwLockReadGuard<'_, Tail> {
        self.tail.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn tail_mut(&self) -> RwLockWriteGuard<'_, Tail> {
        self.tail.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the log back, and checks the batches that are not in the rows yet.
    pub(crate) fn verify_log(&self) -> Result<(), StoreError> {
        let _log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let (folded, last) = (self.tail().folded(), self.tail().unfolded());
        let bytes = recover::read_log(&self.database)?;
        let found = recover::batches(&bytes, self.database.layout, self.seal, folded)?;
        match last {
            Some(last) if found.last().is_none_or(|(batch, _)| batch.seq != last) => {
                Err(error::corrupt(format_args!("batch {last}: it is missing in the log")))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// A record that was found where others belong.
pub(crate) fn misplaced(table: Table, key: &[u8]) -> StoreError {
    StoreError::corrupt(table, key, "a record that belongs elsewhere is in its place")
}

/// An error of writing rows is none of the batch that was to come after.
fn before_the_batch(error: StoreError) -> StoreError {
    match error.kind {
        StoreErrorKind::Unknown => error::unavailable(error.message),
        StoreErrorKind::Unavailable | StoreErrorKind::Fenced | StoreErrorKind::Corrupt => error,
    }
}

fn read_head(tree: &Tree, name: &str, seal: Seal) -> Result<Head, StoreError> {
    let damaged = |why: String| error::corrupt(format_args!("head of {name}: {why}"));
    let record = error::reading(Way::To(&head::PLACE), || tree.get(head::PLACE.as_slice()))?;
    let record = record.ok_or_else(|| damaged("the row is missing".into()))?;
    let opened = seal.open(&head::PLACE, record.value());
    let opened = opened.map_err(|damage| damaged(damage.to_string()))?;
    Head::read(opened.value).map_err(damaged)
}
