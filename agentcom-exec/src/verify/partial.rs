//! This file says what is done of a task that was not done to its end, and what remains.

use agentcom_core::verify::Status;
use serde::Serialize;

use super::Report;

/// How many things are listed as done, and as remaining; how many more there are is the last line.
const ITEMS_MAX: usize = 20;
/// How long each of them may be, in bytes.
const ITEM_BYTES_MAX: usize = 240;

/// What a task came to that was not done to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PartialPass {
    verdict: &'static str,
    done: Vec<String>,
    remaining: Vec<String>,
}

impl PartialPass {
    /// What was done and what was in the way, with the checks of `report` among what is done if they
    /// hold, and among what remains if they do not.
    #[must_use]
    pub fn new(done: Option<String>, in_the_way: Vec<String>, report: &Report) -> Self {
        let (mut done, mut remaining): (Vec<_>, _) = (done.into_iter().collect(), in_the_way);
        for check in &report.checks {
            let list = if check.status == Status::Pass { &mut done } else { &mut remaining };
            list.push(check.told());
        }
        Self { verdict: "partial_pass", done: bounded(done), remaining: bounded(remaining) }
    }

    /// What is done.
    #[must_use]
    pub fn done(&self) -> &[String] {
        &self.done
    }

    /// What remains to be done, what kept it from being done first.
    #[must_use]
    pub fn remaining(&self) -> &[String] {
        &self.remaining
    }
}

fn bounded(mut items: Vec<String>) -> Vec<String> {
    let more = items.len().saturating_sub(ITEMS_MAX);
    if more > 0 {
        items.truncate(ITEMS_MAX - 1);
        items.push(format!("and {} more", more + 1));
    }
    for item in &mut items {
        item.truncate(item.floor_char_boundary(ITEM_BYTES_MAX));
    }
    items
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verify::CheckReport;
    use agentcom_core::verify::Verdict;

    #[test]
    fn checks_are_listed_by_what_they_say_and_not_more_than_people_read() {
        let check = |target: String, status| CheckReport {
            kind: "file_exists".into(),
            target,
            description: None,
            status,
            output: String::new(),
            exit_code: None,
            duration_ms: 1,
        };
        let mut report = Report {
            run_number: 1,
            status: Verdict::Partial,
            commit: "0123".into(),
            tree: "4567".into(),
            duration_ms: 1,
            timeout_ms: 1,
            checks: vec![
                check("a".into(), Status::Pass),
                check("b".into(), Status::Fail),
                check("c".into(), Status::Timeout),
            ],
        };
        let partial = |report: &Report| {
            PartialPass::new(Some("2 commits".into()), vec!["no time".into()], report)
        };
        let told = partial(&report);
        assert_eq!(told.done(), ["2 commits", "pass: file_exists a"]);
        assert_eq!(told.remaining(), ["no time", "fail: file_exists b", "timeout: file_exists c"]);
        report.checks = vec![check("\u{e4}".repeat(1_000), Status::Fail); 100];
        let told = partial(&report);
        assert_eq!((told.remaining().len(), told.remaining()[19].as_str()), (20, "and 82 more"));
        assert!(told.remaining().iter().all(|item| item.len() <= ITEM_BYTES_MAX));
    }
}
