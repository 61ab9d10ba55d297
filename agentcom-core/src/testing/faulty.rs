//! This file wraps a store so that its commits fail or wait, on cue.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_channel::oneshot;

use crate::port::store::{Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Visit};

/// The script of the stores that share it. Clones are the same script.
///
/// Commits are counted from 1, over all stores that share the script, so that a script can reach
/// past a restart.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    script: Arc<Mutex<Script>>,
}

#[derive(Debug, Default)]
struct Script {
    commits: u64,
    planned: BTreeMap<u64, Fault>,
    holding: bool,
    /// Commits that wait to be released, first come first.
    held: VecDeque<oneshot::Sender<()>>,
    /// Those who wait until that many commits are held.
    watching: Vec<(usize, oneshot::Sender<()>)>,
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Before,
    After,
}

impl Faults {
    /// A script without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The `nth` commit fails as [`StoreErrorKind::Unavailable`], and nothing is changed.
    pub fn fail_before(&self, nth: u64) {
        self.script().planned.insert(nth, Fault::Before);
    }

    /// The `nth` commit fails as [`StoreErrorKind::Unknown`], although it became durable.
    pub fn fail_after(&self, nth: u64) {
        self.script().planned.insert(nth, Fault::After);
    }

    /// Makes commits that begin from here on wait, before they do anything, for a release.
    pub fn hold(&self) {
        self.script().holding = true;
    }

    /// Lets the commit that has waited longest go on; commits keep being held. Returns whether
    /// there was one.
    pub fn release_one(&self) -> bool {
        let mut script = self.script();
        while let Some(commit) = script.held.pop_front() {
            if commit.send(()).is_ok() {
                return true;
            }
        }
        false
    }

    /// Lets all commits go on and ends the holding.
    pub fn release(&self) {
        let mut script = self.script();
        script.holding = false;
        for commit in script.held.drain(..) {
            // Whoever waited may have been dropped meanwhile.
            let _ = commit.send(());
        }
    }

    /// How many commits have begun.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.script().commits
    }

    /// How many commits wait for a release.
    #[must_use]
    pub fn held(&self) -> usize {
        self.script().held_alive()
    }

    /// Waits until at least `count` commits wait for a release.
    pub async fn until_held(&self, count: usize) {
        loop {
            let (watcher, more) = oneshot::channel();
            {
                let mut script = self.script();
                if script.held_alive() >= count {
                    return;
                }
                script.watching.push((count, watcher));
            }
            // The sender lives in the script, which `self` keeps alive.
            let _ = more.await;
        }
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Script {
    fn held_alive(&mut self) -> usize {
        self.held.retain(|commit| !commit.is_canceled());
        self.held.len()
    }

    /// Counts a commit; says what is planned for it and what it has to wait for.
    fn begin(&mut self) -> (Option<Fault>, Option<oneshot::Receiver<()>>) {
        self.commits += 1;
        let fault = self.planned.remove(&self.commits);
        if !self.holding {
            return (fault, None);
        }
        let (release, released) = oneshot::channel();
        self.held.push_back(release);
        let held = self.held_alive();
        let (ready, waiting) = self.watching.drain(..).partition(|(count, _)| *count <= held);
        self.watching = waiting;
        let ready: Vec<(usize, oneshot::Sender<()>)> = ready;
        for (_, watcher) in ready {
            // Whoever waited may have been dropped meanwhile.
            let _ = watcher.send(());
        }
        (fault, Some(released))
    }
}

/// A store whose commits fail and wait as [`Faults`] say.
///
/// As a real store, it answers nothing but errors after a commit has failed: open another.
#[derive(Debug)]
pub struct FaultyStore {
    inner: Box<dyn Store>,
    faults: Faults,
    failed: AtomicBool,
}

impl FaultyStore {
    /// Wraps `inner`.
    #[must_use]
    pub fn new(inner: impl Store + 'static, faults: &Faults) -> Self {
        Self { inner: Box::new(inner), faults: faults.clone(), failed: AtomicBool::new(false) }
    }

    fn usable(&self) -> Result<(), StoreError> {
        if self.failed.load(Ordering::Acquire) {
            let message = "a commit failed; open the store again";
            return Err(StoreError::new(StoreErrorKind::Unavailable, message));
        }
        Ok(())
    }

    async fn try_commit(&self, batch: Batch) -> Result<(), StoreError> {
        let (fault, held) = self.faults.script().begin();
        if let Some(released) = held {
            // A script that is dropped releases what it held.
            let _ = released.await;
        }
        self.usable()?;
        match fault {
            Some(Fault::Before) => {
                Err(StoreError::new(StoreErrorKind::Unavailable, "failed before doing it, on cue"))
            }
            Some(Fault::After) => {
                self.inner.commit(batch).await?;
                Err(StoreError::new(StoreErrorKind::Unknown, "failed after doing it, on cue"))
            }
            None => self.inner.commit(batch).await,
        }
    }
}

#[async_trait]
impl Store for FaultyStore {
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.usable()?;
        self.inner.load(visit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let outcome = self.try_commit(batch).await;
        if outcome.is_err() {
            self.failed.store(true, Ordering::Release);
        }
        outcome
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        self.usable()?;
        self.inner.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        self.usable()?;
        self.inner.history(range).await
    }
}
