//! This file checks whether a task is done, in a clean checkout and in the sandbox.
//!
//! Nothing that the agent's own processes said or left behind counts: what is checked is a commit.
//! What the checks are and what they say together is [`agentcom_core::verify`]'s to decide.

mod checker;
mod inside;
mod partial;
mod report;
mod steering;
mod tracked;

pub use checker::Checker;
pub use partial::PartialPass;
pub use report::{CheckReport, Report, measured};

use crate::git::Changed;

/// What a commit changes, and what was left out of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    /// The branch of the remote that it starts from.
    pub base: String,
    /// Files that differ from the base.
    pub files: Vec<Changed>,
    /// Files that are not committed.
    pub uncommitted: Vec<String>,
}
