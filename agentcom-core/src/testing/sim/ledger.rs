//! This file knows what the disk holds, from the events in the batches that became durable.
//!
//! It follows each task by rules of its own, which are fewer and simpler than the hub's.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::limits::Limits;
use super::marks::Mark;
use crate::change::{Head, decode};
use crate::id::{Cipher, Lease, TaskId};
use crate::name::{AgentId, Key};
use crate::port::store::{Batch, StoreError, Table};
use crate::state::{ended_row, key_row};
use crate::task::{Death, LeaseLoss, Shortfall, Spec, TaskState};
use crate::view::Event;

/// Where a task stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stand {
    Queued,
    Ready,
    Assigned,
    Working,
    Done,
    Dead,
    Cancelled,
}

impl Stand {
    pub(super) const fn is_held(self) -> bool {
        matches!(self, Self::Assigned | Self::Working)
    }

    pub(super) const fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Dead | Self::Cancelled)
    }
}

/// What is durably known of a task.
#[derive(Debug)]
pub(super) struct Known {
    pub(super) stand: Stand,
    /// All assignments: to whom, and whether they ended.
    pub(super) assigned: BTreeMap<Lease, (AgentId, bool)>,
    /// The latest assignment that was accepted.
    pub(super) accepted: Lease,
    /// Whose result counts.
    pub(super) completed: Option<(Lease, AgentId)>,
    pub(super) revived: bool,
    /// Whether the latest attempt ended with the loss of the lease.
    lost: bool,
    spec: Option<Spec>,
    /// Which hub gave the latest assignment.
    hub: u64,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) marks: Vec<Mark>,
    pub(super) wrongs: Vec<String>,
}

/// A result that an agent sent.
pub(super) type Claim = (TaskId, Lease, AgentId);

/// What the disk holds.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    pub(super) seq: u64,
    pub(super) tasks: BTreeMap<TaskId, Known>,
    pub(super) living: usize,
    pub(super) limits: Limits,
    keys: BTreeMap<Key, TaskId>,
    ids: Option<Cipher>,
}

impl Ledger {
    /// A batch became durable.
    pub(super) fn committed(
        &mut self,
        batch: &Batch,
        hub: u64,
        claims: &dyn Fn(&Claim) -> bool,
    ) -> Result<Findings, StoreError> {
        let mut out = Findings::default();
        let mut specs = BTreeMap::new();
        let mut events: Vec<Event> = Vec::new();
        for (row, value) in &batch.puts {
            match row.table {
                Table::Event => events = decode(row.table, &row.key, value)?,
                Table::Spec => {
                    specs.insert(row.key.clone(), decode::<Spec>(row.table, &row.key, value)?);
                }
                Table::Meta if self.ids.is_none() && row.key == b"head" => {
                    self.ids = Some(decode::<Head>(row.table, &row.key, value)?.ids);
                }
                Table::Key => self.key_used(&row.key, value, &mut out)?,
                Table::Ended => out.marks.extend(end_mark(&row.key, value)?),
                Table::Meta
                | Table::Life
                | Table::Agent
                | Table::Bucket
                | Table::Question
                | Table::KeyEnd
                | Table::EndedIndex
                | Table::Artifact
                | Table::Job => {}
            }
        }
        for event in &events {
            if event.seq != self.seq + 1 {
                out.wrongs.push(format!("event {} follows {}", event.seq, self.seq));
            }
            self.seq = event.seq;
            let number = event.task_id.zip(self.ids).map(|(id, ids)| ids.reveal(id.0));
            let spec = number.and_then(|number| specs.remove(number.to_be_bytes().as_slice()));
            self.happened(event, spec, hub, claims, &mut out);
        }
        if self.seq != batch.seq {
            out.wrongs.push(format!("batch {} ends with event {}", batch.seq, self.seq));
        }
        Ok(out)
    }

