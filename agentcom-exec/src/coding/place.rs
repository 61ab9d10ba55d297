//! This file makes the folders of an attempt: a worktree in which the model works, and a clean
//! checkout in which its commits are checked.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use agentcom_core::agentic::Reach;
use agentcom_core::repo::place_of;
use agentcom_core::wire::Assignment;

use super::Settings;
use super::outcome::Trouble;
use super::retention::{self, Busy};
use crate::git::{Checkout, CheckoutError, Commit, GitError, Start, Status};
use crate::github::title_of;
use crate::tool::Met;
use crate::verify::Change;

/// Where an attempt is worked on.
#[derive(Debug)]
pub(super) struct Place<'a> {
    settings: &'a Settings,
    job: &'a Assignment,
    clone: Checkout,
    /// The worktree; what the model wrote there is not believed.
    tree: Checkout,
    pub(super) dir: PathBuf,
    pub(super) branch: String,
    pub(super) base: String,
    _busy: Busy,
}

impl<'a> Place<'a> {
    /// Makes the worktree of an attempt, on the branch of its task. Another attempt's is put away
    /// first, also one of another agent on the same clone, unless somebody works in it still; what was
    /// not committed there is kept as a patch beside it.
    pub(super) async fn prepare(
        settings: &'a Settings,
        job: &'a Assignment,
    ) -> Result<Self, Trouble> {
        let clone = Checkout::at(&settings.repository).await?;
        if let Some(wanted) = &job.repo {
            let (wanted, found) = (place_of(wanted.as_str()), place_of(&clone.remote().await?));
            if wanted != found {
                return Err(Trouble::OtherRepository { wanted, found });
            }
        }
        let _alone = clone.alone().await?;
        let worktrees = &settings.worktrees;
        std::fs::create_dir_all(worktrees).map_err(|error| io(worktrees, &error))?;
        let worktrees = worktrees.canonicalize().map_err(|error| io(worktrees, &error))?;
        if let Some(old) = clone.worktree_of(job.task_id).await? {
            if !retention::is_ours(&old) {
                return Err(Trouble::Git(by_hand(&old)));
            }
            if !retention::is_let_go(&old).await {
                return Err(Trouble::AtWork(old));
            }
            retention::put_away(&clone, &old).await?;
        }
        for left in left_behind(&worktrees, job) {
            retention::remove(&clone, &left).await?;
        }
        let dir = worktrees.join(format!("{}-{}-{}", job.task_id, job.attempt, job.generation));
        let start = Start {
            task: job.task_id,
            description: &job.description,
            base: job.branch.as_deref(),
            worktree: Some(&dir),
        };
        let busy = Busy::in_worktree(&dir).map_err(|error| io(&dir, &error))?;
        let started = match clone.start(&start).await {
            Ok(started) => started,
            Err(error) => {
                busy.forget();
                return Err(error.into());
            }
        };
        let tree = clone.worktree(&dir).await?;
        let (branch, base) = (started.branch, started.base);
        let place = Self { settings, job, clone, tree, dir, branch, base, _busy: busy };
        place.give_to_user(&place.dir)?;
        Ok(place)
    }

    /// What a sandbox with a user of its own works on belongs to that user.
    fn give_to_user(&self, dir: &Path) -> Result<(), CheckoutError> {
        self.settings.sandbox.give_to_user(dir).map_err(|error| io(dir, &error))
    }

    /// How many rounds the task has seen before, in this attempt and in earlier ones of this life.
    pub(super) async fn rounds(&self) -> Result<u32, CheckoutError> {
        self.tree.rounds(&self.base, self.job.task_id, self.job.revivals).await
    }

    /// Remembers in `met` what was read, before this attempt, by those who worked on the branch. Who goes
    /// on with it need not read what strangers wrote for that to be in it.
    pub(super) async fn recall(&self, met: &Met) -> Result<(), CheckoutError> {
        if self.tree.has_read_private(&self.base).await? {
            // Nothing has come together yet with which it could be too much.
            let _ = met.admit(Reach { untrusted: true, private: true, outward: false });
        }
        Ok(())
    }

