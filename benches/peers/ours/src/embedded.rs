//! This file is AgentCom in the same program: durable jobs as plain functions, on redb.

use agentcom_core::driver::App;
use agentcom_store_redb::RedbStore;
use peers_subject::{Job, Mode, Outcome, Payload, Peer, Place, Seen, queue};

use crate::tasks::{self, KIND};

pub(crate) struct Embedded {
    app: App,
    seen: Seen,
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
        tasks::task(&self.app, job)?.submit().await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        tasks::submit_all(&self.app, jobs).await
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
        Ok(submitted.saturating_sub(tasks::left(&self.app).await?))
    }
}
