//! This file ends a conversation, and the agent with it: by calling its turn off, by saying nothing more,
//! or by stopping it.

use std::time::Duration;

use agentcom_core::agentic::Stop;
use serde_json::json;
use tokio::time::timeout;

use super::{AcpError, Conversation, Halt, Heard, LAST_WORDS_BYTES, StopReason, message};
use crate::guard::Said;
use crate::output::survived;

/// How long its last words are awaited: somebody else may hold its pipe.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(200);

/// How long it may take to call its turn off when the task is asked to stop, and then to end. Both
/// together fit [`GRACE`](super::super::GRACE).
const CALL_OFF_WITHIN: Duration = Duration::from_millis(100);
const END_WITHIN: Duration = Duration::from_millis(250);

/// How long it may take to end by itself when it is told nothing more.
const CLOSE_WITHIN: Duration = Duration::from_secs(1);

/// Its end.
impl Conversation<'_> {
    pub(super) fn is_dying(&self) -> bool {
        self.closed || self.exit.is_some() || !self.is_guarded
    }

    /// How it died, with its last words.
    pub(super) async fn death(&mut self) -> AcpError {
        let reading = async {
            while !self.errors.is_over() {
                self.errors.read().await;
            }
        };
        let _ = timeout(LAST_WORDS_WITHIN, reading).await;
        AcpError::Gone { how: self.exit, words: self.errors.kept.last(LAST_WORDS_BYTES) }
    }

    /// Ends the conversation, and then the agent.
    pub(super) async fn close(&mut self, turn: &Result<StopReason, Halt>) {
        let call_off = match turn {
            Ok(_) => None,
            // What it takes to hear of it, it goes on filling the disk.
            Err(Halt::Asked | Halt::Stopped(Stop::Disk | Stop::Processes | Stop::Memory)) => {
                Some(CALL_OFF_WITHIN)
            }
            Err(Halt::Stopped(_) | Halt::Failed(AcpError::Silent { .. })) => {
                Some(self.agent.acp.patience.call_off)
            }
            Err(Halt::Failed(_)) => None,
        };
        if let Some(within) = call_off {
            self.call_off(within).await;
        }
        if turn.is_ok() {
            self.post.close();
            self.ends_within(CLOSE_WITHIN).await;
        }
        if self.is_guarded {
            self.running.stop();
            let within = self.bench.settings.spawner.grace() + END_WITHIN;
            self.ends_within(within).await;
        }
    }

    /// Calls the turn off, and waits for the agent to say that it has.
    async fn call_off(&mut self, within: Duration) {
        let Some(session) = &self.session else { return };
        let notice = message::notice("session/cancel", &json!({ "sessionId": session }));
        let answers = self.desk.call_off();
        let put = answers.iter().chain([&notice]).try_for_each(|message| self.post.put(message));
        if put.is_err() {
            return;
        }
        let waiting = async {
            loop {
                let line = tokio::select! {
                    line = self.lines.next() => line,
                    never = self.post.carry() => match never {},
                };
                let Ok(Some(line)) = line else { return };
                match self.hear(&line) {
                    Ok(Heard::Answer(id, _)) if id == self.next_id => return,
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        };
        let _ = timeout(within, waiting).await;
    }

    /// Waits until nothing is left of it, and hears nothing any more.
    async fn ends_within(&mut self, within: Duration) {
        let ending = async {
            while self.is_guarded {
                let said = self.running.next().await;
                match &said {
                    Ok(Said::Contact(contact)) => self.story.contact(contact),
                    Ok(Said::Clear { survivors }) => survived(self.bench.ctx, *survivors),
                    Ok(
                        Said::Started { .. }
                        | Said::TooMuch(_)
                        | Said::Refused(_)
                        | Said::Exited(_),
                    )
                    | Err(_) => {}
                }
                self.is_guarded = said.is_ok_and(|said| !said.is_last());
            }
        };
        let draining = async {
            loop {
                tokio::select! {
                    line = self.lines.next(), if !self.closed => {
                        self.closed = !matches!(line, Ok(Some(_)));
                    }
                    () = self.errors.read() => {}
                }
            }
        };
        tokio::select! {
            () = ending => {}
            () = draining => {}
            () = tokio::time::sleep(within) => {}
        }
    }
}
