//! This file is the state machine of a task: where its life stands and what may happen next.
//!
//! | state | waits for | ends with |
//! |---|---|---|
//! | blocked | other tasks | their end, or the task's deadline |
//! | delayed | a time | that time |
//! | ready | an agent | an assignment, expiry or the deadline |
//! | assigned | the agent's acceptance | acceptance within 60 s, or the lease |
//! | working | the agent's result | a result, the lease, the timeout or the deadline |
//! | waiting | an answer or a quota | that, or the time until which it waits |
//! | completed, partial, dead, cancelled | nothing | never |
//!
//! **Invariant:** a terminal state is never left, except that an operator may revive the dead.

use core::fmt;

use alloc::boxed::Box;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::id::{Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::name::AgentId;
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
    /// A task that it depends on did not complete.
    Dependency,
}

/// The place of a ready task in its lane.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize,
)]
pub struct Place {
    /// What the policy says; smaller is earlier.
    pub order: u64,
    /// The start tag of fair queueing, from which the tags of later tasks follow.
    pub tag: u64,
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
    /// How it ended, if it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
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
    /// When it was submitted.
    pub created_at: Wall,
    /// When it last moved.
    pub updated_at: Wall,
    /// The latest attempts, oldest first, at most [`Life::ATTEMPTS_KEPT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<Attempt>,
    /// What it ended with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish: Option<Box<Finish>>,
}

/// What can happen to a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TaskEvent {
    /// A task that it depends on ended; with the last of them it moves on to the given state.
    Unblock(TaskId, TaskState),
    /// What it was delayed by or waited for is over; it becomes ready at the given place.
    Due(Place),
    /// It is given to an agent.
    Assign(Hold),
    /// The agent takes it on.
    Accept(Fence),
    /// The agent is done.
    Finish(Fence, Outcome, Box<Finish>),
    /// An agent that lost the lease is done, and nobody was given the task since.
    FinishLate(Fence, Outcome, Box<Finish>),
    /// The attempt ended without a result; the task moves on to the given state.
    End(Fence, Ended, TaskState),
    /// It dies.
    Kill(Death),
    /// It is called off.
    Cancel,
    /// An operator gives it another life at the given place.
    Revive(Place),
}

/// Why something cannot happen to a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Refused {
    /// The assignment is not the current one.
    #[error("the lease is stale")]
    Stale,
    /// Somebody else holds the task.
    #[error("the task is held by another agent")]
    NotHolder,
    /// It has ended.
    #[error("the task has ended")]
    Over,
    /// It does not fit the state.
    #[error("this does not fit the state of the task")]
    OutOfTurn,
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
        "blocked", "delayed", "ready", "assigned", "working", "waiting", "completed", "partial",
        "dead_letter", "cancelled",
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
    pub fn admits(&self, fence: &Fence) -> Result<(), Refused> {
        if fence.lease != self.lease {
            return Err(Refused::Stale);
        }
        if fence.agent != self.agent {
            return Err(Refused::NotHolder);
        }
        Ok(())
    }
}

impl Life {
    /// How many attempts are kept; older ones are dropped, their counts stay.
    pub const ATTEMPTS_KEPT: usize = 20;

    /// The life of a task that was submitted at `at`.
    #[must_use]
    pub fn new(state: TaskState, at: Wall) -> Self {
        Self {
            state,
            lease: Lease(0),
            failures: 0,
            crashes: 0,
            created_at: at,
            updated_at: at,
            attempts: Vec::new(),
            finish: None,
        }
    }

