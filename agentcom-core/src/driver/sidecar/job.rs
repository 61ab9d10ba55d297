//! This file runs jobs as futures and carries what they say to the loop.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::sync::Arc;
use core::panic::AssertUnwindSafe;
use core::pin::Pin;
use core::task::{Context, Poll};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use futures_channel::{mpsc, oneshot};
use futures_core::Stream;
use futures_core::future::BoxFuture;
use futures_util::FutureExt as _;
use futures_util::future::{AbortHandle, AbortRegistration, Abortable, Shared};
use futures_util::sink::SinkExt as _;
use futures_util::stream::FuturesUnordered;

use crate::json::Json;
use crate::ledger::{Granted, NotGranted, Payment, Spending};
use crate::name::Kind;
use crate::port::clock::Clock;
use crate::port::executor::{Executor, JobContext, JobOutcome, News};
use crate::question::Ask;
use crate::sidecar::{AskId, Claim, Input};
use crate::task::Category;
use crate::time::{Mono, Span, Wall};
use crate::wire::Assignment;

/// News and questions that wait for the loop; what does not fit is dropped, or waits.
const MAIL_MAX: usize = 256;

/// What a job says on its way.
enum Mail {
    News(Claim, News),
    Ask { claim: Claim, question: Ask, timeout: Span, default: Json, reply: oneshot::Sender<Json> },
    Spend { claim: Claim, spending: Spending, reply: oneshot::Sender<Result<Granted, NotGranted>> },
    Spent(Claim, Spending),
}

struct Handles {
    /// Asks the job to stop, once.
    cancel: Option<oneshot::Sender<()>>,
    /// Drops it.
    abort: AbortHandle,
    /// When it is dropped.
    drop_at: Option<Mono>,
}

/// The jobs at work.
pub(super) struct Jobs {
    executors: BTreeMap<Kind, Arc<dyn Executor>>,
    clock: Arc<dyn Clock>,
    stop_within: Span,
    work: FuturesUnordered<BoxFuture<'static, (Claim, JobOutcome)>>,
    handles: BTreeMap<Claim, Handles>,
    /// Those that were asked to stop, by when they are dropped.
    to_drop: BTreeSet<(Mono, Claim)>,
    post: mpsc::Sender<Mail>,
    mail: mpsc::Receiver<Mail>,
    asks: BTreeMap<AskId, oneshot::Sender<Json>>,
    spends: BTreeMap<AskId, oneshot::Sender<Result<Granted, NotGranted>>>,
    next_ask: u64,
    /// The end of a job, until all is heard that was said before.
    ended: Option<(Claim, JobOutcome)>,
}

impl Jobs {
    pub(super) fn new(
        executors: BTreeMap<Kind, Arc<dyn Executor>>,
        clock: Arc<dyn Clock>,
        stop_within: Span,
    ) -> Self {
        let (post, mail) = mpsc::channel(MAIL_MAX);
        Self {
            executors,
            clock,
            stop_within,
            work: FuturesUnordered::new(),
            handles: BTreeMap::new(),
            to_drop: BTreeSet::new(),
            post,
            mail,
            asks: BTreeMap::new(),
            spends: BTreeMap::new(),
            next_ask: 0,
            ended: None,
        }
    }

    /// Starts a job; its end at once if nobody does that kind of work.
    pub(super) fn start(&mut self, assignment: Assignment) -> Option<Input> {
        let claim = Claim::of(&assignment);
        let Some(executor) = self.executors.get(assignment.kind()) else {
            let outcome =
                JobOutcome::permanent(format_args!("no executor for {}", assignment.kind()));
            return Some(Input::JobEnded { claim, outcome });
        };
        let (cancel, cancelled) = oneshot::channel();
        let (abort, registration) = AbortHandle::new_pair();
        let context = Desk {
            claim,
            post: Mutex::new(self.post.clone()),
            cancelled: cancelled.shared(),
            clock: Arc::clone(&self.clock),
        };
        self.work.push(run(Arc::clone(executor), assignment, context, registration).boxed());
        self.handles.insert(claim, Handles { cancel: Some(cancel), abort, drop_at: None });
        None
    }

    /// Asks a job to stop.
    pub(super) fn stop(&mut self, claim: Claim) {
        let Some(handles) = self.handles.get_mut(&claim) else { return };
        if let Some(cancel) = handles.cancel.take() {
            let at = self.clock.now().mono + self.stop_within;
            handles.drop_at = Some(at);
            self.to_drop.insert((at, claim));
            // It may have ended in this moment; then its end is on its way.
            let _ = cancel.send(());
        }
    }

    /// Drops what was asked to stop and did not in time.
    pub(super) fn drop_overdue(&mut self, now: Mono) {
        while let Some(&(at, claim)) = self.to_drop.first().filter(|(at, _)| *at <= now) {
            self.to_drop.remove(&(at, claim));
            if let Some(handles) = self.handles.get_mut(&claim) {
                handles.abort.abort();
                handles.drop_at = None;
            }
        }
    }

    /// When the next one is overdue of those that were asked to stop.
    pub(super) fn drop_due(&self) -> Option<Mono> {
        self.to_drop.first().map(|(at, _)| *at)
    }

