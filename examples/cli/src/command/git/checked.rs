//! This file says what of a task's report of checks counts for a commit.

use agentcom_core::risk::Verified;
use agentcom_core::time::Span;
use agentcom_exec::verify::measured;
use serde_json::Value;

use crate::text;

/// The report of a task, if it is about the commit `head`, or why it counts for nothing.
pub(super) fn report_on<'a>(told: &'a Value, head: &str) -> Result<&'a Value, &'static str> {
    let report = &told["verification_report"];
    match report["commit"].as_str() {
        Some(commit) if commit == head => Ok(report),
        Some(_) => Err("the report of the task is about another commit"),
        None if report.is_null() => Err("the task has no report"),
        None => Err("the report of the task does not say which commit it is about"),
    }
}

/// What a report says. One that says nothing known is no good one.
pub(super) fn verified(report: Result<&Value, &str>) -> Verified {
    let Ok(report) = report else { return Verified::NotChecked };
    match report["status"].as_str() {
        Some("pass" | "auto_pass") => Verified::Passed,
        Some("skip") => Verified::NotChecked,
        Some(_) | None => Verified::Failed,
    }
}

/// The checks of a report, a line each.
pub(super) fn lines(report: &Value) -> Vec<String> {
    let checks = report["checks"].as_array().into_iter().flatten();
    let line = |check: &Value| {
        let [kind, target, status] =
            ["type", "target", "status"].map(|key| text::field(check, key));
        let took = check["duration_ms"].as_u64().map(Span);
        let said = format!("{status}: {kind} {target}");
        format!("{}{}", said.trim_end(), measured(check["exit_code"].as_i64(), took))
    };
    checks.map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_report_is_good_only_if_it_says_so() {
        let of = |status: Value| verified(Ok(&json!({ "status": status })));
        assert_eq!(
            (of(json!("pass")), of(json!("skip"))),
            (Verified::Passed, Verified::NotChecked)
        );
        for odd in [json!("fail"), json!("timeout"), json!(true), Value::Null] {
            assert_eq!(of(odd.clone()), Verified::Failed, "{odd}");
        }
    }

    #[test]
    fn a_report_counts_only_for_its_commit() {
        let told = |report: Value| json!({ "verification_report": report });
        let good = told(json!({ "status": "pass", "commit": "0123" }));
        assert_eq!(verified(report_on(&good, "0123")), Verified::Passed);
        let without = told(json!({ "status": "pass" }));
        for (told, why) in [
            (&good, "the report of the task is about another commit"),
            (&without, "the report of the task does not say which commit it is about"),
            (&told(Value::Null), "the task has no report"),
        ] {
            assert_eq!(report_on(told, "4567"), Err(why));
            assert_eq!(verified(report_on(told, "4567")), Verified::NotChecked);
        }
    }

    #[test]
    fn checks_are_told_with_what_was_measured() {
        let report = json!({ "checks": [
            { "type": "test_passes", "target": "make", "status": "fail", "exit_code": 2, "duration_ms": 1_200 },
            { "type": "git_clean", "target": "", "status": "pass" },
        ] });
        let told = ["fail: test_passes make (exit code 2, 1.2 s)", "pass: git_clean"];
        assert_eq!(lines(&report), told);
    }
}