    /// Commits what the model did in a round, and says where the branch stands then. A round in which
    /// it `worked` and changed nothing is counted by a commit as well, but nothing is begun with that:
    /// a branch without a change is not proposed. What was read of what is private, as `met` has it, is
    /// in what comes after, and is remembered with it.
    pub(super) async fn commit(
        &self,
        answer: &str,
        round: u32,
        worked: bool,
        met: &Met,
    ) -> Result<Status, CheckoutError> {
        self.tree.disown().await?;
        let counts = worked && self.tree.status().await?.ahead > 0;
        if counts || !self.tree.uncommitted().await?.is_empty() {
            let title = title_of(&self.job.description, &self.branch);
            let message = format!("{title}\n\n{}", body(answer));
            let Assignment { task_id: task, attempt, revivals, .. } = *self.job;
            let (round, has_read_private) = (Some(round), met.get().private);
            let message = &*message;
            let commit = Commit { message, task, attempt, round, revivals, has_read_private };
            self.tree.commit(&commit).await?;
        }
        self.tree.status().await
    }

    /// Checks out what was committed, and nothing else, for as long as `use_it` takes: that checkout,
    /// and the hash of all that is in it.
    pub(super) async fn in_clean_checkout<T>(
        &self,
        commit: &str,
        use_it: impl AsyncFnOnce(&Checkout, &str) -> T,
    ) -> Result<T, CheckoutError> {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let dir = self.dir.with_file_name(format!("{name}{CHECKED}"));
        let alone = self.clone.alone().await?;
        if dir.exists() {
            self.clone.remove_worktree(&dir).await?;
        }
        self.clone.snapshot(commit, &self.base, &dir).await?;
        drop(alone);
        let checkout = self.clone.worktree(&dir).await?;
        let tree = checkout.tree().await?;
        self.give_to_user(&dir)?;
        let used = use_it(&checkout, &tree).await;
        let _alone = self.clone.alone().await?;
        self.clone.remove_worktree(&dir).await?;
        Ok(used)
    }

    /// Where git is asked about the branch.
    pub(super) fn git(&self) -> &Checkout {
        &self.tree
    }

    /// Pushes the branch.
    pub(super) async fn push(&self) -> Result<Status, CheckoutError> {
        let _alone = self.clone.alone().await?;
        self.tree.push().await
    }

    /// The address of the remote.
    pub(super) async fn remote(&self) -> Result<String, CheckoutError> {
        self.tree.remote().await
    }

    /// All files of the branch.
    pub(super) async fn files(&self) -> Result<Vec<String>, CheckoutError> {
        self.tree.files().await
    }

    /// Removes the worktree if the remote has all that is in it, and leaves it for people otherwise.
    pub(super) async fn tidy(&self, status: &Status) -> Result<(), CheckoutError> {
        if status.pushed && self.tree.uncommitted().await?.is_empty() {
            let _alone = self.clone.alone().await?;
            retention::remove(&self.clone, &self.dir).await?;
        }
        Ok(())
    }

    /// Puts worktrees away that earlier attempts have left, if their time is over: how many, and what
    /// kept others from it.
    pub(super) async fn retire_others(&self) -> (usize, Option<CheckoutError>) {
        let worktrees = self.dir.parent().unwrap_or(&self.dir);
        let _alone = match self.clone.alone().await {
            Ok(alone) => alone,
            Err(error) => return (0, Some(error)),
        };
        let kept = self.settings.worktrees_kept;
        retention::retire(&self.clone, worktrees, kept, SystemTime::now()).await
    }
}

/// What the folder of a clean checkout ends in.
pub(super) const CHECKED: &str = "-check";

/// Clean checkouts of a task that nobody removed, since whoever made them was stopped.
fn left_behind(worktrees: &Path, job: &Assignment) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(worktrees).into_iter().flatten().flatten();
    let of_task = format!("{}-", job.task_id);
    let paths = entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&of_task) && name.ends_with(CHECKED)
    });
    paths.collect()
}

/// What a branch changes, for checks.
pub(super) fn change_of(status: &Status) -> Change {
    Change {
        base: status.base.clone(),
        files: status.changed.clone(),
        uncommitted: status.uncommitted.clone(),
    }
}

/// Somebody works on the task in a worktree that no attempt has made.
fn by_hand(old: &Path) -> CheckoutError {
    CheckoutError::Uncommitted(vec![format!("the task is checked out in {}", old.display())])
}

/// What a model said, as the body of a commit: quoted, so that none of its lines is taken for a trailer.
fn body(answer: &str) -> String {
    const BYTES_MAX: usize = 1_000;
    let answer = answer.trim();
    let lines = answer[..answer.floor_char_boundary(BYTES_MAX)].lines();
    let quoted = lines.map(|line| {
        let line: String = line.chars().filter(|c| !c.is_control()).collect();
        format!("> {line}").trim_end().to_owned()
    });
    quoted.collect::<Vec<_>>().join("\n")
}

fn io(path: &Path, error: &std::io::Error) -> CheckoutError {
    CheckoutError::Git(GitError::NotRun(format!("{}: {error}", path.display())))
}
