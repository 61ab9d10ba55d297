//! This file carries lines between a course and the program, and sees to it that both come to an end.

use std::io;
use std::time::Duration;

use agentcom_core::agentic::Stop;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::OwnedWriteHalf;
use tokio::process::ChildStderr;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::course::{Course, Heard};
use crate::agentic::How;
use crate::guard::{How as Died, Refusal, RefusalKind, Running, Said, Talk};
use crate::lines;
use crate::model::{ModelError, Patience};
use crate::sandbox::{Excess, Quota};
use crate::session::Stream;

/// The longest line that is read, in bytes: the program puts whole files into one.
const LINE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How much may wait to be read by the program, in bytes: each answer to it holds what it asked about.
const UNREAD_BYTES_MAX: usize = 2 * LINE_BYTES_MAX;

/// How long the program may take to end after its result.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// How much longer than its grace it may take to be stopped.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// How much of the end of it is told.
const LAST_WORDS_BYTES_MAX: usize = 1_000;

/// How much of its standard error is kept.
const ERROR_BYTES_MAX: usize = 8 * 1024;

/// Tells the program what to do, and hears it out.
///
/// # Errors
///
/// If it could not be started for want of something on this machine.
pub(super) async fn with(
    talk: Talk,
    course: &mut Course<'_>,
    prompt: &str,
    patience: Patience,
    grace: Duration,
    quota: Quota,
) -> io::Result<How> {
    let (from, to) = talk.socket.into_split();
    let quota = quota.with_held_by(&talk.running);
    let now = Instant::now();
    let mut conversation = Conversation {
        running: talk.running,
        to: Some(to),
        err: Stream::new(talk.err, "stderr", ERROR_BYTES_MAX),
        // It ends with its time, its turns or its money.
        lines: lines::Said::by(from, LINE_BYTES_MAX, u64::MAX),
        unread: Vec::new(),
        patience,
        heard_at: None,
        started_at: now,
        leave_by: None,
        refused: None,
        died: None,
        full: async move { quota.passed().await }.boxed(),
    };
    conversation.say(&first(prompt));
    let how = conversation.hear_out(course).await;
    if how.is_none() {
        // Whoever has nothing more to say is about to end.
        let _ = timeout(grace, conversation.dead(course)).await;
    }
    conversation.stop(course, grace).await;
    if let Some(refusal) = conversation.refused {
        return not_started(refusal);
    }
    let died = conversation.died.map_or_else(
        || "did not end".to_owned(),
        |died| match died {
            Died::Exited(code) => format!("ended with exit code {code}"),
            Died::Signalled(signal) => format!("was ended by signal {signal}"),
        },
    );
    let last_words = conversation.err.kept.last(LAST_WORDS_BYTES_MAX);
    Ok(how.unwrap_or_else(|| course.verdict(&died, &last_words)))
}

/// The line with what is to be done.
fn first(prompt: &str) -> String {
    let text = json!([{ "type": "text", "text": prompt }]);
    let message = json!({ "role": "user", "content": text });
    json!({ "type": "user", "message": message, "parent_tool_use_id": null, "session_id": "" })
        .to_string()
}

struct Conversation {
    running: Running,
    /// Nothing when there is nothing more to say.
    to: Option<OwnedWriteHalf>,
    err: Stream<ChildStderr>,
    lines: lines::Said,
    /// What was said and not taken yet.
    unread: Vec<u8>,
    patience: Patience,
    heard_at: Option<Instant>,
    started_at: Instant,
    /// When it has to be gone, having given its result.
    leave_by: Option<Instant>,
    refused: Option<Refusal>,
    died: Option<Died>,
    /// Ends when its files are more than they may be.
    full: BoxFuture<'static, Excess>,
}

impl Conversation {
    fn say(&mut self, line: &str) {
        self.unread.extend_from_slice(line.as_bytes());
        self.unread.push(b'\n');
    }

