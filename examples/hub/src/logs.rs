//! This file sends what happens to standard error, for people or for machines.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{BadSettings, Log, LogFormat, Settings};

/// What is logged only if the filter names it: the library that speaks with MCP servers logs what they
/// say, and their addresses with the keys in them.
const LEFT_OUT: &str = "rmcp=off";

/// As [`start`], as the environment says: AGENTCOM_LOG, or else `filter`, and AGENTCOM_LOG_FORMAT.
///
/// # Errors
///
/// [`BadSettings::Env`] if a variable breaks a rule.
///
/// # Panics
///
/// As [`start`].
pub fn from_environment(filter: &str) -> Result<(), BadSettings> {
    let usual =
        Settings { log: Log { filter: filter.into(), ..Log::default() }, ..Settings::default() };
    let var = |name: &str| std::env::var(name).ok().filter(|_| name.starts_with("AGENTCOM_LOG"));
    start(&usual.overlaid(var)?.log)
}

/// Sends log events of this process to standard error.
///
/// # Errors
///
/// [`BadSettings::Env`] if the filter cannot be read.
///
/// # Panics
///
/// If it is called twice in one process.
pub fn start(log: &Log) -> Result<(), BadSettings> {
    let filter =
        EnvFilter::try_new(format!("{LEFT_OUT},{}", log.filter)).map_err(|_| BadSettings::Env {
            name: "AGENTCOM_LOG",
            value: log.filter.clone(),
            rule: "it must be a filter such as info or warn,agentcom_core=debug",
        })?;
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}
