//! This file keeps worktrees: one for each attempt at a task, and one for each time that it is
//! checked.

use std::ffi::OsStr;
use std::fs::TryLockError;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::id::TaskId;
use tokio::time::{Instant, sleep};

use super::beneath::{remove_any, remove_pipes, remove_repositories, remove_repository};
use super::branch::theirs;
use super::checkout::{PRIVATE, READ, REVIVALS, ROUND, TASK};
use super::{Checkout, CheckoutError, Git, GitError, task_of};
use crate::removal::remove_all;

/// How long somebody else may keep a clone to itself.
const ALONE_WITHIN: Duration = Duration::from_secs(300);

/// How often it is looked whether a clone is free.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Holds a clone for one that changes its branches, settings or worktrees. Dropping it lets go.
#[derive(Debug)]
pub struct Alone {
    _locked: std::fs::File,
}

impl Checkout {
    /// Waits until nobody else, in this process or another, changes the clone's branches, settings or
    /// worktrees in this way: git itself does not wait, but fails. Cancel safe.
    ///
    /// # Errors
    ///
    /// If that takes longer than five minutes, or there can be no lock.
    pub async fn alone(&self) -> Result<Alone, CheckoutError> {
        let path = self.common_dir().await?.join("agentcom.lock");
        let failed = |error: std::io::Error| failed(&path, &error);
        let options = std::fs::OpenOptions::new().create(true).append(true).open(&path);
        let file = options.map_err(failed)?;
        let until = Instant::now() + ALONE_WITHIN;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Alone { _locked: file }),
                Err(TryLockError::WouldBlock) if Instant::now() < until => sleep(LOOK_EVERY).await,
                Err(TryLockError::WouldBlock) => return Err(failed(ErrorKind::TimedOut.into())),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
    }

    /// Where the clone and all its worktrees keep what they share.
    async fn common_dir(&self) -> Result<PathBuf, CheckoutError> {
        let args = ["rev-parse", "--path-format=absolute", "--git-common-dir"];
        Ok(PathBuf::from(self.git.run(&args).await?))
    }

    /// The worktree at `dir`, which [`Checkout::start`] has made, for work with it after somebody else
    /// has written there: nothing in it is believed about where its repository is.
    ///
    /// # Errors
    ///
    /// If git says no, or there is no such worktree.
    pub async fn worktree(&self, dir: &Path) -> Result<Self, CheckoutError> {
        let git = Git::pinned(dir, self.repository_of(dir).await?);
        without_pipes(dir).await?;
        Ok(Self { git })
    }

    /// What the clone keeps of the worktree at `dir`.
    async fn repository_of(&self, dir: &Path) -> Result<PathBuf, CheckoutError> {
        let kept = self.common_dir().await?.join("worktrees");
        // Git names what it keeps of a worktree after its folder.
        let name = dir.file_name().ok_or_else(|| no_worktree(dir))?;
        let repository = kept.join(name);
        let link = tokio::fs::read_to_string(repository.join("gitdir")).await;
        let link = link.map_err(|_| no_worktree(dir))?;
        if Path::new(link.trim()) != dir.join(".git") {
            return Err(no_worktree(dir));
        }
        Ok(repository)
    }

    /// Whether git was killed before all of the worktree at `dir` was there.
    ///
    /// # Errors
    ///
    /// If git says no, or there is no such worktree.
    pub async fn is_half_made(&self, dir: &Path) -> Result<bool, CheckoutError> {
        Ok(is_half_made(&self.repository_of(dir).await?))
    }

    /// Removes the lock that git leaves in a worktree if it is killed there: for worktrees of
    /// [`Checkout::worktree`] in which nobody works.
    ///
    /// # Errors
    ///
    /// If it cannot be removed.
    pub fn unlock(&self) -> Result<(), CheckoutError> {
        let Some(repository) = &self.git.repository else { return Ok(()) };
        let lock = repository.join("index.lock");
        remove_any(&lock).map_err(|error| failed(&lock, &error))
    }

    /// Where the branch of a task is checked out beside this clone, if it is.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn worktree_of(&self, task: TaskId) -> Result<Option<PathBuf>, CheckoutError> {
        let lines = self.git.run(&["worktree", "list", "--porcelain"]).await?;
        let is_it = |line: &str| {
            let branch = line.strip_prefix("branch refs/heads/");
            branch.is_some_and(|branch| task_of(branch) == Some(task))
        };
        let entry = lines.split("\n\n").find(|entry| entry.lines().any(is_it));
        let path = entry.and_then(|entry| entry.lines().next()?.strip_prefix("worktree "));
        Ok(path.map(PathBuf::from).filter(|path| path != self.git.dir()))
    }

    /// Checks a commit out in a folder of its own, of no branch, which started from a branch of the
    /// remote.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn snapshot(
        &self,
        commit: &str,
        base: &str,
        dir: &Path,
    ) -> Result<(), CheckoutError> {
        let path = dir.to_string_lossy();
        let git = self.checks_out(commit, base).await?;
        git.run(&["worktree", "add", "--quiet", "--detach", "--", &path, commit]).await?;
        Ok(())
    }

    /// Removes a worktree with all that is in it. What is in its commits stays.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn remove_worktree(&self, dir: &Path) -> Result<(), CheckoutError> {
        let repository = match self.repository_of(dir).await {
            // That of another may be missing for a while, so nothing is pruned.
            Err(CheckoutError::NoClone(_)) if !dir.is_dir() => return Ok(()),
            found => found?,
        };
        if dir.is_dir() {
            restore_link(dir, &repository).map_err(|error| failed(dir, &error))?;
        }
        if is_half_made(&repository) {
            remove_any(&repository.join(LOCKED)).map_err(|error| failed(dir, &error))?;
        }
        let path = dir.to_string_lossy();
        let remove = ["worktree", "remove", "--force", "--", &path];
        if let Err(error) = self.git.run(&remove).await {
            // What somebody keeps with a lock stays.
            if !dir.is_dir() || repository.join(LOCKED).exists() {
                return Err(error.into());
            }
            // Git goes as deep as paths reach, and into no folder that is closed.
            let there = dir.to_owned();
            let removed = tokio::task::spawn_blocking(move || remove_all(&there)).await;
            let removed = removed.map_err(std::io::Error::other).flatten();
            removed.map_err(|error| failed(dir, &error))?;
            // It may have forgotten the worktree in spite of that.
            if repository.is_dir() {
                self.git.run(&remove).await?;
            }
        }
        Ok(())
    }

    /// Makes ordinary folders of new folders that are repositories of their own: git would commit none
    /// of their files, or nothing at all. What is committed already, such as submodules, stays as it is,
    /// but where nobody else than a model can have filled a submodule, what it put there is no
    /// repository afterwards: git would go in, and run what its settings name.
    ///
    /// # Errors
    ///
    /// If git says no, or what makes a folder a repository cannot be removed.
    pub async fn disown(&self) -> Result<(), CheckoutError> {
        if self.git.repository.is_some() {
            without_pipes(self.git.dir()).await?;
            for record in self.git.records(&["ls-files", "--stage", "-z"]).await? {
                let Some(folder) = submodule_of(&record) else { continue };
                let removed = remove_repository(self.git.dir(), folder);
                removed.map_err(|error| failed(&self.git.dir().join(folder), &error))?;
            }
        }
        for record in self.git.records(&self.git.status()).await? {
            let Some(folder) = record.strip_prefix(b"?? ").filter(|path| path.ends_with(b"/"))
            else {
                continue;
            };
            let folder = self.git.dir().join(OsStr::from_bytes(folder));
            let beneath = folder.clone();
            clear(&folder, move || remove_repositories(&beneath)).await?;
        }
        Ok(())
    }

    /// Writes what is not committed here to a file at `patch`, for `git apply`, and says whether there
    /// was anything.
    ///
    /// # Errors
    ///
    /// If git says no, or the file cannot be written.
    pub async fn save_patch(&self, patch: &Path) -> Result<bool, CheckoutError> {
        // Files of folders that are repositories of their own, and files that git does not know, would
        // be left out.
        self.disown().await?;
        self.git.run(&["add", "--all", "--intent-to-add"]).await?;
        // Git itself writes it: what passes through here as text would lose bytes.
        let output = format!("--output={}", patch.display());
        let diff = [
            "diff",
            "--binary",
            "--no-ext-diff",
            "--no-textconv",
            "--no-color",
            "--ignore-submodules=dirty",
        ];
        self.git.run(&[&diff[..], &[&output, "HEAD", "--"]].concat()).await?;
        let written = tokio::fs::metadata(patch).await.map_err(|error| failed(patch, &error))?;
        if written.len() == 0 {
            tokio::fs::remove_file(patch).await.map_err(|error| failed(patch, &error))?;
        }
        Ok(written.len() > 0)
    }

    /// How many rounds a task has seen in all attempts since it was revived so often, by the commits on
    /// the branch that is checked out.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn rounds(
        &self,
        base: &str,
        task: TaskId,
        revivals: u32,
    ) -> Result<u32, CheckoutError> {
        let value = |key: &str| format!("%(trailers:key={key},valueonly,separator=%x20)");
        let format = format!("--format={},{},{}", value(TASK), value(ROUND), value(REVIVALS));
        let range = format!("{}..HEAD", theirs(base));
        let lines = self.git.run(&["log", &format, &range, "--"]).await?;
        let round = |line: &str| {
            let mut values = line.split(',').map(str::trim);
            let (of, round, revived) = (values.next()?, values.next()?, values.next()?);
            // Of a task that never was, no commit says it.
            let revived: u32 = if revived.is_empty() { 0 } else { revived.parse().ok()? };
            let counts = of.parse() == Ok(task) && revived == revivals;
            counts.then(|| round.parse::<u32>().ok())?
        };
        Ok(lines.lines().filter_map(round).max().unwrap_or(0))
    }

    /// Whether what is private was read before the branch that is checked out came to where it is, by
    /// what its commits say.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn has_read_private(&self, base: &str) -> Result<bool, CheckoutError> {
        let format = format!("--format=%(trailers:key={READ},valueonly)");
        let range = format!("{}..HEAD", theirs(base));
        let lines = self.git.lines(&["log", &format, &range, "--"]).await?;
        Ok(lines.iter().any(|line| line.trim() == PRIVATE))
    }

    /// The hash of all that is in the commit that is checked out.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn tree(&self) -> Result<String, CheckoutError> {
        Ok(self.git.run(&["rev-parse", "HEAD^{tree}"]).await?)
    }
}

