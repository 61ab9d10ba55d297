//! This file says how a coding task ends: by what its checks say, and never by what the model says.

use std::io;
use std::path::PathBuf;

use agentcom_core::agentic::Stop;
use agentcom_core::json::Json;
use agentcom_core::money::Micros;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::risk::{Proposed, Risk, Rules, Verified, has_tests};
use agentcom_core::task::Category;
use agentcom_core::time::Span;
use agentcom_core::verify::Verdict;
use agentcom_core::wire::Assignment;
use serde::Serialize;

use super::Settings;
use super::place::Place;
use super::publish::{self, Withheld};
use crate::agentic::{Ended, How};
use crate::blobs::BlobId;
use crate::git::{CheckoutError, GitError, Status};
use crate::github::{self, Checked, Evidence, GitHubError, Pull, Repository, body_of, title_of};
use crate::mcp::McpError;
use crate::model::{ModelError, Usage};
use crate::sandbox::Level;
use crate::verify::{PartialPass, Report};

/// A model that could not be asked.
#[derive(Debug, Serialize)]
pub(super) struct PassedOver {
    pub(super) model: String,
    pub(super) why: String,
}

/// What was done.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) branch: String,
    pub(super) base: String,
    pub(super) model: String,
    pub(super) passed_over: Vec<PassedOver>,
    pub(super) level: Level,
    pub(super) rounds: u32,
    pub(super) report: Report,
    /// How the model's work ended in the last round; none if it was only checked again.
    pub(super) ended: Option<Ended>,
    pub(super) status: Status,
    pub(super) risk: Risk,
    /// The pull request, or why there is none where there should be.
    pub(super) pull: Option<Result<Pull, GitHubError>>,
    /// Why what there is to push was not pushed.
    pub(super) withheld: Option<Withheld>,
    pub(super) transcripts: Vec<BlobId>,
    /// What this attempt cost, as far as there are prices.
    pub(super) cost: Option<Micros>,
}

/// The result of a coding task.
#[derive(Serialize)]
struct CodingResult<'a> {
    branch: &'a str,
    base: &'a str,
    commit: &'a str,
    pushed: bool,
    /// Why it is not, where there is something to push.
    #[serde(skip_serializing_if = "Option::is_none")]
    withheld: Option<String>,
    files_changed: usize,
    pull_request: Option<&'a str>,
    /// Whether it is a draft.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pull_request_draft: bool,
    /// Why there is none where there should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pull_request_error: Option<String>,
    risk_tier: u8,
    model: &'a str,
    /// Models that should have been asked before, and why they were not.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    passed_over: &'a [PassedOver],
    sandbox: Level,
    rounds: u32,
    turns: u32,
    tokens_in: u64,
    tokens_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_micros: Option<Micros>,
    /// Why the model was stopped before it said that it was done.
    stopped: Option<Stop>,
    /// Why it could not go on.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<String>,
    /// Where all that was said is kept, for each round.
    transcripts: &'a [BlobId],
    output: &'a str,
    steps: &'a [String],
    /// What is done and what remains, where it was not done to its end.
    #[serde(flatten)]
    partial: Option<PartialPass>,
}

/// How much of a model's answer goes into the result, in bytes.
const ANSWER_BYTES_MAX: usize = 4_000;

/// How many of the latest calls go into the result.
const STEPS_MAX: usize = 60;

/// When a failure that may pass is tried again.
const AGAIN_AFTER: Span = Span(30_000);

impl Done {
    /// How the task ends.
    pub(super) fn judge(&self, usage: Usage) -> JobOutcome {
        let ahead = self.status.ahead > 0;
        let verdict = self.report.status;
        let tokens = Some(usage.total());
        if !ahead && verdict != Verdict::Pass {
            let what = if self.stopped() { self.why() } else { "it changed nothing".to_owned() };
            return failed(Category::Retryable, format!("{what}; checks: {verdict}"), usage);
        }
        let verification = Json::of(&self.report).ok();
        let partial = self.partial();
        let is_whole = partial.is_none();
        let result = match Json::of(&self.result(usage, partial)) {
            Ok(result) => result,
            Err(error) => return JobOutcome::permanent(format_args!("the result {error}")),
        };
        if is_whole {
            JobOutcome::Done { result, tokens, verification }
        } else {
            JobOutcome::Partial { result, tokens, verification }
        }
    }

