//! This file says how a handler ends: the words by which it steers its task.

use alloc::string::String;
use core::fmt;
use core::time::Duration;

use serde::Serialize;

use crate::json::Json;
use crate::port::executor::JobOutcome;
use crate::task::Category;
use crate::time::Span;

/// What is to become of a task, in the words of its handler.
///
/// ```
/// use core::time::Duration;
/// use agentcom_core::driver::app::Outcome;
///
/// async fn bill(customer: u64) -> Outcome<String> {
///     match customer {
///         0 => Outcome::Dead("customers are numbered from 1".into()),
///         1..10 => Outcome::Snooze(Duration::from_secs(3_600)),
///         10 => Outcome::Cancel("has paid".into()),
///         11 => Outcome::RetryIn(Duration::from_secs(30), "the bank does not answer".into()),
///         _ => Outcome::Done(format!("billed {customer}")),
///     }
/// }
/// # let _ = bill;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome<T = ()> {
    /// It is done, and this came out: at most [`Json::BYTES_MAX`] as JSON.
    Done(T),
    /// The attempt failed for this reason; the next one starts this much later, or later still if
    /// the task's own backoff says so.
    RetryIn(Duration, String),
    /// It is to run again this much later. No attempt is spent.
    Snooze(Duration),
    /// Nobody needs it any more, for this reason: the task ends as cancelled.
    Cancel(String),
    /// No attempt can succeed, for this reason: the task goes to the dead letters.
    Dead(String),
}

/// What a handler may return.
///
/// Besides [`Outcome`] that is nothing at all, which is done; and a [`Result`], whose error is a
/// failed attempt that backs off and is tried again as the task says. With a `Result` of an
/// `Outcome`, `?` is for what another attempt may mend, and the outcome for all else.
pub trait IntoOutcome {
    /// What becomes of the job.
    fn into_outcome(self) -> JobOutcome;
}

impl<T: Serialize> IntoOutcome for Outcome<T> {
    fn into_outcome(self) -> JobOutcome {
        match self {
            Self::Done(result) => done(&result),
            Self::RetryIn(wait, error) => JobOutcome::Failed {
                category: Category::Retryable,
                error,
                retry_after: Some(span(wait)),
                tokens: None,
            },
            Self::Snooze(wait) => JobOutcome::Snooze { wait: span(wait) },
            Self::Cancel(reason) => JobOutcome::Cancel { reason },
            Self::Dead(why) => JobOutcome::permanent(why),
        }
    }
}

impl IntoOutcome for () {
    fn into_outcome(self) -> JobOutcome {
        done(&())
    }
}

impl<T: Serialize, E: fmt::Display> IntoOutcome for Result<T, E> {
    fn into_outcome(self) -> JobOutcome {
        self.map_or_else(JobOutcome::retryable, |result| done(&result))
    }
}

impl<T: Serialize, E: fmt::Display> IntoOutcome for Result<Outcome<T>, E> {
    fn into_outcome(self) -> JobOutcome {
        self.map_or_else(JobOutcome::retryable, Outcome::into_outcome)
    }
}

fn done(result: &impl Serialize) -> JobOutcome {
    match Json::of(result) {
        Ok(result) => JobOutcome::done(result),
        // The work is done, and would be done again for the same result.
        Err(bad) => JobOutcome::permanent(format_args!("the result {bad}")),
    }
}

/// A part of a millisecond counts as a whole one: nothing starts earlier than asked.
pub(super) fn span(duration: Duration) -> Span {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    Span(u64::try_from(millis).unwrap_or(u64::MAX))
}
