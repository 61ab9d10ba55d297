//! This file holds the connections of a hub.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;

use crate::id::SessionId;
use crate::port::transport::{CloseReason, Connection, Incoming, Outgoing, SendError, Transport};
use crate::wire::{self, ToAgent};

/// A frame that came in, or the end of its connection; with the half that reads on.
pub(super) type Arrival = (SessionId, Option<String>, Box<dyn Incoming>);

/// The connections of a hub.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) transports: Vec<Arc<dyn Transport>>,
    next_session: u64,
    pub(super) outgoing: BTreeMap<SessionId, Box<dyn Outgoing>>,
    pub(super) incoming: FuturesUnordered<BoxFuture<'static, Arrival>>,
}

impl Links {
    pub(super) fn over(transports: Vec<Arc<dyn Transport>>) -> Self {
        Self { transports, ..Self::default() }
    }

    /// Takes a connection in, and names it.
    pub(super) fn add(&mut self, connection: Connection) -> SessionId {
        self.next_session += 1;
        let id = SessionId(self.next_session);
        self.outgoing.insert(id, connection.outgoing);
        self.read_on(id, connection.incoming);
        id
    }

    /// Waits for the next frame of a connection.
    pub(super) fn read_on(&mut self, id: SessionId, mut incoming: Box<dyn Incoming>) {
        self.incoming.push(Box::pin(async move {
            let frame = incoming.recv().await;
            (id, frame, incoming)
        }));
    }

    /// Queues a frame; a connection that does not keep up is closed.
    pub(super) fn send(&mut self, id: SessionId, frame: &ToAgent) {
        let Some(outgoing) = self.outgoing.get(&id) else { return };
        match outgoing.send(wire::write(frame)) {
            Ok(()) => {}
            Err(SendError::Full) => self.close(id, CloseReason::TooSlow),
            Err(SendError::Closed) => {
                self.outgoing.remove(&id);
            }
        }
    }

    /// Ends a connection, saying why.
    pub(super) fn close(&mut self, id: SessionId, reason: CloseReason) {
        if let Some(outgoing) = self.outgoing.remove(&id) {
            outgoing.close(reason);
        }
    }

    /// Ends all connections.
    pub(super) fn close_all(&mut self, reason: CloseReason) {
        for (_, outgoing) in core::mem::take(&mut self.outgoing) {
            outgoing.close(reason);
        }
        self.incoming = FuturesUnordered::new();
    }
}
