//! This file holds what the life of a task is made of: states, attempts and outcomes.

use core::fmt;

use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Refused;
use crate::guard::{Guard, Guards};
use crate::id::{Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::Spend;
use crate::name::AgentId;
use crate::route::{Chosen, Decision};
use crate::task::{FailedDependency, Traces};
use crate::time::{Span, Wall};

/// One assignment of a task to one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Who holds the task.
    pub agent: AgentId,
    /// The number of the assignment.
    pub lease: Lease,
    /// When it was made.
    pub since: Wall,
}

/// What a message about a held task has to match: the agent and the number of its assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Who speaks.
    pub agent: AgentId,
    /// Of which assignment.
    pub lease: Lease,
}

/// What a delayed task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delay {
    /// A date.
    Until(Wall),
    /// A span of running time; it starts again when the hub does.
    Backoff(Span),
}

/// What a waiting task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Wait {
    /// The time at which an agent's quota is renewed.
    Quota,
    /// The answer to a question.
    Question(QuestionId),
}

/// Why a task died.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Its attempts are spent.
    Exhausted,
    /// It failed in a way that no further attempt can mend.
    Permanent,
    /// It took down too many agents.
    Crashed,
    /// Its `complete_by` passed.
    Deadline,
    /// It was ready for longer than `expires_after`.
    Expired,
    /// A task that it depends on ended without what it needs.
    Dependency,
}

/// The place of a ready task in its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// What the policy says; smaller is earlier, and [`Place::FRONT`] is the front.
    pub order: u64,
    /// The start tag of fair queueing, from which the tags of later tasks follow.
    pub tag: u64,
}

impl Place {
    /// The order in front of what any policy says.
    pub const FRONT: u64 = 0;
}

/// Where the life of a task stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Waits for these tasks to end.
    Blocked {
        /// Those that have not ended.
        on: Vec<TaskId>,
    },
    /// Waits for a time.
    Delayed(Delay),
    /// Waits for an agent.
    Ready {
        /// Since when.
        since: Wall,
        /// Its place in its lane.
        place: Place,
    },
    /// Was given to an agent that has not accepted it yet.
    Assigned(Hold),
    /// Is worked on.
    Working(Hold),
    /// Waits for an answer or a quota.
    Waiting {
        /// For which.
        on: Wait,
        /// Until when at most; then it becomes ready.
        until: Wall,
    },
    /// Is done.
    Completed,
    /// Is done in part.
    Partial,
    /// Ended without a result.
    Dead(Death),
    /// Was called off.
    Cancelled,
}

/// How a failure is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// Another attempt may succeed.
    Retryable,
    /// No attempt can succeed.
    Permanent,
    /// The agent may not work before a time; no attempt is spent.
    Quota,
    /// The work took its process or its agent down.
    Crash,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// With a result.
    Completed,
    /// With part of a result.
    Partial,
    /// With a failure.
    Failed(Category),
    /// It took longer than it may.
    TimedOut,
    /// Nobody accepted it in time.
    NotAccepted,
    /// The agent stopped renewing its lease, or came back without the work.
    LeaseLost,
    /// The agent gave it back unstarted or on its way out; the attempt is not spent.
    Released,
    /// The task ended while it ran.
    CalledOff,
}

/// The end of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Wall,
    /// How.
    pub outcome: Outcome,
    /// What went wrong, in the agent's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Box<str>>,
    /// Model tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What it left behind.
    #[serde(default, skip_serializing_if = "Traces::is_none")]
    pub left: Traces,
}

/// One try at a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// The number of the assignment.
    pub lease: Lease,
    /// Who tried.
    pub agent: AgentId,
    /// When it was given out.
    pub assigned_at: Wall,
    /// When the agent took it on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accepted_at: Option<Wall>,
    /// The model that was chosen for it, and what else there was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Box<Decision>>,
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

impl Attempt {
    /// The model that was chosen for it, if the hub chose one.
    #[must_use]
    pub fn chosen(&self) -> Option<&Chosen> {
        self.route.as_ref()?.chosen.as_ref()
    }
}

/// What a task ends with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finish {
    /// What the executor made of it.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub result: Json,
    /// Model tokens used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// What the checks said.
    #[serde(default, skip_serializing_if = "Json::is_null")]
    pub verification: Json,
    /// What its attempt left behind, which goes to the end of that attempt and is not stored here.
    #[serde(skip)]
    pub left: Traces,
}

