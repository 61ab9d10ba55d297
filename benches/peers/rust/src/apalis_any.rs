//! This file is apalis on either of its databases; what is its own of each is in a file beside.

use apalis::prelude::*;
use peers_subject::{Payload, Seen};

/// Defines `Apalis`, the peer on a storage of apalis. Beside the name of the storage it takes the
/// statement that counts what is done; `connect` in the same module returns the pool.
macro_rules! peer {
    ($storage:ident, $pool:ty, $done:literal) => {
        pub(crate) struct Apalis {
            pool: $pool,
            mode: Mode,
        }

        impl Apalis {
            fn storage(&self, class: u32) -> $storage<Payload> {
                // The default batch is 10; its authors recommend more where throughput counts.
                let batch = if self.mode == Mode::Batch { 100 } else { 10 };
                let config = Config::default().queue(queue(class)).batch_size(batch);
                $storage::new(&self.pool).with_config(config)
            }
        }

        impl Peer for Apalis {
            async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
                Ok(Self { pool: connect(place).await?, mode })
            }

            async fn submit(&self, job: Job) -> Outcome<()> {
                Ok(self.storage(job.class).push(job.payload()).await?)
            }

            async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
                let classes = jobs.iter().map(|job| job.class).max().unwrap_or(0);
                for class in 0..=classes {
                    let own = jobs.iter().filter(|job| job.class == class).map(|job| job.payload());
                    self.storage(class).push_bulk(own.collect()).await?;
                }
                Ok(())
            }

            async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
                let backend = self.storage(class).poll_with_interval(Duration::from_millis(5));
                // A worker's name stays taken for a while after its process was killed.
                let name = format!("worker-{class}-{}", std::process::id());
                let worker = WorkerBuilder::new(name)
                    .backend(backend)
                    .concurrency(CONCURRENCY)
                    .data(seen)
                    .build(started);
                tokio::spawn(async move {
                    if let Err(error) = worker.run().await {
                        eprintln!("the worker ended: {error}");
                    }
                });
                Ok(())
            }

            async fn done(&self, _submitted: u64) -> Outcome<u64> {
                let (done,): (i64,) = sqlx::query_as($done).fetch_one(&self.pool).await?;
                Ok(done as u64)
            }
        }
    };
}

pub(crate) use peer;

pub(crate) async fn started(job: Payload, seen: Data<Seen>) -> Result<(), BoxDynError> {
    seen.started(job.number);
    Ok(())
}
