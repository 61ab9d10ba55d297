//! This file is graphile_worker, on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use graphile_worker::{
    IntoTaskHandlerResult, JobSpec, LocalQueueConfig, RawJobSpec, TaskHandler, WorkerContext,
    WorkerOptions, WorkerUtils,
};
use peers_subject::{Job, Mode, Outcome, Peer, Place, Seen};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

const SCHEMA: &str = "graphile_worker";

#[derive(Debug, Serialize, Deserialize)]
struct Nothing {
    number: u64,
    text: String,
}

#[derive(Clone, Debug)]
struct Eye(Seen);

impl TaskHandler for Nothing {
    const IDENTIFIER: &'static str = "class-0";

    async fn run(self, context: WorkerContext) -> impl IntoTaskHandlerResult {
        if let Some(eye) = context.get_ext::<Eye>() {
            eye.0.started(self.number);
        }
        Ok::<(), String>(())
    }
}

pub(crate) struct Graphile {
    pool: PgPool,
    utils: WorkerUtils,
    mode: Mode,
}

fn raw(job: Job) -> Result<RawJobSpec, serde_json::Error> {
    let payload = serde_json::to_value(job.payload())?;
    Ok(RawJobSpec { identifier: job.queue(), payload, spec: JobSpec::default() })
}

impl Peer for Graphile {
    async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
        let pool = PgPoolOptions::new().max_connections(50).connect(&place.url).await?;
        let utils = WorkerUtils::new(pool.clone(), SCHEMA);
        utils.migrate().await?;
        Ok(Self { pool, utils, mode })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        let raw = raw(job)?;
        self.utils.add_raw_job(&raw.identifier, raw.payload, raw.spec).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        let raws: Result<Vec<_>, _> = jobs.into_iter().map(raw).collect();
        self.utils.add_raw_jobs(&raws?).await?;
        Ok(())
    }

    async fn work(&self, _class: u32, seen: Seen) -> Outcome<()> {
        let options = WorkerOptions::default().pg_pool(self.pool.clone()).schema(SCHEMA);
        let options = match self.mode {
            Mode::Each => options.concurrency(8).poll_interval(Duration::from_millis(5)),
            // The settings of the benchmark in its repository.
            Mode::Batch => options
                .concurrency(500)
                .poll_interval(Duration::from_millis(5))
                .complete_job_batch_delay(Duration::from_millis(5))
                .local_queue(LocalQueueConfig::default().with_size(5_000)),
        };
        let worker = options.add_extension(Eye(seen)).define_job::<Nothing>().init().await?;
        let worker = Arc::new(worker);
        tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("the worker ended: {error}");
            }
        });
        Ok(())
    }

    async fn done(&self, submitted: u64) -> Outcome<u64> {
        // What is done is deleted.
        let sql = "SELECT count(*) FROM graphile_worker._private_jobs";
        let (left,): (i64,) = sqlx::query_as(sql).fetch_one(&self.pool).await?;
        Ok(submitted.saturating_sub(left as u64))
    }
}
