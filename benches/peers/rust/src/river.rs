//! This file is River for Rust, on PostgreSQL.

use std::time::Duration;

use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};
use riverqueue::migrate::PostgresMigrator;
use riverqueue::{
    BoxError, Client, InsertOpts, JobArgs, QueueConfig, RunHandle, WorkContext, WorkOutcome,
    Workers,
};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;

#[derive(Clone, Debug, Serialize, Deserialize, JobArgs)]
#[river(kind = "nothing")]
struct Nothing {
    number: u64,
    text: String,
}

pub(crate) struct River {
    pool: PgPool,
    inserter: Client,
    mode: Mode,
    running: Mutex<Vec<RunHandle>>,
}

fn args(job: Job) -> Nothing {
    let Payload { number, text } = job.payload();
    Nothing { number, text }
}

fn opts(class: u32) -> InsertOpts {
    InsertOpts::default().with_queue(queue(class))
}

impl Peer for River {
    async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
        let pool = PgPoolOptions::new().max_connections(50).connect(&place.url).await?;
        PostgresMigrator::new(pool.clone()).migrate_up().await?;
        let inserter = Client::builder(pool.clone()).build()?;
        Ok(Self { pool, inserter, mode, running: Mutex::default() })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        self.inserter.insert(args(job)).opts(opts(job.class)).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        for some in jobs.chunks(2_000) {
            self.inserter.insert_many(some.iter().map(|job| (args(*job), opts(job.class)))).await?;
        }
        Ok(())
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        let mut workers = Workers::new();
        workers.add_fn(move |_: WorkContext, job: riverqueue::Job<Nothing>| {
            seen.started(job.args.number);
            async { Ok::<_, BoxError>(WorkOutcome::Complete) }
        })?;
        // Its own bench: many workers and the shortest cooldown; otherwise its defaults.
        let config = match self.mode {
            Mode::Each => QueueConfig::new(crate::CONCURRENCY),
            Mode::Batch => QueueConfig::new(2_000).with_fetch_cooldown(Duration::from_millis(2)),
        };
        let client = Client::builder(self.pool.clone())
            .workers(workers)
            .queue(queue(class), config)
            .build()?;
        self.running.lock().await.push(client.start()?);
        Ok(())
    }

    async fn done(&self, _submitted: u64) -> Outcome<u64> {
        let sql = "SELECT count(*) FROM river_job WHERE state = 'completed'";
        let (done,): (i64,) = sqlx::query_as(sql).fetch_one(&self.pool).await?;
        Ok(done as u64)
    }
}
