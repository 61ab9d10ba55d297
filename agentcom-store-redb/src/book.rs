//! This file reads and writes the rows of one namespace through redb. All of it blocks.
//!
//! All tables of a namespace share one tree: a row's place in it is the number of its table, then
//! its key. The latest batches are in the same tree, whole, and lie over the rows.

use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

use agentcom_core::port::store::{Batch, Range, Row, RowKey, StoreError, Table};
use redb::{ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError, TableHandle as _};

use crate::error::Way;
use crate::files::Files;
use crate::head::{self, Head};
use crate::merge::merged;
use crate::record::Seal;
use crate::rows::Rows;
use crate::tail::{Tail, write_place};
use crate::{Namespace, Options, error, file, load, write};

#[cfg(test)]
mod tests;

/// What the names of all stores' trees begin with; the namespace follows.
const TREES: &str = "agentcom/";

pub(crate) type Tree = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The rows of one namespace.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) database: file::Open,
    tree: String,
    pub(crate) seal: Seal,
    /// What the file says about itself; held for as long as a batch is written.
    head: Mutex<Head>,
    /// The latest batches. Changed only by whoever holds the head, after the commit.
    tail: RwLock<Tail>,
    /// Why nothing is answered any more.
    failed: OnceLock<String>,
}

impl Book {
    pub(crate) fn open(files: &Files, path: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::new(file::open(files, path, options.cache_bytes)?, options)
    }

    /// As [`Book::open`], on a disk for tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn on(disk: crate::testing::Disk, options: &Options) -> Result<Self, StoreError> {
        Self::new(file::on(disk, options.cache_bytes)?, options)
    }

    pub(crate) fn new(database: file::Open, options: &Options) -> Result<Self, StoreError> {
        let Options { namespace, tail_batches, .. } = options;
        let book = Self {
            database,
            tree: Self::tree_name(namespace),
            seal: Seal::new(namespace.as_str()),
            head: Mutex::default(),
            tail: RwLock::new(Tail::new(*tail_batches)),
            failed: OnceLock::new(),
        };
        book.check_names()?;
        let Some(tree) = book.tree()? else { return Ok(book) };
        let head = book.read_head(&tree)?;
        let tail = load::tail(&book, &tree, &head, Tail::new(*tail_batches))?;
        Ok(Self { head: Mutex::new(head), tail: RwLock::new(tail), ..book })
    }

    /// Every tree in the file has to be a store's, under its right name. Otherwise a store whose
    /// name is damaged would be taken for a fresh one, and be lost.
    fn check_names(&self) -> Result<(), StoreError> {
        let reading = self.database.begin_read().map_err(error::transaction)?;
        for namespace in Self::namespaces(&self.database)? {
            let name = Self::tree_name(&namespace);
            let tree = reading.open_table(TableDefinition::new(&name)).map_err(error::table)?;
            read_head(&tree, &name, Seal::new(namespace.as_str()))?;
        }
        Ok(())
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

    fn usable(&self) -> Result<(), StoreError> {
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
        // A commit changes the tail after the tree. As long as it waits for that, both tell the
        // same, whichever is read first.
        let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
        Ok(self.tree()?.map(|tree| (tree, of_tail(&tail))))
    }

    /// The rows without the latest batches; `None` before the first batch.
    fn tree(&self) -> Result<Option<Tree>, StoreError> {
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
            for (key, left) in tail.of_table(table) {
                write_place(&RowKey::new(table, key), &mut place);
                let before = error::reading(Way::To(&place), || tree.get(place.as_slice()))?;
                let before = before.is_some();
                rows = rows + u64::from(left.value.is_some()) - u64::from(before);
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
            if let Some(left) = word {
                values.push(left.value.map(|sealed| sealed.value));
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
                Ok((key.to_vec(), opened.map_err(damaged)?.value.to_vec()))
            })
        });
        merged(rows, words, range.backwards).take(range.limit).collect()
    }

    /// Makes a batch durable. After an error nothing is answered any more.
    pub(crate) fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let Ok(mut head) = self.head.lock() else {
            return Err(error::unavailable("an earlier commit did not come to its end"));
        };
        let written = self.usable().and_then(|()| {
            let tail = self.tail.read().unwrap_or_else(PoisonError::into_inner);
            write::write(self, &head, &tail, &batch)
        });
        let written = written.inspect_err(|error| self.fail(error))?;
        *head = written.head;
        let mut tail = self.tail.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(folded) = written.folded {
            tail.forget(folded);
        }
        tail.take_in(batch, written.bytes, &written.sums);
        Ok(())
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
