//! This file is how a program talks to its running hub.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_channel::{mpsc, oneshot};
use futures_util::StreamExt;

use super::feed::{self, Follow, Listener};
use super::lag::Meter;
use super::{CallError, Feed, read, token};
use crate::agent::TokenHash;
use crate::command::{Command, Reply};
use crate::hub::Hub;
use crate::hub::schedule::{why, why_ended};
use crate::id::TaskId;
use crate::name::Principal;
use crate::operator::{Bearer, Operator};
use crate::port::clock::Clock;
use crate::port::store::{Store, StoreError};
use crate::question::Question;
use crate::state::State;
use crate::task::Task;
use crate::time::{Mono, Span};
use crate::view::{
    AgentView, Event, Lag, MoneyView, RepoView, RoutingView, Stats, TaskPage, TaskQuery, Why,
};

/// The reply to a call, or why there is none.
pub(super) type Answer = Result<Reply, CallError>;
/// Somebody who waits for the end of a task.
pub(super) type Waiter = oneshot::Sender<()>;
/// Reads the state, and gives back what says the answer once it may be said.
pub(super) type Viewer = Box<dyn FnOnce(&Hub) -> Box<dyn FnOnce() + Send> + Send>;

/// What a handle asks of the loop.
pub(super) enum Message {
    Call {
        by: Principal,
        cause: Option<Box<str>>,
        command: Command,
        reply: oneshot::Sender<Answer>,
    },
    View(Viewer),
    Wait(TaskId, Waiter),
    Listen(Listener),
    Stop,
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Call { .. } => "Call",
            Self::View(_) => "View",
            Self::Wait(..) => "Wait",
            Self::Listen(_) => "Listen",
            Self::Stop => "Stop",
        })
    }
}

/// How many messages may wait for the hub; the next one is told that it is busy.
const INBOX_MAX: usize = 4_096;
/// When to try again if the hub's queue is full.
const BUSY_WAIT: Span = Span(100);

/// Talks to a running hub. Cheap to clone; the hub stops when all handles are gone.
///
/// All answers cover only what is durable. Dropping a call does not take it back: what was asked
/// may still be done.
#[derive(Clone, Debug)]
pub struct Handle {
    sender: mpsc::UnboundedSender<(Mono, Message)>,
    waiting: Arc<AtomicUsize>,
    meter: Arc<Meter>,
    store: Arc<dyn Store>,
    stopped: Arc<AtomicBool>,
}

impl Handle {
    pub(super) fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> (Self, Inbox) {
        let (sender, receiver) = mpsc::unbounded();
        let waiting = Arc::new(AtomicUsize::new(0));
        let meter = Arc::new(Meter::new(clock));
        let inbox = Inbox { receiver, waiting: waiting.clone(), meter: meter.clone() };
        (Self { sender, waiting, meter, store, stopped: Arc::default() }, inbox)
    }

    /// Asks the hub to do something, and waits until that is durable.
    ///
    /// # Errors
    ///
    /// Why there is no reply; a refusal is a reply.
    pub async fn call(&self, by: Principal, command: Command) -> Result<Reply, CallError> {
        self.call_for(by, None, command).await
    }

    /// As [`Handle::call`], naming the request or trace that is the cause.
    ///
    /// # Errors
    ///
    /// As [`Handle::call`].
    pub async fn call_for(
        &self,
        by: Principal,
        cause: Option<Box<str>>,
        command: Command,
    ) -> Result<Reply, CallError> {
        let (reply, answer) = oneshot::channel();
        self.tell(Message::Call { by, cause, command, reply })?;
        answer.await.unwrap_or(Err(CallError::Indeterminate))
    }

