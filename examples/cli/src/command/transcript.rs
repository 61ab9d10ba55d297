//! This file shows all that a model said in a coding task, and all that its tools answered.

use std::path::PathBuf;

use agentcom_exec::blobs::{BlobId, Blobs};
use agentcom_hub::local::DATA_DIR;
use serde_json::Value;

use crate::args::Context;
use crate::coder::TRANSCRIPTS;
use crate::exit::{Exit, Failure, Outcome};
use crate::name::task_id;
use crate::print::{BUSY, FAINT, STRONG};
use crate::text::{field, short};

/// Which task, and where what was said is kept.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The task's id, or the end of it
    #[arg(value_name = "ID")]
    id: String,
    /// Which round of work, from 1 [default: the last]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    round: Option<u16>,
    /// The directory of the agent that did the task [default: where `up` and `agent run` put it]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Where the hub keeps its data, if the agent is one of `up`
    #[arg(long, value_name = "DIR", default_value = DATA_DIR, env = "AGENTCOM_DATA_DIR", hide_env_values = true)]
    data: PathBuf,
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    let id = task_id(&client, &args.id).await?;
    let task = client.get(&["api", "tasks", &id], &[]).await?;
    let kept = args.which(&task)?;
    let lines = args.find(&kept, &task)?;
    if ctx.print.json {
        return Ok(ctx.print.text(&lines)?);
    }
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(ctx.print.text(&lines.map(|line| render(&line)).collect::<String>())?)
}

impl Args {
    /// The name under which it is kept.
    fn which(&self, task: &Value) -> Result<BlobId, Failure> {
        let all = task["result"]["transcripts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found = match self.round {
            Some(round) => all.get(usize::from(round) - 1),
            None => all.last(),
        };
        let found = found.and_then(Value::as_str).and_then(|name| name.parse().ok());
        found.ok_or_else(|| {
            let id = field(task, "id");
            let short = short(&id);
            let missing = format_args!("task {short} has no such transcript; it has {}", all.len());
            Failure::new(Exit::NotFound, missing).hint("only coding tasks that have ended have any")
        })
    }

    /// What is kept under that name, wherever the agent that did the task keeps it.
    fn find(&self, kept: &BlobId, task: &Value) -> Result<String, Failure> {
        let agent = task["attempts"].as_array().and_then(|all| all.last());
        let agent = agent.map_or_else(String::new, |attempt| field(attempt, "agent_id"));
        let dirs = match &self.dir {
            Some(dir) => vec![dir.clone()],
            None => vec![
                self.data.join("agents").join(&agent),
                PathBuf::from("agentcom-agents").join(&agent),
            ],
        };
        for dir in dirs {
            if let Some(content) = Blobs::at(dir.join(TRANSCRIPTS)).get(kept)? {
                return Ok(String::from_utf8_lossy(&content).into_owned());
            }
        }
        let missing = format_args!("the transcript is not here; agent {agent} has it");
        Err(Failure::new(Exit::NotFound, missing).hint("name the agent's directory with --dir"))
    }
}

/// A line of a transcript, for people; nothing in it moves the terminal.
fn render(line: &Value) -> String {
    let safe = |text: &str| -> String {
        text.chars().filter(|c| !c.is_control() || "\n\t".contains(*c)).collect()
    };
    let block = |name: &str, style: anstyle::Style, text: &str| {
        let text = safe(text);
        let rows = text.trim_end().lines().map(|row| format!("  {row}\n"));
        format!("{style}{name}{style:#}\n{}", rows.collect::<String>())
    };
    match line["role"].as_str() {
        Some("user") => block("asked", STRONG, &field(line, "text")),
        Some("tool") => block(&field(line, "name"), FAINT, &field(line, "content")),
        Some("model") => {
            let mut text = String::new();
            let thinking = field(line, "thinking");
            if !thinking.is_empty() {
                text.push_str(&block("thinks", FAINT, &thinking));
            }
            let said = field(line, "text");
            if !said.is_empty() {
                text.push_str(&block("says", BUSY, &said));
            }
            for call in line["calls"].as_array().into_iter().flatten() {
                let call = format!("{} {}", field(call, "name"), call["input"]);
                text.push_str(&block("calls", BUSY, &call));
            }
            text
        }
        _ if line["system"].is_string() => block("knows", FAINT, &field(line, "system")),
        _ => block("left out", FAINT, &field(line, "left_out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;
    use serde_json::json;

    #[test]
    fn what_was_said_is_shown_by_turns_and_moves_no_terminal() {
        let lines = [
            json!({"system": "You are careful.\n\nThe task: x", "tools": ["read_file"]}),
            json!({"role": "user", "text": "Mend it"}),
            json!({"role": "model", "text": "I look\u{1b}[2J.", "thinking": "hm", "calls": [
                {"id": "1", "name": "read_file", "input": {"path": "a"}}]}),
            json!({"role": "tool", "name": "read_file", "content": "{\"ok\":true}"}),
            json!({"left_out": 3}),
        ];
        let text: String = lines.iter().map(render).collect();
        expect![[r#"
            knows
              You are careful.
              
              The task: x
            asked
              Mend it
            thinks
              hm
            says
              I look[2J.
            calls
              read_file {"path":"a"}
            read_file
              {"ok":true}
            left out
              3
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&text).to_string());
    }
}