/// The file in what git keeps of a worktree that forbids to remove that, and says why.
const LOCKED: &str = "locked";

/// Whether git has locked a worktree for as long as it makes it, by what it keeps of it.
fn is_half_made(repository: &Path) -> bool {
    let why = std::fs::read_to_string(repository.join(LOCKED));
    why.is_ok_and(|why| why.trim() == "initializing")
}

/// Removes the pipes beneath `top`.
async fn without_pipes(top: &Path) -> Result<(), CheckoutError> {
    let beneath = top.to_owned();
    clear(top, move || remove_pipes(&beneath)).await
}

/// Removes something at `path`, of which there may be much.
async fn clear(
    path: &Path,
    remove: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), CheckoutError> {
    let removed = tokio::task::spawn_blocking(remove).await;
    let removed = removed.map_err(std::io::Error::other).and_then(|removed| removed);
    removed.map_err(|error| failed(path, &error))
}

/// Where a submodule is, if a line of the index is one.
fn submodule_of(record: &[u8]) -> Option<&Path> {
    let rest = record.strip_prefix(b"160000 ")?;
    let at = rest.iter().position(|&byte| byte == b'\t')?;
    Some(Path::new(OsStr::from_bytes(&rest[at + 1..])))
}

/// Puts the file back that leads from a worktree to its repository, whatever is there now: git removes
/// no worktree without it.
fn restore_link(dir: &Path, repository: &Path) -> std::io::Result<()> {
    let link = dir.join(".git");
    remove_any(&link)?;
    std::fs::write(link, format!("gitdir: {}\n", repository.display()))
}

fn failed(path: &Path, error: &std::io::Error) -> CheckoutError {
    CheckoutError::Git(GitError::NotRun(format!("{}: {error}", path.display())))
}

fn no_worktree(dir: &Path) -> CheckoutError {
    CheckoutError::NoClone(dir.display().to_string())
}
