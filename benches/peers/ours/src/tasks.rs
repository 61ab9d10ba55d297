//! This file turns jobs into tasks of an app, wherever its agents are.

use agentcom_core::driver::App;
use agentcom_core::driver::app::NewTask;
use agentcom_core::name::Capability;
use peers_subject::{Job, Outcome};

/// What all jobs do.
pub(crate) const KIND: &str = "nothing";
/// How many tasks one call submits at most.
const BATCH: usize = 1_000;

/// A task that only agents of its class can run.
pub(crate) fn task(app: &App, job: Job) -> Outcome<NewTask<'_>> {
    let class = Capability::new(&job.queue())?;
    Ok(app.task(KIND, &job.payload()).with(|draft| draft.needs.push(class)))
}

pub(crate) async fn submit_all(app: &App, jobs: Vec<Job>) -> Outcome<()> {
    for some in jobs.chunks(BATCH) {
        let tasks: Outcome<Vec<_>> = some.iter().map(|job| task(app, *job)).collect();
        app.submit_all(tasks?).await?;
    }
    Ok(())
}

/// How many tasks have not ended.
pub(crate) async fn left(app: &App) -> Outcome<u64> {
    Ok(app.handle().view(|state| state.task_count()).await? as u64)
}
