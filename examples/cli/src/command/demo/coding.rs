//! This file shows a model at work on a coding task: it finds and mends what a test complains about,
//! fails its checks once, corrects itself, and ends with a pushed branch and a pull request.
//!
//! The model follows a script and GitHub is a stand-in; all else is as it always is: the wire of
//! Ollama, the tools, the sandbox, git, the checks, the hub.

use std::fs;
use std::path::Path;
use std::time::Duration;

use agentcom_exec::stand_in::github::{StandIn as GitHub, TOKEN};
use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use super::story::git;
use super::{WITHIN, plan};
use crate::args::Context;
use crate::client::{Client, FeedEvent};
use crate::coder::Coder;
use crate::exit::{Exit, Failure, Outcome};
use crate::fleet::Fleet;
use crate::name::id_of;
use crate::print::{BUSY, FAINT, GOOD, STRONG};
use crate::table::one_line;
use crate::text::field;
use crate::waiting::state_of;

/// How long the model thinks, so that people can follow.
const THINKS: Duration = Duration::from_millis(400);

const BROKEN: &str = "\
#!/bin/sh
# Degrees of Celsius in degrees of Fahrenheit, whole numbers.
echo $(($1 * 9 / 5))
";

const HALF_MENDED: &str = "\
#!/bin/sh
# Degrees of Celsius in degrees of Fahrenheit, whole numbers.
echo $(($1 * 2 + 32))
";

const MENDED: &str = "\
#!/bin/sh
# Degrees of Celsius in degrees of Fahrenheit, whole numbers.
echo $(($1 * 9 / 5 + 32))
";

