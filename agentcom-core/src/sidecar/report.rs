//! This file says what became of a job: made of its outcome, stored, and sent until it is heard.

use alloc::string::String;
use serde::{Deserialize, Serialize};

use crate::endpoint::Fault;
use crate::json::Json;
use crate::port::executor::JobOutcome;
use crate::sidecar::Claim;
use crate::sidecar::job::Verdict;
use crate::task::{Category, Traces};
use crate::time::Span;
use crate::wire::{Complete, Failed, Released, ToHub, Withdrawn};

/// What the hub is to hear of a job that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Report {
    /// It is done.
    Complete {
        #[serde(default)]
        partial: bool,
        #[serde(default, skip_serializing_if = "Json::is_null")]
        result: Json,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        verification: Option<Json>,
        #[serde(default, skip_serializing_if = "Traces::is_none")]
        left: Traces,
    },
    /// It failed.
    Failed {
        category: Category,
        error: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        fault: Option<Fault>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<Span>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        tokens: Option<u64>,
        #[serde(default, skip_serializing_if = "Traces::is_none")]
        left: Traces,
    },
    /// It is given back.
    Released,
    /// Nobody needs it any more.
    Withdrawn { reason: String },
}

/// The longest text about a failure, in bytes.
const ERROR_BYTES_MAX: usize = 4096;

impl Report {
    /// What is said of a job that ended so; `None` if nothing.
    pub(super) fn of(verdict: Verdict, outcome: JobOutcome, timeout: Span) -> Option<Self> {
        match verdict {
            Verdict::Forget => None,
            Verdict::Outcome => Some(Self::from(outcome)),
            Verdict::Release => Some(Self::Released),
            Verdict::TimedOut => {
                let error = alloc::format!("timed out after {timeout}");
                Some(Self::failed(Category::Retryable, error))
            }
        }
    }

    /// A failure without more to say.
    pub(super) fn failed(category: Category, error: String) -> Self {
        Self::Failed {
            category,
            error: clipped(error),
            fault: None,
            retry_after: None,
            tokens: None,
            left: Traces::default(),
        }
    }

    /// The same, with what the job has left behind; only what ends an attempt for good says it.
    pub(super) fn leaving(mut self, traces: Traces) -> Self {
        match &mut self {
            Self::Complete { left, .. } | Self::Failed { left, .. } => *left = traces,
            Self::Released | Self::Withdrawn { .. } => {}
        }
        self
    }

    /// The frame that carries it.
    pub(super) fn frame(&self, claim: Claim) -> ToHub {
        let (task_id, generation, incarnation) = (claim.task, claim.lease, Some(claim.incarnation));
        match self.clone() {
            Self::Complete { partial, result, tokens, verification, left } => {
                ToHub::TaskComplete(Complete {
                    task_id,
                    generation,
                    incarnation,
                    result: Some(result),
                    partial: partial.then_some(true),
                    tokens_used: tokens,
                    verification_report: verification,
                    left: Some(left).filter(|left| !left.is_none()),
                })
            }
            Self::Failed { category, error, fault, retry_after, tokens, left } => {
                ToHub::TaskFailed(Failed {
                    task_id,
                    generation,
                    incarnation,
                    error: Some(error),
                    reason: None,
                    category: Some(category),
                    fault,
                    retry_after_ms: retry_after,
                    tokens_used: tokens,
                    left: Some(left).filter(|left| !left.is_none()),
                })
            }
            Self::Released => ToHub::TaskReleased(Released { task_id, generation }),
            Self::Withdrawn { reason } => {
                ToHub::TaskWithdrawn(Withdrawn { task_id, generation, reason: Some(reason) })
            }
        }
    }

    /// The word for it, for people.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Complete { partial: false, .. } => "complete",
            Self::Complete { partial: true, .. } => "partial",
            Self::Failed { .. } => "failed",
            Self::Released => "released",
            Self::Withdrawn { .. } => "withdrawn",
        }
    }
}

impl From<JobOutcome> for Report {
    fn from(outcome: JobOutcome) -> Self {
        let left = Traces::default();
        match outcome {
            JobOutcome::Done { result, tokens, verification } => {
                Self::Complete { partial: false, result, tokens, verification, left }
            }
            JobOutcome::Partial { result, tokens, verification } => {
                Self::Complete { partial: true, result, tokens, verification, left }
            }
            JobOutcome::Failed { category, error, retry_after, tokens } => {
                let error = clipped(error);
                Self::Failed { category, error, fault: None, retry_after, tokens, left }
            }
            JobOutcome::Unserved { fault, error, retry_after, tokens } => Self::Failed {
                category: Category::Quota,
                error: clipped(error),
                fault: Some(fault),
                retry_after,
                tokens,
                left,
            },
            JobOutcome::Snooze { wait } => Self::Failed {
                category: Category::Quota,
                error: alloc::format!("asked to run again in {wait}"),
                fault: None,
                retry_after: Some(wait),
                tokens: None,
                left,
            },
            JobOutcome::Cancel { reason } => Self::Withdrawn { reason: clipped(reason) },
            JobOutcome::Stopped => {
                Self::failed(Category::Retryable, "it stopped without being asked".into())
            }
        }
    }
}

fn clipped(mut text: String) -> String {
    let mut end = text.len().min(ERROR_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
    text
}
