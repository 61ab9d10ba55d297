//! This file wires a sidecar and runs it until it is told to stop.

use std::sync::Arc;

use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver, SidecarError, SidecarHandle};
use agentcom_core::endpoint::Announced;
use agentcom_core::port::executor::Executor;
use agentcom_core::sidecar::Exit;
use agentcom_exec::coding::{self, Chain, OllamaModels, Programs};
use agentcom_exec::environment::Environment;
use agentcom_exec::git;
use agentcom_exec::github::GitHub;
use agentcom_exec::guard::{Leaks, Spawner, close_memory};
use agentcom_exec::host::Host;
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_exec::model::Patience;
use agentcom_exec::sandbox::{Level, Report, Sandbox, Watch};
use agentcom_exec::shell::Shell;
use agentcom_exec::transcripts::Transcripts;
use agentcom_exec::wake::{Wake, WakeConfig};
use agentcom_transport_ws::{ClientOptions, WsClient};
use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::STORE;
use agentcom_sidecar::settings::{Code, Confine, Settings};

/// A second signal cut the drain short.
const CUT_SHORT: u8 = 1;

/// Works until it is told to stop; the exit code.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<u8> {
    close_memory().context("this process cannot be closed to others of its user")?;
    let client = Arc::new(WsClient::new(&settings.url, ClientOptions::default())?);
    std::fs::create_dir_all(&settings.state_dir)?;
    let journal = match FileJournal::open(settings.journal(), JournalLimits::default()) {
        Ok(journal) => journal,
        Err(error) => return Ok(store_failed(&error)),
    };
    for damage in journal.reports() {
        tracing::warn!("the journal was damaged: {damage}");
    }
    let spawner = Spawner::current_exe()?;
    let sandbox = proved(&settings, &spawner)?;
    let mut config = settings.sidecar()?;
    if let Some(coding) = &settings.coding {
        config.capabilities.extend(git::capability(&coding.repository).await);
    }
    let (sandbox, report) = sandbox.unzip();
    config.sandbox = report;
    let watch = sandbox.clone().map(|sandbox| Watch::over(sandbox, spawner.clone()));
    let leaks = spawner.leaks();
    let (executors, models) = executors(&settings, spawner, sandbox)?;
    config.models = models;
    let driver = SidecarDriver::new(
        config,
        Arc::clone(&client) as _,
        Box::new(journal),
        executors,
        Arc::new(SystemClock::new()),
        Entropy::of_the_system()?,
    )?
    .with_meter(Arc::new(Host::here()));
    let handle = driver.handle();
    let code = tokio::select! {
        ended = watched(driver, watch, leaks) => match ended {
            Ok(exit) => exit.code(),
            Err(SidecarError::Store(error)) => store_failed(&error),
            Err(error) => return Err(error.into()),
        },
        stopped = stop_on_signals(handle) => stopped.map(|()| CUT_SHORT)?,
    };
    client.shutdown().await;
    Ok(code)
}

/// Works until it is told to stop, or the sandbox that is relied on no longer holds. Then it takes no
/// more work and asks to be started again, which says what holds instead. While something is left of
/// earlier work that could not be ended, it runs no more commands.
async fn watched(
    driver: SidecarDriver,
    watch: Option<Watch>,
    leaks: Leaks,
) -> Result<Exit, SidecarError> {
    let handle = driver.handle();
    let work = leaks.during(driver.run(), |left| handle.survivors(left));
    let Some(watch) = watch else { return work.await };
    let (ended, weak) = watch
        .during(work, |weak| {
            tracing::error!(%weak, "the sandbox no longer holds; no more work is taken");
            handle.drain();
        })
        .await;
    if weak.is_some() { ended.map(|_| Exit::Restart) } else { ended }
}

/// The sandbox that was asked for, or, where coding tasks are done, the strongest; and what was proved
/// of it.
fn proved(settings: &Settings, spawner: &Spawner) -> anyhow::Result<Option<(Sandbox, Report)>> {
    let asked = settings.sandbox()?;
    if asked.is_none() && settings.coding.is_none() {
        return Ok(None);
    }
    let demanded = asked.as_ref().map(|sandbox| sandbox.level);
    let sandbox = asked.unwrap_or_else(|| Sandbox::new(Level::L2));
    let (sandbox, report) = sandbox.proved(demanded, spawner)?;
    let (level, tried) = (sandbox.level, report.attempts.len());
    match level {
        Level::L2 | Level::L3 => tracing::info!(%level, tried, "commands are confined"),
        Level::L1 => {
            let why = report.why(Level::L2);
            tracing::warn!(%level, why, "no commands are run: models work on files only");
        }
        Level::L0 => {
            tracing::warn!(%level, "there is no sandbox: commands do all that this user may");
        }
    }
    Ok(Some((sandbox, report)))
}

