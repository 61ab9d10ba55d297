//! This file is AgentCom in the same program: durable jobs as plain functions, on redb.

use agentcom_core::driver::App;
use agentcom_core::driver::app::NewTask;
use agentcom_core::name::Capability;
use agentcom_store_redb::RedbStore;
use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};

/// What all jobs do.
pub(crate) const KIND: &str = "nothing";
/// How many tasks one call submits at most.
pub(crate) const BATCH: usize = 1_000;

pub(crate) struct Embedded {
    app: App,
    seen: Seen,
}

impl Embedded {
    /// A task that only agents of its class can run.
    fn task(&self, job: Job) -> Outcome<NewTask<'_>> {
        let class = Capability::new(&job.queue())?;
        Ok(self.app.task(KIND, &job.payload()).with(|draft| draft.needs.push(class)))
    }
}

impl Peer for Embedded {
    async fn open(place: Place, _mode: Mode, _classes: u32) -> Outcome<Self> {
        let store = RedbStore::open(place.dir.join("agentcom.redb"), "default").await?;
        let seen = Seen::new(u64::MAX, 0);
        let eye = seen.clone();
        let app = App::over(store)
            .handler(KIND, move |job: Payload| {
                let eye = eye.clone();
                async move { eye.started(job.number) }
            })
            .slots(256)
            .capability(&queue(0))
            .open()
            .await?;
        Ok(Self { app, seen })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        self.task(job)?.submit().await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        for some in jobs.chunks(BATCH) {
            let tasks: Outcome<Vec<_>> = some.iter().map(|job| self.task(*job)).collect();
            self.app.submit_all(tasks?).await?;
        }
        Ok(())
    }

    async fn work(&self, _class: u32, seen: Seen) -> Outcome<()> {
        self.seen.pass_on_to(seen);
        let app = self.app.clone();
        tokio::spawn(async move {
            if let Err(error) = app.run().await {
                eprintln!("the app ended: {error}");
            }
        });
        Ok(())
    }

    async fn done(&self, submitted: u64) -> Outcome<u64> {
        let left = self.app.handle().view(|state| state.task_count()).await?;
        Ok(submitted.saturating_sub(left as u64))
    }
}
