//! This file says what a task makes of the end of another that it depends on.

use core::fmt;

use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::task::TaskState;

/// What happens to a task when one it depends on ends without being completed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AfterDependency {
    /// It dies as well if the other died or was cancelled; one that is done in part is enough.
    #[default]
    Fail,
    /// It runs as if the other had completed.
    Continue,
    /// It dies as well unless the other is completed; one that is done in part is not enough.
    Strict,
}

/// How a task ended that is not completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shortfall {
    /// It is done in part.
    Partial,
    /// It died.
    Dead,
    /// It was called off.
    Cancelled,
}

/// The dependency that a task died of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedDependency {
    /// Which task.
    pub id: TaskId,
    /// How it ended.
    pub ended: Shortfall,
}

impl AfterDependency {
    /// What keeps a task from running after a dependency that ended like this; nothing if it may run,
    /// or if `state` is no end.
    #[must_use]
    pub const fn forbids(self, state: &TaskState) -> Option<Shortfall> {
        let Some(short) = Shortfall::of(state) else { return None };
        match (self, short) {
            (Self::Continue, _) | (Self::Fail, Shortfall::Partial) => None,
            (Self::Fail, Shortfall::Dead | Shortfall::Cancelled) | (Self::Strict, _) => Some(short),
        }
    }
}

impl Shortfall {
    /// What an end falls short by; nothing if it does not, or if the state is no end.
    const fn of(state: &TaskState) -> Option<Self> {
        match state {
            TaskState::Partial => Some(Self::Partial),
            TaskState::Dead(_) => Some(Self::Dead),
            TaskState::Cancelled => Some(Self::Cancelled),
            TaskState::Completed
            | TaskState::Blocked { .. }
            | TaskState::Delayed(_)
            | TaskState::Ready { .. }
            | TaskState::Assigned(_)
            | TaskState::Working(_)
            | TaskState::Waiting { .. } => None,
        }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Partial => "is done only in part",
            Self::Dead => "died",
            Self::Cancelled => "was cancelled",
        })
    }
}

impl fmt::Display for FailedDependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, which it depends on, {}", self.id, self.ended)
    }
}
