//! This file is the sidecar's store: one append-only file of checksummed batches.
//!
//! **Invariant:** a batch is one record, written at the end of the file and synced before it is
//! confirmed. A record holds its length and a checksum that is bound to its place in the file, so a
//! torn, damaged, moved or forged record is never read as data:
//!
//! ```text
//! agentcom-journal 1\n
//! mark (4) · length (4) · checksum (8) · kind (1) · seq (8) · puts · deletes
//! ```
//!
//! Whoever opens a file whose last record is bad cuts it off: it was being written when the power
//! went, and nobody was told that it is there. A bad record with good ones behind it is damage. It
//! is moved to `<file>.quarantine`, the others are kept, and [`FileJournal::reports`] says so. What
//! a sidecar loses with it, the hub asks for again.
//!
//! When more than half of the file is rows that are gone, the rest is written to a file of its own,
//! which takes the place of the journal in one step.

mod describe;
mod log;
mod record;
mod rows;
mod scan;

use std::path::PathBuf;
use std::thread::JoinHandle;

use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};
use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot};

pub use describe::{Description, describe};
pub use log::JournalLimits;
pub use scan::{Damage, Place};

use log::Log;

/// A [`Store`] on one file, meant for the few rows of a sidecar: all of them are in memory.
///
/// A thread of its own owns the file, so that a slow disk never holds up a heartbeat.
#[derive(Debug)]
pub struct FileJournal {
    ask: Option<mpsc::Sender<Ask>>,
    thread: Option<JoinHandle<()>>,
    reports: Vec<Damage>,
}

type Ask = Box<dyn FnOnce(&mut Log) + Send>;

impl FileJournal {
    /// How many requests may wait.
    const QUEUE_MAX: usize = 16;

    /// Opens the journal at `path`, readable by nobody else, and creates it if it is not there.
    /// Blocks for the time of reading it, and up to half a second if another process has it open.
    ///
    /// # Errors
    ///
    /// [`Fenced`](StoreErrorKind::Fenced) if another process has it open,
    /// [`Corrupt`](StoreErrorKind::Corrupt) if it is no journal, or one of a newer version,
    /// [`Unavailable`](StoreErrorKind::Unavailable) if the file cannot be read or written.
    pub fn open(path: impl Into<PathBuf>, limits: JournalLimits) -> Result<Self, StoreError> {
        let (mut log, reports) = Log::open(path.into(), limits)?;
        let (ask, mut asked) = mpsc::channel::<Ask>(Self::QUEUE_MAX);
        let serve = move || {
            while let Some(ask) = asked.blocking_recv() {
                ask(&mut log);
            }
        };
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(serve)
            .map_err(|error| StoreError::new(StoreErrorKind::Unavailable, error))?;
        Ok(Self { ask: Some(ask), thread: Some(thread), reports })
    }

    /// What was found damaged when the journal was opened.
    #[must_use]
    pub fn reports(&self) -> &[Damage] {
        &self.reports
    }

    async fn with<T: Send + 'static>(
        &self,
        act: impl FnOnce(&mut Log) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let gone = || StoreError::new(StoreErrorKind::Unknown, "the journal's thread has ended");
        let (answer, answered) = oneshot::channel();
        let ask: Ask = Box::new(move |log| {
            // Nobody listens if the request was dropped; what it did stays done.
            let _ = answer.send(act(log));
        });
        let queue = self.ask.as_ref().ok_or_else(gone)?;
        queue.send(ask).await.map_err(|_| gone())?;
        answered.await.map_err(|_| gone())
    }
}

impl Drop for FileJournal {
    /// Waits for the thread, so that the file is free when this returns.
    fn drop(&mut self) {
        self.ask = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl Store for FileJournal {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        for table in Table::LIVE {
            let all = Range {
                table,
                prefix: Vec::new(),
                after: None,
                backwards: false,
                limit: usize::MAX,
            };
            for (key, value) in self.history(all).await? {
                visit(table, &key, &value)?;
            }
        }
        self.with(|log| log.rows().seq()).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.with(move |log| log.commit(&batch)).await?
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        let keys = keys.to_vec();
        self.with(move |log| keys.iter().map(|key| log.rows().get(key).cloned()).collect()).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        self.with(move |log| log.rows().range(&range)).await
    }
}