    fn key_used(&mut self, key: &[u8], row: &[u8], out: &mut Findings) -> Result<(), StoreError> {
        let used = key_row(key, row)?;
        let Ok(key) = core::str::from_utf8(key).map(Key::new) else { return Ok(()) };
        let Ok(key) = key else { return Ok(()) };
        if let Some(first) = self.keys.insert(key.clone(), used.task).filter(|id| *id != used.task)
        {
            out.wrongs.push(format!("key `{key}` made {first} and {}", used.task));
        }
        Ok(())
    }

    fn happened(
        &mut self,
        event: &Event,
        spec: Option<Spec>,
        hub: u64,
        claims: &dyn Fn(&Claim) -> bool,
        out: &mut Findings,
    ) {
        out.marks.extend(event_mark(&event.kind));
        let (Some(id), Some(word)) = (event.task_id, event.kind.strip_prefix("task.")) else {
            return;
        };
        if word == "submitted" {
            let detail = event.detail.as_ref().map_or("", |detail| detail.as_str());
            let stand =
                if detail.contains(r#""state":"ready""#) { Stand::Ready } else { Stand::Queued };
            self.living += 1;
            if self.tasks.insert(id, Known::new(stand, spec)).is_some() {
                out.wrongs.push(format!("{id} was submitted twice"));
            }
            return;
        }
        let Some(known) = self.tasks.get_mut(&id) else {
            out.wrongs.push(format!("{id} is {word} and was never submitted"));
            return;
        };
        let before = known.stand;
        known.moved(event, word, hub, &mut self.limits, claims, out);
        match (before.is_over(), known.stand.is_over()) {
            (false, true) => self.living -= 1,
            (true, false) => self.living += 1,
            (false, false) | (true, true) => {}
        }
    }
}

impl Known {
    fn new(stand: Stand, spec: Option<Spec>) -> Self {
        Self {
            stand,
            assigned: BTreeMap::new(),
            accepted: Lease(0),
            completed: None,
            revived: false,
            lost: false,
            spec,
            hub: 0,
        }
    }

    /// The latest assignment.
    pub(super) fn last(&self) -> Option<(Lease, &AgentId)> {
        self.assigned.last_key_value().map(|(lease, (agent, _))| (*lease, agent))
    }

    /// The current assignment.
    pub(super) fn hold(&self) -> Option<(Lease, &AgentId)> {
        self.last().filter(|_| self.stand.is_held())
    }

    fn moved(
        &mut self,
        event: &Event,
        word: &str,
        hub: u64,
        limits: &mut Limits,
        claims: &dyn Fn(&Claim) -> bool,
        out: &mut Findings,
    ) {
        let (id, before) = (event.task_id.unwrap_or(TaskId(0)), self.stand);
        let lease = event.generation.unwrap_or_default();
        let agent = event.agent_id.clone();
        let mut wrong = |what: &str| {
            out.wrongs
                .push(format!("{id} is {word} ({lease}, {agent:?}) and was {before:?}: {what}"));
        };
        if before.is_over() && !(word == "revived" && before == Stand::Dead) {
            return wrong("what is over stays over");
        }
        self.stand = match word {
            "assigned" => Stand::Assigned,
            "working" => Stand::Working,
            "ready" | "revived" => Stand::Ready,
            "completed" | "partial" => Stand::Done,
            "dead_letter" => Stand::Dead,
            "cancelled" => Stand::Cancelled,
            _ => Stand::Queued,
        };
        match (word, &agent) {
            ("assigned", Some(agent)) => {
                if before != Stand::Ready {
                    wrong("only what is ready is given out");
                }
                if self.last().is_some_and(|(last, _)| lease <= last) {
                    wrong("leases grow");
                }
                self.assigned.insert(lease, (agent.clone(), false));
                (self.lost, self.hub) = (false, hub);
                if let Some(spec) = &self.spec {
                    let verdict = limits.start(spec, event.at);
                    out.marks.extend(verdict.at_cap.then_some(Mark::AtCap));
                    out.marks.extend(verdict.at_rate.then_some(Mark::AtRate));
                    out.wrongs.extend(verdict.wrong);
                }
            }
            ("working", Some(agent)) => {
                if !before.is_held() || self.last() != Some((lease, agent)) {
                    wrong("only its holder accepts it");
                }
                self.accepted = lease;
            }
            ("completed" | "partial", Some(agent)) => {
                let current = self.last() == Some((lease, agent));
                let late = !before.is_held() && self.lost && self.works_on();
                if !current || !(before.is_held() || late) {
                    wrong("its lease is not the current one");
                }
                if !claims(&(id, lease, agent.clone())) {
                    wrong("the holder never said so");
                }
                out.marks.extend(late.then_some(Mark::LateResult));
                out.marks.extend((self.hub != hub).then_some(Mark::SurvivedRestart));
                self.completed = Some((lease, agent.clone()));
            }
            ("revived", _) => self.revived = true,
            _ => {}
        }
        if before.is_held() && !self.stand.is_held() {
            self.ended(event, limits, out);
        }
        if before == Stand::Queued && word == "ready" && self.assigned.is_empty() {
            out.marks.push(Mark::Unblocked);
        }
    }

