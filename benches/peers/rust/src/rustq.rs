//! This file is RustQueue, embedded on redb.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};
use rustqueue::RustQueue;

/// Loops that pull, run and acknowledge: its own worker takes one job at a time.
const LOOPS: usize = 8;

pub(crate) struct Rustq {
    queue: Arc<RustQueue>,
    mode: Mode,
    acknowledged: Arc<AtomicU64>,
}

impl Peer for Rustq {
    async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
        let builder = RustQueue::redb(place.dir.join("jobs.redb"))?;
        let builder = match mode {
            Mode::Each => builder,
            Mode::Batch => builder.with_write_coalescing(Default::default()),
        };
        Ok(Self { queue: Arc::new(builder.build()?), mode, acknowledged: Arc::default() })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        let data = serde_json::to_value(job.payload())?;
        self.queue.push(&job.queue(), "nothing", data, None).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        // It has no bulk call when embedded; callers at once are the fastest way.
        for some in jobs.chunks(100) {
            futures_util::future::try_join_all(some.iter().map(|job| self.submit(*job))).await?;
        }
        Ok(())
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        let pull = if self.mode == Mode::Batch { 100 } else { 1 };
        for _ in 0..LOOPS {
            let (from, seen) = (self.queue.clone(), seen.clone());
            let acknowledged = self.acknowledged.clone();
            tokio::spawn(async move {
                loop {
                    let jobs = from.pull(&queue(class), pull).await.unwrap_or_default();
                    if jobs.is_empty() {
                        tokio::time::sleep(Duration::from_millis(1)).await;
                    }
                    for job in jobs {
                        if let Ok(payload) = serde_json::from_value::<Payload>(job.data) {
                            seen.started(payload.number);
                        }
                        if from.ack(job.id, None).await.is_ok() {
                            acknowledged.fetch_add(1, Ordering::AcqRel);
                        }
                    }
                }
            });
        }
        Ok(())
    }

    async fn done(&self, _submitted: u64) -> Outcome<u64> {
        Ok(self.acknowledged.load(Ordering::Acquire))
    }
}
