//! This file asks the hub once whether it knows this agent.

use std::io::Write as _;
use std::time::Duration;

use agentcom_core::port::transport::Transport as _;
use agentcom_core::wire::{Identify, ToAgent, ToHub, read_to_agent, write};
use agentcom_transport_ws::{ClientOptions, WsClient};
use anyhow::Context as _;

use agentcom_sidecar::settings::Settings;

const UNAVAILABLE: u8 = 69;
const REFUSED: u8 = 77;
const PATIENCE: Duration = Duration::from_secs(10);

/// Connects, identifies and says how that went; the exit code.
pub(crate) async fn check(settings: &Settings) -> anyhow::Result<u8> {
    let client = WsClient::new(&settings.url, ClientOptions::default())?;
    let config = settings.sidecar()?;
    let identify = ToHub::Identify(Identify {
        agent_id: config.agent.to_string(),
        token: config.token.reveal().to_owned(),
        // One without executors gets no work.
        executors: Some(Vec::new()),
        version: config.version,
        ..Identify::default()
    });
    let answer = tokio::time::timeout(PATIENCE, ask(&client, &identify)).await;
    let answer = answer.map_err(anyhow::Error::from).and_then(|answer| answer);
    client.shutdown().await;
    let (said, code) = match answer {
        Ok(ToAgent::Identified(identified)) => {
            (format!("{} knows {}", settings.url, identified.agent_id), 0)
        }
        Ok(ToAgent::Error(error)) => (format!("the hub refuses: {}", error.error), REFUSED),
        Ok(other) => (format!("the hub answered with {}", write(&other)), UNAVAILABLE),
        Err(error) => (format!("no answer from {}: {error:#}", settings.url), UNAVAILABLE),
    };
    writeln!(std::io::stdout(), "{said}")?;
    Ok(code)
}

async fn ask(client: &WsClient, identify: &ToHub) -> anyhow::Result<ToAgent> {
    let mut connection = client.open().await?;
    connection.outgoing.send(write(identify))?;
    let text = connection.incoming.recv().await.context("the connection ended")?;
    Ok(read_to_agent(&text)?)
}
