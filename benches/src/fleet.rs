//! This file plays agents: minimal ones that speak in frames, and real sidecars with nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::local::LocalConnector;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver};
use agentcom_core::id::Boot;
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Capability, Kind};
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::port::transport::{Connection, Transport};
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::wire::{
    self, Accepted, Assignment, Complete, Frame, Held, Identify, Ping, ToAgent, ToHub,
};
use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use crate::Outcome;

/// How an agent says who it is.
#[must_use]
pub fn identify(name: &str, slots: u32, capabilities: Vec<String>) -> ToHub {
    ToHub::Identify(Identify {
        agent_id: name.into(),
        token: name.into(),
        capabilities: Some(capabilities),
        boot: Some(Boot(1)),
        executors: Some(vec!["shell".into()]),
        slots: Some(slots),
        ..Identify::default()
    })
}

/// What an agent says that takes a task on.
#[must_use]
pub fn accepted(held: Held) -> ToHub {
    ToHub::TaskAccepted(Accepted { task_id: held.task_id, generation: Some(held.generation) })
}

/// What an agent says that is done with a task.
///
/// # Errors
///
/// Never: the result is valid.
pub fn completed(held: Held) -> Outcome<ToHub> {
    Ok(ToHub::TaskComplete(Complete {
        task_id: held.task_id,
        generation: held.generation,
        incarnation: None,
        result: Some(Json::parse(r#"{"exit_code":0,"output":"ok"}"#)?),
        partial: None,
        tokens_used: None,
        verification_report: None,
        left: Default::default(),
    }))
}

/// What an agent says to keep what it holds.
#[must_use]
pub fn ping(held: Vec<Held>) -> ToHub {
    ToHub::Ping(Ping { held: Some(held), nonce: None })
}

/// Connects, says who it is, and waits to be let in.
///
/// # Errors
///
/// If the hub does not let it in.
pub async fn join(transport: &dyn Transport, name: &str, slots: u32) -> Outcome<Connection> {
    let mut connection = transport.open().await?;
    connection.outgoing.send(wire::write(&identify(name, slots, Vec::new())))?;
    let answer = connection.incoming.recv().await.ok_or("the hub hung up")?;
    let is_in = matches!(wire::read_to_agent(&answer)?, ToAgent::Identified(_));
    if is_in { Ok(connection) } else { Err(format!("not let in: {answer}").into()) }
}

/// An agent that is done with each task at once. Ends with its connection.
///
/// # Errors
///
/// If the hub does not let it in.
pub async fn work(
    transport: LocalConnector,
    name: String,
    slots: u32,
    done: Arc<AtomicUsize>,
) -> Outcome<()> {
    const HEARTBEAT: Duration = Duration::from_secs(4);
    let mut connection = join(&transport, &name, slots).await?;
    let mut beat = Instant::now() + HEARTBEAT;
    loop {
        let frames = tokio::select! {
            frames = connection.incoming.recv_some() => frames,
            () = sleep_until(beat) => {
                beat += HEARTBEAT;
                // It holds nothing between two frames.
                connection.outgoing.send(wire::write(&ping(Vec::new())))?;
                continue;
            }
        };
        if frames.is_empty() {
            return Ok(());
        }
        for said in frames {
            answer(&connection, said, &done)?;
        }
    }
}

fn answer(connection: &Connection, said: Frame, done: &AtomicUsize) -> Outcome<()> {
    let said = said.into_to_agent()?;
    if let ToAgent::TaskAssign(assignment) = said {
        let held = assignment.held();
        connection.outgoing.pass(accepted(held).into())?;
        connection.outgoing.pass(completed(held)?.into())?;
    } else if let ToAgent::TaskAck(ack) = said {
        let is_over = ack.status == wire::Acked::Complete;
        done.fetch_add(usize::from(is_over), Ordering::Relaxed);
    } else if let ToAgent::Error(error) = said {
        return Err(format!("the hub objects: {error:?}").into());
    }
    Ok(())
}

/// An executor that has nothing to do.
#[derive(Debug)]
pub struct Nothing {
    kind: Kind,
    done: Arc<AtomicUsize>,
}

#[async_trait]
impl Executor for Nothing {
    fn kind(&self) -> Kind {
        self.kind.clone()
    }

    async fn run(&self, _job: &Assignment, _ctx: &dyn JobContext) -> JobOutcome {
        self.done.fetch_add(1, Ordering::Relaxed);
        JobOutcome::done(Json::null())
    }
}

/// A real sidecar with a journal in memory, whose work takes no time. `done` counts what it ran.
///
/// # Errors
///
/// Never: the names are valid.
pub fn sidecar(
    transport: LocalConnector,
    name: &str,
    slots: u32,
    done: Arc<AtomicUsize>,
) -> Outcome<SidecarDriver> {
    let config = SidecarConfig {
        slots,
        capabilities: Vec::<Capability>::new(),
        ..SidecarConfig::new(AgentId::new(name)?, Secret::new(name))
    };
    let nothing = Nothing { kind: Kind::new("shell")?, done };
    Ok(SidecarDriver::new(
        config,
        Arc::new(transport),
        Box::new(MemoryDisk::new().open()),
        vec![Arc::new(nothing)],
        Arc::new(SystemClock::new()),
        Entropy { boot: Boot(1), seed: 1 },
    )?)
}
