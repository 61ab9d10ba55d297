//! This file is the proof that tools of a real MCP server can be had, over both of its transports, as
//! `cargo xtask verify --only mcp`: the server that exercises all of the protocol, from npm.

use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use agentcom_core::agentic::{Limits, Reach};
use agentcom_core::config::Secret;
use agentcom_core::task::Tier;
use agentcom_core::testing::executor_suite::Asking;
use agentcom_exec::agentic::{Brief, How, Loop};
use agentcom_exec::guard::{self, GuardCommand, Leftovers, Running, Spawner};
use agentcom_exec::mcp::{Connection, Reaches, Server, Way};
use agentcom_exec::model::Ollama;
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use agentcom_exec::tool::{Tool as _, ToolError, Toolbox};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::task::JoinSet;

/// How long the server may take to start, and to answer.
const WITHIN: Duration = Duration::from_secs(30);

/// Runs a program with what node 18, which Debian 12 has, does not have by itself.
const WITH_CRYPTO: &str =
    "globalThis.crypto ??= require('node:crypto').webcrypto; import(process.argv[1])";

/// How long a call is waited for that takes longer.
const IMPATIENCE: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    if let Some(code) = guard::dispatch() {
        return code;
    }
    let Some(program) = std::env::args().nth(1) else { return ExitCode::from(64) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let proved = runtime.map_err(told).and_then(|runtime| runtime.block_on(prove(&program)));
    let (said, code) = match proved {
        Ok(()) => ("a real MCP server was spoken with, both ways".to_owned(), ExitCode::SUCCESS),
        Err(found) => (found, ExitCode::FAILURE),
    };
    let _ = io::Write::write_all(&mut io::stderr(), format!("{said}\n").as_bytes());
    code
}

fn told(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Holds what was seen against what has to be.
fn hold(what: &str, holds: bool, seen: &impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{what}: {seen:?}")) }
}

async fn prove(program: &str) -> Result<(), String> {
    let spawner = Spawner::current_exe().map_err(told)?;
    let way = Way::Program {
        command: "node".to_owned(),
        args: [program, "stdio"].map(Secret::new).into(),
        env: [("SAID".to_owned(), Secret::new("so"))].into(),
        cwd: ".".into(),
    };
    let server = server(way);
    tools(&server, &spawner).await.map_err(|found| format!("over stdio, {found}"))?;
    environment(&server, &spawner).await?;
    work(&server, &spawner).await?;
    let (_running, _taking, url) = service(program, &spawner).await?;
    let server = self::server(Way::Http { url: Secret::new(&url), headers: Default::default() });
    tools(&server, &spawner).await.map_err(|found| format!("over HTTP, {found}"))
}

fn server(way: Way) -> Server {
    let reach = Reaches::all(Reach::default());
    Server {
        name: "everything".to_owned(),
        way,
        tools: None,
        reach,
        within: WITHIN,
        secrets: Vec::new(),
    }
}

/// Starts the server as a service on a free port, and waits until it says that it listens.
async fn service(
    program: &str,
    spawner: &Spawner,
) -> Result<(Running, JoinSet<io::Result<u64>>, String), String> {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|free| free.local_addr());
    let port = free.map_err(told)?.port();
    let path = std::env::var("PATH").unwrap_or_default();
    let command = GuardCommand {
        argv: ["node", "-e", WITH_CRYPTO, program, "streamableHttp"].map(str::to_owned).into(),
        env: [("PATH".to_owned(), path), ("PORT".to_owned(), port.to_string())].into(),
        cwd: ".".into(),
        stdin: None,
        leftovers: Leftovers::Kill,
        sandbox: None,
    };
    let mut running = spawner.spawn(&command).await.map_err(told)?;
    let (mut output, errors) = running.take_output();
    let mut errors = BufReader::new(errors);
    let listens = async {
        let mut line = String::new();
        while !line.contains("listening") {
            line.clear();
            if errors.read_line(&mut line).await.map_err(told)? == 0 {
                return Err("the service has ended".to_owned());
            }
        }
        Ok(())
    };
    tokio::time::timeout(WITHIN, listens).await.map_err(told)??;
    // It would end if nobody took in what it prints.
    let mut taking = JoinSet::new();
    taking.spawn(async move { tokio::io::copy(&mut output, &mut tokio::io::sink()).await });
    taking.spawn(async move { tokio::io::copy(&mut errors, &mut tokio::io::sink()).await });
    Ok((running, taking, format!("http://127.0.0.1:{port}/mcp")))
}

