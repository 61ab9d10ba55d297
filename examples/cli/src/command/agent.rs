//! This file lists agents, registers them, and decides whether they get work.

mod one;

use serde_json::{Value, json};

use crate::args::Context;
use crate::command::work;
use crate::exit::Outcome;
use crate::print::{BUSY, CAUTION, FAINT, PLAIN, STRONG, table};
use crate::table::{Column, Table};
use crate::text::{field, plain, short};

/// What to do with an agent.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Example:
  agentcom agent add builder-2 > builder-2.token     the token is shown this once";

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Register an agent and print its token, which is shown this once
    Add(Name),
    /// Give an agent another token and print it; the one it has stays valid until the next
    Token(Name),
    /// Run an agent here that works for the hub, until it is interrupted
    Run(Box<work::Args>),
    /// Forget an agent: its token ends, and its work goes to others
    Remove(Name),
    /// Give an agent no more work; what it holds it may finish
    Drain(Name),
    /// Ask an agent's sidecar to start itself again
    Restart(Name),
    /// Give a drained or quarantined agent work again
    Resume(Name),
}

#[derive(Debug, clap::Args)]
struct Name {
    /// The agent
    #[arg(value_name = "NAME")]
    name: String,
}

const COLUMNS: [Column; 8] = [
    Column::text("AGENT", 12, 0),
    Column::fixed("PHASE", 1),
    Column::fixed("TASKS", 2),
    Column::text("RUNS", 10, 3),
    Column::fixed("SANDBOX", 4),
    Column::text("CAPABILITIES", 12, 5),
    Column::fixed("VERSION", 6),
    Column::text("MACHINE", 9, 7),
];

impl Args {
    /// Whether this process becomes an agent, which ends on signals in its own way.
    pub(crate) const fn is_work(&self) -> bool {
        matches!(self.verb, Verb::Run(_))
    }
}

/// All agents, or one.
#[derive(Debug, clap::Args)]
pub(crate) struct ListArgs {
    /// The one agent to show
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

pub(crate) async fn list(args: &ListArgs, ctx: &Context) -> Outcome {
    if let Some(name) = &args.name {
        let agent = ctx.client()?.get(&["api", "agents", name, "state"], &[]).await?;
        return Ok(ctx.print.data(&agent, || one::shown(&agent))?);
    }
    let answer = ctx.client()?.get(&["api", "agents"], &[]).await?;
    Ok(ctx.print.data(&answer, || render(&answer))?)
}

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    let client = ctx.client()?;
    match &args.verb {
        Verb::Add(Name { name }) => {
            let answer = client.post(&["admin", "tokens"], &json!({ "agent_id": name })).await?;
            let said = format!("agent {name} is registered; keep the token, it is not shown again");
            show_token(ctx, &answer, &said)
        }
        Verb::Token(Name { name }) => {
            let path = ["api", "admin", "agents", name, "reset-token"];
            let answer = client.post(&path, &json!({})).await?;
            let said = format!("agent {name} has another token; keep it, it is not shown again");
            show_token(ctx, &answer, &said)
        }
        Verb::Run(args) => work::run(args, ctx).await,
        Verb::Remove(Name { name }) => {
            let answer = client.delete(&["admin", "tokens", name], None).await?;
            Ok(ctx.print.data(&answer, || format!("agent {name} is forgotten\n"))?)
        }
        Verb::Drain(Name { name }) => {
            let answer = client.post(&["api", "agents", name, "drain"], &json!({})).await?;
            Ok(ctx.print.data(&answer, || format!("agent {name} gets no more work\n"))?)
        }
        Verb::Restart(Name { name }) => {
            let path = ["api", "admin", "agents", name, "restart"];
            let answer = client.post(&path, &json!({})).await?;
            Ok(ctx.print.data(&answer, || format!("agent {name} was asked to start again\n"))?)
        }
        Verb::Resume(Name { name }) => {
            let answer = client.post(&["api", "agents", name, "resume"], &json!({})).await?;
            Ok(ctx.print.data(&answer, || format!("agent {name} gets work again\n"))?)
        }
    }
}

