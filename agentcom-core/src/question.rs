//! This file describes questions: things that an agent asks a person while it holds a task.
//!
//! A question has a deadline and a default answer, so that nobody waits for ever.

use alloc::boxed::Box;
use serde::{Deserialize, Serialize};

use crate::id::{Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::{Breach, Call};
use crate::name::AgentId;
use crate::time::Wall;

/// An open question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Its name.
    pub id: QuestionId,
    /// The task that it is about.
    pub task: TaskId,
    /// The assignment in which it came up.
    pub lease: Lease,
    /// Who asks.
    pub asked_by: AgentId,
    /// The question.
    pub text: Box<str>,
    /// When it was asked.
    pub asked_at: Wall,
    /// When the default counts as the answer.
    pub deadline: Wall,
    /// The answer if nobody gives one.
    pub default: Json,
    /// The call that waits for it, if it is the hub that asks whether one may be paid for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spend: Option<Box<SpendAsk>>,
}

/// A call that would pass a cap.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpendAsk {
    /// The call.
    pub call: Call,
    /// The cap.
    pub breach: Breach,
}
