//! This file reads and writes the rows of one namespace through redb. All of it blocks.
//!
//! All tables of a namespace share one tree: a row's place in it is the number of its table, then
//! its key. So a batch opens one tree and rewrites one path to its root, however many tables it
//! touches.

use std::path::Path;
use std::sync::{Mutex, OnceLock};

use agentcom_core::port::store::{Batch, Range, Row, RowKey, StoreError, StoreErrorKind, Table};
use redb::{
    Durability, ReadOnlyTable, ReadableDatabase as _, TableDefinition, TableError,
    TableHandle as _, WriteTransaction,
};

use crate::head::{self, Head};
use crate::record::{Seal, sealed_sum};
use crate::{Namespace, Options, error, file};

#[cfg(test)]
mod tests;

/// What the names of all stores' trees begin with; the namespace follows.
const TREES: &str = "agentcom/";

pub(crate) type Tree = ReadOnlyTable<&'static [u8], &'static [u8]>;

/// The rows of one namespace.
#[derive(Debug)]
pub(crate) struct Book {
    database: file::Open,
    tree: String,
    pub(crate) seal: Seal,
    /// What the file says about itself; held for as long as a batch is written.
    head: Mutex<Head>,
    /// Why nothing is answered any more.
    failed: OnceLock<String>,
}

impl Book {
    pub(crate) fn open(path: &Path, options: &Options) -> Result<Self, StoreError> {
        Self::new(file::open(path, options.cache_bytes)?, &options.namespace)
    }

    /// As [`Book::open`], on a disk for tests.
    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn on(disk: crate::testing::Disk, options: &Options) -> Result<Self, StoreError> {
        Self::new(file::on(disk, options.cache_bytes)?, &options.namespace)
    }

    pub(crate) fn new(database: file::Open, namespace: &Namespace) -> Result<Self, StoreError> {
        let book = Self {
            database,
            tree: format!("{TREES}{namespace}"),
            seal: Seal::new(namespace.as_str()),
            head: Mutex::default(),
            failed: OnceLock::new(),
        };
        book.check_names()?;
        let head = book.tree()?.map(|tree| book.read_head(&tree)).transpose()?;
        Ok(Self { head: Mutex::new(head.unwrap_or_default()), ..book })
    }

    /// Every tree in the file has to be a store's, under its right name. Otherwise a store whose
    /// name is damaged would be taken for a fresh one, and be lost.
    fn check_names(&self) -> Result<(), StoreError> {
        let reading = self.database.begin_read().map_err(error::transaction)?;
        for namespace in Self::namespaces(&self.database)? {
            let name = format!("{TREES}{namespace}");
            let tree = reading.open_table(TableDefinition::new(&name)).map_err(error::table)?;
            read_head(&tree, &name, Seal::new(namespace.as_str()))?;
        }
        Ok(())
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

    pub(crate) const fn database(&self) -> &file::Open {
        &self.database
    }

    /// Answers nothing but errors from here on.
    pub(crate) fn fail(&self, error: &StoreError) {
        // The first failure is the one that explains the others.
        let _ = self.failed.set(error.to_string());
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |why| {
            Err(error::unavailable(format_args!("closed by an earlier failure ({why})")))
        })
    }

    /// The rows as they are at this moment; `None` before the first batch.
    pub(crate) fn tree(&self) -> Result<Option<Tree>, StoreError> {
        self.usable()?;
        let reading = self.database.begin_read().map_err(error::transaction)?;
        match reading.open_table(self.definition()) {
            Ok(tree) => Ok(Some(tree)),
            Err(TableError::TableDoesNotExist(_)) => Ok(None),
            Err(other) => Err(error::table(other)),
        }
    }

