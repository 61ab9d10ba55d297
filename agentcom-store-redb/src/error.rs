//! This file says what redb's errors mean to the caller of a store.

use std::io;
use std::panic::{self, AssertUnwindSafe};

use crate::tail;
use agentcom_core::port::store::{StoreError, StoreErrorKind, Table};
use redb::{
    CommitError, CompactionError, DatabaseError, StorageError, TableError, TransactionError,
};

pub(crate) fn corrupt(message: impl core::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, message)
}

/// A record that is damaged, at a place of the tree.
pub(crate) fn at(place: &[u8], why: impl core::fmt::Display) -> StoreError {
    corrupt(format_args!("the record at {}: {why}", place.escape_ascii()))
}

/// Reads from the tree. Damage that is met, also such of which redb panics, is told with the place
/// where it was met.
pub(crate) fn reading<T>(
    way: Way<'_>,
    read: impl FnOnce() -> Result<T, StorageError>,
) -> Result<T, StoreError> {
    let outcome = panic::catch_unwind(AssertUnwindSafe(read));
    let error = match outcome {
        Ok(Ok(found)) => return Ok(found),
        Ok(Err(error)) => storage(error),
        Err(_) => corrupt("the file is damaged; redb gave up"),
    };
    if error.kind != StoreErrorKind::Corrupt {
        return Err(error);
    }
    Err(match way {
        Way::To([table, key @ ..]) if let Some(table) = table_of(*table) => {
            StoreError::corrupt(table, key, error.message)
        }
        Way::To(place) => corrupt(format_args!("{}: {}", name(place), error.message)),
        Way::Beside(place) => {
            corrupt(format_args!("the record next to {}: {}", name(place), error.message))
        }
    })
}

/// Where something is read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way<'a> {
    /// The record at this place.
    To(&'a [u8]),
    /// The record next to the one at this place, in either direction.
    Beside(&'a [u8]),
}

fn table_of(number: u8) -> Option<Table> {
    Table::ALL.into_iter().find(|table| *table as u8 == number)
}

/// What is at a place of the tree.
fn name(place: &[u8]) -> String {
    match place {
        [number] if let Some(table) = table_of(*number) => format!("the end of table {table}"),
        [number, key @ ..] if let Some(table) = table_of(*number) => {
            format!("table {table}, row {}", key.escape_ascii())
        }
        [tail::TABLE, ..] => tail::seq_at(place)
            .map_or_else(|_| "the latest batches".into(), |seq| format!("batch {seq}")),
        _ => "the head".into(),
    }
}

pub(crate) fn unavailable(message: impl core::fmt::Display) -> StoreError {
    StoreError::new(StoreErrorKind::Unavailable, message)
}

/// An error of the operating system about a file.
#[expect(clippy::wildcard_enum_match_arm, reason = "only one kind means something else here")]
pub(crate) fn of(path: &std::path::Path, why: &io::Error) -> StoreError {
    let error = match why.kind() {
        io::ErrorKind::NotFound => unavailable("there is no such file"),
        _ => io(why),
    };
    StoreError::new(error.kind, format_args!("{}: {}", path.display(), error.message))
}

/// An error of the operating system.
#[expect(clippy::wildcard_enum_match_arm, reason = "all other kinds mean the same here")]
pub(crate) fn io(error: &io::Error) -> StoreError {
    match error.kind() {
        // What redb and its file layer report for content that makes no sense.
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            corrupt(format_args!("the file is damaged: {error}"))
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            unavailable(format_args!("there is no room left for the store: {error}"))
        }
        _ => unavailable(format_args!("the file cannot be used: {error}")),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redb's errors are non-exhaustive")]
pub(crate) fn storage(error: StorageError) -> StoreError {
    match error {
        StorageError::Corrupted(why) => corrupt(format_args!("the file is damaged: {why}")),
        StorageError::Io(error) => io(&error),
        other => unavailable(other),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redb's errors are non-exhaustive")]
pub(crate) fn table(error: TableError) -> StoreError {
    match error {
        TableError::Storage(error) => storage(error),
        other => corrupt(format_args!("the file holds something else: {other}")),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redb's errors are non-exhaustive")]
pub(crate) fn transaction(error: TransactionError) -> StoreError {
    match error {
        TransactionError::Storage(error) => storage(error),
        other => unavailable(other),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "redb's errors are non-exhaustive")]
pub(crate) fn compaction(error: CompactionError) -> StoreError {
    match error {
        CompactionError::Storage(error) => storage(error),
        other => unavailable(other),
    }
}

/// An error while opening; "already open" has been dealt with.
#[expect(clippy::wildcard_enum_match_arm, reason = "redb's errors are non-exhaustive")]
pub(crate) fn database(error: DatabaseError) -> StoreError {
    match error {
        DatabaseError::Storage(error) => storage(error),
        other => corrupt(format_args!("the file cannot be opened: {other}")),
    }
}

/// An error of redb's commit itself: by its documentation the transaction is rolled back for
/// certain only if it was poisoned; after anything else it may already be durable.
pub(crate) fn commit(error: CommitError) -> StoreError {
    match error {
        CommitError::TransactionPoisoned => unavailable(error),
        CommitError::Storage(why) => StoreError::new(StoreErrorKind::Unknown, storage(why).message),
        other => StoreError::new(StoreErrorKind::Unknown, other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_said_to_be_full() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let error = storage(StorageError::Io(kind.into()));
            assert_eq!(error.kind, StoreErrorKind::Unavailable);
            assert!(error.message.starts_with("there is no room left for the store"), "{error}");
        }
    }

    #[test]
    fn a_commit_that_redb_could_not_finish_is_unknown() {
        let full = StorageError::Io(io::ErrorKind::StorageFull.into());
        let error = commit(CommitError::Storage(full));
        assert_eq!(error.kind, StoreErrorKind::Unknown);
        assert!(error.message.starts_with("there is no room left for the store"), "{error}");
        assert_eq!(commit(CommitError::TransactionPoisoned).kind, StoreErrorKind::Unavailable);
    }
}
