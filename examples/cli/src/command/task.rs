//! This file shows one task.

use agentcom_core::time::Wall;
use serde_json::Value;

use crate::args::Context;
use crate::exit::Outcome;
use crate::name::{id_of, task_id};
use crate::print::{FAINT, STRONG};
use crate::route;
use crate::table::one_line;
use crate::text;
use crate::waiting::{self, state_of};

/// Which task.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Its id, or the end of it
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let id = task_id(&client, &args.id).await?;
    let task = client.get(&["api", "tasks", &id], &[]).await?;
    let questions = match waiting::is_over(&task) {
        true => Vec::new(),
        false => super::questions::about(&client, &id).await?,
    };
    Ok(ctx.print.data(&task, || render(&task, &questions, text::now()))?)
}

fn render(task: &Value, questions: &[String], now: Wall) -> String {
    let state = state_of(task);
    let style = super::tasks::style_of(state);
    let mut out = format!("{STRONG}{}{STRONG:#}  {style}{state}{style:#}\n", id_of(task));
    let mut line = |name: &str, value: &str| {
        if !value.is_empty() && value != "null" {
            out.push_str(&format!("  {FAINT}{name:<13}{FAINT:#}{}\n", one_line(value)));
        }
    };
    line("description", &text::field(task, "description"));
    line("runs", &operation(task));
    line("lane", &super::tasks::lane(task));
    line("tier", &tier(&task["complexity"]));
    line("after", &dependencies(task));
    for (name, field) in FIELDS {
        line(name, &text::field(task, field));
    }
    for (name, field) in DATES {
        if let Some(at) = text::date(&task[field]) {
            line(name, &format!("{} ({} ago)", text::stamp(at), text::age(Some(at), now)));
        }
    }
    for attempt in task["attempts"].as_array().into_iter().flatten() {
        line("attempt", &attempt_line(attempt));
    }
    line("spent", &super::money::spent_line(&task["spent"]));
    for question in questions {
        line("asks", question);
    }
    for (name, value) in coding_lines(&task["result"]) {
        line(name, &value);
    }
    for check in task["verification_report"]["checks"].as_array().into_iter().flatten() {
        line("check", &check_line(check));
    }
    let printed = output(task);
    if !printed.is_empty() {
        out.push_str(&format!("  {FAINT}output{FAINT:#}\n"));
        for row in printed.lines() {
            out.push_str(&format!("    {row}\n"));
        }
    }
    out
}

const FIELDS: [(&str, &str); 8] = [
    ("agent", "assigned_to"),
    ("needs", "needed_capabilities"),
    ("repo", "repo"),
    ("for", "assign_to"),
    ("goal", "goal_id"),
    ("tags", "tags"),
    ("asked for by", "submitted_by"),
    ("last error", "last_error"),
];
const DATES: [(&str, &str); 2] = [("created", "created_at"), ("moved", "updated_at")];

fn operation(task: &Value) -> String {
    let op = &task["op"];
    let kind = text::field(op, "kind");
    match op["input"]["command"].as_str() {
        Some(command) => format!("{kind}: {command}"),
        None if op["input"].is_null() => kind,
        None => format!("{kind}: {}", op["input"]),
    }
}

/// What it depends on, and what it makes of their ends; nothing if it depends on nothing.
fn dependencies(task: &Value) -> String {
    let on = text::field(task, "depends_on");
    if on.is_empty() {
        return on;
    }
    let then = super::why::after_failure(&text::field(task, "on_dependency_failure"));
    format!("{on}; it {then}")
}

/// How demanding the task is, and why; nothing if there is nothing to go by.
fn tier(complexity: &Value) -> String {
    let inferred = &complexity["inferred"];
    let (effective, looks) =
        (text::field(complexity, "effective_tier"), text::field(inferred, "tier"));
    let keyword = text::field(inferred, "keyword");
    let by = if keyword.is_empty() { keyword } else { format!(" by `{keyword}`") };
    let sure = format!("{} % sure{by}", text::field(inferred, "confidence_percent"));
    match complexity["source"].as_str() {
        Some("explicit") if looks == "unknown" => format!("{effective}, as was said"),
        Some("explicit") => format!("{effective}, as was said; it looks {looks} ({sure})"),
        Some(_) if looks != "unknown" => format!("{effective} ({sure})"),
        _ => String::new(),
    }
}

