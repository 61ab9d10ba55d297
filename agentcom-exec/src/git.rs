//! This file runs git in a clone, without a shell and with a limit on how long it may take.
//!
//! **Invariant:** nothing here rewrites or deletes a commit, a branch or a file that it did not make,
//! and nothing is pushed with force.

mod branch;
mod checkout;
mod look;
mod worktree;

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agentcom_core::name::Capability;
use agentcom_core::repo::capability_of;
use tokio::process::Command;

pub use branch::{slug_of, task_branch, task_of};
pub use checkout::{Changed, Checkout, CheckoutError, Commit, Start, Started, Status};
pub use worktree::Alone;

/// How long git may take, the transfer of a large repository included.
const WITHIN: Duration = Duration::from_secs(300);
/// Keeps git from running what the folder that it works in may hold.
const WITHOUT_PROGRAMS: &[&str] =
    &["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgSign=false"];
/// So much of what git said about a failure is kept.
const SAID_MAX: usize = 2_000;

/// A clone, or another worktree of one, in which git runs.
#[derive(Clone, Debug)]
pub struct Git {
    dir: PathBuf,
    /// Where the repository is, if what stands in `dir` is not to be believed about that.
    repository: Option<PathBuf>,
}

/// What an agent can do that works in the clone at `dir`: tasks about its repository. Nothing is said
/// where there is no clone, or one of an address that no capability can hold.
pub async fn capability(dir: &Path) -> Option<Capability> {
    let address = Checkout::at(dir).await.ok()?.remote().await.ok()?;
    capability_of(&address).ok()
}

/// Why git did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GitError {
    /// There is no program of that name.
    #[error("git is not installed, or not in PATH")]
    Missing,
    /// The system did not let it run.
    #[error("git cannot be run: {0}")]
    NotRun(String),
    /// It said no.
    #[error("`git {command}` failed: {said}")]
    Failed {
        /// What it was asked, without what might be secret: the verb alone.
        command: String,
        /// What it said, its end if that is long.
        said: String,
    },
    /// It took longer than it may.
    #[error("`git {command}` took longer than {} s", within.as_secs())]
    TooLong {
        /// What it was asked.
        command: String,
        /// How long it may take.
        within: Duration,
    },
}

impl Git {
    /// Runs git in `dir`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), repository: None }
    }

    /// Runs git in `dir` on `repository`, whatever the `.git` in `dir` says, and without hooks: for
    /// folders in which somebody else may write.
    #[must_use]
    pub fn pinned(dir: impl Into<PathBuf>, repository: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), repository: Some(repository.into()) }
    }

    /// Where it runs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs git with `args`, and returns what it printed, without the end of the last line. It asks
    /// nobody for a password. Dropping the future kills it.
    ///
    /// # Errors
    ///
    /// If it cannot be run, takes longer than five minutes, or says no.
    pub async fn run(&self, args: &[&str]) -> Result<String, GitError> {
        let mut command = Command::new("git");
        // Names are told as they are, not in quotes.
        command
            .args(["-c", "core.quotePath=false"])
            .args(if self.repository.is_some() { WITHOUT_PROGRAMS } else { &[] })
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_EDITOR", "false");
        // A hook that calls this would have it work on the hook's repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        if let Some(repository) = &self.repository {
            command.env("GIT_DIR", repository).env("GIT_WORK_TREE", &self.dir);
        }
        let verb = || (*args.first().unwrap_or(&"")).to_owned();
        let Ok(ended) = tokio::time::timeout(WITHIN, command.output()).await else {
            return Err(GitError::TooLong { command: verb(), within: WITHIN });
        };
        let output = ended.map_err(|error| {
            // The folder may be what is missing.
            if error.kind() == io::ErrorKind::NotFound && self.dir.is_dir() {
                return GitError::Missing;
            }
            GitError::NotRun(format!("{error} in {}", self.dir.display()))
        })?;
        if output.status.success() {
            let text = String::from_utf8_lossy(&output.stdout);
            return Ok(text.trim_end_matches('\n').to_owned());
        }
        // What is no error to git, as that there is nothing to commit, it prints.
        let streams = [&output.stderr, &output.stdout].map(|bytes| String::from_utf8_lossy(bytes));
        let said = streams.iter().map(|text| text.trim()).find(|text| !text.is_empty());
        Err(GitError::Failed { command: verb(), said: end_of(said.unwrap_or_default()).to_owned() })
    }

    /// The lines that git prints.
    async fn lines(&self, args: &[&str]) -> Result<Vec<String>, GitError> {
        Ok(self.run(args).await?.lines().map(str::to_owned).collect())
    }

    /// What git prints, or nothing if it says no.
    async fn maybe(&self, args: &[&str]) -> Result<Option<String>, GitError> {
        match self.run(args).await {
            Ok(printed) => Ok(Some(printed)),
            Err(GitError::Failed { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }
}

fn end_of(text: &str) -> &str {
    let from = text.len().saturating_sub(SAID_MAX);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    &text[from..]
}