const TESTS: &str = "\
for pair in 0:32 100:212 37:98; do
  is=$(sh convert.sh \"${pair%:*}\")
  [ \"$is\" = \"${pair#*:}\" ] || { echo \"${pair%:*} C is ${pair#*:} F, not $is\"; exit 1; }
done
echo 'all temperatures are right'
";

const TASK: &str = "convert.sh gives wrong temperatures. Find out why, and mend it.";

/// Runs the demonstration in `dir`.
pub(super) async fn play(ctx: &Context, dir: &Path) -> Outcome {
    let repository = dir.join("clone");
    make_repository(dir, &repository)?;
    let (model, github) = (Ollama::of(script()).await, GitHub::start().await);
    let coder = Coder::scripted(model.url(), github.api(), TOKEN);
    let fleet = Fleet::start(&plan(dir, repository, coder)).await?;
    ctx.print.note(&format!("a hub on {}, an agent, a scripted model, a repository", fleet.url()));
    ctx.print.note(&format!("the task: {TASK}\n"));
    let client = Client::at(&fleet.url(), fleet.hub().admin().text.clone())?;
    let late = |_| Failure::new(Exit::TryAgain, "the demonstration took too long");
    let task = tokio::time::timeout(WITHIN, follow(&client, ctx)).await.map_err(late);
    fleet.stop().await?;
    let task = task??;
    let branch = field(&task["result"], "branch");
    let diff = git(&dir.join("owner/name"), &["diff", "--stat", "--patch", "main", &branch]);
    let told = json!({ "task": task, "pull_requests": github.pulls() });
    ctx.print.data(&told, || render(&task, diff.as_deref().unwrap_or_default()))?;
    verdict(&task, &github, ctx)
}

/// A remote with a program and its tests, which fail, and a clone of it.
fn make_repository(dir: &Path, clone: &Path) -> Result<(), Failure> {
    git(dir, &["init", "-q", "--bare", "--initial-branch=main", "owner/name"])?;
    git(dir, &["clone", "-q", "owner/name", "clone"])?;
    fs::create_dir(clone.join("tests"))?;
    fs::write(clone.join("convert.sh"), BROKEN)?;
    fs::write(clone.join("tests/run.sh"), TESTS)?;
    for (name, value) in [("user.name", "AgentCom demo"), ("user.email", "demo@localhost")] {
        git(clone, &["config", name, value])?;
    }
    git(clone, &["add", "-A"])?;
    git(clone, &["-c", "commit.gpgSign=false", "commit", "-q", "-m", "Convert temperatures"])?;
    git(clone, &["push", "-q", "origin", "HEAD:main"])?;
    Ok(())
}

fn script() -> Vec<Turn> {
    let run = || Turn::calls("run_command", json!({ "command": "sh tests/run.sh" }));
    let write =
        |text: &str| Turn::calls("write_file", json!({ "path": "convert.sh", "content": text }));
    let turns = [
        Turn::calls("list_directory", json!({ "path": ".", "recursive": true }))
            .saying("I look around."),
        run().saying("What do the tests say?"),
        Turn::calls("read_file", json!({ "path": "convert.sh" })),
        write(HALF_MENDED).saying("The 32 is missing. I write it anew."),
        Turn::says("The conversion adds 32 now, so it is right."),
        Turn::calls("read_file", json!({ "path": "tests/run.sh" }))
            .saying("The checks do not hold; I should have run the tests."),
        write(MENDED).saying("The factor is 9/5, not 2."),
        run(),
        Turn::says("All temperatures are right: times 9/5, plus 32."),
    ];
    turns.map(|turn| turn.after(THINKS)).into()
}

/// Submits the task and shows each step until it has ended.
async fn follow(client: &Client, ctx: &Context) -> Result<Value, Failure> {
    let task = json!({
        "description": TASK,
        "op": { "kind": "code", "input": {} },
        "complexity_tier": "standard",
        "verification_steps": [
            { "type": "test_passes", "target": "sh tests/run.sh" },
            { "type": "tests_not_weakened", "target": "auto" },
            { "type": "diff_within", "target": "10 convert.sh" },
        ],
        "max_verification_retries": 2,
        "max_attempts": 1,
    });
    let mut feed = std::pin::pin!(client.feed(Some(0)).await?);
    let answer = client.post(&["api", "tasks"], &task).await?;
    let id = id_of(&answer).to_owned();
    while let Some(event) = feed.next().await {
        let event = event?;
        if event.data["task_id"].as_str() != Some(&id) {
            continue;
        }
        if let Some(line) = step(&event) {
            ctx.print.note(&line);
        }
        if is_end(&event) {
            break;
        }
    }
    client.get(&["api", "tasks", &id], &[]).await
}

/// A step of the model or of a check, on a line.
fn step(event: &FeedEvent) -> Option<String> {
    let told = &event.data["event"];
    let text = one_line(&field(told, "text"));
    Some(match told["event_type"].as_str()? {
        "token" => format!("{BUSY}model{BUSY:#}  {text}"),
        "tool_call" => {
            let took = told["duration_ms"].as_u64().unwrap_or(0);
            let (call, went) = text.rsplit_once(": ").unwrap_or((&text, ""));
            format!("  {STRONG}{call}{STRONG:#} {FAINT}{went}, {took} ms{FAINT:#}")
        }
        "status" => format!("{GOOD}agent{GOOD:#}  {text}"),
        // What commands print is in the outcome of the call.
        _ => return None,
    })
}

fn is_end(event: &FeedEvent) -> bool {
    const ENDS: [&str; 4] =
        ["task.completed", "task.partial", "task.dead_letter", "task.cancelled"];
    event.data["type"].as_str().is_some_and(|kind| ENDS.contains(&kind))
}

fn render(task: &Value, diff: &str) -> String {
    let result = &task["result"];
    let lines = [
        ("state", state_of(task).to_owned()),
        ("rounds", field(result, "rounds")),
        ("branch", field(result, "branch")),
        ("pull request", field(result, "pull_request")),
        ("sandbox", field(result, "sandbox")),
    ];
    let mut text = String::from("\n");
    for (name, value) in lines {
        text.push_str(&format!("{FAINT}{name:<14}{FAINT:#}{value}\n"));
    }
    text.push('\n');
    text.push_str(diff);
    text.push('\n');
    text
}

/// Whether the story ended as it should.
fn verdict(task: &Value, github: &GitHub, ctx: &Context) -> Outcome {
    let rounds = task["result"]["rounds"].as_u64();
    let checked = task["verification_report"]["status"] == "pass";
    if state_of(task) != "completed" || rounds != Some(2) || !checked || github.pulls().len() != 1 {
        let why = field(task, "last_error");
        let message = format!("the demonstration did not end as it should: {why}");
        return Err(Failure::new(Exit::Failure, message));
    }
    ctx.print
        .note("cleaned up; with a model of your own: `agentcom up --ollama`, and docs/models.md");
    Ok(())
}
