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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::store::Table;
    use crate::testing::memory::MemoryDisk;
    use alloc::vec;
    use futures_executor::block_on;
    use futures_util::future::join;
    use futures_util::{FutureExt as _, pin_mut};

    fn batch(seq: u64) -> Batch {
        let puts = vec![(RowKey::new(Table::Meta, "k"), vec![seq as u8])];
        Batch { seq, puts, deletes: vec![] }
    }

    fn commit(store: &FaultyStore, seq: u64) -> Result<(), StoreErrorKind> {
        block_on(store.commit(batch(seq))).map_err(|error| error.kind)
    }

    #[test]
    fn a_commit_fails_before_it_is_done() {
        let (disk, faults) = (MemoryDisk::new(), Faults::new());
        let store = FaultyStore::new(disk.open(), &faults);
        faults.fail_before(2);
        assert_eq!(commit(&store, 1), Ok(()));
        assert_eq!(commit(&store, 2), Err(StoreErrorKind::Unavailable));
        assert_eq!(disk.snapshot().seq, Some(1));
        assert_eq!(commit(&store, 3), Err(StoreErrorKind::Unavailable), "it stays shut");
        assert!(block_on(store.get(&[])).is_err(), "it stays shut");
        assert_eq!(disk.snapshot().seq, Some(1));
    }

    #[test]
    fn a_commit_fails_after_it_is_done_and_counts_past_a_restart() {
        let (disk, faults) = (MemoryDisk::new(), Faults::new());
        faults.fail_after(1);
        faults.fail_before(3);
        let store = FaultyStore::new(disk.open(), &faults);
        assert_eq!(commit(&store, 1), Err(StoreErrorKind::Unknown));
        assert_eq!(disk.snapshot().seq, Some(1));
        let store = FaultyStore::new(disk.open(), &faults);
        assert_eq!(commit(&store, 2), Ok(()));
        assert_eq!(commit(&store, 3), Err(StoreErrorKind::Unavailable));
        assert_eq!((disk.snapshot().seq, faults.commits()), (Some(2), 3));
    }

    #[test]
    fn held_commits_wait_for_their_release_one_by_one() {
        let (disk, faults) = (MemoryDisk::new(), Faults::new());
        let store = FaultyStore::new(disk.open(), &faults);
        faults.hold();
        let (first, second) = (store.commit(batch(1)), store.commit(batch(2)));
        pin_mut!(first, second);
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!((faults.held(), disk.snapshot().seq), (2, None));

        assert!(faults.release_one());
        block_on(first).unwrap();
        assert_eq!((faults.held(), disk.snapshot().seq), (1, Some(1)));
        faults.release();
        block_on(second).unwrap();
        assert_eq!((commit(&store, 3), disk.snapshot().seq), (Ok(()), Some(3)), "holding ended");
        assert!(!faults.release_one());
    }

    #[test]
    fn a_test_can_wait_until_a_commit_is_held() {
        let faults = Faults::new();
        let store = FaultyStore::new(MemoryDisk::new().open(), &faults);
        faults.hold();
        let test = async {
            faults.until_held(1).await;
            faults.release();
        };
        block_on(join(test, store.commit(batch(1)))).1.unwrap();
    }

    #[test]
    fn a_held_commit_that_is_dropped_is_not_waited_for() {
        let (disk, faults) = (MemoryDisk::new(), Faults::new());
        let store = FaultyStore::new(disk.open(), &faults);
        faults.hold();
        assert!(store.commit(batch(1)).now_or_never().is_none());
        assert_eq!((faults.held(), faults.release_one()), (0, false));
        assert_eq!(disk.snapshot().seq, None);
    }
}
