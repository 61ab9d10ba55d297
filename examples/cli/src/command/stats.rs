//! This file shows figures about the hub.

use serde_json::Value;

use crate::args::Context;
use crate::exit::Outcome;
use crate::print::FAINT;
use crate::text::plain;

pub(crate) async fn run(ctx: &Context) -> Outcome {
    let stats = ctx.client()?.get(&["api", "tasks", "stats"], &[]).await?;
    Ok(ctx.print.data(&stats, || render(&stats))?)
}

fn render(stats: &Value) -> String {
    let mut out = String::new();
    for (name, value) in stats.as_object().into_iter().flatten() {
        out.push_str(&format!(
            "{FAINT}{:<18}{FAINT:#}{}\n",
            name.replace('_', " "),
            figures(value)
        ));
    }
    out
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
        let stats =
            json!({"seq": 7, "tasks": {"ready": 2, "dead_letter": 1, "working": 0}, "agents": {}});
        expect![[r#"
            agents            none
            seq               7
            tasks             1 dead letter, 2 ready
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&render(&stats)).to_string());
    }
}
