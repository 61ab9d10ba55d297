//! This file lets anybody test an [`Executor`] of their own against the contract of the port.
//!
//! Give jobs of three sorts and a way to see what they started, and let
//! [`executor_conformance!`](crate::executor_conformance) write the tests:
//!
//! ```text
//! agentcom_core::executor_conformance!(#[tokio::test] Fixture::new());
//! ```
//!
//! The expression is evaluated once for each test. The attribute is that of asynchronous tests; an
//! executor that needs no runtime leaves it out.
//!
//! | line of the contract | cases |
//! |---|---|
//! | heeds | `a_job_that_is_asked_to_stop_…`, `a_job_that_is_asked_before_it_starts_…` |
//! | clean | `a_dropped_job_…` |
//! | bounded | `a_job_that_prints_much_…` |
//! | apart | `jobs_at_the_same_time_…`, `stopping_one_job_…`, `dropping_one_job_…` |

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::future::poll_fn;
use core::pin::pin;
use core::sync::atomic::{AtomicBool, Ordering};
use core::task::{Poll, Waker};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_util::future::{Either, join, select};

use crate::id::{Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::port::executor::{Executor, JobContext, JobOutcome, News};
use crate::task::Op;
use crate::time::{Span, Wall};
use crate::wire::{Assignment, Held};

/// The executor under test, and jobs for it.
#[async_trait]
pub trait ExecutorFixture: Send + Sync {
    /// The executor. It may be asked for several times, and has to see the same jobs each time.
    fn executor(&self) -> Box<dyn Executor>;

    /// The input of a job that soon succeeds.
    fn succeed(&self) -> Json;

    /// The input of a job that runs until it is stopped, as do the processes or the like that it
    /// starts, some of which do not heed polite requests. `task` tells jobs apart.
    fn run_on(&self, task: TaskId) -> Json;

    /// The input of a job that succeeds with more output than [`Json::BYTES_MAX`].
    fn print_much(&self) -> Json;

    /// Whether all that the job with the input `run_on(task)` starts has started.
    async fn is_up(&self, task: TaskId) -> bool;

    /// Whether anything that the job with the input `run_on(task)` started is still there.
    async fn is_alive(&self, task: TaskId) -> bool;

    /// Waits; the suite polls conditions and measures deadlines with it.
    async fn wait(&self, span: Span);
}

/// An assignment of `task` with `input`, for `executor`.
#[must_use]
pub fn assignment(executor: &dyn Executor, task: TaskId, input: Json) -> Assignment {
    let held = Held { task_id: task, generation: Lease(1) };
    let description = "a job of the conformance suite".into();
    let op = Op { kind: executor.kind(), input };
    Assignment { description, ..Assignment::new(held, Incarnation(1), op) }
}

/// A context that asks its job to stop when told to, and forgets news.
#[derive(Debug, Default)]
pub struct Asking {
    asked: AtomicBool,
    wakers: Mutex<Vec<Waker>>,
}

impl Asking {
    /// Asks the job to stop.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::SeqCst);
        let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
        wakers.drain(..).for_each(Waker::wake);
    }
}

#[async_trait]
impl JobContext for Asking {
    fn report(&self, _news: News) {}

    async fn cancelled(&self) {
        poll_fn(|cx| {
            let mut wakers = self.wakers.lock().unwrap_or_else(PoisonError::into_inner);
            if self.asked.load(Ordering::SeqCst) {
                return Poll::Ready(());
            }
            if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

/// How long a job that is asked to stop may take.
const STOP_MAX: Span = Span(500);

/// How often a condition is looked at, and how many times.
const POLL: Span = Span(5);
const POLLS_MAX: usize = 4000;

const ONE: TaskId = TaskId(1);
const OTHER: TaskId = TaskId(2);

/// A job that can succeed is done, and the executor runs nothing but its own kind.
pub async fn a_job_that_can_succeed_is_done(fixture: &impl ExecutorFixture) {
    let executor = fixture.executor();
    assert_eq!(executor.kind(), fixture.executor().kind());
    let outcome = run(&*executor, ONE, fixture.succeed(), &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
}

/// `cancelled` ends a job within half a second, with all that it started.
pub async fn a_job_that_is_asked_to_stop_stops_in_time(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), Asking::default());
    let running = pin!(run(&*executor, ONE, fixture.run_on(ONE), &ctx));
    let asking = pin!(async {
        until_up(fixture, ONE).await;
        ctx.stop();
    });
    let Either::Right(((), running)) = select(running, asking).await else {
        panic!("the job ended by itself");
    };
    assert_eq!(in_time(fixture, running).await, JobOutcome::Stopped);
    until_gone(fixture, ONE).await;
}

/// A job that is not wanted any more when it starts ends as fast.
pub async fn a_job_that_is_asked_before_it_starts_stops_in_time(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), Asking::default());
    ctx.stop();
    let running = pin!(run(&*executor, ONE, fixture.run_on(ONE), &ctx));
    assert_eq!(in_time(fixture, running).await, JobOutcome::Stopped);
    until_gone(fixture, ONE).await;
}

/// Dropping the future ends all that the job started.
pub async fn a_dropped_job_leaves_nothing_behind(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), Asking::default());
    run_until_up(fixture, &*executor, ONE, &ctx).await;
    until_gone(fixture, ONE).await;
}