fn attempt_line(attempt: &Value) -> String {
    let outcome = text::field(attempt, "outcome");
    let parts = [
        format!("{} on {}", text::plain(&attempt["generation"]), text::field(attempt, "agent_id")),
        route::chosen(&attempt["route"]).unwrap_or_default(),
        if outcome.is_empty() { "running".into() } else { outcome },
        text::field(attempt, "category"),
        text::field(attempt, "error"),
        survivors(attempt),
        transcripts(attempt),
    ];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

/// What is left of the commands of an attempt, for a person to look after.
fn survivors(attempt: &Value) -> String {
    match attempt["survivors"].as_u64().unwrap_or(0) {
        0 => String::new(),
        1 => "1 process could not be killed".into(),
        more => format!("{more} processes could not be killed"),
    }
}

/// Where what was said in an attempt is kept.
fn transcripts(attempt: &Value) -> String {
    /// As many digits as are enough for people to tell names apart.
    const DIGITS: usize = 12;
    let names = attempt["transcripts"].as_array().into_iter().flatten();
    let names: Vec<String> =
        names.map(|name| text::plain(name).chars().take(DIGITS).collect()).collect();
    if names.is_empty() { String::new() } else { format!("transcript {}", names.join(" ")) }
}

/// Whether a result is that of a coding task.
fn is_coding(result: &Value) -> bool {
    result["branch"].is_string() && result["steps"].is_array()
}

/// What a coding task came to.
fn coding_lines(result: &Value) -> Vec<(&'static str, String)> {
    if !is_coding(result) {
        return Vec::new();
    }
    let field = |name| text::field(result, name);
    let counted =
        |what: &str| text::counted(result[format!("{what}s")].as_u64().unwrap_or(0), what);
    let tokens = ["tokens_in", "tokens_out"].map(|name| result[name].as_u64().unwrap_or(0));
    let stopped = [("stopped", field("stopped")), ("failed", field("failed"))];
    let stopped = stopped.iter().filter(|(_, why)| !why.is_empty());
    let stopped: String = stopped.map(|(how, why)| format!(", {how}: {why}")).collect();
    let model = format!(
        "{}, {}, {} in the last, {} tokens, in {}{stopped}",
        field("model"),
        counted("round"),
        counted("turn"),
        tokens.iter().sum::<u64>(),
        field("sandbox"),
    );
    let pushed = if result["pushed"] == true { "pushed" } else { "not pushed" };
    let commit = format!("{}, {pushed}, risk tier {}", field("commit"), field("risk_tier"));
    let pull_request = match result["pull_request_draft"] == true {
        true => "draft",
        false => "pull request",
    };
    let passed_over = result["passed_over"].as_array().into_iter().flatten();
    let passed_over = passed_over
        .map(|one| format!("{}: {}", text::field(one, "model"), text::field(one, "why")))
        .collect::<Vec<_>>()
        .join("; ");
    let mut lines = vec![
        ("model", model),
        ("passed over", passed_over),
        ("branch", field("branch")),
        ("commit", commit),
        (pull_request, field("pull_request")),
        ("no request", field("pull_request_error")),
    ];
    for name in ["done", "remaining"] {
        let items = result[name].as_array().into_iter().flatten();
        lines.extend(items.map(|item| (name, text::plain(item))));
    }
    lines
}

/// A check and what it said.
fn check_line(check: &Value) -> String {
    let field = |name| text::field(check, name);
    let seen = field("output");
    let last = seen.lines().last().unwrap_or_default();
    let last = if check["status"] == "pass" { "" } else { last };
    let line = format!("{}: {} {}", field("status"), field("type"), field("target"));
    if last.is_empty() { line } else { format!("{line}: {last}") }
}

/// What a task in an answer printed or made, safe for a terminal.
pub(crate) fn output(task: &Value) -> String {
    let result = &task["result"];
    let printed = ["stdout", "stderr"].map(|name| result[name].as_str());
    let text = match (printed, result) {
        ([None, None], Value::Null) => String::new(),
        ([None, None], Value::String(text)) => text.clone(),
        ([None, None], result) if is_coding(result) => text::field(result, "output"),
        ([None, None], other) => other.to_string(),
        (printed, _) => printed.map(|part| ended_line(part.unwrap_or_default())).concat(),
    };
    ended_line(
        &text
            .chars()
            .filter(|char| !char.is_control() || "\n\t".contains(*char))
            .collect::<String>(),
    )
}

fn ended_line(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') { text.into() } else { format!("{text}\n") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn a_task_is_shown_with_its_attempts_and_its_output() {
        let task = json!({
            "id": "task-0123456789abcdef", "state": "completed", "priority": 2, "description": "say hello",
            "op": {"kind": "shell", "input": {"command": "echo hello"}}, "needed_capabilities": ["a", "b"],
            "depends_on": ["task-0000000000000001", "task-0000000000000002"], "on_dependency_failure": "strict",
            "created_at": 1000, "attempts": [
                {"generation": 1, "agent_id": "x", "category": "retryable", "outcome": "failed", "error": "exit code 1",
                    "survivors": 2, "transcripts": ["0123456789abcdef", "ba98"]},
                {"generation": 2, "agent_id": "y", "route": {
                    "tier": "standard", "chosen": {"endpoint": "gpu", "model": "m", "score": 1}}}],
            "complexity": {"effective_tier": "complex", "source": "explicit", "inferred": {
                "tier": "trivial", "confidence_percent": 90, "keyword": "typo"}},
            "result": {"exit_code": 0, "stdout": "hello\u{1b}[2J\nworld"},
        });
        let text = render(&task, &["89abcdef: May it?".into()], Wall(61_000));
        expect![[r#"
            task-0123456789abcdef  completed
              description  say hello
              runs         shell: echo hello
              lane         normal
              tier         complex, as was said; it looks trivial (90 % sure by `typo`)
              after        task-0000000000000001, task-0000000000000002; it dies unless all are completed, in whole and not in part
              needs        a, b
              created      1970-01-01 00:00:01 UTC (1 min ago)
              attempt      1 on x, failed, retryable, exit code 1, 2 processes could not be killed, transcript 0123456789ab ba98
              attempt      2 on y, m at gpu, running
              asks         89abcdef: May it?
              output
                hello[2J
                world
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn a_tier_is_shown_with_what_speaks_for_it() {
        let of = |source: &str, looks: &str| {
            let inferred = json!({"tier": looks, "confidence_percent": 66, "keyword": null});
            tier(&json!({"effective_tier": "standard", "source": source, "inferred": inferred}))
        };
        assert_eq!(of("inferred", "standard"), "standard (66 % sure)");
        assert_eq!(of("inferred", "unknown"), "");
        assert_eq!(of("explicit", "unknown"), "standard, as was said");
        assert_eq!(tier(&Value::Null), "");
    }

    #[test]
    fn a_coding_task_is_shown_with_its_branch_and_its_checks() {
        let task = json!({
            "id": "task-0123456789abcdef", "state": "partial", "description": "mend it", "priority": 2,
            "op": {"kind": "ollama", "input": {}},
            "result": {
                "branch": "agentcom/task-0123456789abcdef-mend-it", "commit": "0123abc", "pushed": true,
                "risk_tier": 3, "pull_request": null, "model": "m", "rounds": 2, "turns": 3,
                "tokens_in": 90, "tokens_out": 10, "sandbox": "L3", "stopped": "turns",
                "output": "I mended it.", "steps": ["write_file a: ok"], "verdict": "partial_pass",
                "done": ["commits: 2, files changed: 1"],
                "remaining": ["the model was stopped: turns", "fail: test_passes make"],
            },
            "verification_report": {"status": "partial", "checks": [
                {"type": "git_clean", "target": "auto", "status": "pass", "output": ""},
                {"type": "test_passes", "target": "make", "status": "fail", "output": "a\nb is 1, not 2"},
            ]},
        });
        let text = render(&task, &[], Wall(61_000));
        expect![[r#"
            task-0123456789abcdef  partial
              description  mend it
              runs         ollama: {}
              lane         normal
              model        m, 2 rounds, 3 turns in the last, 100 tokens, in L3, stopped: turns
              branch       agentcom/task-0123456789abcdef-mend-it
              commit       0123abc, pushed, risk tier 3
              done         commits: 2, files changed: 1
              remaining    the model was stopped: turns
              remaining    fail: test_passes make
              check        pass: git_clean auto
              check        fail: test_passes make: b is 1, not 2
              output
                I mended it.
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }

    #[test]
    fn output_cannot_steer_the_terminal() {
        assert_eq!(output(&json!({"result": "a\u{1b}]0;x\u{7}b"})), "a]0;xb\n");
        assert_eq!(output(&json!({})), "");
    }
}