    /// The latest attempt.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&Attempt> {
        self.attempts.last()
    }

    /// What went wrong last.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.attempts.iter().rev().find_map(|attempt| attempt.ended.as_ref()?.error.as_deref())
    }

    /// The life after `event`.
    ///
    /// # Errors
    ///
    /// Why the event cannot happen; the life is as it was.
    pub fn on(&self, at: Wall, event: TaskEvent) -> Result<Self, Refused> {
        use TaskEvent as E;
        use TaskState as S;
        let mut next = self.clone();
        next.updated_at = at;
        match &self.state {
            S::Blocked { on } => match event {
                E::Unblock(other, then) => next.unblock(on, other, then)?,
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => return Err(Refused::Stale),
                E::Due(_) | E::Assign(_) | E::Revive(_) => return Err(Refused::OutOfTurn),
            },
            S::Delayed(_) | S::Waiting { .. } => match event {
                E::Due(place) => next.state = S::Ready { since: at, place },
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::FinishLate(fence, outcome, finish) => next.finish_late(&fence, outcome, finish)?,
                E::Accept(_) | E::Finish(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::Assign(_) | E::Revive(_) => return Err(Refused::OutOfTurn),
            },
            S::Ready { .. } => match event {
                E::Assign(hold) => next.assign(hold)?,
                E::Kill(death) => next.state = S::Dead(death),
                E::Cancel => next.state = S::Cancelled,
                E::FinishLate(fence, outcome, finish) => next.finish_late(&fence, outcome, finish)?,
                E::Accept(_) | E::Finish(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::Due(_) | E::Revive(_) => return Err(Refused::OutOfTurn),
            },
            S::Assigned(hold) | S::Working(hold) => match event {
                E::Accept(fence) => next.accept(hold, &fence)?,
                E::Finish(fence, outcome, finish) => {
                    hold.admits(&fence)?;
                    next.finish(outcome, finish);
                }
                E::End(fence, ended, then) => {
                    hold.admits(&fence)?;
                    next.end(ended, then);
                }
                E::Kill(death) => next.call_off(S::Dead(death)),
                E::Cancel => next.call_off(S::Cancelled),
                E::FinishLate(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::Due(_) | E::Assign(_) | E::Revive(_) => {
                    return Err(Refused::OutOfTurn);
                }
            },
            S::Dead(_) => match event {
                E::Revive(place) => next.revive(place),
                E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..) | E::Due(_) | E::Assign(_) | E::Kill(_) | E::Cancel => {
                    return Err(Refused::Over);
                }
            },
            S::Completed | S::Partial | S::Cancelled => match event {
                E::Accept(_) | E::Finish(..) | E::FinishLate(..) | E::End(..) => return Err(Refused::Stale),
                E::Unblock(..)
                | E::Due(_)
                | E::Assign(_)
                | E::Kill(_)
                | E::Cancel
                | E::Revive(_) => return Err(Refused::Over),
            },
        }
        Ok(next)
    }

    fn unblock(&mut self, on: &[TaskId], other: TaskId, then: TaskState) -> Result<(), Refused> {
        if !on.contains(&other) {
            return Err(Refused::OutOfTurn);
        }
        let left: Vec<TaskId> = on.iter().copied().filter(|&id| id != other).collect();
        self.state = if left.is_empty() { then } else { TaskState::Blocked { on: left } };
        Ok(())
    }

    fn assign(&mut self, hold: Hold) -> Result<(), Refused> {
        if hold.lease <= self.lease {
            return Err(Refused::Stale);
        }
        if self.attempts.len() == Self::ATTEMPTS_KEPT {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt {
            lease: hold.lease,
            agent: hold.agent.clone(),
            assigned_at: hold.since,
            accepted_at: None,
            ended: None,
        });
        self.lease = hold.lease;
        self.state = TaskState::Assigned(hold);
        Ok(())
    }

    fn accept(&mut self, hold: &Hold, fence: &Fence) -> Result<(), Refused> {
        hold.admits(fence)?;
        let at = self.updated_at;
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.accepted_at.get_or_insert(at);
        }
        self.state = TaskState::Working(hold.clone());
        Ok(())
    }

    fn finish(&mut self, outcome: Outcome, finish: Box<Finish>) {
        let ended = Ended { at: self.updated_at, outcome, error: None, tokens: finish.tokens };
        self.close_attempt(ended);
        self.finish = Some(finish);
        self.state = match outcome {
            Outcome::Partial => TaskState::Partial,
            Outcome::Completed
            | Outcome::Failed(_)
            | Outcome::TimedOut
            | Outcome::NotAccepted
            | Outcome::LeaseLost
            | Outcome::Released
            | Outcome::CalledOff => TaskState::Completed,
        };
    }

    fn finish_late(&mut self, fence: &Fence, outcome: Outcome, finish: Box<Finish>) -> Result<(), Refused> {
        let lost = |attempt: &Attempt| {
            attempt.ended.as_ref().is_some_and(|ended| ended.outcome == Outcome::LeaseLost)
        };
        let last = self.attempts.last().filter(|attempt| lost(attempt)).ok_or(Refused::Stale)?;
        let hold = Hold { agent: last.agent.clone(), lease: last.lease, since: last.assigned_at };
        hold.admits(fence)?;
        self.finish(outcome, finish);
        Ok(())
    }

    fn end(&mut self, ended: Ended, then: TaskState) {
        match ended.outcome {
            Outcome::Failed(Category::Retryable | Category::Permanent)
            | Outcome::TimedOut
            | Outcome::NotAccepted => self.failures += 1,
            Outcome::Failed(Category::Crash) | Outcome::LeaseLost => self.crashes += 1,
            Outcome::Failed(Category::Quota)
            | Outcome::Released
            | Outcome::CalledOff
            | Outcome::Completed
            | Outcome::Partial => {}
        }
        self.close_attempt(ended);
        self.state = then;
    }

    fn call_off(&mut self, then: TaskState) {
        let at = self.updated_at;
        self.close_attempt(Ended { at, outcome: Outcome::CalledOff, error: None, tokens: None });
        self.state = then;
    }

    fn close_attempt(&mut self, ended: Ended) {
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.ended = Some(ended);
        }
    }

    fn revive(&mut self, place: Place) {
        self.failures = 0;
        self.crashes = 0;
        self.state = TaskState::Ready { since: self.updated_at, place };
    }
}
