//! This file is a store in an append-only log: each batch is one checked frame at its end.
//!
//! All rows live in memory; opening reads the log from its start. It is complete and passes the
//! conformance suite, and it is short because it leaves one thing out: the log only ever grows.
//!
//! How it keeps the [contract of stores](Store):
//!
//! | line | how |
//! |---|---|
//! | atomic, durable | a batch is one frame ([`frame`]), synced before `commit` returns; a frame that a crash cut short at the end of the log is dropped on opening |
//! | ordered | the number of the last batch is kept beside the rows |
//! | exclusive | the log file is locked for as long as the store lives |
//! | exact | every frame has a checksum |
//! | sorted | the rows are in a [`BTreeMap`] |
//! | cancel safe | no method waits in the middle of anything |
//!
//! Its methods block for as long as the disk takes. A store for a busy hub hands that to threads,
//! as `agentcom-store-redb` does.

pub mod frame;

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::sync::{Mutex, MutexGuard};

use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};
use async_trait::async_trait;

/// A store in an append-only log.
#[derive(Debug)]
pub struct LogStore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: File,
    rows: Rows,
    /// A write failed: what the log ends with is not known until it is opened again.
    failed: bool,
}

/// What all batches together say.
#[derive(Debug, Default)]
struct Rows {
    seq: Option<u64>,
    tables: BTreeMap<Table, BTreeMap<Vec<u8>, Vec<u8>>>,
}

impl LogStore {
    /// Opens the log at `path`, or creates it.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Fenced`] if it is in use, [`StoreErrorKind::Corrupt`] if it is damaged,
    /// [`StoreErrorKind::Unavailable`] if it is out of reach.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = path.as_ref();
        let log = OpenOptions::new().read(true).append(true).create(true).open(path);
        let mut log = log.map_err(unavailable)?;
        match log.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::new(StoreErrorKind::Fenced, "the log is in use"));
            }
            Err(TryLockError::Error(error)) => return Err(unavailable(error)),
        }
        let mut bytes = Vec::new();
        log.read_to_end(&mut bytes).map_err(unavailable)?;
        let mut rows = Rows::default();
        let mut at = 0;
        while let Some((batch, length)) = frame::read(&bytes[at..])? {
            rows.apply(batch);
            at += length;
        }
        // Behind the last whole frame there can only be what a crash left of one more.
        log.set_len(at as u64).and_then(|()| log.sync_all()).map_err(unavailable)?;
        sync_name(path).map_err(unavailable)?;
        Ok(Self { state: Mutex::new(State { log, rows, failed: false }) })
    }

    fn state(&self) -> Result<MutexGuard<'_, State>, StoreError> {
        match self.state.lock() {
            Ok(state) if !state.failed => Ok(state),
            _ => Err(unavailable("a write failed; open the log again")),
        }
    }
}

impl Rows {
    fn apply(&mut self, batch: Batch) {
        for (row, value) in batch.puts {
            self.tables.entry(row.table).or_default().insert(row.key, value);
        }
        for row in batch.deletes {
            self.tables.entry(row.table).or_default().remove(&row.key);
        }
        self.seq = Some(batch.seq);
    }
}

#[async_trait]
impl Store for LogStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        let state = self.state()?;
        for table in Table::LIVE {
            for (key, value) in state.rows.tables.get(&table).into_iter().flatten() {
                visit(table, key, value)?;
            }
        }
        Ok(state.rows.seq)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.state()?;
        if state.rows.seq.is_some_and(|last| batch.seq <= last) {
            return Err(StoreError::new(StoreErrorKind::Fenced, "the batch is not after the last"));
        }
        let frame = frame::write(&batch)?;
        let written = state.log.write_all(&frame).and_then(|()| state.log.sync_data());
        if let Err(error) = written {
            state.failed = true;
            return Err(StoreError::new(StoreErrorKind::Unknown, error));
        }
        state.rows.apply(batch);
        Ok(())
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let state = self.state()?;
        let value = |row: &RowKey| state.rows.tables.get(&row.table)?.get(&row.key).cloned();
        Ok(keys.iter().map(value).collect())
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        let state = self.state()?;
        let (Some(bounds), Some(rows)) = (range.bounds(), state.rows.tables.get(&range.table))
        else {
            return Ok(Vec::new());
        };
        let rows = rows.range(bounds).map(|(key, value)| (key.clone(), value.clone()));
        Ok(if range.backwards {
            rows.rev().take(range.limit).collect()
        } else {
            rows.take(range.limit).collect()
        })
    }
}

fn unavailable(why: impl std::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, why)
}

/// Makes the name of a file durable, beside its content.
fn sync_name(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
