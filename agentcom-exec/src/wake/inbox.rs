//! This file watches for what a woken program writes about its task.
//!
//! It looks at the directory every so often, on tokio's clock. A file counts when it has not
//! changed for a while, so that one that is being written is not read by half.

use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use agentcom_core::id::Lease;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::wire::Assignment;
use serde::{Deserialize, Serialize};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use super::WakeConfig;
use crate::output::{cut_middle, json_len};

/// The files of one task.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    dir: PathBuf,
    started: PathBuf,
    result: PathBuf,
    generation: Lease,
    poll: Duration,
    stable_for: Duration,
}

/// What of a result file is understood; all of it is passed on.
#[derive(Debug, Deserialize)]
struct Understood {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    generation: Option<Lease>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    output: Option<serde_json::Value>,
    #[serde(default)]
    tokens_used: Option<u64>,
    #[serde(default)]
    tokens_in: Option<u64>,
    #[serde(default)]
    tokens_out: Option<u64>,
}

/// What is passed on of a result file that is too long.
#[derive(Serialize)]
struct Shortened<'a> {
    status: &'a str,
    output: String,
    truncated: bool,
}

impl Inbox {
    /// The longest result file that is read.
    const FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

    /// The longest error text that is passed on, as JSON.
    const ERROR_BYTES_MAX: usize = 4000;

    pub(super) fn of(job: &Assignment, config: &WakeConfig) -> Self {
        let dir = config.results_dir.clone();
        Self {
            started: dir.join(format!("{}.started", job.task_id)),
            result: dir.join(format!("{}.json", job.task_id)),
            dir,
            generation: job.generation,
            poll: config.poll,
            stable_for: config.stable_for,
        }
    }

    /// Removes what earlier attempts left.
    pub(super) async fn clear(&self) -> io::Result<()> {
        let inbox = self.clone();
        off_loop(move || {
            std::fs::create_dir_all(&inbox.dir)?;
            for file in [&inbox.started, &inbox.result] {
                match std::fs::remove_file(file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    Ok(()) | Err(_) => {}
                }
            }
            Ok(())
        })
        .await
    }

    /// Waits until the program says that it has started, or has a result at once.
    pub(super) async fn confirmed(&self) {
        loop {
            let (started, result) = (self.started.clone(), self.result.clone());
            let there = off_loop(move || Ok(started.exists() || result.exists())).await;
            if there.unwrap_or(false) {
                return;
            }
            sleep(self.poll).await;
        }
    }

    /// Waits for the result of this assignment.
    pub(super) async fn result(&self) -> JobOutcome {
        let mut seen: Option<(Stamp, Instant)> = None;
        let mut stale: Option<Stamp> = None;
        loop {
            let path = self.result.clone();
            let stamp =
                off_loop(move || Stamp::of(&path)).await.ok().filter(|now| stale != Some(*now));
            let since = match (stamp, seen) {
                (Some(now), Some((before, since))) if now == before => since,
                (_, _) => Instant::now(),
            };
            seen = stamp.map(|now| (now, since));
            if let (Some(now), true) = (stamp, since.elapsed() >= self.stable_for) {
                match self.read().await {
                    Some(outcome) => return outcome,
                    None => stale = Some(now),
                }
            }
            sleep(self.poll).await;
        }
    }

    /// What the result file says, unless it is about another assignment.
    async fn read(&self) -> Option<JobOutcome> {
        let path = self.result.clone();
        let text = match off_loop(move || read_bounded(&path)).await {
            Ok(text) => text,
            Err(error) => return Some(JobOutcome::retryable(format_args!("result file: {error}"))),
        };
        let understood: Understood = match serde_json::from_str(&text) {
            Ok(understood) => understood,
            Err(error) => return Some(JobOutcome::retryable(format_args!("result file: {error}"))),
        };
        let other = understood.generation.is_some_and(|generation| generation != self.generation);
        (!other).then(|| understood.judge(&text))
    }
}

impl Understood {
    fn judge(self, text: &str) -> JobOutcome {
        let tokens = self.tokens_used.or_else(|| match (self.tokens_in, self.tokens_out) {
            (None, None) => None,
            (spent, made) => Some(spent.unwrap_or(0).saturating_add(made.unwrap_or(0))),
        });
        let status = self.status.as_deref().unwrap_or("without status");
        if status == "success" {
            return JobOutcome::Done { result: self.payload(text), tokens, verification: None };
        }
        let error = self.reason.or(self.error).unwrap_or_else(|| format!("the result is {status}"));
        let fits = json_len(&error) <= Inbox::ERROR_BYTES_MAX;
        let error = if fits { error } else { cut_middle(&error, "", Inbox::ERROR_BYTES_MAX, 0) };
        JobOutcome::Failed {
            category: agentcom_core::task::Category::Retryable,
            error,
            retry_after: None,
            tokens,
        }
    }

    /// The whole content, or as much of it as fits.
    fn payload(&self, text: &str) -> Json {
        /// Room for the names of a [`Shortened`] result.
        const FRAME_BYTES: usize = 256;
        Json::parse(text).unwrap_or_else(|_| {
            let output = match &self.output {
                Some(serde_json::Value::String(output)) => output,
                Some(_) | None => text,
            };
            let output = cut_middle(output, "", Json::BYTES_MAX - FRAME_BYTES, 0);
            Json::of(&Shortened { status: "success", output, truncated: true }).unwrap_or_default()
        })
    }
}

/// What changes when a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    bytes: u64,
    modified: SystemTime,
}

impl Stamp {
    fn of(path: &std::path::Path) -> io::Result<Self> {
        let metadata = std::fs::metadata(path)?;
        Ok(Self { bytes: metadata.len(), modified: metadata.modified()? })
    }
}

fn read_bounded(path: &std::path::Path) -> io::Result<String> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.len() > Inbox::FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let mut text = String::new();
    file.take(Inbox::FILE_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// Keeps a slow directory from holding up the sidecar's loop.
async fn off_loop<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(act).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests;