    /// Answers a question; one whose asker is gone needs none.
    pub(super) fn answer(&mut self, ask: AskId, answer: Json) {
        if let Some(reply) = self.asks.remove(&ask) {
            let _ = reply.send(answer);
        }
    }

    /// Says whether a call may be made.
    pub(super) fn grant(&mut self, ask: AskId, answer: Result<Granted, NotGranted>) {
        if let Some(reply) = self.spends.remove(&ask) {
            let _ = reply.send(answer);
        }
    }

    /// The next job that has ended, behind all that was said before.
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        if self.ended.is_none() {
            match Pin::new(&mut self.work).poll_next(cx) {
                Poll::Ready(Some(ended)) => self.ended = Some(ended),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
        if let Poll::Ready(mail) = self.poll_mail(cx) {
            return Poll::Ready(mail);
        }
        let Some((claim, outcome)) = self.ended.take() else { return Poll::Pending };
        let handles = self.handles.remove(&claim);
        if let Some(at) = handles.and_then(|handles| handles.drop_at) {
            self.to_drop.remove(&(at, claim));
        }
        Poll::Ready(Input::JobEnded { claim, outcome })
    }

    /// The next thing that a job says on its way.
    pub(super) fn poll_mail(&mut self, cx: &mut Context<'_>) -> Poll<Input> {
        match Pin::new(&mut self.mail).poll_next(cx) {
            Poll::Ready(Some(Mail::News(claim, news))) => {
                Poll::Ready(Input::JobNews { claim, news })
            }
            Poll::Ready(Some(Mail::Ask { claim, question, timeout, default, reply })) => {
                self.next_ask += 1;
                let ask = AskId(self.next_ask);
                self.asks.insert(ask, reply);
                Poll::Ready(Input::JobAsks { claim, ask, question, timeout, default })
            }
            Poll::Ready(Some(Mail::Spend { claim, spending, reply })) => {
                self.next_ask += 1;
                let ask = AskId(self.next_ask);
                self.spends.insert(ask, reply);
                Poll::Ready(Input::JobSpends { claim, ask, spending })
            }
            Poll::Ready(Some(Mail::Spent(claim, spending))) => {
                Poll::Ready(Input::JobSpent { claim, spending })
            }
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }
}

/// Does a job to its end; one that panics has crashed, and takes nobody along.
async fn run(
    executor: Arc<dyn Executor>,
    assignment: Assignment,
    context: Desk,
    registration: AbortRegistration,
) -> (Claim, JobOutcome) {
    let claim = Claim::of(&assignment);
    let work = AssertUnwindSafe(executor.run(&assignment, &context)).catch_unwind();
    let outcome = match Abortable::new(work, registration).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(panic)) => JobOutcome::failed(
            Category::Crash,
            format_args!("panicked: {}", panic_message(&*panic)),
        ),
        Err(_aborted) => JobOutcome::Stopped,
    };
    (claim, outcome)
}

/// What a panic said.
pub(in crate::driver) fn panic_message(panic: &(dyn core::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without a message")
}

/// What a job sees of the loop.
#[derive(Debug)]
struct Desk {
    claim: Claim,
    /// One sender for each job: every clone of a sender may put one item beyond the bound.
    post: Mutex<mpsc::Sender<Mail>>,
    cancelled: Shared<oneshot::Receiver<()>>,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl JobContext for Desk {
    fn report(&self, news: News) {
        if news.left.is_some() {
            // Each clone of a sender has room for one item beyond the bound. An error means that the loop
            // is gone, and the report with it.
            let _ = self.post().try_send(Mail::News(self.claim, news));
            return;
        }
        let mut post = self.post.lock().unwrap_or_else(PoisonError::into_inner);
        // News may be lost, and are when there is too much of them.
        let _ = post.try_send(Mail::News(self.claim, news));
    }

    async fn cancelled(&self) {
        // An error means that the loop is gone, and the work with it.
        let _ = self.cancelled.clone().await;
    }

    async fn ask(&self, question: Ask, timeout: Span, default: Json) -> Json {
        let (reply, answer) = oneshot::channel();
        let mail =
            Mail::Ask { claim: self.claim, question, timeout, default: default.clone(), reply };
        match self.post().send(mail).await {
            Ok(()) => answer.await.unwrap_or(default),
            Err(_gone) => default,
        }
    }

    async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
        let claim = self.claim;
        match payment {
            Payment::AtMost(spending) => {
                let (reply, answer) = oneshot::channel();
                let mail = Mail::Spend { claim, spending, reply };
                match self.post().send(mail).await {
                    Ok(()) => answer.await.unwrap_or(Err(NotGranted::Unheard)),
                    Err(_gone) => Err(NotGranted::Unheard),
                }
            }
            Payment::CameTo(spending) => {
                // As for what is left behind: there is room, and an error means that the loop is gone, and
                // the books with it.
                let _ = self.post().try_send(Mail::Spent(claim, spending));
                Ok(Granted::default())
            }
        }
    }

    fn now(&self) -> Wall {
        self.clock.now().wall
    }
}

impl Desk {
    fn post(&self) -> mpsc::Sender<Mail> {
        self.post.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