fn executors(
    settings: &Settings,
    spawner: Spawner,
    sandbox: Option<Sandbox>,
) -> anyhow::Result<(Vec<Arc<dyn Executor>>, Announced)> {
    let mut executors: Vec<Arc<dyn Executor>> = Vec::new();
    let mut models = Announced::new();
    if settings.shell.enabled {
        let shell = Shell::new(spawner.clone()).in_directory(&settings.shell.root);
        match sandbox.clone() {
            Some(sandbox) => match sandbox.runs_commands() {
                Err(only) => tracing::warn!("no shell work is done: {only}"),
                Ok(()) if settings.sandbox.as_ref().is_some_and(Confine::confines) => {
                    executors.push(Arc::new(shell.in_sandbox(sandbox)));
                }
                Ok(()) => executors.push(Arc::new(shell.in_sandbox_on_demand(sandbox))),
            },
            None => executors.push(Arc::new(shell)),
        }
    }
    if let Some((coding, sandbox)) = settings.coding()?.zip(sandbox) {
        let token = std::env::var("GITHUB_TOKEN").ok().filter(|token| !token.trim().is_empty());
        let github = token.map(|token| GitHub::at(&coding.github_api, token.trim().to_owned()));
        let place = coding::Settings {
            spawner: spawner.clone(),
            sandbox,
            environment: Environment::inherit(coding.env.iter().map(String::as_str)),
            repository: coding.repository.clone(),
            worktrees: settings.state_dir.join("worktrees"),
            worktrees_kept: coding::Settings::days(coding.worktrees_kept_days),
            transcripts: Transcripts::at(settings.state_dir.join("transcripts")),
            github: github.transpose()?,
            publishing: coding.publishing.settings(),
            drafts: coding.drafts,
            risk: coding.risk.rules(),
            mcp: settings.mcp(&|name| std::env::var(name).ok())?,
            tools: Vec::new(),
        };
        let chain = chain(coding, &place)?;
        models = chain.endpoints(&Host::here().name());
        executors.extend(chain.executors(&place, settings.keys()?, coding.tuning()));
    }
    if !settings.wake.command.is_empty() {
        let results = settings.wake.results_dir.clone();
        let results = results.unwrap_or_else(|| settings.state_dir.join("results"));
        let config = WakeConfig::new(settings.wake.command.clone(), results);
        executors.push(Arc::new(Wake::new(spawner, config)));
    }
    Ok((executors, models))
}

/// The models that do coding tasks.
fn chain(code: &Code, place: &coding::Settings) -> anyhow::Result<Chain> {
    let acp = code.acp.as_ref().map(|foreign| {
        let acp = foreign.agent()?;
        held(&acp.sandbox(&place.sandbox), place).context("coding.acp")?;
        anyhow::Ok(acp)
    });
    let claude_code = code.claude_code.as_ref().map(|claude| {
        let claude = claude.cli()?;
        held(&claude.sandbox(&place.sandbox), place).context("coding.claude_code")?;
        anyhow::Ok(claude)
    });
    let local = code.model.clone().map(|model| OllamaModels {
        url: code.ollama.clone(),
        model,
        tuning: code.tuning(),
        patience: Patience::default(),
    });
    let programs = Programs { acp: acp.transpose()?, claude_code: claude_code.transpose()? };
    Ok(Chain { local, cloud: None, programs })
}

/// Proves that a program of others is held to what is granted to it.
fn held(sandbox: &Sandbox, place: &coding::Settings) -> anyhow::Result<()> {
    let holds = sandbox.check_commands(&place.spawner).map_err(anyhow::Error::from);
    if sandbox.level == place.sandbox.level {
        return holds;
    }
    holds.context(
        "hosts can be granted by name at L3 only; open_network grants the whole network, and whatever the \
         program reads can leave by it",
    )
}

/// Drains on the first signal, and ends on the second.
async fn stop_on_signals(handle: SidecarHandle) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    for _ in 0..2 {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        handle.drain();
    }
    Ok(())
}

fn store_failed(error: &dyn std::error::Error) -> u8 {
    tracing::error!("the journal cannot be used: {error}");
    STORE
}
