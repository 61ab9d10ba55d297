//! This file is awa, on PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use awa::model::insert::insert_many_copy_from_pool;
use awa::model::{InsertParams, admin, migrations};
use awa::{Client, InsertOpts, JobArgs, JobResult, JobState, QueueConfig, insert_with};
use peers_subject::{Job, Mode, Outcome, Peer, Place, Seen, queue};
use serde::{Deserialize, Serialize};
use sqlx_eight::PgPool;
use sqlx_eight::postgres::PgPoolOptions;
use tokio::sync::Mutex;

use crate::here;

#[derive(Debug, Serialize, Deserialize, JobArgs)]
struct Nothing {
    number: u64,
    text: String,
}

pub(crate) struct Awa {
    pool: PgPool,
    mode: Mode,
    client: Mutex<Vec<Arc<Client>>>,
}

fn args(job: Job) -> Nothing {
    let payload = job.payload();
    Nothing { number: payload.number, text: payload.text }
}

fn opts(class: u32) -> InsertOpts {
    InsertOpts { queue: queue(class), ..InsertOpts::default() }
}

impl Peer for Awa {
    async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
        let pool = PgPoolOptions::new().max_connections(50).connect(&place.url).await?;
        here(migrations::run(&pool))?;
        Ok(Self { pool, mode, client: Mutex::default() })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        insert_with(&self.pool, &args(job), opts(job.class)).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        for some in jobs.chunks(1_000) {
            let params: Result<Vec<InsertParams>, serde_json::Error> = some
                .iter()
                .map(|job| {
                    let (kind, args) = (Nothing::kind().into(), serde_json::to_value(args(*job))?);
                    Ok(InsertParams { kind, args, opts: opts(job.class) })
                })
                .collect();
            insert_many_copy_from_pool(&self.pool, &params?).await?;
        }
        Ok(())
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        let mut config = QueueConfig {
            max_workers: crate::CONCURRENCY as u32,
            poll_interval: Duration::from_millis(20),
            ..QueueConfig::default()
        };
        if self.mode == Mode::Each {
            config.claim_batch_size = 1;
        }
        let client = Client::builder(self.pool.clone())
            .queue(queue(class), config)
            .register::<Nothing, _, _>(move |args: Nothing, _| {
                seen.started(args.number);
                async { Ok(JobResult::Completed) }
            })
            .build()?;
        client.start().await?;
        self.client.lock().await.push(Arc::new(client));
        Ok(())
    }

    async fn done(&self, submitted: u64) -> Outcome<u64> {
        let counts = admin::state_counts(&self.pool).await?;
        // What is completed is soon removed, and so is not counted.
        let left = counts.iter().filter(|(state, _)| **state != JobState::Completed);
        let left: i64 = left.map(|(_, count)| *count).sum();
        Ok(submitted.saturating_sub(u64::try_from(left)?))
    }
}
