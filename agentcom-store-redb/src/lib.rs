//! This file is the [`Store`] that keeps everything in one file, by means of
//! [redb](https://www.redb.org).
//!
//! ```
//! use agentcom_core::port::store::{Batch, RowKey, Store as _, Table};
//! use agentcom_store_redb::RedbStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! let store = RedbStore::open(dir.path().join("hub.redb"), "main").await?;
//! let puts = vec![(RowKey::new(Table::Meta, "head"), b"1".to_vec())];
//! store.commit(Batch { seq: 1, puts, deletes: vec![] }).await?;
//! assert_eq!(store.get(&[RowKey::new(Table::Meta, "head")]).await?, [Some(b"1".to_vec())]);
//! # Ok(())
//! # }
//! ```
//!
//! - **One opener.** The file is locked. Whoever else opens it, in this process or another, waits
//!   half a second for the lock and is then refused as [`StoreErrorKind::Fenced`].
//! - **Appended.** A commit appends its batch to a log in the file as one record. Later it is written
//!   to the rows that it names, beside other commits; until then it lies over them.
//! - **Durable.** A commit is one sync. After a crash the file opens at once, without a walk
//!   through it: only the log is read.
//! - **Checked.** Each row carries a checksum bound to its place, and each table a tally of its
//!   rows; damage is [`StoreErrorKind::Corrupt`], and names the row or the table. Damage to the
//!   tree above the rows can hide a row: of a live table this shows when it is loaded, of any
//!   table by [`RedbStore::verify`].
//! - **Fail-stop.** After a commit that failed, for whatever reason, and after the first call of the
//!   file that failed, even one that redb would try again, every call fails until the file is opened
//!   again. An error of the commit itself is [`StoreErrorKind::Unknown`]; before that nothing was
//!   changed.
//! - **Closed like killed.** Dropping a store writes nothing. The next opener finds what was
//!   confirmed, as fast as after any other end.
//!
//! Commits are carried out in the order in which they get hold of the store. Callers that want
//! theirs, await one before they begin the next.
//!
//! All methods need a tokio runtime, whose threads for blocking work they use.

mod book;
mod copy;
mod error;
mod file;
mod files;
mod head;
mod latch;
mod layer;
mod layout;
mod load;
mod log;
mod merge;
mod namespace;
mod record;
mod recover;
mod rows;
pub mod salvage;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod upkeep;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};
use async_trait::async_trait;
use tokio::sync::mpsc;

pub use crate::namespace::Namespace;

use crate::book::Book;
use crate::files::Files;

/// How a store is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Which of the stores in the file.
    pub namespace: Namespace,
    /// How much memory the cache of the file may take, in bytes: 128 MiB unless said otherwise.
    pub cache_bytes: usize,
    /// How many batches are kept whole before they are written to the rows: 1,024 unless said
    /// otherwise, or 6 MiB. More save writing what comes and goes, fewer save memory.
    pub tail_batches: usize,
    /// How long the log is in a file that is made, in bytes: 16 MiB unless said otherwise. What does
    /// not fit is written to the rows at once.
    pub log_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            namespace: Namespace::default(),
            cache_bytes: 128 * 1024 * 1024,
            tail_batches: tail::BATCHES,
            log_bytes: copy::LOG_BYTES,
        }
    }
}

/// A store in one file.
///
/// Dropping it closes the file, once the calls that are at work in it have ended.
#[derive(Debug)]
pub struct RedbStore {
    book: Arc<Book>,
    /// Where the file is, and where backups go.
    files: Files,
}

impl RedbStore {
    /// Opens the file at `path`, or creates it: readable and writable by its owner only, like its
    /// directory if that is missing as well.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Fenced`] if the file is in use, [`StoreErrorKind::Corrupt`] if it is
    /// damaged or of a newer release, [`StoreErrorKind::Unavailable`] if it is out of reach or
    /// `namespace` is no [`Namespace`].
    pub async fn open(path: impl AsRef<Path>, namespace: &str) -> Result<Self, StoreError> {
        let namespace = Namespace::new(namespace).map_err(error::unavailable)?;
        Self::open_with(path, Options { namespace, ..Options::default() }).await
    }

    /// As [`RedbStore::open`], with all there is to say.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore::open`].
    pub async fn open_with(path: impl AsRef<Path>, options: Options) -> Result<Self, StoreError> {
        Self::open_in(files::os(), path.as_ref().to_path_buf(), options).await
    }

    async fn open_in(files: Files, path: PathBuf, options: Options) -> Result<Self, StoreError> {
        let at = Arc::clone(&files);
        let opening = move || Book::open(&at, &path, &options);
        let book = blocking(StoreErrorKind::Corrupt, opening).await?;
        Ok(Self { book: Arc::new(book), files })
    }

