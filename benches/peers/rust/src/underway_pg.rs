//! This file is Underway, on PostgreSQL.

use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};
use sqlx_eight::PgPool;
use sqlx_eight::postgres::PgPoolOptions;
use underway::{Job as Steps, To};

use crate::here;

pub(crate) struct Underway {
    pool: PgPool,
    queues: Vec<Steps<Payload, Seen>>,
    seen: Seen,
}

impl Peer for Underway {
    async fn open(place: Place, _mode: Mode, classes: u32) -> Outcome<Self> {
        let pool = PgPoolOptions::new().max_connections(90).connect(&place.url).await?;
        here(underway::run_migrations(&pool))?;
        // Handlers are fixed when a queue is made; what they have seen is handed over later.
        let seen = Seen::new(u64::MAX, 0);
        let mut queues = Vec::new();
        for class in 0..classes {
            let made = Steps::builder()
                .state(seen.clone())
                .step(|context, job: Payload| async move {
                    context.state.started(job.number);
                    To::done()
                })
                .name(queue(class))
                .pool(pool.clone())
                .build()
                .await?;
            queues.push(made);
        }
        Ok(Self { pool, queues, seen })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        self.queues[job.class as usize].enqueue(&job.payload()).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        // A job of steps has no bulk call; callers at once are the fastest way.
        for some in jobs.chunks(100) {
            futures_util::future::try_join_all(some.iter().map(|job| self.submit(*job))).await?;
        }
        Ok(())
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        self.seen.pass_on_to(seen);
        let queue = &self.queues[class as usize];
        let mut worker = queue.worker();
        worker.set_concurrency_limit(crate::CONCURRENCY.min(64));
        tokio::spawn(async move {
            if let Err(error) = worker.run().await {
                eprintln!("the worker ended: {error}");
            }
        });
        Ok(())
    }

    async fn done(&self, _submitted: u64) -> Outcome<u64> {
        let sql = "SELECT count(*) FROM underway.task WHERE state = 'succeeded'";
        let (done,): (i64,) = sqlx_eight::query_as(sql).fetch_one(&self.pool).await?;
        Ok(done as u64)
    }
}