async fn call(connection: &Connection, tool: &str, input: Value) -> Result<Value, ToolError> {
    let tool = connection.tools().iter().find(|offered| offered.listed_as() == tool);
    match tool {
        Some(tool) => tool.call(input, &Asking::default()).await,
        None => Ok(Value::Null),
    }
}

/// Calls tools of each kind.
async fn tools(server: &Server, spawner: &Spawner) -> Result<(), String> {
    let connection = Connection::open(server, spawner).await.map_err(told)?;
    let specs: Vec<_> = connection.tools().iter().map(|tool| tool.spec()).collect();
    let echo = specs.iter().find(|spec| spec.name == "everything__echo");
    let takes = echo.map(|spec| &spec.input["properties"]["message"]["type"]);
    hold("the tool `echo` takes a message", takes == Some(&json!("string")), &specs)?;
    let said = call(&connection, "echo", json!({ "message": "grüße" })).await;
    hold("text", said == Ok(json!({ "text": "Echo: grüße" })), &said)?;
    let sum = call(&connection, "get-sum", json!({ "a": 2, "b": 40 })).await;
    hold("a sum", sum.as_ref().is_ok_and(|sum| sum.to_string().contains("42")), &sum)?;
    let image = call(&connection, "get-tiny-image", json!({})).await;
    let noted = image.as_ref().is_ok_and(|image| image.to_string().contains("[image, image/png"));
    hold("an image is noted", noted, &image)?;
    let weather = call(&connection, "get-structured-content", json!({ "location": "Chicago" }));
    let weather = weather.await;
    let fields = weather.as_ref().is_ok_and(|told| told["structured"]["temperature"] == 36);
    hold("fields", fields, &weather)?;
    let input = json!({ "resourceType": "Text", "resourceId": 1 });
    let resource = call(&connection, "get-resource-reference", input).await;
    let inside = resource.as_ref().is_ok_and(|told| told.to_string().contains("demo://"));
    hold("a resource", inside, &resource)?;
    let bad = call(&connection, "get-sum", json!({ "a": "two" })).await;
    hold("a bad input is a failure", bad.is_err(), &bad)?;
    connection.close().await;
    let impatient = Server { within: IMPATIENCE, ..server.clone() };
    let connection = Connection::open(&impatient, spawner).await.map_err(told)?;
    let began = Instant::now();
    let input = json!({ "duration": 60, "steps": 600 });
    let long = call(&connection, "trigger-long-running-operation", input).await;
    let ended = long.is_err() && began.elapsed() < 2 * IMPATIENCE;
    hold("a call that takes long is given up", ended, &(long, began.elapsed()))?;
    let said = call(&connection, "echo", json!({ "message": "still there" })).await;
    hold("the server is there after that", said.is_ok(), &said)?;
    connection.close().await;
    Ok(())
}

/// The program sees what its entry says, and nothing that only this process has.
async fn environment(server: &Server, spawner: &Spawner) -> Result<(), String> {
    let connection = Connection::open(server, spawner).await.map_err(told)?;
    let seen = call(&connection, "get-env", json!({})).await.map_err(told)?;
    let text = seen["text"].as_str().unwrap_or_default();
    let seen: Value = serde_json::from_str(text).map_err(told)?;
    let scrubbed = seen["SAID"] == "so" && seen["PATH"].is_string() && seen["CARGO"].is_null();
    hold("the environment", scrubbed, &seen)
}

/// A model calls one of its tools in the loop.
async fn work(server: &Server, spawner: &Spawner) -> Result<(), String> {
    let connection = Connection::open(server, spawner).await.map_err(told)?;
    let tools = connection.tools().iter().cloned().fold(Toolbox::default(), Toolbox::with);
    let sum = Turn::calls("everything__get-sum", json!({ "a": 2, "b": 40 }));
    let script = StandIn::of([sum, Turn::says("42.")]).await;
    let model = Ollama::new(&script.url(), "scripted").map_err(told)?;
    let (limits, ctx) = (Limits::of_tier(Tier::Standard), Asking::default());
    let at = Loop { model: &model, tools: &tools, limits, ctx: &ctx, seed: 0 };
    let ended = at.run(&Brief { task: "Add 2 and 40".to_owned(), ..Brief::default() }).await;
    hold("the model was told the sum", ended.transcript.contains("2 and 40 is 42"), &ended)?;
    hold("the model came to an end", ended.how == How::Answered, &ended.how)
}
