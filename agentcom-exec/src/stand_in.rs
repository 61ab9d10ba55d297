//! This file introduces stand-ins: real servers on loopback that speak as GitHub, Ollama, Anthropic and MCP servers do, and a
//! real process that speaks as coding agents do. They follow a script, and misbehave when they are told to. For tests and demonstrations, which may depend on no
//! network and no model.

pub mod acp;
pub mod claude_code;
pub mod github;
pub mod mcp;
pub mod messages;
mod obedient;
pub mod ollama;
pub mod scripted;
pub mod wire;

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use obedient::INSTRUCTIONS;

/// Writes files in a folder without end, 50 MB a second at most.
fn fill<T>(dir: &std::path::Path) -> std::io::Result<T> {
    let piece = vec![1; 500_000];
    for number in 0_u64.. {
        std::fs::write(dir.join(format!("fill-{number}")), &piece)?;
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    Err(std::io::ErrorKind::StorageFull.into())
}

/// A server on a free port of loopback, which ends when this is dropped.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Server {
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    async fn start(router: Router) -> Self {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("loopback is there");
        let address = listener.local_addr().expect("it listens");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // It ends with its owner, and not before.
            let _ = axum::serve(listener, router).await;
        });
        Self { address, _serving: serving }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}
