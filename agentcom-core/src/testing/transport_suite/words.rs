//! This file holds the words that the cases are told in.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::task::Poll;

use futures_util::future::join;

use super::TransportFixture;
use crate::port::transport::{Connection, Incoming, Outgoing, SendError, Transport};
use crate::wire::Dialect;

/// A connection, seen from both sides.
pub(super) struct Both {
    pub(super) hub: Connection,
    pub(super) agent: Connection,
    /// Connections live as long as the transport that opened them.
    _transport: Box<dyn Transport>,
}

impl Both {
    /// The connection as sender and receiver: once from the hub to the agent, once the other way.
    pub(super) fn one_way(self, from_hub: bool) -> (Connection, Connection, Box<dyn Transport>) {
        let (sender, receiver) =
            if from_hub { (self.hub, self.agent) } else { (self.agent, self.hub) };
        (sender, receiver, self._transport)
    }
}

/// Opens a connection.
pub(super) async fn connect(fixture: &impl TransportFixture) -> Both {
    connect_as(fixture, Dialect::V1).await
}

/// Opens a connection of an agent that follows `dialect`.
pub(super) async fn connect_as(fixture: &impl TransportFixture, dialect: Dialect) -> Both {
    let transport = fixture.agent(dialect);
    let (hub, agent) = join(fixture.hub().open(), transport.open()).await;
    let hub = hub.expect("the hub gives a connection");
    let agent = agent.expect("the agent reaches the hub");
    Both { hub, agent, _transport: transport }
}

/// Lets everything else go on.
pub(super) async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Sends a frame as soon as there is room for it.
pub(super) async fn send(outgoing: &dyn Outgoing, frame: String) {
    loop {
        match outgoing.send(frame.clone()) {
            Ok(()) => return,
            Err(SendError::Full) => pause().await,
            Err(SendError::Closed) => panic!("the connection has ended"),
        }
    }
}

/// Receives a frame that must come.
pub(super) async fn recv(incoming: &mut dyn Incoming) -> String {
    incoming.recv().await.expect("a frame")
}

/// Receives everything up to the end.
pub(super) async fn recv_all(incoming: &mut dyn Incoming) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some(frame) = incoming.recv().await {
        frames.push(frame);
    }
    frames
}

/// Waits until sending is refused because the connection has ended.
pub(super) async fn closed(outgoing: &dyn Outgoing) {
    while outgoing.send(String::from("is anybody there?")) != Err(SendError::Closed) {
        pause().await;
    }
}
