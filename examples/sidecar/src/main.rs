//! This file is the command line of a sidecar: it works, checks its token or shows its journal.

mod check;
mod journal;
mod logs;
mod rotate;
mod run;

use std::path::PathBuf;
use std::process::ExitCode;

use agentcom_exec::guard;
use agentcom_sidecar::settings::Settings;
use clap::{Parser, Subcommand};

/// The command line or the configuration is wrong.
const USAGE: u8 = 64;
/// The journal cannot be used.
const STORE: u8 = 74;

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
            runtime.block_on(run::run(settings))
        }
        Command::Check => runtime.block_on(check::check(&settings)),
        Command::Journal { action: JournalAction::Show } => {
            journal::show(&settings.journal(), &mut std::io::stdout())
        }
    }
}
