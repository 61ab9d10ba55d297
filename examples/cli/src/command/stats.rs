//! This file shows figures about the hub.

use agentcom_core::time::Span;
use serde_json::Value;

use crate::args::Context;
use crate::exit::Outcome;
use crate::print::FAINT;
use crate::text::plain;

pub(crate) async fn run(ctx: &Context) -> Outcome {
    let stats = ctx.client()?.get(&["api", "stats"], &[]).await?;
    Ok(ctx.print.data(&stats, || render(&stats))?)
}

fn render(stats: &Value) -> String {
    let tasks = &stats["tasks"];
    let lines = [
        ("tasks", figures(&tasks["by_state"])),
        ("ready by lane", figures(&tasks["ready_by_priority"])),
        ("ended so far", figures(&tasks["ended"])),
        ("agents", figures(&stats["agents"])),
        ("open questions", plain(&stats["questions"])),
        ("paused", paused(stats)),
        ("nothing done in", span(&stats["quiet_for_ms"])),
        ("lag", lag(&stats["lag"])),
        ("latest event", plain(&stats["seq"])),
        ("data set", plain(&stats["incarnation"])),
    ];
    lines.map(|(name, value)| format!("{FAINT}{name:<16}{FAINT:#}{value}\n")).concat()
}

fn span(ms: &Value) -> String {
    ms.as_u64().map_or_else(|| plain(ms), |ms| Span(ms).to_string())
}

fn paused(stats: &Value) -> String {
    if stats["stopped"] == true {
        return "everything, since all spending is stopped (`agentcom estop --off`)".into();
    }
    let scopes: Vec<String> =
        stats["paused"].as_array().into_iter().flatten().map(super::why::scope).collect();
    if scopes.is_empty() { "nothing".into() } else { scopes.join("; ") }
}

/// How late the hub was in the last minutes.
fn lag(lag: &Value) -> String {
    let [half, most, all] = ["p50_ms", "p99_ms", "max_ms"].map(|figure| plain(&lag[figure]));
    format!("at most {half} ms in 50 of 100 cases, {most} ms in 99; longest {all} ms")
}

/// Figures by name on one line; those that are 0 say nothing.
fn figures(value: &Value) -> String {
    let Value::Object(parts) = value else { return plain(value) };
    let told = parts.iter().filter(|(_, figure)| figure.as_u64() != Some(0));
    let told: Vec<String> = told
        .map(|(name, figure)| format!("{} {}", plain(figure), name.replace('_', " ")))
        .collect();
    if told.is_empty() { "none".into() } else { told.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn figures_are_named() {
        let stats = json!({
            "seq": 7, "incarnation": "inc-1", "questions": 0, "agents": {"idle": 1},
            "tasks": {"by_state": {"ready": 2, "working": 0}, "ended": {"dead_letter": 1}, "ready_by_priority": {"low": 2}},
            "paused": [{"repo": "r"}], "quiet_for_ms": 90_000,
            "lag": {"samples": 9, "p50_ms": 1, "p99_ms": 20, "max_ms": 33},
        });
        expect![[r#"
            tasks           2 ready
            ready by lane   2 low
            ended so far    1 dead letter
            agents          1 idle
            open questions  0
            paused          work on r
            nothing done in 1 min
            lag             at most 1 ms in 50 of 100 cases, 20 ms in 99; longest 33 ms
            latest event    7
            data set        inc-1
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&render(&stats)).to_string());
    }
}
