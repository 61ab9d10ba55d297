//! This file is how programs talk to a running hub: the handle, and what it can answer.

pub mod clock;
pub mod local;
pub mod queue;
pub mod sidecar;
pub mod token;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use futures_core::Stream;

use crate::command::{Command, Reply};
use crate::id::TaskId;
use crate::name::Principal;
use crate::question::Question;
use crate::state::State;
use crate::task::Task;
use crate::time::Span;
use crate::view::{AgentView, Event, ProgressView, Stats, TaskPage, TaskQuery, Why};

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

/// Talks to a running hub. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {}

#[expect(unused_variables, clippy::unused_async, reason = "being written")]
impl Handle {
    /// Asks the hub to do something, and waits until that is durable.
    pub async fn call(&self, by: Principal, command: Command) -> Result<Reply, CallError> {
        unimplemented!()
    }

    /// As [`Handle::call`], naming the request or trace that is the cause.
    pub async fn call_for(&self, by: Principal, cause: Option<Box<str>>, command: Command) -> Result<Reply, CallError> {
        unimplemented!()
    }

    /// Reads the state between two steps; the answer covers only what is durable.
    pub async fn view<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        unimplemented!()
    }

    /// One task, living or ended.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        unimplemented!()
    }

    /// A page of tasks.
    pub async fn tasks(&self, query: TaskQuery) -> Result<TaskPage, CallError> {
        unimplemented!()
    }

    /// Waits until a task has ended, and returns it; `None` if there is no such task.
    pub async fn ended(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        unimplemented!()
    }

    /// Why a task is where it is; `None` if there is no such task.
    pub async fn why(&self, id: TaskId) -> Result<Option<Why>, CallError> {
        unimplemented!()
    }

    /// All registered agents.
    pub async fn agents(&self) -> Result<Vec<AgentView>, CallError> {
        unimplemented!()
    }

    /// Questions that wait for an answer, the oldest first.
    pub async fn questions(&self) -> Result<Vec<Question>, CallError> {
        unimplemented!()
    }

    /// Figures about the hub.
    pub async fn stats(&self) -> Result<Stats, CallError> {
        unimplemented!()
    }

    /// Events after a sequence number, oldest first, at most `limit` (1 to 1,000).
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, CallError> {
        unimplemented!()
    }

    /// Events after a sequence number, and then live; with `None` only what happens from now on.
    pub async fn follow(&self, after: Option<u64>) -> Result<Feed, CallError> {
        unimplemented!()
    }

    /// Who holds a token; `None` if nobody does.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Principal>, CallError> {
        unimplemented!()
    }

    /// Asks the hub to stop: it takes no more calls, closes its connections and ends.
    pub fn stop(&self) {
        unimplemented!()
    }
}

/// The seeds and the token of a data set that does not exist yet.
pub type AdminToken = String;
