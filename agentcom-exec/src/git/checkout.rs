//! This file brings a clone to the branch of a task, says where that stands, commits and pushes it.

use std::path::{Path, PathBuf};

use agentcom_core::id::TaskId;
use agentcom_core::risk::FileChange;

use super::branch::{ours, theirs};
use super::{Git, GitError, task_branch, task_of};

/// Where what is pushed goes, and what is fetched comes from.
pub(super) const REMOTE: &str = "origin";

/// The trailer of a commit that says for which task it was made.
pub(super) const TASK: &str = "Agentcom-Task";

/// The trailer that says in which attempt at it.
const ATTEMPT: &str = "Agentcom-Attempt";

/// The trailer that says in which round of that task, so that rounds are counted on by whoever goes
/// on.
pub(super) const ROUND: &str = "Agentcom-Round";

/// The trailer that says how often the task had been revived by then, if ever.
pub(super) const REVIVALS: &str = "Agentcom-Revivals";

/// The trailer that says what was read until then beside the repository.
pub(super) const READ: &str = "Agentcom-Read";

/// What is said there of what is not for strangers.
pub(super) const PRIVATE: &str = "private";

/// A clone in which a task is worked on.
#[derive(Clone, Debug)]
pub struct Checkout {
    pub(super) git: Git,
}

/// What to begin.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The task.
    pub task: TaskId,
    /// What it is about; the branch is named after it.
    pub description: &'a str,
    /// The branch of the remote to start from; the default branch of the remote if it is not said.
    pub base: Option<&'a str>,
    /// A folder for a worktree of its own; otherwise the clone itself goes to the branch.
    pub worktree: Option<&'a Path>,
}

/// What was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// The branch.
    pub branch: String,
    /// The branch of the remote that it starts from.
    pub base: String,
    /// Where it is checked out.
    pub dir: PathBuf,
    /// Whether the branch was there already.
    pub resumed: bool,
}

/// What a commit says about where it comes from.
#[derive(Clone, Copy, Debug)]
pub struct Commit<'a> {
    /// Its message.
    pub message: &'a str,
    /// The task.
    pub task: TaskId,
    /// In which attempt.
    pub attempt: u32,
    /// In which round of checks and corrections, from 1, whatever the attempt; none for the commits of
    /// people. A round counts also where it changed nothing.
    pub round: Option<u32>,
    /// How often the task had been given another life; its rounds count for that life only.
    pub revivals: u32,
    /// Whether what is private was read until then. Whoever goes on with the branch has it from there.
    pub has_read_private: bool,
}

/// A file that differs from the base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Where it is, from the root of the repository on.
    pub path: String,
    /// How many lines came; `None` for what is no text. What that is, the change can say itself.
    pub added: Option<u64>,
    /// How many lines went; `None` for what is no text.
    pub deleted: Option<u64>,
    /// Whether the base does not have it.
    pub is_new: bool,
    /// Whether it is an ordinary file, and was one, whose mode stays what it was.
    pub is_plain: bool,
}

/// Where a branch stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The branch.
    pub branch: String,
    /// The commit that is checked out.
    pub head: String,
    /// The task that it is of.
    pub task: TaskId,
    /// The branch of the remote that it starts from.
    pub base: String,
    /// Commits that the base does not have.
    pub ahead: u64,
    /// Commits of the base, as it was last fetched, that it does not have.
    pub behind: u64,
    /// What its commits change.
    pub changed: Vec<Changed>,
    /// Files that are not committed, as `git status --porcelain` shows them.
    pub uncommitted: Vec<String>,
    /// Whether the remote has all of its commits.
    pub pushed: bool,
}

impl Status {
    /// What its commits change, as its risk is judged by.
    #[must_use]
    pub fn file_changes(&self) -> Vec<FileChange> {
        let change = |file: &Changed| FileChange {
            path: file.path.clone(),
            lines: file.added.zip(file.deleted).map(|(added, deleted)| added + deleted),
            is_new: file.is_new,
            is_plain: file.is_plain,
        };
        self.changed.iter().map(change).collect()
    }
}