    /// Hears until there is nothing more to hear. Why it is not to be heard any longer, or nothing if
    /// it ended by itself.
    async fn hear_out(&mut self, course: &mut Course<'_>) -> Option<How> {
        loop {
            if self.leave_by.is_some() && self.unread.is_empty() {
                // It waits for more to do as long as there could be more.
                self.to = None;
            }
            let (deadline, late) = self.deadline();
            tokio::select! {
                line = self.lines.next() => match line {
                    Ok(Some(line)) => match self.take(course, &line) {
                        None => {}
                        over => return over,
                    },
                    Ok(None) => return None,
                    Err(long) => return Some(How::Failed(ModelError::Broken(long.to_string()))),
                },
                wrote = write(self.to.as_mut(), &self.unread), if !self.unread.is_empty() => {
                    let wrote = wrote.unwrap_or_else(|| { self.to = None; self.unread.len() });
                    self.unread.drain(..wrote);
                }
                said = self.running.next(), if self.died.is_none() => match said {
                    Ok(Said::Exited(how)) => {
                        self.died = Some(how);
                        self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_WITHIN);
                    }
                    Ok(Said::Refused(refusal)) => {
                        self.refused = Some(refusal);
                        return None;
                    }
                    Ok(Said::Contact(contact)) => course.contact(&contact),
                    Ok(Said::TooMuch(too_much)) => return Some(How::Stopped(too_much.into())),
                    Ok(Said::Clear { survivors }) => course.survived(survivors),
                    Ok(Said::Started { .. }) => {}
                    Err(_) => {
                        let seen = "its guard was killed".to_owned();
                        return Some(How::Failed(ModelError::Broken(seen)));
                    }
                },
                () = self.err.read() => {}
                _ = &mut self.full => return Some(How::Stopped(Stop::Disk)),
                () = sleep_until(deadline) => return late,
            }
        }
    }

    /// Takes in a line that it says.
    fn take(&mut self, course: &mut Course<'_>, line: &[u8]) -> Option<How> {
        self.heard_at = Some(Instant::now());
        match course.hear(line) {
            Heard::Nothing => {}
            Heard::Answer(answer) => self.say(&answer),
            Heard::Result => {
                self.leave_by.get_or_insert_with(|| Instant::now() + LEAVE_WITHIN);
            }
            Heard::Over(how) => return Some(how),
        }
        if self.unread.len() > UNREAD_BYTES_MAX {
            let seen = "it asks, and does not read the answers".to_owned();
            return Some(How::Failed(ModelError::Broken(seen)));
        }
        None
    }

    /// Until when it is waited for, and what it means if nothing comes until then.
    fn deadline(&self) -> (Instant, Option<How>) {
        if let Some(leave_by) = self.leave_by {
            return (leave_by, None);
        }
        let Patience { first, next, whole } = self.patience;
        let silent = match self.heard_at {
            None => (self.started_at + first, Some(How::Failed(ModelError::Silent(first)))),
            Some(at) => (at + next, Some(How::Failed(ModelError::Silent(next)))),
        };
        let over = (self.started_at + whole, Some(How::Stopped(Stop::Time)));
        if silent.0 <= over.0 { silent } else { over }
    }

    /// Waits until it has ended, or it is known that it never began. Cancel safe.
    async fn dead(&mut self, course: &mut Course<'_>) {
        while self.died.is_none() && self.refused.is_none() {
            match self.running.next().await {
                Ok(Said::Exited(how)) => self.died = Some(how),
                Ok(Said::Refused(refusal)) => self.refused = Some(refusal),
                Ok(Said::Contact(contact)) => course.contact(&contact),
                Ok(Said::Started { .. } | Said::TooMuch(_)) => {}
                Ok(Said::Clear { survivors }) => return course.survived(survivors),
                Err(_) => return,
            }
        }
    }

    /// Sees to it that nothing of it is left.
    async fn stop(&mut self, course: &mut Course<'_>, grace: Duration) {
        let by = Instant::now() + grace + STOP_MARGIN;
        if self.died.is_none() {
            self.running.stop();
            let _ = timeout_at(by, self.dead(course)).await;
        }
        while let Ok(Ok(said)) = timeout_at(by, self.running.next()).await {
            match said {
                Said::Contact(contact) => course.contact(&contact),
                Said::Clear { survivors } => {
                    course.survived(survivors);
                    break;
                }
                Said::Refused(_) | Said::Started { .. } | Said::TooMuch(_) | Said::Exited(_) => {}
            }
        }
        // What it last said explains how it ended.
        let _ = timeout(grace, async {
            while !self.err.is_over() {
                self.err.read().await;
            }
        })
        .await;
    }
}

/// Says something; nothing if nobody hears it any more.
async fn write(to: Option<&mut OwnedWriteHalf>, bytes: &[u8]) -> Option<usize> {
    to?.write(bytes).await.ok().filter(|&wrote| wrote > 0)
}

/// It could not be started: for good, or for want of something.
fn not_started(refusal: Refusal) -> io::Result<How> {
    match refusal.kind {
        RefusalKind::Command => Ok(How::Failed(ModelError::NotRun(refusal.message))),
        RefusalKind::Machine | RefusalKind::Sandbox => Err(io::Error::other(refusal.message)),
    }
}
