//! This file measures what an idle connection costs the hub's end in memory (Linux only).
//!
//! `cargo run --release -p agentcom-transport-ws --example idle -- 5000` serves in this process,
//! connects from another one, and prints the resident bytes per connection.

use std::error::Error;
use std::process::{Command, Stdio};

use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::{Incoming, Transport as _};
use agentcom_transport_ws::{ClientOptions, ServeLimits, ServerLimits, WsClient, listen, serve};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Connections that are open before measuring begins, so that code and pools are not counted.
const WARM: usize = 50;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [count] => measure(count.parse()?).await,
        [address, count] => connect(address, count.parse()?).await,
        _ => Err("say how many connections to measure".into()),
    }
}

#[expect(clippy::print_stdout, reason = "the figure is what it is for")]
async fn measure(count: usize) -> Outcome<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (router, transport) = listen(ServerLimits::default(), AllowList::default());
    let mut server = JoinSet::new();
    server.spawn(serve(listener, router, ServeLimits::default(), std::future::pending()));

    let mut outgoing = Vec::new();
    let mut receiving = FuturesUnordered::new();
    let mut before = 0;
    let mut clients = Command::new(std::env::current_exe()?)
        .args([address.to_string(), (WARM + count).to_string()])
        .stdin(Stdio::piped())
        .spawn()?;
    for number in 0..WARM + count {
        if number == WARM {
            before = resident()?;
        }
        let connection = transport.open().await?;
        connection.outgoing.send(String::from(r#"{"type":"identified"}"#))?;
        outgoing.push(connection.outgoing);
        receiving.push(next(connection.incoming));
        // Each client says one thing, so that no buffer is as it was made.
        let incoming = receiving.next().await.flatten().ok_or("a client has gone")?;
        receiving.push(next(incoming));
    }
    let after = resident()?;
    println!("{} bytes per idle connection ({count} connections)", (after - before) / count);
    clients.kill()?;
    clients.wait()?;
    Ok(())
}

/// Waits for a frame and gives the connection back.
async fn next(mut incoming: Box<dyn Incoming>) -> Option<Box<dyn Incoming>> {
    incoming.recv().await.map(|_| incoming)
}

async fn connect(address: &str, count: usize) -> Outcome<()> {
    let client = WsClient::new(&format!("ws://{address}/ws"), ClientOptions::default())?;
    let mut connections = Vec::new();
    for _ in 0..count {
        let mut connection = client.open().await?;
        connection.incoming.recv().await.ok_or("the hub has gone")?;
        connection.outgoing.send(String::from(r#"{"type":"ping"}"#))?;
        connections.push(connection);
    }
    std::future::pending().await
}

/// The resident set of this process, in bytes.
fn resident() -> Outcome<usize> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).ok_or("no VmRSS")?;
    let kib = line.split_whitespace().nth(1).ok_or("no figure")?;
    Ok(kib.parse::<usize>()? * 1024)
}