/// Why a clone is left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckoutError {
    /// Git said no.
    #[error(transparent)]
    Git(#[from] GitError),
    /// There is no repository there.
    #[error("{0} is no clone of a repository")]
    NoClone(String),
    /// It has no remote of that name.
    #[error("the clone has no remote `{REMOTE}`")]
    NoRemote,
    /// The remote has no such branch.
    #[error("`{REMOTE}` has no branch `{0}`")]
    NoBase(String),
    /// It does not say which branch is its usual one.
    #[error(
        "`{REMOTE}` does not say which branch is its default: its HEAD names none that is there"
    )]
    NoDefault,
    /// There is no commit in it that a branch could start from.
    #[error("`{REMOTE}` has no commits yet; push a first one")]
    Empty,
    /// There are changes that would get lost, or into a commit that they do not belong to.
    #[error("there are changes that are not committed: {}", few(.0))]
    Uncommitted(Vec<String>),
    /// What is checked out is not the branch of a task.
    #[error("`{0}` is not the branch of a task")]
    NoTask(String),
    /// There is nothing to push.
    #[error("the branch has no commit that `{0}` does not have")]
    Nothing(String),
    /// The remote has commits that the branch does not have.
    #[error("`{REMOTE}` has commits on `{0}` that are not here; nothing is pushed over them")]
    Overtaken(String),
    /// Here and at the remote a branch has commits that the other has not.
    #[error(
        "`{0}` has commits here that `{REMOTE}` has not, and the other way round: bring them together, \
         or give the branch here a name of your own, and that of `{REMOTE}` is gone on with"
    )]
    Diverged(String),
}

impl Checkout {
    /// The clone at `dir`, or in a folder above it.
    ///
    /// # Errors
    ///
    /// If there is none, or it has no remote `origin`.
    pub async fn at(dir: &Path) -> Result<Self, CheckoutError> {
        let no_clone = || CheckoutError::NoClone(dir.display().to_string());
        if !dir.is_dir() {
            return Err(no_clone());
        }
        let top = Git::at(dir).maybe(&["rev-parse", "--show-toplevel"]).await?;
        let top = top.ok_or_else(no_clone)?;
        let git = Git::at(top);
        if git.maybe(&["remote", "get-url", REMOTE]).await?.is_none() {
            return Err(CheckoutError::NoRemote);
        }
        Ok(Self { git })
    }

