//! This file finds the branch of a task that was begun before, and brings it up to what the remote has
//! of it.

use std::path::Path;

use agentcom_core::id::TaskId;

use super::branch::{ours, theirs};
use super::checkout::REMOTE;
use super::{Checkout, CheckoutError, Git, task_of};

/// A branch that is there already.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) branch: String,
    /// Whether the remote has commits on it that are not here, and all that are here.
    pub(super) is_behind: bool,
}

impl Checkout {
    /// The branch of a task that is there already; one that only the remote has is brought here.
    ///
    /// # Errors
    ///
    /// If here and at the remote each have commits that the other has not, or git says no.
    pub(super) async fn known(&self, task: TaskId) -> Result<Option<Known>, CheckoutError> {
        let pattern = format!("refs/heads/agentcom/{task}*");
        let there = self.git.lines(&["ls-remote", "--heads", REMOTE, &pattern]).await?;
        let there = there.iter().filter_map(|line| Some(line.split_once("refs/heads/")?.1));
        let mut there = there.filter(|branch| task_of(branch) == Some(task));
        let list = ["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/agentcom/"];
        let mut here = self.git.lines(&list).await?;
        here.retain(|branch| task_of(branch) == Some(task));
        let both = there.clone().find(|branch| here.iter().any(|it| it == branch));
        if let Some(branch) = both {
            self.fetch(branch).await?;
            let is_behind = self.is_behind(branch).await?;
            return Ok(Some(Known { branch: branch.to_owned(), is_behind }));
        }
        if let Some(branch) = here.pop() {
            return Ok(Some(Known { branch, is_behind: false }));
        }
        let Some(branch) = there.next() else { return Ok(None) };
        self.fetch(branch).await?;
        let tip = self.tip_of(&theirs(branch)).await?;
        self.git.run(&["branch", "--quiet", "--no-track", "--", branch, &tip]).await?;
        for (key, value) in [("remote", REMOTE), ("merge", &ours(branch))] {
            self.git.run(&["config", "--", &format!("branch.{branch}.{key}"), value]).await?;
        }
        Ok(Some(Known { branch: branch.to_owned(), is_behind: false }))
    }

    async fn is_behind(&self, branch: &str) -> Result<bool, CheckoutError> {
        let both = format!("{}...{}", ours(branch), theirs(branch));
        let counts = self.git.run(&["rev-list", "--left-right", "--count", &both, "--"]).await?;
        let mut counts = counts.split_whitespace().map(|count| count != "0");
        match (counts.next(), counts.next()) {
            (Some(true), Some(true)) => Err(CheckoutError::Diverged(branch.to_owned())),
            (_, is_behind) => Ok(is_behind == Some(true)),
        }
    }

    /// Brings a branch that is checked out at `dir`, and is behind, to where the remote has it.
    pub(super) async fn catch_up(
        &self,
        dir: &Path,
        branch: &str,
        base: &str,
    ) -> Result<(), CheckoutError> {
        let git = self.checks_out(&theirs(branch), base).await?;
        let merge = ["merge", "--quiet", "--ff-only", "--no-verify-signatures", &theirs(branch)];
        Git { dir: dir.to_owned(), ..git }.run(&merge).await?;
        Ok(())
    }

    /// Git for checking a commit out that started from a branch of the remote. LFS fetches files from
    /// where `.lfsconfig` says, and does so outside of any sandbox; if that is another one than the
    /// branch has, nothing is fetched.
    pub(super) async fn checks_out(&self, commit: &str, base: &str) -> Result<Git, CheckoutError> {
        let both = format!("{}...{commit}", theirs(base));
        let diff = ["diff", "--quiet", "--no-ext-diff", &both, "--", ":(top,literal).lfsconfig"];
        let without_downloads = self.git.maybe(&diff).await?.is_none();
        Ok(Git { without_downloads, ..self.git.clone() })
    }
}
