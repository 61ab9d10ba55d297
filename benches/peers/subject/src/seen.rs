//! This file notes which jobs have started, and when.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use tokio::sync::Notify;

/// What workers have seen. Clones are the same.
#[derive(Clone, Debug)]
pub struct Seen {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    epoch: Instant,
    count: AtomicU64,
    /// How many there will be.
    goal: AtomicU64,
    reached: Notify,
    /// When each job was submitted and started, in nanoseconds since the epoch; 0 is not yet.
    times: Vec<(AtomicU64, AtomicU64)>,
    /// Who is told instead.
    heir: OnceLock<Seen>,
}

impl Seen {
    /// Nothing yet; times are kept for the first `timed` jobs.
    #[must_use]
    pub fn new(goal: u64, timed: usize) -> Self {
        let times = (0..timed).map(|_| (AtomicU64::new(0), AtomicU64::new(0))).collect();
        let inner = Inner {
            epoch: Instant::now(),
            count: AtomicU64::new(0),
            goal: AtomicU64::new(goal),
            reached: Notify::new(),
            times,
            heir: OnceLock::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    fn nanos(&self) -> u64 {
        self.inner.epoch.elapsed().as_nanos() as u64
    }

    /// A job is about to be submitted.
    pub fn submitting(&self, number: u64) {
        if let Some((submitted, _)) = self.inner.times.get(number as usize) {
            submitted.store(self.nanos().max(1), Ordering::Relaxed);
        }
    }

    /// Tells another from here on, for queues whose handlers are made before the work is known.
    pub fn pass_on_to(&self, heir: Self) {
        // The first heir is the only one: a process plays one work.
        let _ = self.inner.heir.set(heir);
    }

    /// Jobs start where this process cannot see them: only what is stored as done counts.
    pub fn not_watched(&self) {
        self.inner.goal.store(0, Ordering::Release);
        self.inner.reached.notify_waiters();
    }

    /// A job has started.
    pub fn started(&self, number: u64) {
        if let Some(heir) = self.inner.heir.get() {
            return heir.started(number);
        }
        if let Some((_, started)) = self.inner.times.get(number as usize) {
            started.store(self.nanos().max(1), Ordering::Relaxed);
        }
        let count = self.inner.count.fetch_add(1, Ordering::AcqRel) + 1;
        if count >= self.inner.goal.load(Ordering::Acquire) {
            self.inner.reached.notify_waiters();
        }
    }

    /// How many have started.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.inner.count.load(Ordering::Acquire)
    }

    /// Waits until as many have started as there will be.
    pub async fn all(&self) {
        loop {
            let reached = self.inner.reached.notified();
            if self.count() >= self.inner.goal.load(Ordering::Acquire) {
                return;
            }
            reached.await;
        }
    }

    /// From submission to start, in microseconds, sorted.
    #[must_use]
    pub fn latencies(&self) -> Vec<u64> {
        let mut spans: Vec<u64> = self
            .inner
            .times
            .iter()
            .map(|(from, to)| (from.load(Ordering::Relaxed), to.load(Ordering::Relaxed)))
            .filter(|(from, to)| *from > 0 && *to > 0)
            .map(|(from, to)| to.saturating_sub(from) / 1_000)
            .collect();
        spans.sort_unstable();
        spans
    }
}
