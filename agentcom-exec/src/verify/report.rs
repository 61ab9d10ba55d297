//! This file says what checks found, for people, for the next round, and for the store.

use std::fmt::Write as _;

use agentcom_core::verify::{Status, Verdict};
use serde::Serialize;

/// What all checks of a task found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// In which round, from 1.
    pub run_number: u32,
    /// What they say together.
    pub status: Verdict,
    /// The commit that was checked.
    pub commit: String,
    /// The hash of all that is in it.
    pub tree: String,
    /// How long all of it took, in milliseconds.
    pub duration_ms: u64,
    /// How long it may take, in milliseconds.
    pub timeout_ms: u64,
    /// Each check.
    pub checks: Vec<CheckReport>,
}

/// What a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// The kind of check.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was checked.
    pub target: String,
    /// What it means for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it says.
    pub status: Status,
    /// What was seen: for commands, the end of what they printed.
    pub output: String,
    /// What the command ended with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
}

impl Report {
    /// What is done and what is left to do, for a model that is to mend it.
    #[must_use]
    pub fn for_model(&self) -> String {
        let mut text = format!("Your change was checked (round {}).", self.run_number);
        self.list(&mut text, "These checks hold. Keep it so:", |status| status == Status::Pass);
        self.list(&mut text, "These do not. Mend this:", |status| status != Status::Pass);
        text
    }

    fn list(&self, text: &mut String, heading: &str, wanted: impl Fn(Status) -> bool) {
        /// As much of an output as is told, in bytes.
        const OUTPUT_BYTES_MAX: usize = 1_500;
        let checks: Vec<_> = self.checks.iter().filter(|check| wanted(check.status)).collect();
        if checks.is_empty() {
            return;
        }
        let _ = write!(text, "\n\n{heading}");
        for check in checks {
            let _ = write!(text, "\n- {}", check.line());
            if check.status != Status::Pass && !check.output.is_empty() {
                let from = check.output.len().saturating_sub(OUTPUT_BYTES_MAX);
                let from = check.output.ceil_char_boundary(from);
                let _ = write!(text, ":\n{}", &check.output[from..]);
            }
        }
    }

    /// Each check on a line, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.checks.iter().map(CheckReport::told).collect()
    }
}

impl CheckReport {
    /// The check and what it says, on a line.
    pub(super) fn told(&self) -> String {
        format!("{}: {}", self.status.as_str(), self.line())
    }

    fn line(&self) -> String {
        let what = format!("{} {}", self.kind, self.target);
        match &self.description {
            Some(description) => format!("{} ({description})", what.trim()),
            None => what.trim().to_owned(),
        }
    }
}