    /// Whether the model did not get to its end.
    fn stopped(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| ended.how != How::Answered)
    }

    /// What is done and what remains, unless all is done as far as is known.
    fn partial(&self) -> Option<PartialPass> {
        let verdict = self.report.status;
        let is_good = verdict == Verdict::Pass || (verdict.is_good() && !self.stopped());
        let refused = match &self.pull {
            Some(Err(error)) => Some(format!("the pull request: {error}")),
            Some(Ok(_)) | None => None,
        };
        let withheld = self.withheld.as_ref().map(Withheld::to_string);
        if is_good && refused.is_none() && withheld.is_none() {
            return None;
        }
        let Status { ahead, changed, .. } = &self.status;
        let done = format!("commits: {ahead}, files changed: {}", changed.len());
        let stopped = Some(self.why()).filter(|why| !why.is_empty());
        let in_the_way = stopped.into_iter().chain(withheld).chain(refused).collect();
        Some(PartialPass::new((*ahead > 0).then_some(done), in_the_way, &self.report))
    }

    fn why(&self) -> String {
        match self.ended.as_ref().map(|ended| &ended.how) {
            Some(How::Stopped(stop)) => format!("the model was stopped: {stop}"),
            Some(How::Failed(error)) => error.to_string(),
            Some(How::Answered) | None => String::new(),
        }
    }

    fn result(&self, usage: Usage, partial: Option<PartialPass>) -> CodingResult<'_> {
        let ended = self.ended.as_ref();
        let answer = ended.map_or("", |ended| &ended.answer);
        let steps = ended.map_or(&[][..], |ended| &ended.steps);
        CodingResult {
            branch: &self.branch,
            base: &self.base,
            commit: &self.status.head,
            pushed: self.status.pushed,
            withheld: self.withheld.as_ref().map(Withheld::to_string),
            files_changed: self.status.changed.len(),
            pull_request: match &self.pull {
                Some(Ok(pull)) => Some(&pull.url),
                Some(Err(_)) | None => None,
            },
            pull_request_draft: matches!(&self.pull, Some(Ok(pull)) if pull.draft),
            pull_request_error: match &self.pull {
                Some(Err(error)) => Some(error.to_string()),
                Some(Ok(_)) | None => None,
            },
            risk_tier: self.risk.tier.number(),
            model: &self.model,
            passed_over: &self.passed_over,
            sandbox: self.level,
            rounds: self.rounds,
            turns: ended.map_or(0, |ended| ended.turns),
            tokens_in: usage.read(),
            tokens_out: usage.output_tokens,
            cost_micros: self.cost,
            stopped: match ended.map(|ended| &ended.how) {
                Some(How::Stopped(stop)) => Some(*stop),
                Some(How::Answered | How::Failed(_)) | None => None,
            },
            failed: match ended.map(|ended| &ended.how) {
                Some(How::Failed(error)) => Some(error.to_string()),
                Some(How::Answered | How::Stopped(_)) | None => None,
            },
            transcripts: &self.transcripts,
            output: &answer[..answer.floor_char_boundary(ANSWER_BYTES_MAX)],
            steps: &steps[steps.len().saturating_sub(STEPS_MAX)..],
            partial,
        }
    }

    /// Opens the pull request of the branch, or brings it up to date, where there is somebody to open
    /// it at.
    pub(super) async fn propose(
        &self,
        place: &Place<'_>,
        job: &Assignment,
        settings: &Settings,
    ) -> Result<Option<Result<Pull, GitHubError>>, Trouble> {
        let Some(github) = &settings.github else { return Ok(None) };
        let Some(repository) = Repository::of_remote(&place.remote().await?) else {
            return Ok(None);
        };
        let partial = self.partial();
        let body = body_of(&Evidence {
            task: job.task_id,
            description: &job.description,
            criteria: &job.success_criteria,
            attempt: job.attempt,
            commit: &self.status.head,
            files: &self.status.file_changes(),
            risk: &self.risk,
            checked: Ok(Checked {
                commit: &self.report.commit,
                tree: &self.report.tree,
                lines: &self.report.lines(),
            }),
            partial: partial.as_ref(),
            cost: self.cost,
        });
        let title = title_of(&job.description, &self.branch);
        let (head, base) = (&*self.branch, &*self.base);
        let draft = settings.drafts.hold(partial.is_some(), self.risk.tier);
        let proposal = github::Proposal { head, base, title: &title, body: &body, draft };
        // The branch is pushed by now, and what was done is not lost for want of a pull request.
        Ok(Some(publish::propose(github, &repository, &proposal).await))
    }
}

