//! This file wires a sidecar: WebSocket to its hub, shell and wake work, a journal on a file.

mod check;
mod journal;
mod logs;
mod rotate;
mod settings;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver, SidecarError, SidecarHandle};
use agentcom_core::port::executor::Executor;
use agentcom_exec::guard::{self, Spawner};
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_exec::shell::Shell;
use agentcom_exec::wake::{Wake, WakeConfig};
use agentcom_transport_ws::{ClientOptions, WsClient};
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

use settings::Settings;

/// The command line or the configuration is wrong.
const USAGE: u8 = 64;
/// The journal cannot be used.
const STORE: u8 = 74;
/// A second signal cut the drain short.
const CUT_SHORT: u8 = 1;

/// Takes tasks from an AgentCom hub and runs them here.
///
/// Exit codes: 0 drained, 1 stopped by a second signal, 64 wrong configuration, 69 hub unavailable
/// (only `check`), 74 journal unusable, 75 restart me, 77 token refused (only `check`).
#[derive(Parser)]
#[command(version)]
struct Args {
    /// The configuration; without it only the environment counts.
    #[arg(long, env = "AGENTCOM_CONFIG")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Works until it is told to stop (the default).
    Run,
    /// Connects once and says whether the hub knows this agent.
    Check,
    /// What the journal holds.
    Journal {
        #[command(subcommand)]
        action: JournalAction,
    },
}

#[derive(Subcommand)]
enum JournalAction {
    /// Lists the assignments in the journal; it may be in use.
    Show,
}

fn main() -> ExitCode {
    if let Some(code) = guard::dispatch() {
        return code;
    }
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nothing can be said if the terminal is gone.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    match start(args) {
        Ok(code) => ExitCode::from(code),
        Err(error) => logs::complain(&format!("{error:#}"), USAGE),
    }
}

fn start(args: Args) -> anyhow::Result<u8> {
    let settings = Settings::load(args.config.as_deref(), &|name| std::env::var(name).ok())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match args.command.unwrap_or(Command::Run) {
        Command::Run => {
            logs::start(&settings.log)?;
            runtime.block_on(run(settings))
        }
        Command::Check => runtime.block_on(check::check(&settings)),
        Command::Journal { action: JournalAction::Show } => {
            journal::show(&settings.journal(), &mut std::io::stdout())
        }
    }
}

async fn run(settings: Settings) -> anyhow::Result<u8> {
    let client = Arc::new(WsClient::new(&settings.url, ClientOptions::default())?);
    std::fs::create_dir_all(&settings.state_dir)?;
    let journal = match FileJournal::open(settings.journal(), JournalLimits::default()) {
        Ok(journal) => journal,
        Err(error) => return Ok(store_failed(&error)),
    };
    for damage in journal.reports() {
        tracing::warn!("the journal was damaged: {damage}");
    }
    let driver = SidecarDriver::new(
        settings.sidecar()?,
        Arc::clone(&client) as _,
        Box::new(journal),
        executors(&settings)?,
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

fn executors(settings: &Settings) -> anyhow::Result<Vec<Arc<dyn Executor>>> {
    let spawner = Spawner::current_exe()?;
    let mut executors: Vec<Arc<dyn Executor>> = Vec::new();
    if settings.shell.enabled {
        let root = &settings.shell.root;
        executors.push(Arc::new(Shell::new(spawner.clone()).in_directory(root)));
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
