//! This file reads a journal for people, also while a sidecar has it open.

use std::path::Path;

use agentcom_core::port::store::{RowKey, StoreError, StoreErrorKind};

use super::rows::Rows;
use super::scan::{Damage, scan};

/// What a journal holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// The number of the last batch.
    pub seq: Option<u64>,
    /// The length of the file.
    pub file_bytes: u64,
    /// How many records were read.
    pub records: usize,
    /// The rows that they add up to, sorted.
    pub rows: Vec<(RowKey, Vec<u8>)>,
    /// What cannot be read. An unfinished record at the end may be one that is being written.
    pub damage: Vec<Damage>,
}

/// Reads the journal at `path` without changing or locking anything.
///
/// # Errors
///
/// If it cannot be read, or is no journal.
pub fn describe(path: impl AsRef<Path>) -> Result<Description, StoreError> {
    let path = path.as_ref();
    let file = std::fs::read(path).map_err(|error| {
        StoreError::new(StoreErrorKind::Unavailable, format_args!("{}: {error}", path.display()))
    })?;
    let found = scan(&file)?;
    let records = found.batches.len();
    let mut rows = Rows::default();
    found.batches.into_iter().for_each(|batch| rows.apply(batch));
    Ok(Description {
        seq: rows.seq(),
        file_bytes: file.len() as u64,
        records,
        rows: rows
            .iter()
            .map(|(table, key, value)| (RowKey::new(table, key.clone()), value.clone()))
            .collect(),
        damage: found.damage,
    })
}
