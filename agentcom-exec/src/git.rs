//! This file runs git in a clone, without a shell and with a limit on how long it may take.
//!
//! **Invariant:** nothing here rewrites or deletes a commit, a branch or a file that it did not make,
//! and nothing is pushed with force.

mod beneath;
mod branch;
mod checkout;
mod look;
mod process;
mod resume;
mod settings;
mod tracked;
mod worktree;

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use agentcom_core::name::Capability;
use agentcom_core::repo::capability_of;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use process::{Process, Unread};
use settings::{OF_OTHERS, READABLE, WITHOUT_PROGRAMS};

pub use branch::{slug_of, task_branch, task_of};
pub use checkout::{Changed, Checkout, CheckoutError, Commit, Start, Started, Status};
pub use look::Diff;
pub use worktree::Alone;

/// How long git may take, the transfer of a large repository included.
const WITHIN: Duration = Duration::from_secs(300);
/// So much may be printed where all of it is needed, such as the names of all files, in bytes.
const PRINTED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So much of what it prints is read at once, in bytes.
const PIECE_BYTES: usize = 64 * 1024;
/// So much of what git said about a failure is kept.
const SAID_MAX: usize = 2_000;

/// A clone, or another worktree of one, in which git runs.
#[derive(Clone, Debug)]
pub struct Git {
    dir: PathBuf,
    /// Where the repository is, if what stands in `dir` is not to be believed about that.
    repository: Option<PathBuf>,
    /// Whether files that LFS keeps elsewhere stay there.
    without_downloads: bool,
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
    /// It printed more than is taken in, as the names of very many files are.
    #[error("`git {command}` printed more than {} MiB", bytes_max >> 20)]
    TooMuch {
        /// What it was asked.
        command: String,
        /// How much it may print, in bytes.
        bytes_max: usize,
    },
}