/// How closely a person should look at what a branch changes, of which `all` are the files.
pub(super) fn risk_of(
    rules: &Rules,
    status: &Status,
    report: &Report,
    job: &Assignment,
    all: &[String],
) -> Risk {
    let files = status.file_changes();
    let changed = files.iter().map(|file| file.path.as_str());
    rules.judge(&Proposed {
        files: &files,
        has_tests: has_tests(changed, all.iter().map(String::as_str)),
        complexity: job.tier(),
        verified: match report.status {
            Verdict::Pass => Verified::Passed,
            Verdict::AutoPass | Verdict::Skip => Verified::NotChecked,
            Verdict::Partial
            | Verdict::Fail
            | Verdict::Timeout
            | Verdict::Unverifiable
            | Verdict::Error => Verified::Failed,
        },
    })
}

/// Why a coding task came to nothing.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    #[error("the repository: {0}")]
    Git(#[from] CheckoutError),
    #[error("the task is about {wanted}, and this agent works in a clone of {found}")]
    OtherRepository { wanted: String, found: String },
    #[error("another attempt still works on the task, in {}", .0.display())]
    AtWork(PathBuf),
    #[error("{0}")]
    Model(ModelError),
    #[error("the workspace: {0}")]
    Workspace(io::Error),
    #[error(transparent)]
    Mcp(#[from] McpError),
    #[error("it is asked to stop")]
    Stopped,
}

impl Trouble {
    pub(super) fn outcome(&self, usage: Usage) -> JobOutcome {
        let passing = match self {
            Self::Stopped => return JobOutcome::Stopped,
            Self::Git(CheckoutError::Git(error)) => {
                !matches!(error, GitError::Missing | GitError::TooMuch { .. })
            }
            // Another agent may have a clone that is not in the way.
            Self::Git(
                CheckoutError::Overtaken(_)
                | CheckoutError::Diverged(_)
                | CheckoutError::Uncommitted(_),
            ) => true,
            Self::Git(_) => false,
            Self::Model(error) => error.is_passing(),
            Self::Mcp(error) => error.why.is_passing(),
            Self::Workspace(_) | Self::OtherRepository { .. } | Self::AtWork(_) => true,
        };
        let category = if passing { Category::Retryable } else { Category::Permanent };
        let mut outcome = failed(category, self.to_string(), usage);
        if let (Self::Model(error), JobOutcome::Failed { retry_after, .. }) = (self, &mut outcome)
            && let Some(least) = error.retry_after()
        {
            *retry_after = Some(least.into());
        }
        outcome
    }
}

fn failed(category: Category, error: String, usage: Usage) -> JobOutcome {
    let retry_after = (category == Category::Retryable).then_some(AGAIN_AFTER);
    JobOutcome::Failed { category, error, retry_after, tokens: Some(usage.total()) }
}
