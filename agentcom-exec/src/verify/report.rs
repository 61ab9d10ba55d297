//! This file says what checks found, for people, for the next round, and for the store.

use std::fmt::Write as _;

use agentcom_core::time::Span;
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

    /// Each check on a line, with what was measured, for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let line = |check: &CheckReport| {
            let exit_code = check.exit_code.map(i64::from);
            format!("{}{}", check.told(), measured(exit_code, Some(Span(check.duration_ms))))
        };
        self.checks.iter().map(line).collect()
    }
}

/// What a check ended with and how long it took, as it stands behind its line; nothing where neither is
/// known.
#[must_use]
pub fn measured(exit_code: Option<i64>, took: Option<Span>) -> String {
    let exit_code = exit_code.map(|code| format!("exit code {code}"));
    let parts: Vec<_> = exit_code.into_iter().chain(took.map(|took| took.to_string())).collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_what_was_measured_as_far_as_that_is_known() {
        let check = |exit_code, duration_ms| CheckReport {
            kind: "test_passes".into(),
            target: "make test".into(),
            description: None,
            status: Status::Fail,
            output: "much".into(),
            exit_code,
            duration_ms,
        };
        let report = Report {
            run_number: 1,
            status: Verdict::Fail,
            commit: "0123".into(),
            tree: "4567".into(),
            duration_ms: 1_212,
            timeout_ms: 600_000,
            checks: vec![check(Some(2), 1_200), check(None, 12)],
        };
        let lines = [
            "fail: test_passes make test (exit code 2, 1.2 s)",
            "fail: test_passes make test (12 ms)",
        ];
        assert_eq!(report.lines(), lines);
        assert_eq!(measured(None, None), "");
    }
}
