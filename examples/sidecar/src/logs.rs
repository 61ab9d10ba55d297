//! This file sets up logging: to standard error, and into a rotating file where one is named.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::Mutex;

use anyhow::Context as _;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::{BoxMakeWriter, MakeWriterExt as _};

use crate::rotate::Rotating;
use agentcom_sidecar::settings::{Format, Log};

/// What is logged only if the filter names it: the library that speaks with MCP servers logs what they
/// say, and their addresses with the keys in them.
const LEFT_OUT: &str = "rmcp=off";

/// Starts logging as `log` says.
pub(crate) fn start(log: &Log) -> anyhow::Result<()> {
    let filter = format!("{LEFT_OUT},{}", log.filter);
    let filter = EnvFilter::try_new(filter).context("AGENTCOM_LOG or log.filter")?;
    let writer = match &log.file {
        Some(path) => {
            let file = Rotating::open(path, log.file_bytes_max, log.files_kept)
                .with_context(|| path.display().to_string())?;
            BoxMakeWriter::new(std::io::stderr.and(Mutex::new(file)))
        }
        None => BoxMakeWriter::new(std::io::stderr),
    };
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(writer);
    match log.format {
        Format::Text => builder.init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Says why the program ends before there are logs.
pub(crate) fn complain(why: &str, code: u8) -> ExitCode {
    // Nothing can be said if the terminal is gone.
    let _ = writeln!(std::io::stderr(), "agentcom-sidecar: {why}");
    ExitCode::from(code)
}
