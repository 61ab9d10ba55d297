//! This file judges frames at the moment at which they leave.
//!
//! What a hub says has to be on the disk already: an assignment, an acknowledgement, the end of a
//! hold. What agents say is remembered, since only what an agent said may come to count.

use alloc::format;
use alloc::string::ToString;

use super::ledger::{Claim, Known, Stand};
use super::marks::Mark;
use super::oracle::{Oracle, Seen};
use crate::id::{Lease, TaskId};
use crate::name::AgentId;
use crate::wire::{
    Acked, Assignment, ErrorFrame, ReportAction, TaskAck, ToAgent, ToHub, read_to_agent,
    read_to_hub,
};

/// How much of a frame a line of the trace shows.
const SHOWN: usize = 200;

impl Oracle {
    /// An agent sent a frame.
    pub(super) fn to_hub(&self, agent: &str, text: &str) {
        self.note("->", || format!("{agent}: {}", start_of(text)));
        self.mix(text);
        let mut seen = self.seen();
        seen.frames += 1;
        if text.starts_with(r#"{"type":"ping""#) || text.starts_with(r#"{"type":"task_progress""#) {
            return;
        }
        let (Ok(frame), Ok(id)) = (read_to_hub(text), AgentId::new(agent)) else { return };
        if matches!(frame, ToHub::AgentDraining {}) {
            seen.mark(Mark::Drained);
        }
        let Some((task, lease)) = frame.reports() else { return };
        if matches!(frame, ToHub::TaskWithdrawn(_)) {
            seen.withdrawn.insert((task, lease, id));
            return seen.mark(Mark::Withdrawn);
        }
        seen.result(agent, task, lease);
        if matches!(frame, ToHub::TaskComplete(_)) {
            seen.claims.insert((task, lease, id));
        }
    }

    /// A hub sent a frame.
    pub(super) fn to_agent(&self, agent: &str, text: &str) {
        self.note("<-", || format!("{agent}: {}", start_of(text)));
        self.mix(text);
        let mut seen = self.seen();
        seen.frames += 1;
        if text.starts_with(r#"{"type":"pong""#) {
            if text.contains(r#""lost":["#) {
                seen.mark(Mark::LostInPong);
            }
            return;
        }
        let (frame, Ok(id)) = (read_to_agent(text), AgentId::new(agent)) else { return };
        match frame {
            Ok(ToAgent::TaskAssign(assignment)) => seen.assigned(&assignment, id),
            Ok(ToAgent::TaskAck(ack)) => seen.acked(ack, id),
            Ok(ToAgent::TaskCancelled { task_id, generation, .. }) => {
                seen.mark(Mark::HoldEnded);
                seen.durable(task_id, "its hold was said to have ended", |known| {
                    known.assigned.get(&generation).is_some_and(|(_, ended)| *ended)
                });
            }
            Ok(ToAgent::TaskReassign { .. }) => seen.mark(Mark::Forgotten),
            Ok(ToAgent::TaskContinue { .. }) => {}
            Ok(ToAgent::StateReportAck { task_id, action: ReportAction::Continue }) => {
                seen.mark(Mark::ReportedOn);
                seen.durable(task_id, "its client was told to go on", |known| {
                    known.assigned.values().any(|(holder, _)| *holder == id)
                });
            }
            Ok(ToAgent::StateReportAck { action: ReportAction::Abort, .. }) => {
                seen.mark(Mark::ReportedOff);
            }
            Ok(ToAgent::Error(error)) => seen.error(&error),
            Ok(
                ToAgent::Identified(_)
                | ToAgent::Pong { .. }
                | ToAgent::QuestionAnswered(_)
                | ToAgent::SpendAnswered(_)
                | ToAgent::StatusUpdated {}
                | ToAgent::Agents { .. }
                | ToAgent::OllamaReportAck { .. }
                | ToAgent::RestartSidecar { .. },
            ) => {}
            Err(bad) => seen.wrongs.push(format!("the hub sent what nobody can read: {bad}")),
        }
    }
}

impl Seen {
    /// A result is on its way, whatever its worth.
    fn result(&mut self, agent: &str, task: TaskId, lease: Lease) {
        let known = self.ledger.tasks.get(&task);
        let last = known.and_then(Known::last).map(|(last, _)| last);
        if last.is_some_and(|last| last > lease) {
            self.mark(Mark::StaleResult);
        }
        let run = self.started.get(&(task, lease)).filter(|(who, _)| who == agent);
        if run.map(|(_, run)| run) < self.boots.get(agent) && run.is_some() {
            self.mark(Mark::ResultAfterReboot);
        }
    }

    fn assigned(&mut self, assignment: &Assignment, agent: AgentId) {
        let claim = (assignment.task_id, assignment.generation, agent);
        self.durable(claim.0, "it was given out", |known| {
            known.assigned.get(&claim.1).is_some_and(|(holder, _)| *holder == claim.2)
        });
        if !self.told.insert(claim) {
            self.mark(Mark::SaidAgain);
        }
    }

    fn acked(&mut self, ack: TaskAck, agent: AgentId) {
        let lease = ack.generation.unwrap_or_default();
        let claim: Claim = (ack.task_id, lease, agent);
        match ack.status {
            Acked::Accepted => self.durable(claim.0, "its acceptance was acknowledged", |known| {
                known.accepted >= lease
            }),
            Acked::Complete => {
                let withdrawn = self.withdrawn.contains(&claim);
                if !self.acked.insert((claim.0, lease)) {
                    self.mark(Mark::AckedAgain);
                }
                let counts = (lease, claim.2);
                self.durable(claim.0, "its result was acknowledged", |known| {
                    known.completed.as_ref() == Some(&counts)
                        || withdrawn && known.stand == Stand::Cancelled
                });
            }
            Acked::Retried | Acked::DeadLetter | Acked::Released => {
                self.mark(match ack.status {
                    Acked::DeadLetter => Mark::DeadLetter,
                    Acked::Released => Mark::Released,
                    Acked::Retried | Acked::Accepted | Acked::Complete | Acked::Superseded => {
                        Mark::Retried
                    }
                });
                self.durable(claim.0, "the end of its attempt was acknowledged", |known| {
                    known.assigned.get(&lease).is_some_and(|(_, ended)| *ended)
                });
            }
            Acked::Superseded => {
                self.mark(Mark::Superseded);
                let known = self.ledger.tasks.get(&claim.0);
                let hold = known.and_then(Known::hold);
                if hold == Some((lease, &claim.2)) {
                    let wrong = format!(
                        "{} holds {} under {lease} and was told that it does not",
                        claim.2, claim.0
                    );
                    self.wrongs.push(wrong);
                }
            }
        }
    }

    fn error(&mut self, error: &ErrorFrame) {
        match error.error.as_str() {
            "not_your_task" => self.mark(Mark::ForeignRefused),
            "task_not_held" => self.mark(Mark::NotHeld),
            "invalid_json" | "validation_failed" => self.mark(Mark::BadFrame),
            _ => {}
        }
    }

    /// What a hub says of a task has to be durable.
    fn durable(&mut self, task: TaskId, said: &str, holds: impl FnOnce(&Known) -> bool) {
        if !self.ledger.tasks.get(&task).is_some_and(holds) {
            self.wrongs.push(format!("{task}: {said} before that was durable"));
        }
    }
}

fn start_of(text: &str) -> alloc::string::String {
    text.chars().take(SHOWN).collect::<alloc::string::String>().to_string()
}
