//! This file is the reference implementation of [`Store`]: rows in memory, on a disk that outlives
//! the store.
//!
//! ```
//! use agentcom_core::port::store::{Batch, RowKey, Store, Table};
//! use agentcom_core::driver::memory::MemoryDisk;
//!
//! # futures_executor::block_on(async {
//! let disk = MemoryDisk::new();
//! let before = disk.open();
//! let puts = vec![(RowKey::new(Table::Meta, "head"), b"1".to_vec())];
//! before.commit(Batch { seq: 1, puts, deletes: vec![] }).await?;
//!
//! // A restart: another store on the same disk. The store before it is fenced.
//! let after = disk.open();
//! assert_eq!(after.get(&[RowKey::new(Table::Meta, "head")]).await?, [Some(b"1".to_vec())]);
//! assert!(before.get(&[]).await.is_err());
//! # Ok::<(), agentcom_core::port::store::StoreError>(())
//! # }).unwrap();
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use crate::guard::{Guard, Guards};
use crate::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};

/// What a store in memory keeps; it outlives its stores, as a disk outlives a process.
///
/// Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemoryDisk {
    content: Arc<Mutex<Content>>,
}

/// What is on a disk at one moment, for tests to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The number of the last batch.
    pub seq: Option<u64>,
    /// All rows of all tables.
    pub rows: BTreeMap<RowKey, Vec<u8>>,
}

/// Rows of one table. Shared, so that a reader of a whole table costs no copy of it.
type Rows = Arc<BTreeMap<Vec<u8>, Vec<u8>>>;

#[derive(Clone, Debug, Default)]
struct Content {
    seq: Option<u64>,
    tables: BTreeMap<Table, Rows>,
    /// How often the disk was opened; only the last opener may use it.
    openings: u64,
    guards: Guards,
}

impl MemoryDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As it is, under these guards.
    #[must_use]
    pub fn guarded_by(self, guards: Guards) -> Self {
        self.content().guards = guards;
        self
    }

    /// Opens the disk and fences every store that was opened on it before: their calls fail with
    /// [`StoreErrorKind::Fenced`].
    #[must_use]
    pub fn open(&self) -> MemoryStore {
        let mut content = self.content();
        content.openings += 1;
        MemoryStore { disk: self.clone(), opening: content.openings }
    }

    /// Another disk with the same content, on which nothing is open.
    #[must_use]
    pub fn copy(&self) -> Self {
        Self { content: Arc::new(Mutex::new(self.content().clone())) }
    }

    /// All rows of all tables.
    #[must_use]
    pub fn rows(&self) -> BTreeMap<RowKey, Vec<u8>> {
        self.snapshot().rows
    }

    /// What is on the disk at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Content { seq, tables, .. } = self.content().clone();
        let mut rows = BTreeMap::new();
        for (table, of_table) in tables {
            rows.extend(of_table.iter().map(|(k, v)| (RowKey::new(table, k.clone()), v.clone())));
        }
        Snapshot { seq, rows }
    }

    /// A panic of a visitor cannot leave the content half written: writes happen under the lock
    /// and call nobody.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn table(&self, table: Table) -> Rows {
        self.tables.get(&table).cloned().unwrap_or_default()
    }

    fn table_mut(&mut self, table: Table) -> &mut BTreeMap<Vec<u8>, Vec<u8>> {
        Arc::make_mut(self.tables.entry(table).or_default())
    }
}

/// A store on a [`MemoryDisk`].
///
/// # Panics
///
/// `commit` panics in debug builds when a batch breaks the bounds of the port: a key that is empty
/// or too long, a value that is too long, a row that is named twice.
#[derive(Debug)]
pub struct MemoryStore {
    disk: MemoryDisk,
    opening: u64,
}