    /// Reads the state between two steps; the answer comes once all that it saw is durable.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn view<T: Send + 'static>(
        &self,
        read: impl FnOnce(&State) -> T + Send + 'static,
    ) -> Result<T, CallError> {
        let (sender, answer) = oneshot::channel();
        self.tell(Message::View(Box::new(move |hub| {
            let seen = read(hub.state());
            Box::new(move || {
                // Whoever asked may be gone.
                let _ = sender.send(seen);
            })
        })))?;
        answer.await.map_err(|_| self.unanswered())
    }

    /// One task, living or ended.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped, or the store cannot be read.
    pub async fn task(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        let (living, number) =
            self.view(move |state| (state.task(id).cloned(), state.number(id))).await?;
        match living {
            Some(task) => Ok(Some(task)),
            None => Ok(read::ended(&*self.store, number).await?),
        }
    }

    /// A page of tasks: living ones in the order of submission, then ended ones, the latest first.
    ///
    /// # Errors
    ///
    /// As [`Handle::task`]; also [`CallError::BadCursor`].
    pub async fn tasks(&self, query: TaskQuery) -> Result<TaskPage, CallError> {
        read::page(self, &*self.store, query).await
    }

    /// Waits until a task has ended, and returns it; `None` if there is no such task. Cancel safe.
    ///
    /// # Errors
    ///
    /// As [`Handle::task`].
    pub async fn ended(&self, id: TaskId) -> Result<Option<Task>, CallError> {
        loop {
            let (waiter, told) = oneshot::channel();
            self.tell(Message::Wait(id, waiter))?;
            told.await.map_err(|_| self.unanswered())?;
            match self.task(id).await? {
                // It was revived in between.
                Some(task) if !task.life.state.is_over() => {}
                found => return Ok(found),
            }
        }
    }

    /// Why a task is where it is; `None` if there is no such task.
    ///
    /// # Errors
    ///
    /// As [`Handle::task`].
    pub async fn why(&self, id: TaskId) -> Result<Option<Why>, CallError> {
        if let Some(why) = self.view(move |state| why(state, id)).await? {
            return Ok(Some(why));
        }
        Ok(self.task(id).await?.map(|task| why_ended(&task)))
    }

    /// All registered agents.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn agents(&self) -> Result<Vec<AgentView>, CallError> {
        self.view(read::agents).await
    }

    /// All servers of models, and how they are doing.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn routing(&self) -> Result<RoutingView, CallError> {
        self.view(read::routing).await
    }

    /// All registered repositories, in order.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn repos(&self) -> Result<Vec<RepoView>, CallError> {
        self.view(read::repos).await
    }

    /// Questions that wait for an answer, the oldest first.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn questions(&self) -> Result<Vec<Question>, CallError> {
        self.view(|state| {
            let mut questions: Vec<Question> = state.questions().cloned().collect();
            questions.sort_by_key(|question| question.asked_at);
            questions
        })
        .await
    }

    /// What is spent, and how much may be; of the accounts those whose names begin with `prefix`.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn money(&self, prefix: String) -> Result<MoneyView, CallError> {
        self.view(move |state| read::money(state, &prefix)).await
    }

    /// Figures about the hub.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn stats(&self) -> Result<Stats, CallError> {
        let stats = self.view(read::stats).await?;
        Ok(Stats { lag: self.lag(), ..stats })
    }

    /// How late the hub is. It is not asked, so a hub that hangs has no say in it.
    #[must_use]
    pub fn lag(&self) -> Lag {
        self.meter.read()
    }

    /// Events after a sequence number, oldest first, at most `limit` (1 to 1,000).
    ///
    /// # Errors
    ///
    /// [`CallError::Gone`] if some of them are not kept any more; otherwise as [`Handle::task`].
    pub async fn events(&self, after: u64, limit: usize) -> Result<Vec<Event>, CallError> {
        let oldest = self.view(|state| state.head().map_or(0, |head| head.oldest_event)).await?;
        if after.saturating_add(1) < oldest {
            return Err(CallError::Gone { oldest });
        }
        Ok(read::events(&*self.store, after, limit.clamp(1, 1_000)).await?)
    }

    /// Events after a sequence number, and then live; with `None` only what happens from now on.
    ///
    /// # Errors
    ///
    /// As [`Handle::events`].
    pub async fn follow(&self, after: Option<u64>) -> Result<Feed, CallError> {
        let (listener, live) = feed::pair();
        self.tell(Message::Listen(listener))?;
        // The loop hears the listener before this view, so nothing falls between them.
        let seq = self.view(State::seq).await?;
        let mut past = Vec::new();
        let mut at = after.unwrap_or(seq);
        while at < seq {
            let more = self.events(at, 1_000).await?;
            let Some(last) = more.last() else { break };
            at = last.seq;
            past.extend(more);
        }
        Ok(Follow::new(past, live, at, self.stopped.clone()))
    }

    /// Who holds a token; `None` if nobody does, or it has expired.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn authenticate(&self, token: &str) -> Result<Option<Principal>, CallError> {
        Ok(match self.bearer(token::hash_of(token)).await? {
            Bearer::Holder(holder) => Some(holder.principal()),
            Bearer::Nobody | Bearer::Expired(..) => None,
        })
    }

    /// What is known of the token with this digest, and what it permits.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn bearer(&self, token: TokenHash) -> Result<Bearer, CallError> {
        self.view(move |state| state.bearer(&token)).await
    }

    /// All operators, with what the hub knows of their tokens.
    ///
    /// # Errors
    ///
    /// If the hub is busy or has stopped.
    pub async fn operators(&self) -> Result<Vec<Operator>, CallError> {
        self.view(|state| state.operators().cloned().collect()).await
    }

    /// Asks the hub to stop: it confirms what it has decided, closes its connections and ends.
    pub fn stop(&self) {
        self.stopped.store(true, Ordering::Release);
        self.waiting.fetch_add(1, Ordering::AcqRel);
        // A hub that is gone has stopped already. This message may exceed the bound by one.
        let _ = self.sender.unbounded_send((self.meter.now(), Message::Stop));
    }

    /// Why a reader got no answer: the hub is gone, or a panic undid what the answer was about.
    fn unanswered(&self) -> CallError {
        if self.sender.is_closed() { CallError::Stopped } else { CallError::Internal }
    }

    fn tell(&self, message: Message) -> Result<(), CallError> {
        if self.sender.is_closed() {
            return Err(CallError::Stopped);
        }
        if INBOX_MAX <= self.waiting.fetch_add(1, Ordering::AcqRel) {
            self.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(CallError::Busy { retry_after: BUSY_WAIT });
        }
        self.sender.unbounded_send((self.meter.now(), message)).map_err(|_| CallError::Stopped)
    }
}

/// Where the loop finds what handles ask of it.
#[derive(Debug)]
pub(super) struct Inbox {
    receiver: mpsc::UnboundedReceiver<(Mono, Message)>,
    pub(super) meter: Arc<Meter>,
    /// How many messages wait: the channel itself would let each handle exceed a bound by one.
    waiting: Arc<AtomicUsize>,
}

impl Inbox {
    /// The next message, or `None` when all handles are gone. Cancel safe.
    pub(super) async fn next(&mut self) -> Option<Message> {
        let (sent_at, message) = self.receiver.next().await?;
        self.waiting.fetch_sub(1, Ordering::AcqRel);
        self.meter.note(sent_at);
        Some(message)
    }
}

impl From<StoreError> for CallError {
    fn from(error: StoreError) -> Self {
        Self::Store { kind: error.kind, message: error.message }
    }
}