    /// As [`RedbStore::open_with`], on a disk for tests.
    ///
    /// # Errors
    ///
    /// Those of [`RedbStore::open`].
    #[cfg(any(test, feature = "testing"))]
    pub async fn on(disk: &testing::Disk, options: Options) -> Result<Self, StoreError> {
        let disk = disk.clone();
        let opening = move || Book::on(disk, &options);
        let book = blocking(StoreErrorKind::Corrupt, opening).await?;
        Ok(Self { book: Arc::new(book), files: files::os() })
    }

    /// Reads and checks every row of every table, beside other work.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`], naming the first row or table that is damaged.
    pub async fn verify(&self) -> Result<(), StoreError> {
        let book = Arc::clone(&self.book);
        self.stopping(
            blocking(StoreErrorKind::Corrupt, move || {
                load::verify(&book, &upkeep::Stop::default())
            })
            .await,
        )
    }

    /// Copies all that is in the file, as it is at one moment and beside other work, to `target`,
    /// which must not exist. The copy was closed, opened again and checked when it gets its name.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Corrupt`] if a row is damaged, which is named;
    /// [`StoreErrorKind::Unavailable`] if `target` exists, there is no room for it, or `stop` was
    /// asked. Then there is no `target`.
    pub async fn backup(
        &self,
        target: impl Into<PathBuf>,
        stop: &upkeep::Stop,
    ) -> Result<upkeep::Told, StoreError> {
        let (book, files) = (Arc::clone(&self.book), Arc::clone(&self.files));
        let (target, stop) = (target.into(), stop.clone());
        blocking(StoreErrorKind::Corrupt, move || {
            upkeep::must_not_exist(&files, &target)?;
            file::make_parent(&files, &target)?;
            book.fold(true)?;
            let (partial, told) = copy::copy(&files, (&book.database, None), &target, &stop)?;
            partial.publish()?;
            Ok(upkeep::Told { path: target, ..told })
        })
        .await
    }

    /// How many rows each table has. Waits for a commit that is at work.
    ///
    /// # Errors
    ///
    /// [`StoreErrorKind::Unavailable`] if the store failed earlier or cannot be read.
    pub async fn rows(&self) -> Result<Vec<(Table, u64)>, StoreError> {
        let book = Arc::clone(&self.book);
        let counting = blocking(StoreErrorKind::Unavailable, move || book.rows(&Table::ALL));
        self.stopping(counting.await)
    }
}

impl RedbStore {
    /// A disk that cannot be read is not trusted with more, nor is one on which something failed that
    /// redb did not tell of. A damaged row is told of by name, and others are still read.
    fn stopping<T>(&self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let outcome = outcome.and_then(|answer| self.book.usable().map(|()| answer));
        outcome.inspect_err(|error| {
            if error.kind == StoreErrorKind::Unavailable {
                self.book.fail(error);
            }
        })
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        let (sender, mut pieces) = mpsc::channel(load::PIECES_MAX);
        let book = Arc::clone(&self.book);
        let loading = blocking(StoreErrorKind::Corrupt, move || load::load(&book, &sender));
        while let Some(piece) = pieces.recv().await {
            piece.visit(visit)?;
        }
        self.stopping(loading.await)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let book = Arc::clone(&self.book);
        let outcome = blocking(StoreErrorKind::Unknown, move || book.commit(batch)).await;
        outcome.inspect_err(|error| self.book.fail(error))?;
        if self.book.wants_folding() {
            let book = Arc::clone(&self.book);
            // It ends by itself, and tells the book how.
            drop(tokio::task::spawn_blocking(move || book.fold_due()));
        }
        Ok(())
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let (book, keys) = (Arc::clone(&self.book), keys.to_vec());
        self.stopping(blocking(StoreErrorKind::Corrupt, move || book.get(&keys)).await)
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        let book = Arc::clone(&self.book);
        self.stopping(blocking(StoreErrorKind::Corrupt, move || book.history(&range)).await)
    }
}

/// Does `work` where it may block. It begins at once, and goes on to its end even if nobody waits
/// for it.
///
/// redb can panic on a damaged file; `panicked` is what that means to the caller.
fn blocking<T: Send + 'static>(
    panicked: StoreErrorKind,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> impl Future<Output = Result<T, StoreError>> {
    let task = tokio::task::spawn_blocking(work);
    async move {
        match task.await {
            Ok(outcome) => outcome,
            Err(stopped) if stopped.is_panic() => {
                Err(StoreError::new(panicked, format_args!("the file is damaged: {stopped}")))
            }
            Err(_) => Err(error::unavailable("the runtime is shutting down")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_answer_during_which_the_file_failed_is_not_given() {
        let disk = testing::Disk::new();
        let store = RedbStore::on(&disk, Options::default()).await.unwrap();
        assert!(store.stopping(Ok(())).is_ok());
        // As when redb makes room for what it reads and cannot write what is in its place, which it
        // tries again later.
        disk.fail_after(0, testing::Fault::NoRoom, false);
        assert!(store.book.database.disk.write(0, &[0]).is_err());
        assert_eq!(store.stopping(Ok(())).unwrap_err().kind, StoreErrorKind::Unavailable);
        assert!(store.rows().await.is_err());
    }
}