impl MemoryStore {
    fn content(&self) -> Result<MutexGuard<'_, Content>, StoreError> {
        let content = self.disk.content();
        if content.openings == self.opening || !content.guards.on(Guard::OneWriter) {
            Ok(content)
        } else {
            Err(StoreError::new(StoreErrorKind::Fenced, "the disk was opened by another store"))
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        let (seq, tables) = {
            let content = self.content()?;
            (content.seq, Table::LIVE.map(|table| (table, content.table(table))))
        };
        for (table, rows) in tables {
            for (key, value) in rows.iter() {
                visit(table, key, value)?;
            }
        }
        Ok(seq)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        debug_assert!(is_within_bounds(&batch), "batch {} breaks the bounds", batch.seq);
        let mut content = self.content()?;
        let behind = content.seq.is_some_and(|last| batch.seq <= last);
        if behind && content.guards.on(Guard::BatchOrder) {
            let message = format_args!("batch {} is not after the last one", batch.seq);
            return Err(StoreError::new(StoreErrorKind::Fenced, message));
        }
        for (row, value) in batch.puts {
            content.table_mut(row.table).insert(row.key, value);
        }
        for row in batch.deletes {
            content.table_mut(row.table).remove(&row.key);
        }
        content.seq = Some(batch.seq);
        Ok(())
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let content = self.content()?;
        let value = |row: &RowKey| content.tables.get(&row.table)?.get(&row.key).cloned();
        Ok(keys.iter().map(value).collect())
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        let rows = self.content()?.table(range.table);
        let Some(bounds) = range.bounds() else { return Ok(Vec::new()) };
        let owned = |(key, value): (&Vec<u8>, &Vec<u8>)| (key.clone(), value.clone());
        let rows = rows.range(bounds).map(owned);
        Ok(if range.backwards {
            rows.rev().take(range.limit).collect()
        } else {
            rows.take(range.limit).collect()
        })
    }
}

fn is_within_bounds(batch: &Batch) -> bool {
    let mut named = BTreeSet::new();
    let puts = batch.puts.iter().map(|(row, _)| row);
    puts.chain(&batch.deletes).all(|row| {
        (1..=RowKey::BYTES_MAX).contains(&row.key.len()) && named.insert((row.table, &row.key))
    }) && batch.puts.iter().all(|(_, value)| value.len() <= RowKey::VALUE_BYTES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use futures_executor::block_on;

    fn batch(seq: u64) -> Batch {
        let puts = vec![(RowKey::new(Table::Meta, "k"), vec![seq as u8])];
        Batch { seq, puts, deletes: vec![] }
    }

    #[test]
    fn opening_fences_all_that_an_earlier_store_does() {
        let disk = MemoryDisk::new();
        let before = disk.open();
        block_on(before.commit(batch(1))).unwrap();
        let after = disk.open();
        let range =
            Range { table: Table::Meta, prefix: vec![], after: None, backwards: false, limit: 1 };
        let errors = [
            block_on(before.commit(batch(2))).unwrap_err(),
            block_on(before.get(&[])).unwrap_err(),
            block_on(before.history(range)).unwrap_err(),
            block_on(before.load(&mut |_, _, _| Ok(()))).unwrap_err(),
        ];
        assert!(errors.iter().all(|error| error.kind == StoreErrorKind::Fenced));
        assert_eq!(block_on(after.load(&mut |_, _, _| Ok(()))).unwrap(), Some(1));
    }

    #[test]
    fn a_copy_of_a_disk_goes_its_own_way() {
        let disk = MemoryDisk::new();
        let store = disk.open();
        block_on(store.commit(batch(1))).unwrap();
        let copy = disk.copy();
        assert_eq!(copy.snapshot(), disk.snapshot());
        block_on(store.commit(batch(2))).unwrap();
        block_on(copy.open().commit(batch(9))).unwrap();
        assert_eq!((disk.snapshot().seq, copy.snapshot().seq), (Some(2), Some(9)));
        assert_eq!(disk.rows().into_values().collect::<Vec<_>>(), [[2]]);
        assert_eq!(copy.rows().into_values().collect::<Vec<_>>(), [[9]]);
    }

    #[test]
    fn a_batch_that_names_a_row_twice_is_a_bug() {
        let mut twice = batch(1);
        twice.deletes.push(RowKey::new(Table::Meta, "k"));
        assert!(!is_within_bounds(&twice));
        assert!(is_within_bounds(&batch(1)));
    }
}
