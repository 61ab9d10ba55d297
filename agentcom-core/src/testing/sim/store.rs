//! This file is a store that takes its time and sometimes fails, before or after the deed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;

use super::world::SimClock;
use crate::port::store::{Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Visit};
use crate::rng::Rng;
use crate::testing::memory::MemoryStore;
use crate::time::Span;

/// How a store fails: out of how many commits one, and how slow it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failures {
    /// One of this many commits fails; 0 is none.
    pub(super) one_of: u64,
    /// The longest that a commit takes.
    pub(super) slow: Span,
}

/// A memory store under [`Failures`].
#[derive(Debug)]
pub(super) struct SimStore {
    inner: MemoryStore,
    clock: SimClock,
    rng: Mutex<Rng>,
    failures: Arc<Mutex<Failures>>,
}

impl SimStore {
    pub(super) fn new(
        inner: MemoryStore,
        clock: SimClock,
        seed: u64,
        failures: Arc<Mutex<Failures>>,
    ) -> Self {
        Self { inner, clock, rng: Mutex::new(Rng::new(seed)), failures }
    }

    fn draw(&self) -> (Span, Span, Option<StoreErrorKind>) {
        let failures = *self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
        let (before, after) = (rng.below(failures.slow.0 + 1), rng.below(failures.slow.0 + 1));
        let fails = failures.one_of > 0 && rng.below(failures.one_of) == 0;
        let kind = match rng.below(2) {
            0 => StoreErrorKind::Unavailable,
            _ => StoreErrorKind::Unknown,
        };
        (Span(before), Span(after), fails.then_some(kind))
    }
}

#[async_trait]
impl Store for SimStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.inner.load(visit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let (before, after, fails) = self.draw();
        self.clock.sleep(before).await;
        if fails == Some(StoreErrorKind::Unavailable) {
            return Err(StoreError::new(StoreErrorKind::Unavailable, "simulated, before the deed"));
        }
        // An unknown outcome may be either.
        if fails.is_none() || batch.seq.is_multiple_of(2) {
            self.inner.commit(batch).await?;
        }
        self.clock.sleep(after).await;
        match fails {
            Some(kind) => Err(StoreError::new(kind, "simulated, perhaps after the deed")),
            None => Ok(()),
        }
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.inner.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        self.inner.history(range).await
    }
}
