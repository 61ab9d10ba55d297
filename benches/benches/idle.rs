//! This file measures what idle agents over WebSocket cost the hub in memory (Linux only).
//!
//! `cargo xtask bench idle [--agents N] [--runs N]`
//!
//! The hub runs in one process, over redb, and the agents in another: each is registered,
//! identified, and pings every few seconds. What is counted is the whole process of the hub: the
//! sockets' buffers, the driver, and all that the hub knows of the agents.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use agentcom_benches::arguments::Arguments;
use agentcom_benches::hub::{self, Kept, Running};
use agentcom_benches::report::{Runs, say};
use agentcom_benches::{Outcome, fleet, machine};
use agentcom_core::config::HubConfig;
use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::Connection;
use agentcom_core::time::Span;
use agentcom_core::wire;
use agentcom_transport_ws::{ClientOptions, ServerLimits, WsClient, listen};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::sleep;

/// Agents that are connected before measuring begins, so that code and pools are not counted.
const WARM: usize = 100;
const HEARTBEAT: Duration = Duration::from_secs(10);

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    let agents = arguments.number("agents", 5_000)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match arguments.word(0) {
        None => {}
        Some("serve") => return runtime.block_on(serve(agents)),
        Some("play") => {
            let url = arguments.text("url").ok_or("no --url")?;
            return runtime.block_on(play(url, arguments.number("from", 0)?, agents));
        }
        Some(other) => return Err(format!("unknown: {other}").into()),
    }
    machine::describe();
    let mut figures: [Runs; 3] = Default::default();
    for _ in 0..arguments.number("runs", 3)? {
        // A fresh process each time: memory that was freed is not given back.
        let output = Command::new(std::env::current_exe()?)
            .args(["serve", "--agents", &agents.to_string()])
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        let numbers = said.split_whitespace().map(str::parse::<f64>);
        for (runs, number) in figures.iter_mut().zip(numbers) {
            runs.add(number?);
        }
    }
    let [registered, connected, both] = &figures;
    say(&format!("{agents} agents; bytes of the hub per agent"));
    say(&format!("registered: {}", registered.spread()));
    say(&format!("connected and idle, on top: {}", connected.spread()));
    say(&format!("both: {}", both.spread()));
    Ok(())
}

async fn serve(agents: usize) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}/ws", listener.local_addr()?);
    let (router, transport) = listen(ServerLimits::default(), AllowList::default());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, service).await });
    let config = HubConfig { silent_after: Span::from_secs(60), ..HubConfig::default() };
    let hub = Running::start(Kept::Redb(dir.path()), config, vec![Arc::new(transport)]).await?;

    register(&hub, 0, WARM).await?;
    let _warm = connect(&hub, &url, 0, WARM).await?;
    let before = machine::resident()?;
    register(&hub, WARM, agents).await?;
    let registered = machine::resident()?;
    let _idle = connect(&hub, &url, WARM, agents).await?;
    // Everybody has pinged twice, so that no buffer is as it was made.
    sleep(2 * HEARTBEAT + Duration::from_secs(2)).await;
    if online(&hub).await? != WARM + agents {
        return Err("not all agents stayed".into());
    }
    let after = machine::resident()?;
    let each = |from: u64, to: u64| to.saturating_sub(from) / agents as u64;
    say(&format!(
        "{} {} {}",
        each(before, registered),
        each(registered, after),
        each(before, after)
    ));
    Ok(())
}

async fn register(hub: &Running, from: usize, count: usize) -> Outcome<()> {
    let mut registering = JoinSet::new();
    for number in from..from + count {
        let handle = hub.handle.clone();
        registering.spawn(async move { hub::register(&handle, &format!("agent-{number}")).await });
        if registering.len() >= 256 {
            registering.join_next().await.transpose()?.transpose()?;
        }
    }
    while let Some(registered) = registering.join_next().await {
        registered??;
    }
    Ok(())
}

/// Agents in a process of their own, which ends with this value.
struct Elsewhere(Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn connect(hub: &Running, url: &str, from: usize, count: usize) -> Outcome<Elsewhere> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["play", "--url", url, "--from", &from.to_string()]);
    command.args(["--agents", &count.to_string()]).stdout(Stdio::null());
    let elsewhere = Elsewhere(command.spawn()?);
    while online(hub).await? < from + count {
        sleep(Duration::from_millis(20)).await;
    }
    Ok(elsewhere)
}

async fn online(hub: &Running) -> Outcome<usize> {
    Ok(hub.handle.view(|state| state.fleet().members().count()).await?)
}

async fn play(url: &str, from: usize, count: usize) -> Outcome<()> {
    let client = WsClient::new(url, ClientOptions::default())?;
    let mut playing: JoinSet<Outcome<()>> = JoinSet::new();
    for number in from..from + count {
        let connection = fleet::join(&client, &format!("agent-{number}"), 1).await?;
        playing.spawn(beat(connection));
    }
    while let Some(ended) = playing.join_next().await {
        ended??;
    }
    Ok(())
}

/// Pings now and then, and reads what the hub says.
async fn beat(mut connection: Connection) -> Outcome<()> {
    loop {
        connection.outgoing.send(wire::write(&fleet::ping(Vec::new())))?;
        connection.incoming.recv().await.ok_or("the hub hung up")?;
        sleep(HEARTBEAT).await;
    }
}