/// Prints a token as data, so that it can go into a file, and what is to be said about it beside.
pub(super) fn show_token(ctx: &Context, answer: &Value, said: &str) -> Outcome {
    ctx.print.data(answer, || format!("{}\n", field(answer, "token")))?;
    ctx.print.note(said);
    Ok(())
}

fn render(answer: &Value) -> String {
    let agents = answer["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
    if agents.is_empty() {
        return "no agents; `agentcom agent add NAME` registers one\n".into();
    }
    let mut rows = Table::new(&COLUMNS);
    for agent in agents {
        let phase = phase_of(agent);
        let style = match phase.as_str() {
            "offline" => FAINT,
            "assigned" | "working" => BUSY,
            "blocked" | "draining" => CAUTION,
            "idle" => STRONG,
            _ => PLAIN,
        };
        rows.row(style, cells(agent, phase));
    }
    table(&rows)
}

fn phase_of(agent: &Value) -> String {
    let phase = ["fsm_state", "phase"].iter().find_map(|name| agent[*name].as_str());
    phase.unwrap_or_default().into()
}

fn cells(agent: &Value, phase: String) -> Vec<String> {
    let held = agent["held"].as_array().into_iter().flatten();
    let tasks: Vec<&str> = held.filter_map(|held| held["task_id"].as_str()).map(short).collect();
    vec![
        field(agent, "agent_id"),
        phase,
        tasks.join(" "),
        plain(&agent["executors"]),
        field(&agent["sandbox"], "level"),
        plain(&agent["capabilities"]),
        field(agent, "version"),
        machine(&agent["resources"]),
    ]
}

/// How the machine of an agent is doing, as far as it says so.
fn machine(figures: &Value) -> String {
    let cpu = figures["cpu_percent"].as_f64().map(|percent| format!("CPU {percent:.0} %"));
    let part = |what: &str, used: &str, total: &str| {
        let used = figures[used].as_f64().zip(figures[total].as_f64());
        used.map(|(used, total)| format!("{what} {} of {} GiB", gib(used), gib(total)))
    };
    let memory = part("memory", "ram_used_bytes", "ram_total_bytes");
    let graphics = part("graphics", "vram_used_bytes", "vram_total_bytes");
    [cpu, memory, graphics].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Bytes in GiB, with a decimal where it says something.
fn gib(bytes: f64) -> String {
    let text = format!("{:.1}", bytes / f64::from(1 << 30));
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn agents_are_listed_with_what_they_hold() {
        let answer = json!({"agents": [
            {"agent_id": "local-1", "fsm_state": "working", "executors": ["shell", "wake"], "capabilities": ["rust"],
             "held": [{"task_id": "task-0123456789abcdef", "generation": 1}], "version": "0.1.0",
             "resources": {"cpu_percent": 12.3, "ram_used_bytes": 3_330_000_000_u64, "ram_total_bytes": 17_179_869_184_u64}},
            {"agent_id": "gpu", "fsm_state": "idle", "executors": ["code"], "sandbox": {"level": "L3"}, "resources": {"cpu_percent": "much",
             "vram_used_bytes": 0, "vram_total_bytes": 25_769_803_776_u64, "ram_used_bytes": 1}},
            {"agent_id": "away", "fsm_state": "offline", "executors": []},
        ]});
        expect![[r#"
            AGENT    PHASE    TASKS     RUNS         SANDBOX  CAPABILITIES  VERSION  MACHINE
            local-1  working  89abcdef  shell, wake           rust          0.1.0    CPU 12 %, memory 3.1 of 16 GiB
            gpu      idle               code         L3                              graphics 0 of 24 GiB
            away     offline
        "#]]
        .assert_eq(&anstream::adapter::strip_str(&render(&answer)).to_string());
    }
}
