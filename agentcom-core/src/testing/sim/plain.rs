//! This file plays a client of the original, with the habits that were read from its source.
//!
//! It has one slot, writes the task down before it accepts, names no generation on most frames,
//! loses results that end while it is not connected, and does not stop work that was cancelled.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{Either, Fuse, FusedFuture, FutureExt, select};

use super::net::Dialer;
use super::oracle::Oracle;
use super::work::{Fate, fate};
use super::world::{SimClock, Sleep};
use crate::id::{Lease, TaskId};
use crate::port::transport::{CloseReason, Connection, Transport};
use crate::time::Span;
use crate::wire::{Assignment, ReportAction, ToAgent, read_to_agent};

/// What the client's `queue.json` holds: the task and generation that it works on.
pub(super) type Queue = Arc<Mutex<Option<(TaskId, Lease)>>>;

/// A client of the original.
pub(super) struct Plain {
    pub(super) name: String,
    pub(super) seed: u64,
    pub(super) dialer: Dialer,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
    pub(super) queue: Queue,
    pub(super) poison: bool,
}

/// Work that runs, whether the client still wants it or not.
struct Work {
    task: TaskId,
    fate: Fate,
    done: Fuse<Sleep>,
}

const PING_EVERY: Span = Span::from_secs(30);
/// Longer than a hub waits for a word about a task.
const STUCK: Span = Span::from_mins(8);

impl Plain {
    /// Runs for ever, as a process of its own.
    pub(super) async fn run(self) {
        // What it finds when it starts, it has to recover.
        let mut recovering = self.active();
        let mut backoff = Span::from_secs(1);
        let mut work: Option<Work> = None;
        loop {
            if let Ok(connection) = self.dialer.open().await {
                backoff = Span::from_secs(1);
                self.talk(connection, &mut recovering, &mut work).await;
            }
            // Results that end in the meantime are lost.
            let wait = self.clock.sleep(backoff);
            match &mut work {
                Some(running) if !running.done.is_terminated() => {
                    if let Either::Left(((), wait)) = select(&mut running.done, wait).await {
                        self.set(None);
                        work = None;
                        wait.await;
                    }
                }
                _ => wait.await,
            }
            backoff = Span(backoff.0 * 2).min(Span::from_secs(60));
        }
    }

    async fn talk(
        &self,
        mut connection: Connection,
        recovering: &mut Option<(TaskId, Lease)>,
        work: &mut Option<Work>,
    ) {
        let say = |text: String| connection.outgoing.send(text).is_ok();
        if !say(format!(
            r#"{{"type":"identify","agent_id":"{0}","token":"{0}","name":"{0}","status":"idle","capabilities":[],"client_type":"sidecar","protocol_version":1,"pm2_info":null}}"#,
            self.name
        )) {
            return;
        }
        let mut ping = self.clock.sleep(PING_EVERY);
        loop {
            let mut done = match work {
                Some(work) => Either::Left((&mut work.done).map(Some)),
                None => Either::Right(core::future::pending::<Option<()>>()),
            };
            let wait = select(&mut ping, &mut done);
            match select(Box::pin(connection.incoming.recv()), wait).await {
                Either::Left((None, _)) => return,
                Either::Left((Some(text), _)) => {
                    let frame = read_to_agent(&text);
                    if !self.hear(frame.ok(), &say, recovering, work) {
                        connection.outgoing.close(CloseReason::Normal);
                        return;
                    }
                }
                Either::Right((Either::Left(_), _)) => {
                    ping = self.clock.sleep(PING_EVERY);
                    if !say(r#"{"type":"ping","protocol_version":1}"#.into()) {
                        return;
                    }
                }
                Either::Right((Either::Right(_), _)) => {
                    if let Some(work) = work.take() {
                        self.report(&work, &say);
                    }
                }
            }
        }
    }

    fn hear(
        &self,
        frame: Option<ToAgent>,
        say: &impl Fn(String) -> bool,
        recovering: &mut Option<(TaskId, Lease)>,
        work: &mut Option<Work>,
    ) -> bool {
        match frame {
            Some(ToAgent::Identified(_)) => {
                if let Some((task, _)) = *recovering {
                    return say(format!(
                        r#"{{"type":"task_recovering","task_id":"{task}","last_status":"working"}}"#
                    ));
                }
                if let Some((task, lease)) = self.active() {
                    return say(format!(
                        r#"{{"type":"state_report","task_id":"{task}","status":"working","generation":{lease}}}"#
                    ));
                }
            }
            Some(ToAgent::TaskAssign(assignment)) => return self.assigned(&assignment, say, work),
            Some(ToAgent::TaskReassign { .. }) => {
                *recovering = None;
                self.set(None);
            }
            Some(ToAgent::TaskContinue { .. }) => *recovering = None,
            Some(ToAgent::StateReportAck { action: ReportAction::Abort, .. }) => self.set(None),
            Some(ToAgent::TaskCancelled { task_id, .. })
                if self.active().is_some_and(|(task, _)| task == task_id) =>
            {
                self.set(None);
            }
            _ => {}
        }
        true
    }

    fn assigned(
        &self,
        job: &Assignment,
        say: &impl Fn(String) -> bool,
        work: &mut Option<Work>,
    ) -> bool {
        let task = job.task_id;
        if self.active().is_some() {
            return say(format!(
                r#"{{"type":"task_rejected","task_id":"{task}","reason":"busy"}}"#
            ));
        }
        self.set(Some((task, job.generation)));
        self.oracle
            .note("start", || format!("{} starts {task} under {}", self.name, job.generation));
        let (span, fate) = fate(self.seed, job, self.poison);
        // Now and then it says nothing for so long that it counts as stuck.
        let span = if job.task_id.0 % 16 == 3 { STUCK } else { span };
        *work = Some(Work { task, fate, done: self.clock.sleep(span).fuse() });
        say(format!(r#"{{"type":"task_accepted","task_id":"{task}"}}"#))
    }

    /// Reports with the newest generation of the task, or 0 if it was told to forget it.
    fn report(&self, work: &Work, say: &impl Fn(String) -> bool) {
        let task = work.task;
        let lease = self
            .active()
            .filter(|(active, _)| *active == task)
            .map_or(Lease(0), |(_, lease)| lease);
        let end = match work.fate {
            Fate::Well | Fate::Pays | Fate::Asks | Fate::Hangs => {
                r#""result":{"status":"success","output":"ok"},"verification_report":null"#.into()
            }
            Fate::Partly => r#""result":{"status":"partial_pass"}"#.into(),
            Fate::Huge => format!(r#""result":{{"output":"{}"}}"#, "y".repeat(100_000)),
            Fate::Badly | Fate::Quota => r#""result":{"status":"failed","error":"exit 1"}"#.into(),
            Fate::Hopeless | Fate::Crash | Fate::Poison => String::from(r#""reason":"no good""#),
        };
        let kind = match work.fate {
            Fate::Hopeless | Fate::Crash | Fate::Poison => "task_failed",
            Fate::Well
            | Fate::Pays
            | Fate::Asks
            | Fate::Hangs
            | Fate::Partly
            | Fate::Huge
            | Fate::Badly
            | Fate::Quota => "task_complete",
        };
        let frame = format!(r#"{{"type":"{kind}","task_id":"{task}","generation":{lease},{end}}}"#);
        say(frame);
        if lease != Lease(0) {
            self.set(None);
        }
    }

    fn active(&self) -> Option<(TaskId, Lease)> {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, active: Option<(TaskId, Lease)>) {
        *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = active;
    }
}
