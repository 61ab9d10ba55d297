//! This file counts what is asked of a store.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use agentcom_core::port::store::{Batch, Range, Row, RowKey, Store, StoreError, Visit};
use async_trait::async_trait;

/// How many commits there were, and how long they took together.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    count: Arc<AtomicU64>,
    nanos: Arc<AtomicU64>,
}

impl Commits {
    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// How long a commit was under way, in total.
    #[must_use]
    pub fn under_way(&self) -> Duration {
        Duration::from_nanos(self.nanos.load(Ordering::Relaxed))
    }
}

/// A store that counts its commits.
#[derive(Debug)]
pub struct Counting {
    store: Box<dyn Store>,
    commits: Commits,
}

impl Counting {
    /// Counts the commits of `store`.
    pub fn new(store: Box<dyn Store>) -> (Self, Commits) {
        let commits = Commits::default();
        (Self { store, commits: commits.clone() }, commits)
    }
}

#[async_trait]
impl Store for Counting {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.store.load(visit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let began = Instant::now();
        let outcome = self.store.commit(batch).await;
        self.commits.nanos.fetch_add(began.elapsed().as_nanos() as u64, Ordering::Relaxed);
        self.commits.count.fetch_add(1, Ordering::Relaxed);
        outcome
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.store.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        self.store.history(range).await
    }
}
