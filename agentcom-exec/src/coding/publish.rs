//! This file decides whether a branch may be pushed: that is an effect outside, as far as strangers read
//! the remote, and the third of three things where the task has read what they wrote and what is
//! private. Then a person decides, and nobody's answer is no. What is pushed it proposes.

use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobContext;
use agentcom_core::question::{Ask, is_yes};
use agentcom_core::repo::place_of;
use tokio::time::sleep;

use super::place::Place;
use crate::git::{CheckoutError, Status};
use crate::github::{GitHub, GitHubError, Proposal, Pull, Repository, Visibility};
use crate::output::report;
use crate::tool::Met;

/// When branches are pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publishing {
    /// Who reads what is pushed. Unless it is said, a remote on this machine is private, GitHub is asked
    /// about those which it has, and all others are public.
    pub visibility: Option<Visibility>,
    /// How long people have to say whether a branch is pushed for which the rule of three things
    /// wants one of them. The task waits for it.
    pub ask_within: Duration,
}

impl Default for Publishing {
    /// The visibility that is found, and ten minutes.
    fn default() -> Self {
        Self { visibility: None, ask_within: Duration::from_secs(600) }
    }
}

/// Why a branch is not pushed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it is not pushed: what strangers wrote and what is private was read, {to} is public, and nobody \
     allowed it"
)]
pub(super) struct Withheld {
    /// The remote.
    to: String,
}

/// Who asks to push a branch, and what it has met.
#[derive(Clone, Copy, Debug)]
pub(super) struct Publisher<'a> {
    pub(super) publishing: &'a Publishing,
    pub(super) github: Option<&'a GitHub>,
    pub(super) met: &'a Met,
    /// How long people have at most, by the time that the attempt has left.
    pub(super) time_left: Option<Duration>,
    pub(super) ctx: &'a dyn JobContext,
}

impl Publisher<'_> {
    /// Says yes to pushing a branch that stands as `status` says, or why not.
    pub(super) async fn admit(
        &self,
        place: &Place<'_>,
        status: &Status,
    ) -> Result<Result<(), Withheld>, CheckoutError> {
        if self.met.admit(PUSH).is_ok() {
            return Ok(Ok(()));
        }
        for remote in place.git().push_addresses().await? {
            let is_private = self.visibility(&remote).await == Visibility::Private;
            let to = place_of(&remote);
            if is_private {
                continue;
            }
            let is_allowed = self.is_allowed(&to, status).await;
            // What was asked about is this commit; a person takes their time, and others have the clone.
            if !is_allowed || place.git().status().await?.head != status.head {
                return Ok(Err(Withheld { to }));
            }
        }
        Ok(Ok(()))
    }

    async fn visibility(&self, remote: &str) -> Visibility {
        if let Some(visibility) = self.publishing.visibility {
            return visibility;
        }
        if is_here(remote) {
            return Visibility::Private;
        }
        let of_github = self.github.filter(|github| github.has(remote));
        let Some((github, repository)) = of_github.zip(Repository::of_remote(remote)) else {
            return Visibility::Public;
        };
        match github.visibility(&repository).await {
            Ok(visibility) => visibility,
            Err(error) => {
                let what = format!("who reads the repository is not known: {error}");
                report(self.ctx, "error", &what);
                Visibility::Public
            }
        }
    }

    /// Whether a person says so in time.
    async fn is_allowed(&self, to: &str, status: &Status) -> bool {
        let (branch, head, files) = (&status.branch, &status.head, status.changed.len());
        let question = format!(
            "May {branch} at {head} (files changed: {files}) be pushed to {to}, which is public? In this \
             task what strangers wrote was read, and what is private; secrets may be in it, whatever \
             they look like.\nAnswer yes or no"
        );
        let within = self.publishing.ask_within;
        let within = self.time_left.map_or(within, |left| within.min(left));
        let no = Json::of(&"no").unwrap_or_default();
        let answer = self.ctx.ask(Ask::yes_or_no(question), within.into(), no).await;
        let allowed = is_yes(&answer);
        let word = if allowed { "allowed" } else { "not allowed" };
        report(self.ctx, "status", &format!("{word} to push {branch} to {to}"));
        allowed
    }
}

/// How often a pull request is tried to be opened.
const PROPOSED_MAX: u32 = 3;

/// The wait before the second time; before the third it is four times as long.
const PROPOSE_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// The longest that GitHub may ask for, for it to be waited for: a person can open it later.
const PROPOSE_WAIT_MAX: Duration = Duration::from_secs(10);

/// Opens a pull request, and tries that again where what kept it from that may pass: the branch is pushed,
/// and a task is not done in part for a moment in which GitHub was away.
pub(super) async fn propose(
    github: &GitHub,
    repository: &Repository,
    proposal: &Proposal<'_>,
) -> Result<Pull, GitHubError> {
    let mut wait = PROPOSE_AGAIN_AFTER;
    for _ in 1..PROPOSED_MAX {
        let proposed = github.propose(repository, proposal).await;
        let least = proposed.as_ref().err().and_then(GitHubError::again_after);
        let Some(least) = least.filter(|least| *least <= PROPOSE_WAIT_MAX) else { return proposed };
        sleep(wait.max(least)).await;
        wait *= 4;
    }
    github.propose(repository, proposal).await
}

/// What pushing to those who anybody may be has to do with the world.
const PUSH: Reach = Reach { untrusted: false, private: false, outward: true };

/// Whether a remote is a folder of this machine.
fn is_here(remote: &str) -> bool {
    place_of(remote).starts_with('/')
}
