//! This file wires a sidecar and runs it until it is told to stop.

use std::sync::Arc;

use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver, SidecarError, SidecarHandle};
use agentcom_core::name::Capability;
use agentcom_core::port::executor::Executor;
use agentcom_exec::guard::Spawner;
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_exec::sandbox::Sandbox;
use agentcom_exec::shell::Shell;
use agentcom_exec::wake::{Wake, WakeConfig};
use agentcom_transport_ws::{ClientOptions, WsClient};
use tokio::signal::unix::{SignalKind, signal};

use crate::STORE;
use agentcom_sidecar::settings::Settings;

/// A second signal cut the drain short.
const CUT_SHORT: u8 = 1;

/// Works until it is told to stop; the exit code.
pub(crate) async fn run(settings: Settings) -> anyhow::Result<u8> {
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
    let sandbox = settings.sandbox()?;
    let mut config = settings.sidecar()?;
    if let Some(sandbox) = &sandbox {
        let report = sandbox.demand(&spawner)?;
        tracing::info!(level = %report.level, tried = report.attempts.len(), "commands are confined");
        for word in report.capabilities() {
            config.capabilities.push(Capability::new(&word)?);
        }
    }
    let driver = SidecarDriver::new(
        config,
        Arc::clone(&client) as _,
        Box::new(journal),
        executors(&settings, spawner, sandbox)?,
        Arc::new(SystemClock::new()),
        Entropy::of_the_system()?,
    )?;
    let handle = driver.handle();
    let code = tokio::select! {
        ended = driver.run() => match ended {
            Ok(exit) => exit.code(),
            Err(SidecarError::Store(error)) => store_failed(&error),
            Err(error) => return Err(error.into()),
        },
        stopped = stop_on_signals(handle) => stopped.map(|()| CUT_SHORT)?,
    };
    client.shutdown().await;
    Ok(code)
}

fn executors(
    settings: &Settings,
    spawner: Spawner,
    sandbox: Option<Sandbox>,
) -> anyhow::Result<Vec<Arc<dyn Executor>>> {
    let mut executors: Vec<Arc<dyn Executor>> = Vec::new();
    if settings.shell.enabled {
        let root = &settings.shell.root;
        let shell = Shell::new(spawner.clone()).in_directory(root);
        executors.push(Arc::new(match sandbox {
            Some(sandbox) => shell.in_sandbox(sandbox),
            None => shell,
        }));
    }
    if !settings.wake.command.is_empty() {
        let results = settings.wake.results_dir.clone();
        let results = results.unwrap_or_else(|| settings.state_dir.join("results"));
        let config = WakeConfig::new(settings.wake.command.clone(), results);
        executors.push(Arc::new(Wake::new(spawner, config)));
    }
    Ok(executors)
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
