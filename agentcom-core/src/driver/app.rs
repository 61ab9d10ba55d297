//! This file is the front door for programs that embed a hub: plain functions as durable jobs.
//!
//! An [`App`] is a hub over a store, and one agent in the same program that calls your functions.
//! Arguments are whatever serde reads; what a function returns says what becomes of the task, see
//! [`Outcome`] and [`IntoOutcome`].
//!
//! ```
//! use agentcom_core::driver::app::{App, AppError, Job, Outcome};
//! use agentcom_core::driver::memory::MemoryDisk;
//!
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Mail {
//!     to: String,
//! }
//!
//! async fn send(job: Job, mail: Mail) -> Outcome<String> {
//!     match (mail.to.contains('@'), job.attempt()) {
//!         (false, _) => Outcome::Dead(format!("`{}` is no address", mail.to)),
//!         (true, attempt) => Outcome::Done(format!("sent to {} by attempt {attempt}", mail.to)),
//!     }
//! }
//!
//! # futures_executor::block_on(async {
//! let app = App::over(MemoryDisk::new().open()).handler("send", send).open().await?;
//! let task = app.submit("send", &Mail { to: "ada@example.org".into() }).await?;
//! assert_eq!(app.result::<String>(task).await?, "sent to ada@example.org by attempt 1");
//! # Ok::<(), AppError>(())
//! # }).unwrap();
//! ```
//!
//! **Nothing is spawned.** There is no runtime to choose: an app runs while something of it is
//! awaited. A program keeps [`App::run`] going beside its other work; [`App::submit`] and the like
//! move the hub on by themselves meanwhile, so they may come before it. Handlers run concurrently
//! on the task that runs the app: one that computes for long between two awaits holds up the
//! others and the agent's heartbeat, and belongs on a thread whose answer it awaits.
//!
//! **After a crash** queued tasks are there again. One that was at work is given out again once
//! its lease has ended, and counts as a crash of that task; a poison task ends in the dead letters.
//! Effects outside happen at least once: [`Job::lease`] is the number to fence them with.

mod builder;
mod handler;
mod job;
mod outcome;
mod submit;
#[cfg(test)]
mod tests;

pub use builder::AppBuilder;
pub use handler::{Handler, executor};
pub use job::Job;
pub use outcome::{IntoOutcome, Outcome};
pub use submit::NewTask;

use alloc::string::{String, ToString as _};
use alloc::sync::Arc;
use core::fmt;
use core::future::Future;
use core::pin::pin;
use std::sync::{Mutex, PoisonError};

use futures_channel::oneshot;
use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use futures_util::future::{Either, FutureExt as _, Shared, select};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::sidecar::SidecarError;
use super::token::{NoEntropy, Token};
use super::{CallError, FeedItem, Handle};
use crate::command::{Command, Rejected, Reply};
use crate::id::TaskId;
use crate::json::{BadJson, Json};
use crate::name::{AgentId, BadName, Kind, Principal};
use crate::port::clock::Clock;
use crate::port::store::{Store, StoreError};
use crate::task::{BadDraft, Draft, Task, TaskState};

/// Why an app did not do what it was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum AppError {
    /// A name is not one.
    #[error(transparent)]
    Name(#[from] BadName),
    /// A field of a task breaks a rule.
    #[error("{0}")]
    BadDraft(BadDraft),
    /// The input of a task is not JSON within the bounds.
    #[error("the input {0}")]
    Input(BadJson),
    /// The hub did not do it.
    #[error(transparent)]
    Rejected(Rejected),
    /// The hub did not answer.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The store failed, and the hub with it. What was confirmed is there; open another app.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The agent failed.
    #[error(transparent)]
    Agent(Arc<SidecarError>),
    /// The operating system gave no random bytes.
    #[error(transparent)]
    NoEntropy(NoEntropy),
    /// There is no such task.
    #[error("there is no task {0}")]
    UnknownTask(TaskId),
    /// The task ended without a result.
    #[error("{id} ended as {state}: {why}")]
    NoResult {
        /// The task.
        id: TaskId,
        /// The word for how it ended.
        state: &'static str,
        /// The last error, or why it died.
        why: String,
    },
    /// The result of the task is not what was asked for.
    #[error("the result of {id}: {why}")]
    Result {
        /// The task.
        id: TaskId,
        /// What does not fit.
        why: String,
    },
}

/// How often the hub is looked at until it has heard its agent out: it takes in at least one frame
/// between two looks, and no more frames than this wait.
const LAST_WORDS_MAX: usize = 1_024;

/// A future that whoever awaits a part of the app moves on.
type Running = Shared<BoxFuture<'static, Result<(), AppError>>>;

/// A hub with an agent that calls the functions of this program. Clones are the same app.
#[derive(Clone)]
pub struct App {
    handle: Handle,
    hub: Running,
    agent: Running,
    /// The agent that calls the handlers, if there are any.
    id: Option<AgentId>,
    clock: Arc<dyn Clock>,
    stop: Arc<Mutex<Option<oneshot::Sender<()>>>>,
}

impl App {
    /// Begins an app over this store.
    pub fn over(store: impl Store + 'static) -> AppBuilder {
        AppBuilder::new(Arc::new(store))
    }

    /// Queues a task for the handler of `kind`, and returns its name once that is durable.
    ///
    /// # Errors
    ///
    /// What is wrong with the name or the input, or why the hub did not take the task.
    pub async fn submit<A>(&self, kind: &str, input: &A) -> Result<TaskId, AppError>
    where
        A: Serialize + ?Sized + Sync,
    {
        self.task(kind, input).submit().await
    }

    /// Begins a task of which there is more to say than what to run.
    pub fn task<A: Serialize + ?Sized>(&self, kind: &str, input: &A) -> NewTask<'_> {
        let kind = Kind::new(kind).map_err(AppError::Name);
        let draft = kind.and_then(|kind| {
            let input = Json::of(input).map_err(AppError::Input)?;
            Ok(Draft::new(kind, input))
        });
        NewTask { app: self, draft }
    }

    /// Waits until a task has ended, and returns its result. The app runs meanwhile.
    ///
    /// # Errors
    ///
    /// If there is no such task, it ended without a result, or its result is no `T`.
    pub async fn result<T: DeserializeOwned>(&self, id: TaskId) -> Result<T, AppError> {
        let ended = pin!(self.handle.ended(id));
        let task = match select(ended, self.run().boxed()).await {
            Either::Left((task, _)) => task?,
            Either::Right((ran, ended)) => {
                ran?;
                ended.await?
            }
        };
        let task = task.ok_or(AppError::UnknownTask(id))?;
        let finish = task.life.finish.as_ref().ok_or_else(|| no_result(&task))?;
        finish.result.read().map_err(|bad| AppError::Result { id, why: bad.to_string() })
    }

    /// The name and token of a further agent, for a sidecar that connects from outside. It is
    /// registered if need be; otherwise its latest two tokens are valid, and a connection by an
    /// earlier one ends.
    ///
    /// # Errors
    ///
    /// If the name is not one or that of the agent which calls the handlers, or the hub does not
    /// answer.
    pub async fn token_for(&self, agent: &str) -> Result<Token, AppError> {
        let id = AgentId::new(agent)?;
        if self.id.as_ref() == Some(&id) {
            return Err(AppError::Rejected(Rejected::AgentExists(id)));
        }
        self.register(id).await
    }

    /// Runs the app until [`App::stop`] or the failure of its store.
    ///
    /// # Errors
    ///
    /// What the store or the agent said.
    pub async fn run(&self) -> Result<(), AppError> {
        match select(self.hub.clone(), self.agent.clone()).await {
            Either::Left((ended, _)) => ended,
            Either::Right((left, hub)) => {
                self.hear_out().await?;
                self.handle.stop();
                hub.await?;
                left
            }
        }
    }

    /// Runs the app until `end` is over, such as a signal of the operating system, and then stops
    /// it in good order.
    ///
    /// # Errors
    ///
    /// As [`App::run`].
    pub async fn run_until<F: Future>(&self, end: F) -> Result<F::Output, AppError> {
        let end = pin!(end);
        match select(end, self.run().boxed()).await {
            Either::Left((output, running)) => {
                self.stop();
                running.await?;
                Ok(output)
            }
            Either::Right((ran, _)) => {
                ran?;
                Err(AppError::Call(CallError::Stopped))
            }
        }
    }

    /// Runs the app until no task is left that waits or is at work, and then stops it. A task that
    /// nobody can do keeps it running.
    ///
    /// # Errors
    ///
    /// As [`App::run`].
    pub async fn run_until_idle(&self) -> Result<(), AppError> {
        Ok(self.run_until(self.idle()).await??)
    }

    /// Asks the app to stop: no more work begins, handlers may end within 30 seconds, what is left
    /// goes back to the queue, and [`App::run`] returns.
    pub fn stop(&self) {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(stop) = stop {
            // An agent that is gone has stopped.
            let _ = stop.send(());
        }
    }

    /// All that can be asked of the hub, such as views, pages and the feed; an HTTP API is built
    /// on it. Its calls are answered while the app runs.
    #[must_use]
    pub const fn handle(&self) -> &Handle {
        &self.handle
    }

    async fn register(&self, id: AgentId) -> Result<Token, AppError> {
        let token = Token::generate()?;
        let add = Command::AddAgent { id: id.clone(), token: token.hash() };
        let mut reply = self.driven(self.handle.call(Principal::Admin, add)).await?;
        if let Reply::Rejected(Rejected::AgentExists(_)) = reply {
            let rotate = Command::RotateToken { id, token: token.hash() };
            reply = self.driven(self.handle.call(Principal::Admin, rotate)).await?;
        }
        match reply {
            Reply::Rejected(rejected) => Err(AppError::Rejected(rejected)),
            Reply::Done
            | Reply::Submitted(_)
            | Reply::SubmittedBatch(_)
            | Reply::Cancelled { .. }
            | Reply::Revived { .. } => Ok(token),
        }
    }

    /// Waits for an answer of the hub, which runs meanwhile, whoever else runs it or not.
    async fn driven<T>(
        &self,
        call: impl Future<Output = Result<T, CallError>>,
    ) -> Result<T, AppError> {
        match select(pin!(call), self.hub.clone()).await {
            Either::Left((answer, _)) => Ok(answer?),
            Either::Right((ended, call)) => {
                ended?;
                Ok(call.await?)
            }
        }
    }

    /// Lets the hub take in the last words of its agent, which has closed its connection: what it
    /// gave back would otherwise count as lost.
    async fn hear_out(&self) -> Result<(), AppError> {
        let Some(id) = &self.id else { return Ok(()) };
        for _ in 0..LAST_WORDS_MAX {
            let id = id.clone();
            let connected = self.handle.view(move |state| state.session_of(&id).is_some());
            if !self.driven(connected).await? {
                break;
            }
        }
        Ok(())
    }

    async fn idle(&self) -> Result<(), CallError> {
        loop {
            let mut feed = self.handle.follow(None).await?;
            loop {
                if self.handle.view(|state| state.task_count()).await? == 0 {
                    return Ok(());
                }
                let Some(FeedItem::Event(_) | FeedItem::Progress(_)) = feed.next().await else {
                    // It was too slow, or the hub has stopped, which the next call says.
                    break;
                };
                // One look answers for all that has happened before it.
                while let Some(Some(_)) = feed.next().now_or_never() {}
            }
        }
    }
}

fn no_result(task: &Task) -> AppError {
    let state = &task.life.state;
    let why = match (task.life.why_failed(), state) {
        (Some(said), _) => said,
        (None, TaskState::Dead(death)) => death.to_string(),
        (None, _) => "called off".into(),
    };
    AppError::NoResult { id: task.id, state: state.as_str(), why }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("handle", &self.handle).finish_non_exhaustive()
    }
}

impl From<StoreError> for AppError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<SidecarError> for AppError {
    fn from(error: SidecarError) -> Self {
        Self::Agent(Arc::new(error))
    }
}

impl From<NoEntropy> for AppError {
    fn from(error: NoEntropy) -> Self {
        Self::NoEntropy(error)
    }
}
