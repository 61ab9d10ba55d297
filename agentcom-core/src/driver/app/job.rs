//! This file is what a handler sees of its job, and how that reaches whoever runs it.

use alloc::string::ToString as _;
use alloc::sync::Arc;
use core::panic::AssertUnwindSafe;

use futures_channel::{mpsc, oneshot};
use futures_core::future::BoxFuture;
use futures_util::future::{FutureExt as _, Shared};
use futures_util::select_biased;
use futures_util::stream::StreamExt as _;
use serde::Serialize;

use crate::driver::sidecar::panic_message;
use crate::id::{Lease, TaskId};
use crate::json::Json;
use crate::port::executor::{JobContext, JobOutcome, News};
use crate::wire::Assignment;

/// News that waits to be passed on; what does not fit is dropped.
const NEWS_MAX: usize = 16;

/// The job that a handler was called for: ask for it as the first argument.
///
/// A handler that lets go of it is dropped at once when its task is called off; one that keeps it
/// can look at [`Job::cancelled`], and has half a second to end in good order before it is dropped.
#[derive(Clone, Debug)]
pub struct Job {
    assignment: Arc<Assignment>,
    news: mpsc::Sender<News>,
    cancelled: Shared<oneshot::Receiver<()>>,
}

impl Job {
    /// The task.
    #[must_use]
    pub fn task(&self) -> TaskId {
        self.assignment.task_id
    }

    /// The number of the assignment: it grows with each attempt, so that a service which
    /// remembers the largest one can refuse what an attempt that was given up still writes.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.assignment.generation
    }

    /// Which attempt this is, from 1.
    #[must_use]
    pub fn attempt(&self) -> u32 {
        self.assignment.attempt
    }

    /// All that the hub said about it.
    #[must_use]
    pub fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Waits until the work is asked to stop. Cancel safe, and may be called again.
    pub async fn cancelled(&self) {
        // An error means that whoever ran the job is gone, and the job with it.
        let _ = self.cancelled.clone().await;
    }

    /// Tells whoever follows the task how far it is. It may be lost, and is when there is too
    /// much of it.
    pub fn progress(&self, percent: u32, text: &str) {
        #[derive(Serialize)]
        struct Status<'a> {
            event_type: &'a str,
            text: &'a str,
        }
        let event = Json::of(&Status { event_type: "status", text }).ok();
        // News may be lost.
        let _ =
            self.news.clone().try_send(News { percent: Some(percent.min(100)), event, left: None });
    }
}

/// The other end of a [`Job`].
#[derive(Debug)]
pub(super) struct Desk {
    news: mpsc::Receiver<News>,
    cancel: Option<oneshot::Sender<()>>,
}

/// A job and the desk that serves it.
pub(super) fn open(assignment: &Assignment) -> (Job, Desk) {
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let (cancel, cancelled) = oneshot::channel();
    let assignment = Arc::new(assignment.clone());
    let job = Job { assignment, news: sender, cancelled: cancelled.shared() };
    (job, Desk { news, cancel: Some(cancel) })
}

impl Desk {
    /// Runs `work` to its end. A panic is a failed attempt: the fault lies with the handler, and
    /// not with the process, which goes on.
    pub(super) async fn serve(
        mut self,
        work: BoxFuture<'_, JobOutcome>,
        ctx: &dyn JobContext,
    ) -> JobOutcome {
        let mut work = AssertUnwindSafe(work).catch_unwind().fuse();
        let mut stop = ctx.cancelled().fuse();
        loop {
            select_biased! {
                ended = work => return ended.unwrap_or_else(|panic| {
                    let said = panic_message(&*panic).to_string();
                    JobOutcome::retryable(format_args!("panicked: {said}"))
                }),
                () = stop => if self.nobody_hears() {
                    return JobOutcome::Stopped;
                },
                news = self.news.select_next_some() => ctx.report(news),
            }
        }
    }

    /// Passes on that the work is to stop, unless the handler has let go of its job.
    fn nobody_hears(&mut self) -> bool {
        self.cancel.take().is_none_or(|cancel| cancel.send(()).is_err())
    }
}
