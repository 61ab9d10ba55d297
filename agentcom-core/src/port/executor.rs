//! This file is the port to the work itself.

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;

use async_trait::async_trait;

use crate::endpoint::Fault;
use crate::json::Json;
use crate::ledger::{Granted, NotGranted, Payment};
use crate::name::Kind;
use crate::question::Ask;
use crate::task::{Category, Trace};
use crate::time::{Span, Wall};
use crate::wire::Assignment;

/// What became of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobOutcome {
    /// It is done.
    Done {
        /// What came out, at most [`Json::BYTES_MAX`].
        result: Json,
        /// Model tokens used.
        tokens: Option<u64>,
        /// What the checks said, if there were any.
        verification: Option<Json>,
    },
    /// Part of it is done.
    Partial {
        /// What came out.
        result: Json,
        /// Model tokens used.
        tokens: Option<u64>,
        /// What the checks said, if there were any.
        verification: Option<Json>,
    },
    /// It failed.
    Failed {
        /// How the failure is to be answered.
        category: Category,
        /// What went wrong, for people.
        error: String,
        /// How long the next attempt has to wait at least.
        retry_after: Option<Span>,
        /// Model tokens used.
        tokens: Option<u64>,
    },
    /// The endpoint that the assignment names did not serve it; no attempt is spent.
    Unserved {
        /// Why not.
        fault: Fault,
        /// What was seen, for people.
        error: String,
        /// How long it asks to be left alone.
        retry_after: Option<Span>,
        /// Model tokens used.
        tokens: Option<u64>,
    },
    /// Run it again later; no attempt is spent.
    Snooze {
        /// How much later.
        wait: Span,
    },
    /// Nobody needs it any more; no attempt is spent and none follows.
    Cancel {
        /// Why, for people.
        reason: String,
    },
    /// It was stopped on request.
    Stopped,
}

impl JobOutcome {
    /// It is done, and no model had a part in it.
    #[must_use]
    pub fn done(result: Json) -> Self {
        Self::Done { result, tokens: None, verification: None }
    }

    /// A failure that another attempt may mend.
    #[must_use]
    pub fn retryable(error: impl fmt::Display) -> Self {
        Self::failed(Category::Retryable, error)
    }

    /// A failure that no attempt can mend.
    #[must_use]
    pub fn permanent(error: impl fmt::Display) -> Self {
        Self::failed(Category::Permanent, error)
    }

    /// A failure of a given category.
    #[must_use]
    pub fn failed(category: Category, error: impl fmt::Display) -> Self {
        Self::Failed { category, error: alloc::format!("{error}"), retry_after: None, tokens: None }
    }
}

/// News about running work; all but what is left behind may be lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// How far it is, in per cent.
    pub percent: Option<u32>,
    /// What happened: `{"event_type": .., "text": .., ..}` with `event_type` one of `token`,
    /// `status`, `stdout`, `stderr`, `error`, `tool_call`, `model_call` and `network`.
    pub event: Option<Json>,
    /// What the work leaves behind; that is never lost, and is told with its end, however it ends: done,
    /// failed, or out of time.
    pub left: Option<Trace>,
}

impl News {
    /// What the work leaves behind.
    #[must_use]
    pub const fn of_trace(trace: Trace) -> Self {
        Self { percent: None, event: None, left: Some(trace) }
    }
}

/// What an executor sees of whoever runs it.
#[async_trait]
pub trait JobContext: fmt::Debug + Send + Sync {
    /// Passes news on; returns at once, and drops news when there is too much of it, but never what is
    /// left behind.
    fn report(&self, news: News);

    /// Waits until the work is asked to stop. Cancel safe, and may be called again.
    async fn cancelled(&self);

    /// Asks a person, and waits for the answer: one of the choices that the question names, if it names
    /// any; `default` if nobody gives one within `timeout`,
    /// and at once where there is nobody to ask. Cancel safe; a dropped call forgets the answer.
    async fn ask(&self, question: Ask, timeout: Span, default: Json) -> Json {
        let _ = (question, timeout);
        default
    }

    /// Asks leave to make a call that costs money, and waits for it, which may take until a person has
    /// decided; or says what a call came to, which is never refused: that of the one that was granted
    /// last, or of one that needs no leave since it costs nothing. One call is made at a time, and what
    /// nobody tells the end of counts at its worst. Where nobody keeps books everything is granted.
    /// Cancel safe; what is dropped may have been heard. What a call came to is heard by the first poll, so
    /// that work can tell it while it is dropped.
    ///
    /// # Errors
    ///
    /// Why the call may not be made.
    async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
        let _ = payment;
        Ok(Granted::default())
    }

    /// The time on the wall.
    fn now(&self) -> Wall;
}

/// Does the work of one kind of operation.
///
/// # Contract
///
/// - **Heeds.** When `ctx.cancelled()` ends, `run` stops what it started (TERM, 200 ms, KILL) and
///   returns, within 500 ms.
/// - **Clean.** When the future of `run` is dropped, what it started is killed at once, with all
///   processes that it started in turn.
/// - **Bounded.** A result fits [`Json::BYTES_MAX`]; longer output is cut in the middle.
/// - **Apart.** Jobs run at the same time do not disturb each other.
#[async_trait]
pub trait Executor: fmt::Debug + Send + Sync {
    /// The kind of operation that it does.
    fn kind(&self) -> Kind;

    /// Whether it runs commands that nobody has read. One that does gets no more work while processes of
    /// earlier work are left that could not be ended.
    fn runs_commands(&self) -> bool {
        false
    }

    /// Does `job` to its end.
    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome;
}
