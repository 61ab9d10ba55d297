//! This file opens the pull request of a task, or says where a person can.

use agentcom_core::money::Micros;
use agentcom_core::risk::{FileChange, Risk};
use agentcom_exec::git::Status;
use agentcom_exec::github::{
    self, Checked, Evidence, GitHub, GitHubError, Pull, Repository, body_of, title_of,
};
use serde_json::Value;

use super::checked;
use crate::args::Context;
use crate::exit::{Exit, Failure};
use crate::text;

/// A pushed branch, and what speaks for it.
pub(super) struct Proposal<'a> {
    pub(super) status: &'a Status,
    pub(super) files: &'a [FileChange],
    /// The task, as the hub tells it.
    pub(super) told: &'a Value,
    pub(super) attempt: u32,
    pub(super) risk: &'a Risk,
    /// The report of its checks, or why it counts for nothing.
    pub(super) report: Result<&'a Value, &'a str>,
    /// Whether it is not ready for review.
    pub(super) draft: bool,
}

impl Proposal<'_> {
    /// Opens the pull request, or finds it. Without a token it tells people what to do, and there is none.
    pub(super) async fn open(
        &self,
        remote: &str,
        api: &str,
        ctx: &Context,
    ) -> Result<Option<Pull>, Failure> {
        let Some(repository) = Repository::of_remote(remote) else {
            ctx.print.note("the remote is no repository at GitHub; open the pull request by hand");
            return Ok(None);
        };
        let Some(token) = github_token() else {
            ctx.print.note(&self.by_hand(&repository, api));
            return Ok(None);
        };
        let description = text::field(self.told, "description");
        let criteria = self.told["success_criteria"].as_array().into_iter().flatten();
        let criteria: Vec<String> = criteria.map(text::plain).collect();
        let lines = self.report.map(checked::lines).unwrap_or_default();
        let tree = self.report.map(|report| text::field(report, "tree")).unwrap_or_default();
        let commit = self.status.head.as_str();
        let body = body_of(&Evidence {
            task: self.status.task,
            description: &description,
            criteria: &criteria,
            attempt: self.attempt,
            commit,
            files: self.files,
            risk: self.risk,
            checked: self.report.map(|_| Checked { commit, tree: &tree, lines: &lines }),
            partial: None,
            cost: self.told["result"]["cost_micros"].as_u64().map(Micros),
        });
        let title = title_of(&description, &self.status.branch);
        let (head, base) = (self.status.branch.as_str(), self.status.base.as_str());
        let proposal =
            github::Proposal { head, base, title: &title, body: &body, draft: self.draft };
        Ok(Some(GitHub::at(api, token)?.propose(&repository, &proposal).await?))
    }

    fn by_hand(&self, Repository { owner, name }: &Repository, api: &str) -> String {
        let Status { base, branch, .. } = self.status;
        let how = "set GITHUB_TOKEN to have the pull request opened";
        if api == github::API {
            return format!(
                "{how}, or open it at https://github.com/{owner}/{name}/compare/{base}...{branch}"
            );
        }
        how.to_owned()
    }
}

/// The token for GitHub, where there is one.
pub(crate) fn github_token() -> Option<String> {
    ["GITHUB_TOKEN", "GH_TOKEN"].into_iter().find_map(|name| {
        let token = std::env::var(name).ok()?;
        let token = token.trim();
        (!token.is_empty()).then(|| token.to_owned())
    })
}

impl From<GitHubError> for Failure {
    fn from(error: GitHubError) -> Self {
        let (exit, hint) = match &error {
            GitHubError::Unreachable { .. } => {
                (Exit::TryAgain, "the branch is pushed; submit again, or with --no-pr")
            }
            GitHubError::Busy { .. } => (Exit::TryAgain, "the branch is pushed; submit again then"),
            GitHubError::Token(_) | GitHubError::NoRepository(_) => (
                Exit::NotAllowed,
                "the token needs to read and write pull requests of the repository",
            ),
            GitHubError::Refused { .. } => (Exit::Conflict, "the branch is pushed"),
        };
        Self::new(exit, &error).hint(hint)
    }
}