/// A job with much output succeeds with a result that holds some of it.
pub async fn a_job_that_prints_much_has_a_bounded_result(fixture: &impl ExecutorFixture) {
    let executor = fixture.executor();
    let outcome = run(&*executor, ONE, fixture.print_much(), &Asking::default()).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let length = result.as_str().len();
    assert!((1024..=Json::BYTES_MAX).contains(&length), "{length} bytes");
}

/// Two jobs run side by side to their ends.
pub async fn jobs_at_the_same_time_are_both_done(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), Asking::default());
    let (one, other) = join(
        run(&*executor, ONE, fixture.succeed(), &ctx),
        run(&*executor, OTHER, fixture.succeed(), &ctx),
    )
    .await;
    assert!(
        matches!((&one, &other), (JobOutcome::Done { .. }, JobOutcome::Done { .. })),
        "{one:?} {other:?}"
    );
}

/// A job runs on while another is stopped.
pub async fn stopping_one_job_leaves_the_other_alone(fixture: &impl ExecutorFixture) {
    let (executor, kept, asked) = (fixture.executor(), Asking::default(), Asking::default());
    let other = pin!(run(&*executor, OTHER, fixture.run_on(OTHER), &kept));
    let stopping = pin!(async {
        until_up(fixture, OTHER).await;
        let asking = async {
            until_up(fixture, ONE).await;
            asked.stop();
        };
        let (outcome, ()) = join(run(&*executor, ONE, fixture.run_on(ONE), &asked), asking).await;
        assert_eq!(outcome, JobOutcome::Stopped);
        until_gone(fixture, ONE).await;
        assert!(fixture.is_up(OTHER).await, "the other job was hit");
    });
    let Either::Right(_) = select(other, stopping).await else {
        panic!("the other job ended by itself");
    };
}

/// A job runs on while another is dropped.
pub async fn dropping_one_job_leaves_the_other_alone(fixture: &impl ExecutorFixture) {
    let (executor, ctx) = (fixture.executor(), Asking::default());
    let other = pin!(run(&*executor, OTHER, fixture.run_on(OTHER), &ctx));
    let dropping = pin!(async {
        until_up(fixture, OTHER).await;
        run_until_up(fixture, &*executor, ONE, &ctx).await;
        until_gone(fixture, ONE).await;
        assert!(fixture.is_up(OTHER).await, "the other job was hit");
    });
    let Either::Right(_) = select(other, dropping).await else {
        panic!("the other job ended by itself");
    };
}

async fn run(executor: &dyn Executor, task: TaskId, input: Json, ctx: &Asking) -> JobOutcome {
    executor.run(&assignment(executor, task, input), ctx).await
}

/// Runs a job until all of it has started, then drops it.
async fn run_until_up(
    fixture: &impl ExecutorFixture,
    executor: &dyn Executor,
    task: TaskId,
    ctx: &Asking,
) {
    let running = pin!(run(executor, task, fixture.run_on(task), ctx));
    if let Either::Left((outcome, _)) = select(running, pin!(until_up(fixture, task))).await {
        panic!("the job ended by itself: {outcome:?}");
    }
}

async fn in_time(
    fixture: &impl ExecutorFixture,
    running: impl Future<Output = JobOutcome> + Unpin,
) -> JobOutcome {
    match select(running, fixture.wait(STOP_MAX)).await {
        Either::Left((outcome, _)) => outcome,
        Either::Right(_) => panic!("the job did not stop within {STOP_MAX}"),
    }
}

async fn until_up(fixture: &impl ExecutorFixture, task: TaskId) {
    for _ in 0..POLLS_MAX {
        if fixture.is_up(task).await {
            return;
        }
        fixture.wait(POLL).await;
    }
    panic!("the job does not start");
}

async fn until_gone(fixture: &impl ExecutorFixture, task: TaskId) {
    for _ in 0..POLLS_MAX {
        if !fixture.is_alive(task).await {
            return;
        }
        fixture.wait(POLL).await;
    }
    panic!("something of the job is left");
}

/// Writes one test for each case of the [suite](crate::testing::executor_suite).
///
/// Takes an expression that makes a fresh [`ExecutorFixture`], behind the attribute of
/// asynchronous tests if they need one.
#[macro_export]
macro_rules! executor_conformance {
    (#[$test:meta] $fixture:expr) => {
        $crate::executor_conformance! { @each (#[$test] async) ($fixture) }
    };
    (@each $how:tt $fixture:tt) => {
        $crate::executor_conformance! { @cases $how $fixture
            a_job_that_can_succeed_is_done
            a_job_that_is_asked_to_stop_stops_in_time
            a_job_that_is_asked_before_it_starts_stops_in_time
            a_dropped_job_leaves_nothing_behind
            a_job_that_prints_much_has_a_bounded_result
            jobs_at_the_same_time_are_both_done
            stopping_one_job_leaves_the_other_alone
            dropping_one_job_leaves_the_other_alone
        }
    };
    (@cases $how:tt $fixture:tt $($case:ident)+) => {
        $($crate::executor_conformance! { @case $how $fixture $case })+
    };
    (@case (#[$test:meta] async) ($fixture:expr) $case:ident) => {
        #[$test]
        async fn $case() {
            $crate::testing::executor_suite::$case(&$fixture).await;
        }
    };
    (@case () ($fixture:expr) $case:ident) => {
        #[test]
        fn $case() {
            $crate::testing::store_suite::block_on(
                $crate::testing::executor_suite::$case(&$fixture),
            );
        }
    };
    ($fixture:expr) => {
        $crate::executor_conformance! { @each () ($fixture) }
    };
}

#[cfg(test)]
mod tests;
