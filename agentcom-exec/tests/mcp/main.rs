//! This file proves that MCP servers give tools to the loop, and that none that misbehaves holds a task up:
//! each ends in an error that says what it did, within its deadline.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod calling;
mod connecting;
#[path = "../support/mod.rs"]
mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_exec::mcp::{Connection, McpError, Reaches, Server, Way};
use agentcom_exec::stand_in::mcp::{MANNERS, Manner, StandIn};
use agentcom_exec::tool::{Tool as _, ToolError};
use serde_json::{Value, json};

use crate::support::{Watched, spawner};

/// How long servers get that are expected to answer, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that is a program and behaves in this manner.
fn program(manner: Manner) -> Server {
    let way = Way::Program {
        command: env!("CARGO_BIN_EXE_agentcom-mcp-stand-in").to_owned(),
        args: vec![Secret::new(&manner.to_string())],
        env: Default::default(),
        cwd: ".".into(),
    };
    server(way)
}

/// A server at `url`.
fn service(url: &str) -> Server {
    server(Way::Http { url: Secret::new(url), headers: Default::default() })
}

fn server(way: Way) -> Server {
    let reach = Reaches::all(Reach::default());
    Server {
        name: "one".to_owned(),
        way,
        tools: None,
        reach,
        within: PATIENCE,
        secrets: Vec::new(),
    }
}

async fn open(server: &Server) -> Result<Connection, McpError> {
    Connection::open(server, &spawner()).await
}

/// What a tool of a server answers.
async fn call(connection: &Connection, tool: &str, input: Value) -> Result<Value, ToolError> {
    let tool = connection.tools().iter().find(|offered| offered.listed_as() == tool).unwrap();
    tool.call(input, &Watched::new()).await
}

/// What a server of this manner answers to a look, as a program and over HTTP.
async fn looks(manner: Manner, within: Duration) -> [Result<Value, ToolError>; 2] {
    let stand_in = StandIn::of(manner).await;
    let servers = [program(manner), service(&stand_in.url())];
    let mut answers = Vec::new();
    for server in servers {
        let connection = open(&Server { within, ..server }).await.unwrap();
        answers.push(call(&connection, "look", json!({ "at": "this" })).await);
        connection.close().await;
    }
    answers.try_into().unwrap()
}

#[test]
fn each_manner_is_met_by_a_test() {
    let tests = [include_str!("calling.rs"), include_str!("connecting.rs")];
    let name = |rest: &'static str| rest.split(|c: char| !c.is_alphanumeric()).next();
    let met = tests.iter().flat_map(|test| test.split("Manner::").skip(1).filter_map(name));
    let met: BTreeSet<String> = met.map(str::to_owned).collect();
    assert_eq!(met, MANNERS.iter().map(|(_, manner)| format!("{manner:?}")).collect());
}
