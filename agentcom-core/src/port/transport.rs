//! This file is the port to the network: connections that carry text frames.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use core::fmt;

use async_trait::async_trait;

use crate::time::Span;
use crate::wire::{Dialect, Frame};

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The other side reads too slowly.
    #[error("the connection's queue is full")]
    Full,
    /// The connection has ended.
    #[error("the connection has ended")]
    Closed,
}

/// Why a transport gives no connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// Not now.
    #[error("cannot connect: {0}")]
    Unreachable(String),
    /// Not before a while: the other side is there, and has no room.
    #[error("the hub has no room; it says to try again in {retry_after}")]
    Full {
        /// How long it asks to be left alone.
        retry_after: Span,
    },
    /// Never again: the transport was shut down.
    #[error("the transport was shut down")]
    Stopped,
}

/// Why a connection is closed. The codes are those of WebSocket close frames (RFC 6455, 7.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloseReason {
    /// One side is done.
    Normal,
    /// The hub stops or restarts.
    GoingAway,
    /// The client breaks the rules.
    Violation,
    /// The client did not prove who it is.
    Unauthorised,
    /// The client reads too slowly or is silent.
    TooSlow,
    /// Another connection of the same agent took its place.
    Replaced,
}

impl CloseReason {
    /// The code in a WebSocket close frame.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::GoingAway => 1012,
            Self::Violation => 1008,
            Self::Unauthorised => 4001,
            Self::TooSlow => 4008,
            Self::Replaced => 4009,
        }
    }

    /// The words in a WebSocket close frame.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "done",
            Self::GoingAway => "the hub restarts",
            Self::Violation => "too many violations",
            Self::Unauthorised => "not authorised",
            Self::TooSlow => "too slow",
            Self::Replaced => "replaced by another connection",
        }
    }
}

/// The sending half of a connection. Dropping it closes the connection without a word.
pub trait Outgoing: fmt::Debug + Send + Sync {
    /// Queues a frame and returns at once.
    ///
    /// # Errors
    ///
    /// [`SendError::Full`] if the other side does not keep up, [`SendError::Closed`] if it is gone.
    fn send(&self, frame: String) -> Result<(), SendError>;

    /// As [`Outgoing::send`], for a frame that need not be written as text if the other end is in
    /// this process.
    ///
    /// # Errors
    ///
    /// As [`Outgoing::send`].
    fn pass(&self, frame: Frame) -> Result<(), SendError> {
        self.send(frame.into_text())
    }

    /// Says why, after what is queued, and ends the connection; returns at once.
    fn close(&self, reason: CloseReason);
}

/// The receiving half of a connection. Dropping it ends the connection.
#[async_trait]
pub trait Incoming: fmt::Debug + Send {
    /// The next frame, or `None` when the connection has ended, for whatever reason.
    ///
    /// Cancel safe: a dropped call loses no frame.
    async fn recv(&mut self) -> Option<String>;

    /// The next frames that are there together: at least one, unless the connection has ended,
    /// and about as many as may be taken in at once.
    ///
    /// Cancel safe, as [`Incoming::recv`].
    async fn recv_some(&mut self) -> VecDeque<Frame> {
        self.recv().await.map(Frame::Text).into_iter().collect()
    }
}

/// A connection to one client, or to the hub.
#[derive(Debug)]
pub struct Connection {
    /// Which rules the client follows.
    pub dialect: Dialect,
    /// Where the other side is, for logs.
    pub peer: String,
    /// The sending half.
    pub outgoing: Box<dyn Outgoing>,
    /// The receiving half.
    pub incoming: Box<dyn Incoming>,
}

/// Gives connections: a hub's to its clients, a sidecar's to its hub.
///
/// # Contract
///
/// - **Ordered.** Frames of one connection arrive in the order in which they were sent
///   (`ordered::frames_arrive_in_the_order_they_were_sent`).
/// - **Whole.** A frame arrives as it was sent or not at all
///   (`ordered::frames_arrive_as_they_were_sent`, `ordered::frames_of_one_mebibyte_arrive_whole`).
/// - **Honest.** After a frame was lost, nothing more arrives: the connection ends
///   (`bounded::what_was_taken_arrives_and_what_was_refused_does_not`).
/// - **Bounded.** A side that does not read makes the other's `send` fail with
///   [`SendError::Full`], not its memory grow
///   (`bounded::a_side_that_does_not_read_makes_send_fail`).
/// - **Ending.** When one side closes or drops its connection, the other's `recv` ends after what
///   was sent before (`ending::*_delivers_what_was_sent_before`).
/// - **Cancel safe.** Dropping `open` or `recv` loses no connection and no frame
///   (`cancelled::a_dropped_*`).
///
/// Everything may be lost at any moment by losing the connection; nothing here acknowledges.
#[async_trait]
pub trait Transport: fmt::Debug + Send + Sync {
    /// Waits for the next connection: for a hub the next client's, for a sidecar the next attempt
    /// to reach its hub. An attempt that fails returns [`TransportError::Unreachable`] or
    /// [`TransportError::Full`]; the caller decides when to try again.
    async fn open(&self) -> Result<Connection, TransportError>;
}
