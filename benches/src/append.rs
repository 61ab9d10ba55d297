//! This file is the least that a store can do: it appends each batch to a file and syncs it. It
//! cannot be read, and is what other stores are held against.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Visit,
};
use async_trait::async_trait;

use crate::Outcome;

/// A file that batches are appended to.
#[derive(Debug)]
pub struct AppendOnly {
    file: Arc<Mutex<File>>,
}

impl AppendOnly {
    /// A file that is there for this store alone.
    ///
    /// # Errors
    ///
    /// Those of the disk.
    pub fn create(path: &Path) -> Outcome<Self> {
        let file = OpenOptions::new().create_new(true).append(true).open(path)?;
        Ok(Self { file: Arc::new(Mutex::new(file)) })
    }
}

#[async_trait]
impl Store for AppendOnly {
    async fn load(&self, _: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        Ok(None)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let file = Arc::clone(&self.file);
        let appended = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            for (row, value) in &batch.puts {
                append(&mut bytes, row, value);
            }
            for row in &batch.deletes {
                append(&mut bytes, row, &[]);
            }
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&bytes)?;
            file.sync_data()
        });
        let unknown = |error: &dyn core::fmt::Display| {
            StoreError::new(StoreErrorKind::Unknown, format_args!("{error}"))
        };
        appended.await.map_err(|error| unknown(&error))?.map_err(|error| unknown(&error))
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        Ok(vec![None; keys.len()])
    }

    async fn history(&self, _: Range) -> Result<Vec<Row>, StoreError> {
        Ok(Vec::new())
    }
}

fn append(bytes: &mut Vec<u8>, row: &RowKey, value: &[u8]) {
    bytes.push(row.table as u8);
    bytes.extend_from_slice(&(row.key.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&row.key);
    bytes.extend_from_slice(value);
}