    /// Whether an agent may work on without its lease.
    fn works_on(&self) -> bool {
        self.spec.as_ref().is_none_or(|spec| spec.on_lease_loss == LeaseLoss::Continue)
    }

    /// The hold has ended.
    fn ended(&mut self, event: &Event, limits: &mut Limits, out: &mut Findings) {
        if let Some(mut last) = self.assigned.last_entry() {
            last.get_mut().1 = true;
        }
        if let Some(spec) = &self.spec {
            limits.stop(spec);
        }
        let detail = event.detail.as_ref().map_or("", |detail| detail.as_str());
        self.lost = detail.contains("lease_lost");
        let marks = [
            ("the lease ran out", Mark::LeaseRanOut),
            ("not accepted in time", Mark::NotAccepted),
            ("the attempt took too long", Mark::TimedOut),
            ("no news for too long", Mark::Stuck),
            ("missing from two heartbeats", Mark::MissedTwice),
            ("not reported after reconnecting", Mark::NotReported),
            ("restarted while it worked", Mark::RestartedAtWork),
            ("the agent was removed", Mark::Removed),
        ];
        out.marks.extend(marks.iter().filter(|(text, _)| detail.contains(text)).map(|(_, m)| *m));
        let word = &*event.kind;
        out.marks.extend((word == "task.waiting").then_some(Mark::QuotaWait));
        out.marks.extend((word == "task.cancelled").then_some(Mark::CancelledAtWork));
    }
}

fn event_mark(kind: &str) -> Option<Mark> {
    Some(match kind {
        "question.asked" => Mark::Asked,
        "question.answered" => Mark::Answered,
        "question.defaulted" => Mark::Defaulted,
        "agent.trust" => Mark::TrustLost,
        "hub.paused" => Mark::Paused,
        "task.revived" => Mark::Revived,
        _ => return None,
    })
}

/// How a task ended, from its row in the history.
fn end_mark(key: &[u8], row: &[u8]) -> Result<Option<Mark>, StoreError> {
    let life = ended_row(key, row)?.life;
    let of_a_part = life.failed_dependency.is_some_and(|it| it.ended == Shortfall::Partial);
    Ok(match life.state {
        TaskState::Partial => Some(Mark::Partial),
        TaskState::Dead(death) => Some(match death {
            Death::Exhausted => Mark::DeadByAttempts,
            Death::Permanent => Mark::DeadByFailure,
            Death::Crashed => Mark::DeadByCrashes,
            Death::Deadline => Mark::DeadByDeadline,
            Death::Expired => Mark::DeadByExpiry,
            Death::Dependency if of_a_part => Mark::DeadByPart,
            Death::Dependency => Mark::DeadByDependency,
        }),
        TaskState::Completed
        | TaskState::Cancelled
        | TaskState::Blocked { .. }
        | TaskState::Delayed(_)
        | TaskState::Ready { .. }
        | TaskState::Assigned(_)
        | TaskState::Working(_)
        | TaskState::Waiting { .. } => None,
    })
}