    fn definition(&self) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
        TableDefinition::new(&self.tree)
    }

    /// What the file says about itself.
    pub(crate) fn read_head(&self, tree: &Tree) -> Result<Head, StoreError> {
        read_head(tree, &self.tree, self.seal)
    }

    /// How many rows each table has.
    pub(crate) fn rows(&self, tables: &[Table]) -> Vec<(Table, u64)> {
        let head = self.head.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        tables.iter().map(|table| (*table, head.tally(*table as u8).rows)).collect()
    }

    pub(crate) fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let Some(tree) = self.tree()? else { return Ok(vec![None; keys.len()]) };
        let mut place = Vec::new();
        let mut values = Vec::with_capacity(keys.len());
        for row in keys {
            write_place(row, &mut place);
            let record = tree.get(place.as_slice()).map_err(error::storage)?;
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
        let Some(tree) = self.tree()? else { return Ok(Vec::new()) };
        let place = |key: &[u8]| [&[range.table as u8], key].concat();
        let places = Range {
            table: range.table,
            prefix: place(&range.prefix),
            after: range.after.as_deref().map(place),
            ..*range
        };
        let Some((first, last)) = places.bounds() else { return Ok(Vec::new()) };
        let bounds = (first.as_ref().map(Vec::as_slice), last.as_ref().map(Vec::as_slice));
        let mut cursor = tree.range::<&[u8]>(bounds).map_err(error::storage)?;
        let mut rows = Vec::new();
        while rows.len() < range.limit {
            let next = if range.backwards { cursor.next_back() } else { cursor.next() };
            let Some(row) = next else { break };
            let (place, record) = row.map_err(error::storage)?;
            let (place, record) = (place.value(), record.value());
            let key = place.get(1..).unwrap_or_default();
            let opened = self.seal.open(place, record);
            let opened = opened.map_err(|damage| StoreError::corrupt(range.table, key, damage))?;
            rows.push((key.to_vec(), opened.value.to_vec()));
        }
        Ok(rows)
    }

    /// Makes a batch durable. After an error nothing is answered any more.
    pub(crate) fn commit(&self, batch: &Batch) -> Result<(), StoreError> {
        let Ok(mut head) = self.head.lock() else {
            return Err(error::unavailable("an earlier commit did not come to its end"));
        };
        let after = self.usable().and_then(|()| self.write(&head, batch));
        *head = after.inspect_err(|error| self.fail(error))?;
        Ok(())
    }

    fn write(&self, head: &Head, batch: &Batch) -> Result<Head, StoreError> {
        if let Some(last) = head.seq.filter(|last| batch.seq <= *last) {
            let message = format_args!("batch {} is not after the last one, {last}", batch.seq);
            return Err(StoreError::new(StoreErrorKind::Fenced, message));
        }
        let mut writing = self.database.begin_write().map_err(error::transaction)?;
        // Saves what a repair would have to find out by walking the file, and implies two syncs.
        writing.set_quick_repair(true);
        let durable = writing.set_durability(Durability::Immediate);
        durable.map_err(|refused| error::unavailable(format_args!("not durable: {refused:?}")))?;
        let after = self.write_rows(&writing, head, batch)?;
        writing.commit().map_err(error::commit)?;
        Ok(after)
    }

    fn write_rows(
        &self,
        writing: &WriteTransaction,
        head: &Head,
        batch: &Batch,
    ) -> Result<Head, StoreError> {
        let mut tree = writing.open_table(self.definition()).map_err(error::table)?;
        let mut after = head.clone();
        after.seq = Some(batch.seq);
        let (mut place, mut record) = (Vec::new(), Vec::new());
        for (row, value) in &batch.puts {
            check_bounds(row, value)?;
            write_place(row, &mut place);
            let sum = self.seal.seal(&place, value, &mut record);
            let tally = after.tally_mut(row.table as u8);
            tally.add(sum);
            let before = tree.insert(place.as_slice(), record.as_slice());
            if let Some(before) = before.map_err(error::storage)? {
                tally.remove(old_sum(row, before.value())?);
            }
        }
        for row in &batch.deletes {
            write_place(row, &mut place);
            if let Some(before) = tree.remove(place.as_slice()).map_err(error::storage)? {
                after.tally_mut(row.table as u8).remove(old_sum(row, before.value())?);
            }
        }
        let mut value = Vec::new();
        after.write(batch.seq, &mut value);
        self.seal.seal(&head::PLACE, &value, &mut record);
        tree.insert(head::PLACE.as_slice(), record.as_slice()).map_err(error::storage)?;
        Ok(after)
    }
}

fn read_head(tree: &Tree, name: &str, seal: Seal) -> Result<Head, StoreError> {
    let damaged = |why: String| error::corrupt(format_args!("head of {name}: {why}"));
    let record = tree.get(head::PLACE.as_slice()).map_err(error::storage)?;
    let record = record.ok_or_else(|| damaged("the row is missing".into()))?;
    let opened = seal.open(&head::PLACE, record.value());
    let opened = opened.map_err(|damage| damaged(damage.to_string()))?;
    Head::read(opened.value).map_err(damaged)
}

/// Writes the place of a row in the tree over `place`.
fn write_place(row: &RowKey, place: &mut Vec<u8>) {
    place.clear();
    place.push(row.table as u8);
    place.extend_from_slice(&row.key);
}

fn old_sum(row: &RowKey, record: &[u8]) -> Result<u64, StoreError> {
    sealed_sum(record).map_err(|damage| StoreError::corrupt(row.table, &row.key, damage))
}

fn check_bounds(row: &RowKey, value: &[u8]) -> Result<(), StoreError> {
    let key_fits = (1..=RowKey::BYTES_MAX).contains(&row.key.len());
    if key_fits && value.len() <= RowKey::VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(error::unavailable(format_args!(
        "table {}: a key of {} bytes with a value of {} bytes is out of bounds",
        row.table,
        row.key.len(),
        value.len()
    )))
}
