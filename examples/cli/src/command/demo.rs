//! This file shows a hub at work on twelve real tasks in a repository of its own, and cleans up.

mod bars;
mod coding;
mod story;

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::args::Context;
use crate::client::Client;
use crate::coder::Coder;
use crate::confine::Confine;
use crate::exit::{Exit, Failure, Outcome};
use crate::fleet::{Announce, Fleet, Plan};
use crate::name::id_of;
use crate::print::{BAD, GOOD, PLAIN, table};
use crate::sidecar::Ways;
use crate::table::{Column, Table};
use crate::text;
use crate::waiting::state_of;
use bars::Bars;
use story::ACTS;

/// How the demonstration runs.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many agents share the work
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=16))]
    agents: u16,
    /// Watch a model mend a program instead: a scripted one, in a real repository, with real tools in
    /// the sandbox
    #[arg(long)]
    agentic: bool,
}

const WITHIN: Duration = Duration::from_secs(60);
const COLUMNS: [Column; 7] = [
    Column::fixed("TASK", 0),
    Column::fixed("LANE", 4),
    Column::fixed("STATE", 1),
    Column::fixed("TRIES", 2).right(),
    Column::fixed("AGENT", 5),
    Column::fixed("TOOK", 3).right(),
    Column::prose("LAST WORDS", 14, 6),
];

pub(crate) fn run(args: &Args, ctx: &Context) -> Outcome {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let dir = tempfile::Builder::new().prefix("agentcom-demo-").tempdir()?;
    runtime.block_on(async {
        tokio::select! {
            outcome = coding::play(ctx, dir.path()), if args.agentic => outcome,
            outcome = play(args, ctx, dir.path()), if !args.agentic => outcome,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                Err(Failure::silent(Exit::Interrupted))
            }
        }
    })
}

async fn play(args: &Args, ctx: &Context, dir: &Path) -> Outcome {
    let repository = dir.join("repository");
    story::make_repository(&repository)?;
    let plan = Plan { agents: args.agents, ..plan(dir, repository, Coder::default()) };
    let fleet = Fleet::start(&plan).await?;
    ctx.print.note(&format!(
        "a hub on {} with {}",
        fleet.url(),
        text::counted(args.agents.into(), "agent")
    ));
    ctx.print.note("twelve tasks, one of which cannot succeed");
    let client = Client::at(&fleet.url(), fleet.hub().admin().text.clone())?;
    let shown = tokio::time::timeout(WITHIN, follow(&client, ctx)).await;
    let tasks = match shown {
        Ok(tasks) => tasks,
        Err(_) => Err(Failure::new(Exit::TryAgain, "the demonstration took too long")),
    };
    fleet.stop().await?;
    let tasks = tasks?;
    let summary = json!({ "tasks": tasks });
    ctx.print.data(&summary, || render(&tasks))?;
    verdict(&tasks, ctx)
}

/// A hub with one agent that works in `repository`, known to nobody, on a port of its own.
fn plan(dir: &Path, repository: PathBuf, coder: Coder) -> Plan {
    let settings = agentcom_hub::config::Settings {
        bind: std::net::SocketAddr::from(([127, 0, 0, 1], 0)),
        data_dir: dir.join("data"),
        ..agentcom_hub::config::Settings::default()
    };
    let ways = Ways {
        capabilities: Vec::new(),
        slots: 1,
        workdir: repository,
        wake: None,
        confine: Confine::default(),
        no_sandbox: false,
        coder,
    };
    Plan { settings, agents: 1, ways, announce: Announce::Nobody }
}

/// Submits the tasks and shows them at work until all have ended; they come back in the order of
/// the story.
async fn follow(client: &Client, ctx: &Context) -> Result<Vec<Value>, Failure> {
    let answer = client.post(&["api", "tasks", "batch"], &story::batch()).await?;
    let queued = answer["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named: Vec<_> =
        queued.iter().zip(&ACTS).map(|(task, act)| (id_of(task).to_owned(), act.name)).collect();
    let mut bars = Bars::new(&named, ctx.print);
    let mut cursor = 0;
    while !bars.all_over() {
        let mut feed = std::pin::pin!(client.feed(Some(cursor)).await?);
        while !bars.all_over() {
            let Some(event) = feed.next().await else { break };
            let event = event?;
            cursor = event.cursor.unwrap_or(cursor);
            bars.apply(&event);
        }
    }
    bars.finish();
    let mut tasks = Vec::new();
    for (id, _) in &named {
        tasks.push(client.get(&["api", "tasks", id], &[]).await?);
    }
    Ok(tasks)
}

fn render(tasks: &[Value]) -> String {
    let mut rows = Table::new(&COLUMNS);
    for task in tasks {
        let style = match state_of(task) {
            "completed" => GOOD,
            "dead_letter" => BAD,
            _ => PLAIN,
        };
        rows.row(style, cells(task));
    }
    table(&rows)
}

fn cells(task: &Value) -> Vec<String> {
    let attempts = task["attempts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let last = attempts.last().cloned().unwrap_or_default();
    let took = text::date(&last["ended_at"]).zip(text::date(&last["assigned_at"]));
    let words = match text::field(task, "last_error") {
        error if state_of(task) == "dead_letter" => error,
        _ => super::task::output(task).lines().last().unwrap_or_default().to_owned(),
    };
    vec![
        text::field(task, "description"),
        super::tasks::lane(task),
        state_of(task).into(),
        attempts.len().to_string(),
        text::field(&last, "agent_id"),
        took.map_or_else(String::new, |(end, start)| (end - start).to_string()),
        words,
    ]
}

/// Whether the story ended as it should.
fn verdict(tasks: &[Value], ctx: &Context) -> Outcome {
    let ended = |state: &str| tasks.iter().filter(|task| state_of(task) == state).count();
    let as_told =
        tasks.iter().zip(&ACTS).all(|(task, act)| (state_of(task) == "completed") == act.completes);
    let message = format!(
        "{} completed, {} dead after its retries",
        ended("completed"),
        ended("dead_letter")
    );
    if !as_told || tasks.len() != ACTS.len() {
        return Err(Failure::new(
            Exit::Failure,
            format_args!("the demonstration did not end as it should: {message}"),
        ));
    }
    ctx.print.note(&message);
    ctx.print.note("cleaned up; run a hub of your own with `agentcom up`");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_summary_says_how_each_task_ended() {
        let tasks = [
            json!({"description": "build", "priority": "normal", "state": "completed", "result": {"stdout": "a\nb\n"},
                   "attempts": [{"agent_id": "demo-1", "assigned_at": 1000, "ended_at": 1700}]}),
            json!({"description": "broken", "priority": "high", "state": "dead_letter", "last_error": "exit code 3",
                   "attempts": [{}, {}, {"agent_id": "demo-2", "assigned_at": 1000, "ended_at": 3000}]}),
        ];
        expect![[r#"
            TASK    LANE    STATE        TRIES  AGENT     TOOK  LAST WORDS
            build   normal  completed        1  demo-1  700 ms  b
            broken  high    dead_letter      3  demo-2     2 s  exit code 3
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&render(&tasks)).to_string());
    }
}