impl Git {
    /// Runs git in `dir`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), repository: None, without_downloads: false }
    }

    /// Runs git in `dir` on `repository`, whatever the `.git` in `dir` says: for folders in which somebody
    /// else may write.
    #[must_use]
    pub fn pinned(dir: impl Into<PathBuf>, repository: impl Into<PathBuf>) -> Self {
        Self { repository: Some(repository.into()), ..Self::at(dir) }
    }

    /// Where it runs.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs git with `args` and without hooks, and returns what it printed, without the end of the last
    /// line. It asks nobody for a password. Dropping the future has it end, and remove its
    /// locks; five seconds later it is killed if it has not.
    ///
    /// # Errors
    ///
    /// If it cannot be run, takes longer than five minutes, prints more than 64 MiB, or says no.
    pub async fn run(&self, args: &[&str]) -> Result<String, GitError> {
        self.printed(&[READABLE, WITHOUT_PROGRAMS], args).await.map(|printed| text_of(&printed))
    }

    /// As [`Git::run`], but with the hooks of its user, unless somebody else may write here.
    async fn run_as_user(&self, args: &[&str]) -> Result<String, GitError> {
        let programs = if self.repository.is_some() { WITHOUT_PROGRAMS } else { &[] };
        self.printed(&[READABLE, programs], args).await.map(|printed| text_of(&printed))
    }

    fn command(&self, settings: &[&[&str]], args: &[impl AsRef<OsStr>]) -> Command {
        let of_others = if self.repository.is_some() { OF_OTHERS } else { &[] };
        let mut command = Command::new("git");
        for setting in settings.iter().copied().chain([of_others]).flatten() {
            command.args(["-c", setting]);
        }
        command.args(args).current_dir(&self.dir).stdin(Stdio::null()).stderr(Stdio::piped());
        command.env("GIT_TERMINAL_PROMPT", "0").env("LC_ALL", "C").env("GIT_EDITOR", "false");
        // A hook that calls this would have it work on the hook's repository.
        for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            command.env_remove(name);
        }
        if self.without_downloads {
            command.env("GIT_LFS_SKIP_SMUDGE", "1");
        }
        if let Some(repository) = &self.repository {
            command.env("GIT_DIR", repository).env("GIT_WORK_TREE", &self.dir);
        }
        command
    }

    async fn printed(
        &self,
        settings: &[&[&str]],
        args: &[impl AsRef<OsStr>],
    ) -> Result<Vec<u8>, GitError> {
        let command = self.command(settings, args);
        let verb = || verb_of(args);
        let asking = async { Process::start(command)?.output(PRINTED_BYTES_MAX).await };
        let printed = match tokio::time::timeout(WITHIN, asking).await {
            Ok(Ok(printed)) => printed,
            Ok(Err(Unread::Failed(error))) => return Err(self.not_run(&error)),
            Ok(Err(Unread::TooMuch)) => {
                return Err(GitError::TooMuch { command: verb(), bytes_max: PRINTED_BYTES_MAX });
            }
            Err(_) => return Err(GitError::TooLong { command: verb(), within: WITHIN }),
        };
        if printed.status.success() {
            return Ok(printed.out);
        }
        // What is no error to git, as that there is nothing to commit, it prints.
        let said = if printed.errors.is_empty() {
            end_of(String::from_utf8_lossy(&printed.out).trim()).to_owned()
        } else {
            printed.errors
        };
        Err(GitError::Failed { command: verb(), said })
    }

    fn not_run(&self, error: &io::Error) -> GitError {
        // The folder may be what is missing.
        if error.kind() == io::ErrorKind::NotFound && self.dir.is_dir() {
            return GitError::Missing;
        }
        GitError::NotRun(format!("{error} in {}", self.dir.display()))
    }

    /// Hands on what git prints piece by piece: there may be more of it than fits into memory. Whoever takes
    /// it says when it is enough; then git is asked to end.
    async fn stream(
        &self,
        args: &[&str],
        mut take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), GitError> {
        let mut command = self.command(&[READABLE, WITHOUT_PROGRAMS], args);
        command.stderr(Stdio::null());
        let reading = async {
            let mut git = Process::start(command)?;
            let mut printed = git.take_output()?;
            let mut piece = vec![0; PIECE_BYTES];
            loop {
                match printed.read(&mut piece).await? {
                    0 => return git.ended().await.map(Some),
                    length if take(&piece[..length]).is_break() => return Ok(None),
                    _ => {}
                }
            }
        };
        let verb = || verb_of(args);
        match tokio::time::timeout(WITHIN, reading).await {
            Ok(Ok(None)) => Ok(()),
            Ok(Ok(Some(status))) if status.success() => Ok(()),
            Ok(Ok(Some(status))) => {
                Err(GitError::Failed { command: verb(), said: status.to_string() })
            }
            Ok(Err(error)) => Err(self.not_run(&error)),
            Err(_) => Err(GitError::TooLong { command: verb(), within: WITHIN }),
        }
    }

    /// Asks for what is not committed, as records. Where somebody else may write, no submodule is looked
    /// into: git would believe the settings that it finds there.
    fn status(&self) -> Vec<&'static str> {
        let mut args = vec!["status", "--porcelain", "-z"];
        args.extend(self.repository.as_ref().map(|_| "--ignore-submodules=dirty"));
        args
    }

    /// What git prints with an end of NUL behind each, as it does with `-z`: names may hold all but that.
    async fn records(&self, args: &[&str]) -> Result<Vec<Vec<u8>>, GitError> {
        let printed = self.printed(&[READABLE, WITHOUT_PROGRAMS], args).await?;
        let records = printed.split(|&byte| byte == 0).filter(|record| !record.is_empty());
        Ok(records.map(<[u8]>::to_vec).collect())
    }

    /// The same as text.
    async fn names(&self, args: &[&str]) -> Result<Vec<String>, GitError> {
        let records = self.records(args).await?;
        Ok(records.iter().map(|record| String::from_utf8_lossy(record).into_owned()).collect())
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

/// Which of git's commands it is.
fn verb_of(args: &[impl AsRef<OsStr>]) -> String {
    args.first().map(|verb| verb.as_ref().to_string_lossy().into_owned()).unwrap_or_default()
}

fn text_of(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).trim_end_matches('\n').to_owned()
}

fn end_of(text: &str) -> &str {
    let from = text.len().saturating_sub(SAID_MAX);
    let from = (from..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    &text[from..]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What git does when it is asked to run `line`.
    async fn asked(line: &str) -> Result<String, GitError> {
        Git::at(".").run(&["-c", &format!("alias.asked=!{line}"), "asked"]).await
    }

    #[tokio::test]
    async fn of_what_is_read_as_a_whole_there_is_not_too_much() {
        let all = PRINTED_BYTES_MAX;
        let printed = asked(&format!("head -c {all} /dev/zero #")).await.unwrap();
        assert_eq!(printed.len(), all);
        // It would never end by itself.
        let refused = asked("yes").await.unwrap_err();
        assert_eq!(refused, GitError::TooMuch { command: "-c".into(), bytes_max: all });
        assert_eq!(refused.to_string(), "`git -c` printed more than 64 MiB");
    }

    #[tokio::test]
    async fn of_what_git_says_about_a_failure_the_end_is_told() {
        let failed = asked("{ yes | head -c 9000000; echo \u{e4} at last; } >&2; false #").await;
        let Err(GitError::Failed { said, .. }) = failed else { panic!("{failed:?}") };
        assert!(said.ends_with("y\ny\n\u{e4} at last") && said.len() <= SAID_MAX, "{said}");
        let failed = asked("{ yes | head -c 9000; echo at last; }; false #").await;
        let Err(GitError::Failed { said, .. }) = failed else { panic!("{failed:?}") };
        assert!(said.ends_with("y\ny\nat last") && said.len() <= SAID_MAX, "{said}");
    }
}
