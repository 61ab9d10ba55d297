//! This file describes questions: things that an agent asks a person while it holds a task.
//!
//! A question has a deadline and a default answer, so that nobody waits for ever.

use alloc::boxed::Box;
use alloc::string::String;

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

/// The words that say yes, in whatever case.
pub const YES: [&str; 5] = ["yes", "y", "ok", "allow", "true"];

/// Whether an answer says yes: `true`, or one of [`YES`]. What is anything else does not, since what
/// cannot be understood allows nothing.
#[must_use]
pub fn is_yes(answer: &Json) -> bool {
    let is_word = |text: &str| YES.iter().any(|yes| text.trim().eq_ignore_ascii_case(yes));
    let said = answer.read::<bool>();
    said.unwrap_or_else(|_| answer.read::<String>().is_ok_and(|text| is_word(&text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yes_is_said_by_a_word_for_it_and_by_nothing_else() {
        let said = |json: &str| is_yes(&Json::parse(json).unwrap());
        for yes in ["true", "\"yes\"", "\"Y\"", "\" OK \"", "\"allow\"", "\"true\""] {
            assert!(said(yes), "{yes}");
        }
        for no in ["false", "null", "1", "[true]", "{\"yes\":true}", "\"\"", "\"no\"", "\"yes!\""] {
            assert!(!said(no), "{no}");
        }
    }
}