    /// Where it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.git.dir()
    }

    /// Brings the clone, or a worktree of its own, to the branch of a task, which starts from its
    /// base as the remote has it at this moment. If the branch is there already, here or at the
    /// remote, it goes on with that, as far as either has it. What is checked out runs no hooks.
    ///
    /// # Errors
    ///
    /// If there are changes that are not committed, unless a worktree is asked for; if here and at the
    /// remote the branch has commits that the other has not; if the remote or the base is not there; if
    /// git says no. The clone is as it was then, but for what was fetched.
    pub async fn start(&self, start: &Start<'_>) -> Result<Started, CheckoutError> {
        if start.worktree.is_none() {
            let uncommitted = self.uncommitted().await?;
            if !uncommitted.is_empty() {
                return Err(CheckoutError::Uncommitted(uncommitted));
            }
        }
        let known = self.known(start.task).await?;
        let base = match (start.base, &known) {
            (Some(base), _) => base.to_owned(),
            (None, Some(known)) => self.base_of(&known.branch).await?,
            (None, None) => self.default_branch().await?,
        };
        if !self.is_name(&base).await? {
            return Err(CheckoutError::NoBase(base));
        }
        match self.fetch(&base).await {
            Ok(()) => {}
            Err(GitError::Failed { said, .. }) if said.contains("couldn't find remote ref") => {
                return Err(CheckoutError::NoBase(base));
            }
            Err(other) => return Err(other.into()),
        }
        let resumed = known.is_some();
        let (branch, is_behind) = match known {
            Some(known) => (known.branch, known.is_behind),
            None => (task_branch(start.task, start.description), false),
        };
        let from = self.tip_of(&theirs(&base)).await?;
        let tip = if resumed { ours(&branch) } else { from.clone() };
        let git = self.checks_out(&tip, &base).await?;
        let dir = match start.worktree {
            Some(dir) => add_worktree(&git, dir, &branch, &from, resumed).await?,
            None => {
                let rest: &[&str] =
                    if resumed { &[&branch] } else { &["--no-track", "--create", &branch, &from] };
                git.run(&[&["switch", "--quiet"], rest].concat()).await?;
                self.git.dir().to_owned()
            }
        };
        if is_behind {
            self.catch_up(&dir, &branch, &base).await?;
        }
        self.git.run(&["config", "--", &base_key(&branch), &base]).await?;
        Ok(Started { branch, base, dir, resumed })
    }

    /// The branch that is checked out, and the task that it is of.
    ///
    /// # Errors
    ///
    /// If it is not the branch of a task, or git says no.
    pub async fn current(&self) -> Result<(String, TaskId), CheckoutError> {
        let branch = self.git.run(&["branch", "--show-current"]).await?;
        match task_of(&branch) {
            Some(task) => Ok((branch, task)),
            None => Err(CheckoutError::NoTask(branch)),
        }
    }

    /// Where the branch that is checked out stands, as far as is known here: nothing is fetched.
    ///
    /// # Errors
    ///
    /// If it is not the branch of a task, or git says no.
    pub async fn status(&self) -> Result<Status, CheckoutError> {
        let (branch, task) = self.current().await?;
        let base = self.base_of(&branch).await?;
        let both = format!("{}...HEAD", theirs(&base));
        let counts = self.git.run(&["rev-list", "--left-right", "--count", &both, "--"]).await?;
        let mut counts = counts.split_whitespace().map(|count| count.parse().unwrap_or(0));
        let (behind, ahead) = (counts.next().unwrap_or(0), counts.next().unwrap_or(0));
        let has = self.git.maybe(&["rev-parse", "--verify", "--quiet", &theirs(&branch)]).await?;
        let head = self.tip_of("HEAD").await?;
        Ok(Status {
            task,
            base,
            ahead,
            behind,
            changed: self.changed(&both).await?,
            uncommitted: self.uncommitted().await?,
            pushed: has.as_ref() == Some(&head),
            head,
            branch,
        })
    }

    /// Commits all that is not committed, and says in the message for which task and in which attempt.
    /// Where git has not been told whose commits these are, they are `agentcom`'s.
    ///
    /// # Errors
    ///
    /// If git says no, as it does where there is nothing to commit and no round to count.
    pub async fn commit(&self, commit: &Commit<'_>) -> Result<(), CheckoutError> {
        self.git.run(&["add", "--all"]).await?;
        let mut trailers =
            vec![format!("{TASK}: {}", commit.task), format!("{ATTEMPT}: {}", commit.attempt)];
        trailers.extend(commit.round.map(|round| format!("{ROUND}: {round}")));
        let revived = Some(commit.revivals).filter(|&revivals| revivals > 0);
        trailers.extend(revived.map(|revivals| format!("{REVIVALS}: {revivals}")));
        trailers.extend(commit.has_read_private.then(|| format!("{READ}: {PRIVATE}")));
        let mut args = Vec::new();
        if self.git.maybe(&["config", "user.email"]).await?.is_none() {
            args.extend(["-c", "user.name=agentcom", "-c", "user.email=agentcom@localhost"]);
        }
        args.extend(["commit", "--quiet", "--message", commit.message]);
        args.extend(commit.round.map(|_| "--allow-empty"));
        args.extend(trailers.iter().flat_map(|trailer| ["--trailer", trailer]));
        self.git.run_as_user(&args).await?;
        Ok(())
    }

    /// Pushes the branch, and never with force.
    ///
    /// # Errors
    ///
    /// If there are changes that are not committed, or no commits, or the remote has others.
    pub async fn push(&self) -> Result<Status, CheckoutError> {
        let status = self.status().await?;
        if !status.uncommitted.is_empty() {
            return Err(CheckoutError::Uncommitted(status.uncommitted));
        }
        if status.ahead == 0 {
            return Err(CheckoutError::Nothing(status.base));
        }
        let name = ours(&status.branch);
        let push = ["push", "--quiet", "--set-upstream", REMOTE, &format!("{name}:{name}")];
        match self.git.run_as_user(&push).await {
            Ok(_) => Ok(Status { pushed: true, ..status }),
            Err(GitError::Failed { said, .. }) if said.contains("[rejected]") => {
                Err(CheckoutError::Overtaken(status.branch))
            }
            Err(other) => Err(other.into()),
        }
    }

    /// The address of the remote.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn remote(&self) -> Result<String, CheckoutError> {
        Ok(self.git.run(&["remote", "get-url", REMOTE]).await?)
    }

    /// The addresses that are pushed to, which may be others than those that are fetched from.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn push_addresses(&self) -> Result<Vec<String>, CheckoutError> {
        Ok(self.git.lines(&["remote", "get-url", "--push", "--all", REMOTE]).await?)
    }

    /// Brings what is known here of a branch of the remote up to date.
    pub(super) async fn fetch(&self, branch: &str) -> Result<(), GitError> {
        let heads = format!("+{}:{}", ours(branch), theirs(branch));
        self.git.run(&["fetch", "--quiet", REMOTE, &heads]).await.map(drop)
    }

    /// The hash of the commit that a name leads to which is one without doubt. Where branches are made git
    /// takes no name that could also be meant for another.
    pub(super) async fn tip_of(&self, name: &str) -> Result<String, GitError> {
        self.git.run(&["rev-parse", "--verify", "--quiet", name]).await
    }

    /// Whether git allows a branch to be called so: what it does not may have another meaning for it.
    async fn is_name(&self, branch: &str) -> Result<bool, GitError> {
        if branch.contains('\0') {
            return Ok(false);
        }
        Ok(self.git.maybe(&["check-ref-format", &ours(branch)]).await?.is_some())
    }

    async fn base_of(&self, branch: &str) -> Result<String, CheckoutError> {
        match self.git.maybe(&["config", "--get", &base_key(branch)]).await? {
            Some(base) => Ok(base),
            None => self.default_branch().await,
        }
    }

    async fn default_branch(&self) -> Result<String, CheckoutError> {
        let lines = self.git.lines(&["ls-remote", "--symref", REMOTE, "HEAD"]).await?;
        // Names may have any white space but that of ASCII.
        let default = |line: &String| {
            let name = line.strip_prefix("ref: refs/heads/")?.strip_suffix("\tHEAD")?;
            Some(name.to_owned())
        };
        match lines.iter().find_map(default) {
            Some(name) => Ok(name),
            None if self.git.lines(&["ls-remote", "--heads", REMOTE]).await?.is_empty() => {
                Err(CheckoutError::Empty)
            }
            None => Err(CheckoutError::NoDefault),
        }
    }

    /// Files that are not committed, as `git status --porcelain` shows them, but for no name being in
    /// quotes.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn uncommitted(&self) -> Result<Vec<String>, CheckoutError> {
        Ok(self.git.names(&self.git.status()).await?)
    }
}

async fn add_worktree(
    git: &Git,
    dir: &Path,
    branch: &str,
    from: &str,
    resumed: bool,
) -> Result<PathBuf, CheckoutError> {
    let at = std::path::absolute(dir).map_err(|error| GitError::NotRun(error.to_string()))?;
    let path = at.to_string_lossy();
    let add = ["worktree", "add", "--quiet"];
    // A branch is checked out by its short name alone, which is then that of no tag.
    let rest: &[&str] = if resumed {
        &["--", &path, branch]
    } else {
        &["--no-track", "-b", branch, "--", &path, from]
    };
    git.run(&[&add[..], rest].concat()).await?;
    Ok(at)
}

/// Where the clone remembers what a branch started from.
fn base_key(branch: &str) -> String {
    format!("branch.{branch}.agentcomBase")
}

fn few(files: &[String]) -> String {
    const SHOWN: usize = 5;
    let shown: Vec<&str> = files.iter().take(SHOWN).map(|file| file.trim()).collect();
    let rest = files.len().saturating_sub(SHOWN);
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("{}{more}", shown.join(", "))
}
