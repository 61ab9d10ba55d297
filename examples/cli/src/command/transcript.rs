//! This file shows all that a model said in a coding task, and all that its tools answered.

use std::collections::BTreeSet;
use std::path::PathBuf;

use agentcom_core::id::TaskId;
use agentcom_exec::blobs::BlobId;
use agentcom_exec::transcripts::Transcripts;
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
    /// Which attempt, by its number in `agentcom task` [default: the one with the result, or else the
    /// last]
    #[arg(long, value_name = "N")]
    attempt: Option<u64>,
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
    let lines = args.find(&task)?;
    if ctx.print.json {
        return Ok(ctx.print.text(&lines)?);
    }
    let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(ctx.print.text(&lines.map(|line| render(&line)).collect::<String>())?)
}

impl Args {
    /// The lines of the transcript that is meant. What a result or an attempt names is as it was told to
    /// the hub; of an attempt that goes on, or whose end the hub did not hear, the agent alone knows.
    fn find(&self, task: &Value) -> Result<String, Failure> {
        let all = self.names(task);
        if all.is_empty() {
            return self.of_attempt(task);
        }
        let found = self.nth(all).and_then(Value::as_str).and_then(|name| name.parse().ok());
        self.named(&found.ok_or_else(|| missing(task, all.len()))?, task)
    }

    /// The names that the hub has of what was said in the attempt that is meant.
    fn names<'a>(&self, task: &'a Value) -> &'a [Value] {
        let mut attempts = task["attempts"].as_array().into_iter().flatten();
        let attempt = match self.attempt {
            Some(number) => attempts.find(|it| it["generation"] == number),
            None => attempts.next_back(),
        };
        let result = Some(&task["result"]).filter(|_| self.attempt.is_none());
        let named = result.into_iter().chain(attempt);
        let mut named = named.filter_map(|it| it["transcripts"].as_array());
        named.find(|names| !names.is_empty()).map(Vec::as_slice).unwrap_or_default()
    }

    /// The one of that round, or the last.
    fn nth<'a, T>(&self, all: &'a [T]) -> Option<&'a T> {
        match self.round {
            Some(round) => all.get(usize::from(round) - 1),
            None => all.last(),
        }
    }

    /// What is kept under that name, wherever the agent that did the task keeps it.
    fn named(&self, kept: &BlobId, task: &Value) -> Result<String, Failure> {
        for transcripts in self.places(task) {
            if let Some(content) = transcripts.get(kept)? {
                return Ok(String::from_utf8_lossy(&content).into_owned());
            }
        }
        let agent = agents(task).next_back().unwrap_or_default();
        let missing = format_args!("the transcript is not here; agent {agent} has it");
        Err(Failure::new(Exit::NotFound, missing).hint("name the agent's directory with --dir"))
    }

    /// What is kept of an attempt, whether or not the hub was told of it.
    fn of_attempt(&self, task: &Value) -> Result<String, Failure> {
        let id: TaskId = field(task, "id").parse().map_err(|bad| Failure::new(Exit::Usage, bad))?;
        let mut all = Vec::new();
        for transcripts in self.places(task) {
            all.extend(transcripts.of(id)?);
        }
        all.retain(|kept| self.attempt.is_none_or(|attempt| kept.head.generation.0 == attempt));
        all.sort();
        let last = all.last().map(|kept| kept.head.generation);
        all.retain(|kept| Some(kept.head.generation) == last);
        Ok(self.nth(&all).ok_or_else(|| missing(task, all.len()))?.read()?)
    }

    /// Where transcripts of a task may be: with each agent that had it.
    fn places(&self, task: &Value) -> Vec<Transcripts> {
        let dirs = match &self.dir {
            Some(dir) => BTreeSet::from([dir.clone()]),
            None => agents(task)
                .flat_map(|agent| {
                    let up = self.data.join("agents").join(&agent);
                    [up, PathBuf::from("agentcom-agents").join(&agent)]
                })
                .collect(),
        };
        dirs.into_iter().map(|dir| Transcripts::at(dir.join(TRANSCRIPTS))).collect()
    }
}

/// The agents that had a task, the last one last.
fn agents(task: &Value) -> impl DoubleEndedIterator<Item = String> {
    let attempts = task["attempts"].as_array().into_iter().flatten();
    attempts.map(|attempt| field(attempt, "agent_id"))
}

/// There is no such transcript, and so many others.
fn missing(task: &Value, others: usize) -> Failure {
    let id = field(task, "id");
    let missing = format_args!("task {} has no such transcript here; it has {others}", short(&id));
    Failure::new(Exit::NotFound, missing)
        .hint(
            "only coding tasks that were begun have any; name the hub's data with --data, or the agent's \
             directory with --dir",
        )
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
        _ if line["generation"].is_u64() => {
            format!("{FAINT}attempt {}, round {}{FAINT:#}\n", line["generation"], line["round"])
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
    fn an_attempt_that_gave_no_result_names_what_was_said_in_it() {
        let task = json!({
            "attempts": [{"generation": 1, "transcripts": ["0a"]}, {"generation": 3, "transcripts": ["0b", "0c"]}],
            "result": {"transcripts": ["0d"]},
        });
        let of = |attempt, task: &Value| {
            let args = Args { id: String::new(), round: None, attempt, dir: None, data: "".into() };
            json!(args.names(task)).to_string()
        };
        assert_eq!(of(Some(1), &task), r#"["0a"]"#);
        assert_eq!(of(Some(2), &task), "[]");
        assert_eq!(of(None, &task), r#"["0d"]"#);
        let without = json!({ "attempts": task["attempts"] });
        assert_eq!(of(None, &without), r#"["0b","0c"]"#);
        assert_eq!(of(None, &json!({ "attempts": [{"generation": 1}] })), "[]");
    }

    #[test]
    fn what_was_said_is_shown_by_turns_and_moves_no_terminal() {
        let lines = [
            json!({"task": "task-1", "generation": 2, "round": 1}),
            json!({"system": "You are careful.\n\nThe task: x", "tools": ["read_file"]}),
            json!({"role": "user", "text": "Mend it"}),
            json!({"role": "model", "text": "I look\u{1b}[2J.", "thinking": "hm", "calls": [
                {"id": "1", "name": "read_file", "input": {"path": "a"}}]}),
            json!({"role": "tool", "name": "read_file", "content": "{\"ok\":true}"}),
            json!({"left_out": 3}),
        ];
        let text: String = lines.iter().map(render).collect();
        expect![[r#"
            attempt 2, round 1
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
