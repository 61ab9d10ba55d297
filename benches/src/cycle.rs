//! This file puts the whole way of a task on a hub: submit, assign, accept, complete.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use agentcom_core::config::HubConfig;
use agentcom_core::driver::Handle;
use agentcom_core::driver::app::App;
use agentcom_core::driver::local::local;
use agentcom_core::driver::queue::Capacity;
use tokio::task::JoinSet;

use crate::counting::Commits;
use crate::hub::{self, Kept, Running};
use crate::work::Work;
use crate::{Outcome, fleet};

/// Who does the work.
#[derive(Clone, Copy, Debug)]
pub enum Agents {
    /// Minimal ones that speak in frames.
    Frames,
    /// Real sidecars, with journals in memory.
    Sidecars,
    /// The handlers of an app, which is one agent.
    App,
}

/// Tasks to be done, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Who does the work.
    pub agents: Agents,
    /// How many agents there are.
    pub count: usize,
    /// How many tasks each works on at once.
    pub slots: u32,
    /// How many submit at once, each waiting for its answer.
    pub submitters: usize,
    /// How many tasks there are in all.
    pub tasks: usize,
}

/// What a load took.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Until the hub had confirmed the last result.
    pub time: Duration,
    /// How many commits.
    pub commits: u64,
    /// How long a commit was under way.
    pub busy: Duration,
}

/// Runs the load on a fresh hub.
///
/// # Errors
///
/// Whatever goes wrong.
pub async fn run(kept: Kept<'_>, load: Load) -> Outcome<Took> {
    match load.agents {
        Agents::App => run_app(kept, load).await,
        Agents::Frames | Agents::Sidecars => run_fleet(kept, load).await,
    }
}

async fn run_fleet(kept: Kept<'_>, load: Load) -> Outcome<Took> {
    let (listener, connector) = local(Capacity { frames: 4_096, bytes: 1 << 24 });
    let hub = Running::start(kept, HubConfig::default(), vec![Arc::new(listener)]).await?;
    let done = Arc::new(AtomicUsize::new(0));
    let mut agents: JoinSet<Outcome<()>> = JoinSet::new();
    for number in 0..load.count {
        let name = format!("agent-{number}");
        hub::register(&hub.handle, &name).await?;
        let (connector, done) = (connector.clone(), done.clone());
        if matches!(load.agents, Agents::Sidecars) {
            let sidecar = fleet::sidecar(connector, &name, load.slots, done)?;
            agents.spawn(async move { Ok(sidecar.run().await.map(drop)?) });
        } else {
            agents.spawn(fleet::work(connector, name, load.slots, done));
        }
    }
    while hub.handle.agents().await?.iter().filter(|agent| agent.profile.is_some()).count()
        < load.count
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let handle = hub.handle.clone();
    let submit = move |draft| {
        let handle = handle.clone();
        async move { hub::submit(&handle, draft).await }
    };
    let took = measure(&hub.handle, &hub.commits, load, submit).await?;
    let done = done.load(Ordering::Relaxed);
    if done > load.tasks {
        return Err(format!("{done} tasks were done, not {}", load.tasks).into());
    }
    agents.abort_all();
    hub.stop().await?;
    Ok(took)
}

async fn run_app(kept: Kept<'_>, load: Load) -> Outcome<Took> {
    let (store, commits) = kept.open().await?;
    let slots = load.slots;
    let app = App::over(store).slots(slots).handler("shell", async || ()).open().await?;
    let running = tokio::spawn({
        let app = app.clone();
        async move { app.run().await }
    });
    let submitting = app.clone();
    let submit = move |draft: agentcom_core::task::Draft| {
        let app = submitting.clone();
        async move {
            app.task("shell", &()).with(|task| *task = draft).submit().await?;
            Ok(())
        }
    };
    let took = measure(app.handle(), &commits, load, submit).await?;
    app.stop();
    running.await??;
    Ok(took)
}

async fn measure<S, F>(handle: &Handle, commits: &Commits, load: Load, submit: S) -> Outcome<Took>
where
    S: Fn(agentcom_core::task::Draft) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome<()>> + Send,
{
    let (began, count, busy) = (Instant::now(), commits.count(), commits.under_way());
    submit_all(load, submit).await?;
    // What counts is when the hub has confirmed the last result.
    while handle.view(|state| state.task_count()).await? > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let time = began.elapsed();
    Ok(Took { time, commits: commits.count() - count, busy: commits.under_way() - busy })
}

async fn submit_all<S, F>(load: Load, submit: S) -> Outcome<()>
where
    S: Fn(agentcom_core::task::Draft) -> F + Clone + Send + 'static,
    F: Future<Output = Outcome<()>> + Send,
{
    let work = Arc::new(Work::new(0)?);
    let number = Arc::new(AtomicUsize::new(0));
    let mut submitting: JoinSet<Outcome<()>> = JoinSet::new();
    for _ in 0..load.submitters {
        let (submit, work, number) = (submit.clone(), work.clone(), number.clone());
        submitting.spawn(async move {
            loop {
                let next = number.fetch_add(1, Ordering::Relaxed);
                if next >= load.tasks {
                    return Ok(());
                }
                submit(work.draft(next)?).await?;
            }
        });
    }
    while let Some(submitted) = submitting.join_next().await {
        submitted??;
    }
    Ok(())
}
