//! This file is a store that takes its time and sometimes fails, before or after the deed.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::hubs::{Doing, Life};
use super::marks::Mark;
use super::oracle::Oracle;
use super::replay::Replay;
use super::swarm::Failures;
use super::world::SimClock;
use crate::port::store::{
    Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table, Visit,
};
use crate::rng::Rng;
use crate::testing::memory::MemoryStore;
use crate::time::Span;

/// When the store of a world fails next.
#[derive(Debug)]
pub(super) struct Weakness {
    rng: Rng,
    failures: Failures,
    /// How many commits succeed before one fails after the deed, and calls before one fails.
    after: u64,
    before: u64,
}

impl Weakness {
    pub(super) fn new(seed: u64, failures: Failures) -> Self {
        let mut weakness = Self {
            rng: Rng::for_purpose(seed, "store", 0),
            failures: Failures::default(),
            after: 0,
            before: 0,
        };
        weakness.set(failures);
        weakness
    }

    pub(super) fn set(&mut self, failures: Failures) {
        self.failures = failures;
        let mut draw = |rate: u64| if rate == 0 { u64::MAX } else { 1 + self.rng.below(2 * rate) };
        (self.before, self.after) = (draw(failures.before), draw(failures.after));
    }

    /// Whether one of the next calls fails.
    const fn is_near(&self) -> bool {
        self.before < 4 || self.after < 3
    }

    fn fails_before(&mut self) -> bool {
        self.before -= 1;
        let fails = self.before == 0;
        if fails {
            self.before = 1 + self.rng.below(2 * self.failures.before);
        }
        fails
    }

    /// Whether this commit fails, and whether it is done all the same.
    fn fails_after(&mut self) -> Option<bool> {
        self.after -= 1;
        if self.after > 0 {
            return None;
        }
        self.after = 1 + self.rng.below(2 * self.failures.after);
        Some(self.rng.below(3) > 0)
    }

    fn slowness(&mut self) -> Span {
        let slow = self.failures.slow.0;
        if slow == 0 { Span(0) } else { Span(self.rng.below(slow + 1)) }
    }
}

/// The store of one hub.
#[derive(Debug)]
pub(super) struct SimStore {
    pub(super) inner: MemoryStore,
    pub(super) hub: u64,
    pub(super) life: Arc<Mutex<Life>>,
    pub(super) weakness: Arc<Mutex<Weakness>>,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
    pub(super) replay: Replay,
    /// One of this many batches loses a row, to see that it is missed; 0 is none.
    pub(super) forgets: u64,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimStore {
    async fn wait(&self) {
        let span = lock(&self.weakness).slowness();
        if span.0 > 0 {
            self.clock.sleep(span).await;
        }
    }

    /// Takes its time before a call that changes nothing, and may fail.
    async fn reach(&self) -> Result<(), StoreError> {
        self.be_pictured();
        self.wait().await;
        if lock(&self.weakness).fails_before() {
            self.oracle.mark(Mark::ReadFailed);
            return Err(StoreError::new(StoreErrorKind::Unavailable, "simulated, while reading"));
        }
        Ok(())
    }

    /// Has a picture taken of what the hub knows, if it may end soon.
    fn be_pictured(&self) {
        if lock(&self.weakness).is_near() {
            self.replay.arm(true);
        }
        let handle = lock(&self.life).handle.clone();
        if let Some(handle) = handle {
            self.replay.ask(self.hub, &handle);
        }
    }

    fn doing(&self, doing: Doing) {
        lock(&self.life).doing = doing;
    }

    async fn done(&self, mut batch: Batch) -> Result<(), StoreError> {
        let told = batch.clone();
        if self.forgets > 0 && batch.seq.is_multiple_of(self.forgets) {
            batch.puts.retain(|(row, _)| row.table != Table::Life);
        }
        self.inner.commit(batch).await?;
        self.oracle.committed(&told, self.hub);
        Ok(())
    }
}

#[async_trait]
impl Store for SimStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.reach().await?;
        let seq = self.inner.load(visit).await?;
        self.wait().await;
        Ok(seq)
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.be_pictured();
        self.doing(Doing::Committing);
        self.wait().await;
        if lock(&self.weakness).fails_before() {
            self.oracle.mark(Mark::FailedBefore);
            return Err(StoreError::new(StoreErrorKind::Unavailable, "simulated, before the deed"));
        }
        let fails = lock(&self.weakness).fails_after();
        match fails {
            None => self.done(batch).await?,
            Some(true) => {
                self.oracle.mark(Mark::FailedAfter);
                self.done(batch).await?;
            }
            Some(false) => self.oracle.mark(Mark::FailedUnknown),
        }
        self.doing(Doing::Committed);
        self.wait().await;
        if fails.is_some() {
            return Err(StoreError::new(StoreErrorKind::Unknown, "simulated, perhaps done"));
        }
        self.doing(Doing::Nothing);
        Ok(())
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.reach().await?;
        self.inner.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        self.reach().await?;
        self.inner.history(range).await
    }
}
