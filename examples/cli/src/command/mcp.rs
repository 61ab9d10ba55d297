//! This file connects to MCP servers as agents do, and shows the tools that models would have.

use std::path::PathBuf;

use agentcom_core::agentic::Reach;
use agentcom_exec::guard::Spawner;
use agentcom_exec::mcp::{Connection, McpError, Preset, RemoteTool, Server};
use agentcom_exec::tool::Tool as _;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::args::Context;
use crate::coder::servers;
use crate::exit::{Exit, Failure, Outcome};
use crate::print::{BAD, CAUTION, FAINT, PLAIN, STRONG, table};
use crate::table::{Column, Table, one_line};

/// Which servers.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The file that names the servers, as most programs have it
    #[arg(value_name = "FILE", default_value = ".mcp.json")]
    file: PathBuf,
    /// Print a file with a server that is known (github, jira, supabase), and connect to nothing
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    preset: Option<String>,
}

const EXAMPLES: &str = "\
Examples:
  agentcom mcp --preset github > mcp.json     begin with a server that is known
  agentcom mcp mcp.json                       does it answer, and with which tools?
  agentcom up --ollama --mcp mcp.json         models have these tools

A tool whose reach is `everything` is always refused: its entry does not say what it has to do with the
world. See docs/mcp.md.";

const COLUMNS: [Column; 3] =
    [Column::fixed("TOOL", 0), Column::fixed("REACH", 1), Column::prose("WHAT FOR", 20, 2)];

pub(crate) async fn run(args: &Args, ctx: &Context) -> Outcome {
    if let Some(name) = &args.preset {
        let unknown = || {
            let message = format_args!("there is no preset `{name}`");
            Failure::new(Exit::Usage, message).hint(format_args!("there are {}", Preset::names()))
        };
        return Ok(ctx.print.text(Preset::of(name).ok_or_else(unknown)?.text())?);
    }
    let servers = servers(&args.file)?;
    let spawner = Spawner::current_exe()?;
    let opening = servers.iter().map(|server| Connection::open(server, &spawner));
    let found: Vec<Found<'_>> = servers
        .iter()
        .zip(join_all(opening).await)
        .map(|(server, opened)| Found { server, opened })
        .collect();
    let data = json!({ "servers": found.iter().map(Found::data).collect::<Vec<_>>() });
    ctx.print.data(&data, || found.iter().map(Found::text).collect())?;
    let bad = found.iter().filter(|found| found.opened.is_err()).count();
    join_all(found.into_iter().filter_map(|found| found.opened.ok()).map(Connection::close)).await;
    if bad > 0 {
        let message = format_args!("{bad} of {} servers cannot be used", servers.len());
        return Err(Failure::new(Exit::Failure, message));
    }
    Ok(())
}

/// A server, and what came of connecting to it.
struct Found<'a> {
    server: &'a Server,
    opened: Result<Connection, McpError>,
}

impl Found<'_> {
    fn data(&self) -> Value {
        let (name, place) = (&self.server.name, self.server.place());
        match &self.opened {
            Ok(connection) => {
                let tools: Vec<Value> = connection.tools().iter().map(tool).collect();
                json!({ "name": name, "place": place, "tools": tools, "missing": connection.missing() })
            }
            Err(error) => json!({ "name": name, "place": place, "error": error.to_string() }),
        }
    }

    fn text(&self) -> String {
        let (name, place) = (&self.server.name, one_line(&self.server.place()));
        let head = format!("{STRONG}{name}{STRONG:#}  {FAINT}{place}{FAINT:#}\n");
        match &self.opened {
            Ok(connection) => {
                let mut rows = Table::new(&COLUMNS);
                for tool in connection.tools() {
                    let (spec, reach) = (tool.spec(), tool.reach());
                    let style = if reach == Reach::ALL { CAUTION } else { PLAIN };
                    rows.row(style, vec![spec.name, words(reach), spec.description]);
                }
                let missing = match connection.missing() {
                    [] => String::new(),
                    missing => format!("{CAUTION}it has no {}{CAUTION:#}\n", missing.join(", ")),
                };
                format!("{head}{}{missing}\n", table(&rows))
            }
            Err(error) => format!("{head}{BAD}{}{BAD:#}\n\n", one_line(&error.to_string())),
        }
    }
}

fn tool(tool: &RemoteTool) -> Value {
    let (spec, reach) = (tool.spec(), tool.reach());
    json!({
        "name": spec.name, "tool": tool.listed_as(), "description": spec.description,
        "changes": tool.changes(),
        "reach": {
            "untrusted": reach.untrusted, "private": reach.private, "outward": reach.outward,
        },
    })
}

/// What a tool has to do with the world, for people.
fn words(reach: Reach) -> String {
    if reach == Reach::ALL {
        return "everything".to_owned();
    }
    let all =
        [(reach.untrusted, "untrusted"), (reach.private, "private"), (reach.outward, "outward")];
    let words: Vec<&str> = all.into_iter().filter(|(has, _)| *has).map(|(_, word)| word).collect();
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}