/// What a person answered to an agent that gave the task back until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The question.
    pub question: Box<str>,
    /// The answer.
    pub answer: Json,
    /// Whether nobody answered in time.
    pub defaulted: bool,
}

/// The life of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    /// Where it stands.
    pub state: TaskState,
    /// The number of the latest assignment; it never rewinds.
    pub lease: Lease,
    /// Attempts spent on failures.
    #[serde(default)]
    pub failures: u32,
    /// Leases lost and agents taken down.
    #[serde(default)]
    pub crashes: u32,
    /// How often an operator gave it another life. Each life has all of its budgets anew: attempts, and
    /// the rounds of corrections of coding tasks.
    #[serde(default, skip_serializing_if = "never")]
    pub revivals: u32,
    /// When it was submitted.
    pub created_at: Wall,
    /// When it last moved.
    pub updated_at: Wall,
    /// The latest attempts, oldest first, at most [`Life::ATTEMPTS_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// Answers for its next agents, oldest first, at most [`Life::ANSWERS_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answer>,
    /// The dependency that it died of, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_dependency: Option<Box<FailedDependency>>,
    /// What it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Box<Finish>>,
    /// What it has cost, if a model had a part in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Box<Spend>>,
}

/// Whether it never happened, as serde asks.
pub(crate) const fn never(times: &u32) -> bool {
    *times == 0
}

impl Ended {
    /// An end of which nothing more is known.
    #[must_use]
    pub fn new(at: Wall, outcome: Outcome) -> Self {
        Self { at, outcome, error: None, tokens: None, left: Traces::default() }
    }
}

impl TaskState {
    /// The word for the state.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Blocked { .. } => "blocked",
            Self::Delayed(_) => "delayed",
            Self::Ready { .. } => "ready",
            Self::Assigned(_) => "assigned",
            Self::Working(_) => "working",
            Self::Waiting { .. } => "waiting",
            Self::Completed => "completed",
            Self::Partial => "partial",
            Self::Dead(_) => "dead_letter",
            Self::Cancelled => "cancelled",
        }
    }

    /// All words for states.
    pub const WORDS: [&'static str; 10] = [
        "blocked",
        "delayed",
        "ready",
        "assigned",
        "working",
        "waiting",
        "completed",
        "partial",
        "dead_letter",
        "cancelled",
    ];

    /// Whether it is never left by itself.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Completed | Self::Partial | Self::Dead(_) | Self::Cancelled => true,
            Self::Blocked { .. }
            | Self::Delayed(_)
            | Self::Ready { .. }
            | Self::Assigned(_)
            | Self::Working(_)
            | Self::Waiting { .. } => false,
        }
    }

    /// Whether it waits for the answer to this question.
    #[must_use]
    pub fn waits_for(&self, question: QuestionId) -> bool {
        matches!(self, Self::Waiting { on: Wait::Question(on), .. } if *on == question)
    }

    /// The current assignment.
    #[must_use]
    pub const fn hold(&self) -> Option<&Hold> {
        match self {
            Self::Assigned(hold) | Self::Working(hold) => Some(hold),
            Self::Blocked { .. }
            | Self::Delayed(_)
            | Self::Ready { .. }
            | Self::Waiting { .. }
            | Self::Completed
            | Self::Partial
            | Self::Dead(_)
            | Self::Cancelled => None,
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exhausted => "exhausted",
            Self::Permanent => "permanent",
            Self::Crashed => "crashed",
            Self::Deadline => "deadline",
            Self::Expired => "expired",
            Self::Dependency => "dependency",
        })
    }
}

impl Hold {
    /// What a message about this assignment has to match.
    #[must_use]
    pub fn fence(&self) -> Fence {
        Fence { agent: self.agent.clone(), lease: self.lease }
    }

    /// Whether `fence` speaks of this assignment.
    ///
    /// # Errors
    ///
    /// [`Refused::Stale`] for another number, [`Refused::NotHolder`] for another agent.
    pub fn admits(&self, guards: Guards, fence: &Fence) -> Result<(), Refused> {
        if fence.lease != self.lease && guards.on(Guard::Lease) {
            return Err(Refused::Stale);
        }
        if fence.agent != self.agent && guards.on(Guard::Owner) {
            return Err(Refused::NotHolder);
        }
        Ok(())
    }
}
