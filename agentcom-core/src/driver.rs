//! This file introduces the loops that run the step functions, and how programs talk to them.
//!
//! [`HubBuilder`](hub::HubBuilder) makes a hub from a store, a clock and transports; its
//! [`Handle`] is how the rest of the program talks to it. [`App`] is both, with an agent beside
//! them that runs plain functions. Nothing here needs an async runtime.

pub mod app;
pub mod clock;
mod feed;
mod handle;
pub mod hub;
mod lag;
pub mod local;
pub mod memory;
pub mod queue;
mod read;
pub mod sidecar;
pub mod token;

pub use app::App;
pub use handle::Handle;

use alloc::boxed::Box;

use futures_core::Stream;

use crate::port::store::StoreErrorKind;
use crate::time::Span;
use crate::view::{Event, ProgressView};

/// Why a call got no reply from the hub.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// The hub's queue is full; nothing was done.
    #[error("the hub is busy; try again in {retry_after}")]
    Busy {
        /// When to try again.
        retry_after: Span,
    },
    /// The hub stopped; nothing was done.
    #[error("the hub has stopped")]
    Stopped,
    /// The hub stopped or lost its store before it could confirm. It may have been done: ask
    /// again with the same idempotency key.
    #[error("the outcome is unknown; ask again with the same idempotency key")]
    Indeterminate,
    /// The request brought the hub down to a restart of its state; nothing was done.
    #[error("internal error; the request was not carried out")]
    Internal,
    /// The cursor is older than the oldest event that is kept.
    #[error("events up to {oldest} are gone")]
    Gone {
        /// The oldest event that is kept.
        oldest: u64,
    },
    /// The store could not be read.
    #[error("the store cannot be read: {message}")]
    Store {
        /// What can be done about it.
        kind: StoreErrorKind,
        /// What happened.
        message: alloc::string::String,
    },
    /// The cursor of a page is not one that the hub gave.
    #[error("the cursor is not valid")]
    BadCursor,
}

/// What the live feed says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeedItem {
    /// Something happened, durably.
    Event(Event),
    /// News about running work; some may be missed.
    Progress(ProgressView),
    /// The reader was too slow: events after this one were not delivered. It may follow again
    /// from here.
    Lagged {
        /// The last event that was delivered.
        after: u64,
    },
}

/// A stream of [`FeedItem`]s. It ends when the hub stops or after [`FeedItem::Lagged`].
pub type Feed = Box<dyn Stream<Item = FeedItem> + Send + Unpin>;
