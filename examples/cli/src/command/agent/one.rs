//! This file shows all that is known of one agent.

use agentcom_core::sandbox::{Expected, Report};
use serde_json::Value;

use super::{cells, phase_of};
use crate::confine;
use crate::print::{FAINT, STRONG};
use crate::table::one_line;
use crate::text::field;

/// The names of what stands in a row of the list, behind the agent's own.
const NAMES: [&str; 7] =
    ["phase", "tasks", "runs", "sandbox", "capabilities", "version", "machine"];

pub(super) fn shown(agent: &Value) -> String {
    let mut text = format!("{STRONG}{}{STRONG:#}\n", one_line(&field(agent, "agent_id")));
    let report: Option<Report> = serde_json::from_value(agent["sandbox"].clone()).ok();
    let cells = cells(agent, phase_of(agent));
    for (name, cell) in NAMES.into_iter().zip(&cells[1..]) {
        let cell = match (name, &report) {
            ("sandbox", Some(report)) => confine::told(report),
            ("sandbox", None) => "it says nothing of one".to_owned(),
            (_, _) => cell.clone(),
        };
        if !cell.is_empty() {
            text.push_str(&line(name, &cell));
        }
    }
    text + &report.map_or_else(String::new, |report| of_sandbox(&report))
}

fn line(name: &str, value: &str) -> String {
    format!("  {FAINT}{name:<12}{FAINT:#}  {}\n", one_line(value))
}

/// Why a sandbox is not stronger, and what was tried in it.
fn of_sandbox(report: &Report) -> String {
    let missing = report.missing.iter().map(|missing| {
        let why = format!("{}. To have it: {}", missing.seen, missing.hint);
        line(&format!("not {}", missing.level), &why)
    });
    let tried = report.attempts.iter().filter(|attempt| attempt.held).map(|attempt| {
        let word = match attempt.expected {
            Expected::Blocked => "cannot",
            Expected::Works => "can",
        };
        line(word, &attempt.what)
    });
    let means = confine::means(report).map(|means| line("held by", &means));
    let residue = report.residue.iter().map(|open| line("left open", open));
    means.into_iter().chain(missing).chain(residue).chain(tried).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    fn plain(agent: &Value) -> String {
        anstream::adapter::strip_str(&shown(agent)).to_string()
    }

    #[test]
    fn of_one_agent_it_is_shown_what_its_sandbox_was_seen_to_hold() {
        let agent = json!({"agent_id": "a-1", "fsm_state": "idle", "executors": ["code"],
        "capabilities": ["sandbox-l1"], "version": "0.1.0", "sandbox": {"level": "L1",
        "network": false,
        "missing": [{"level": "L2", "seen": "no\u{1b}[31m Landlock", "hint": "Linux 6.2"}],
        "attempts": [
            {"what": "read a file outside", "expected": "Blocked", "held": true},
            {"what": "write there", "expected": "Works", "held": true},
        ]}});
        expect![[r#"
            a-1
              phase         idle
              runs          code
              sandbox       L1, for files only: models get no commands, checks that need one are not made, and no shell tasks are taken, since no [31m Landlock; Linux 6.2
              capabilities  sandbox-l1
              version       0.1.0
              not L2        no [31m Landlock. To have it: Linux 6.2
              cannot        read a file outside
              can           write there
        "#]].assert_eq(&plain(&agent));
        let open = json!({"agent_id": "a-1", "fsm_state": "idle", "executors": [], "sandbox": {
            "level": "L2", "landlock_abi": 4, "user": "Same", "residue": ["a command can signal"]}});
        expect![[r#"
            a-1
              phase         idle
              sandbox       L2; commands are confined
              held by       Landlock ABI 4; commands run as the same user as the agent
              left open     a command can signal
        "#]]
        .assert_eq(&plain(&open));
        let older = json!({"agent_id": "a-1", "fsm_state": "idle", "executors": []});
        expect![[r#"
            a-1
              phase         idle
              sandbox       it says nothing of one
        "#]]
        .assert_eq(&plain(&older));
    }
}
