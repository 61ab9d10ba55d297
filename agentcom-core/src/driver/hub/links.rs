//! This file holds the connections of a hub.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::task::{Context, Poll, ready};

use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt as _};

use crate::id::SessionId;
use crate::port::transport::{CloseReason, Connection, Incoming, Outgoing, SendError, Transport};
use crate::wire::{Frame, ToAgent};

/// Frames that came in together; none at the end of the connection.
#[derive(Debug)]
struct Arrival {
    session: SessionId,
    frames: VecDeque<Frame>,
    /// The half that reads on.
    incoming: Box<dyn Incoming>,
}

/// The connections of a hub.
#[derive(Debug, Default)]
pub(super) struct Links {
    pub(super) transports: Vec<Arc<dyn Transport>>,
    next_session: u64,
    pub(super) outgoing: BTreeMap<SessionId, Box<dyn Outgoing>>,
    incoming: FuturesUnordered<BoxFuture<'static, Arrival>>,
    /// What is left of the frames that came in last.
    arrived: Option<Arrival>,
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

    /// Waits for the next frames of a connection.
    fn read_on(&mut self, session: SessionId, mut incoming: Box<dyn Incoming>) {
        self.incoming.push(Box::pin(async move {
            let frames = incoming.recv_some().await;
            Arrival { session, frames, incoming }
        }));
    }

    /// The next frame of any connection, or the end of one.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(SessionId, Option<Frame>)> {
        let mut arrival = match self.arrived.take() {
            Some(arrival) => arrival,
            None => match ready!(self.incoming.poll_next_unpin(cx)) {
                Some(arrival) => arrival,
                // Nobody is connected; whoever connects wakes the loop.
                None => return Poll::Pending,
            },
        };
        let (session, frame) = (arrival.session, arrival.frames.pop_front());
        if !arrival.frames.is_empty() {
            self.arrived = Some(arrival);
        } else if frame.is_some() {
            self.read_on(session, arrival.incoming);
        }
        Poll::Ready((session, frame))
    }

    /// Queues a frame; a connection that does not keep up is closed.
    pub(super) fn send(&mut self, id: SessionId, frame: ToAgent) {
        let Some(outgoing) = self.outgoing.get(&id) else { return };
        match outgoing.pass(frame.into()) {
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
        self.arrived = None;
    }
}
