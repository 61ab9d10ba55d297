//! This file remembers what was promised on a stage, and says which promise is broken.
//!
//! It goes by the answers, the frames and the starts of work, and by the rows of the disk at the
//! moment of each; it asks no hub.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec::Vec;

use super::Broken;
use super::disk::Disk;
use crate::change::decode;
use crate::id::{Lease, TaskId};
use crate::port::store::Table;
use crate::sidecar::Claim;
use crate::state::ended_row;
use crate::time::{Span, Wall};
use crate::view::Event;
use crate::wire::{Acked, Assignment, ToAgent};

/// How many failures a task may have; the default of [`HubConfig`](crate::config::HubConfig).
const FAILURES_MAX: u32 = 3;
/// How long the rate of a stage lasts.
pub(super) const RATE_PER: Span = Span::from_secs(20);
/// How many tasks of the limit of a stage may run at once.
pub(super) const LIMIT_MAX: u32 = 2;

/// What was promised and seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// Which task a submission was answered with, and the number behind its name.
    acknowledged: BTreeMap<u64, (TaskId, u64)>,
    /// The leases that tasks were given out under, and to whom.
    leases: BTreeMap<TaskId, BTreeMap<Lease, usize>>,
    /// The lease whose result was taken in.
    accepted: BTreeMap<TaskId, Lease>,
    /// What was ever started, and what is at work where.
    started: BTreeSet<Claim>,
    at_work: BTreeSet<(Claim, usize)>,
    /// Which submission a task is.
    submissions: BTreeMap<TaskId, usize>,
    /// When tasks of the rate were given out.
    drawn: BTreeSet<Wall>,
    /// Calls that a hub has yet to answer, by its opening of the disk.
    unanswered: BTreeSet<(u64, u64)>,
    /// Whether tasks share a limit and a rate.
    limits: bool,
    broken: Option<Broken>,
}

impl Ledger {
    pub(super) fn new(limits: bool) -> Self {
        Self { limits, ..Self::default() }
    }

    pub(super) fn note(&mut self, outcome: Result<(), Broken>) {
        self.broken = self.broken.take().or(outcome.err());
    }

    pub(super) fn verdict(&self) -> Result<(), Broken> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// A submission was answered: its task is on the disk at that moment, and stays the same.
    pub(super) fn acknowledged(
        &mut self,
        opening: u64,
        submission: u64,
        (id, number): (TaskId, u64),
        disk: &Disk,
    ) -> Result<(), Broken> {
        self.unanswered.remove(&(opening, submission));
        if disk.life(number).is_none() {
            return Err(format!("{id} was acknowledged before it was stored"));
        }
        let before = self.acknowledged.insert(submission, (id, number));
        if before.is_some_and(|(before, _)| before != id) {
            return Err(format!("one submission became two tasks, one of them {id}"));
        }
        let others = self.acknowledged.iter().filter(|(other, _)| **other != submission);
        if others.map(|(_, (other, _))| *other).any(|other| other == id) {
            return Err(format!("{id} stands for two submissions"));
        }
        Ok(())
    }

    /// A task was given out: under a lease that is stored, and larger than those before.
    pub(super) fn assigned(
        &mut self,
        agent: usize,
        given: &Assignment,
        number: u64,
        disk: &Disk,
    ) -> Result<(), Broken> {
        let (id, lease) = (given.task_id, given.generation);
        if disk.life(number).is_none_or(|life| life.lease < lease) {
            return Err(format!("lease {lease} of {id} was said before it was stored"));
        }
        let leases = self.leases.entry(id).or_default();
        match leases.get(&lease) {
            Some(holder) if *holder == agent => return Ok(()),
            Some(_) => return Err(format!("lease {lease} of {id} was given to two agents")),
            None => {}
        }
        if leases.last_key_value().is_some_and(|(last, _)| *last > lease) {
            return Err(format!("lease {lease} of {id} came after a larger one"));
        }
        leases.insert(lease, agent);
        let submission = given.op.input.read().unwrap_or_default();
        self.submissions.insert(id, submission);
        if self.limits && is_rated(submission) {
            self.draw(given.assigned_at)?;
        }
        Ok(())
    }

    /// An assignment may first be heard of after a later one, when it is said again.
    fn draw(&mut self, at: Wall) -> Result<(), Broken> {
        let before =
            self.drawn.range(..=at).next_back().is_some_and(|other| at - *other < RATE_PER);
        let after = self.drawn.range(at..).next().is_some_and(|other| *other - at < RATE_PER);
        self.drawn.insert(at);
        if before || after { Err("more tasks of a rate started than may".into()) } else { Ok(()) }
    }

    /// A hub was asked something, and is to answer unless it dies.
    pub(super) fn asked(&mut self, opening: u64, call: u64) {
        self.unanswered.insert((opening, call));
    }

    pub(super) fn died(&mut self, opening: u64) {
        self.unanswered.retain(|(asked, _)| *asked != opening);
    }

    /// At most one result of a task is taken in.
    pub(super) fn heard(&mut self, frame: &ToAgent) -> Result<(), Broken> {
        let ToAgent::TaskAck(ack) = frame else { return Ok(()) };
        let (Acked::Complete, Some(lease)) = (ack.status, ack.generation) else { return Ok(()) };
        let before = self.accepted.insert(ack.task_id, lease);
        if before.is_some_and(|before| before != lease) {
            return Err(format!("two results of {} were taken in", ack.task_id));
        }
        Ok(())
    }

    /// Work starts: never twice under one lease, never at two agents at once, and no more of the
    /// limit than may.
    pub(super) fn started(&mut self, agent: usize, claim: Claim) -> Result<(), Broken> {
        let task = claim.task;
        if !self.started.insert(claim) {
            return Err(format!("{task} ran twice under one lease"));
        }
        if self.at_work.iter().any(|(other, _)| other.task == task) {
            return Err(format!("{task} is at work twice at once"));
        }
        self.at_work.insert((claim, agent));
        let limited = self.at_work.iter().filter(|(claim, _)| self.is_limited(claim.task)).count();
        if limited > LIMIT_MAX as usize {
            return Err("more tasks of a limit run at once than may".into());
        }
        Ok(())
    }

    pub(super) fn stopped(&mut self, agent: usize, claim: Claim) {
        self.at_work.remove(&(claim, agent));
    }

    fn is_limited(&self, id: TaskId) -> bool {
        self.limits && self.submissions.get(&id).is_some_and(|number| is_limited(*number))
    }

    /// In the end all that was acknowledged has ended, within its limits, and the feed has no gap.
    pub(super) fn close(&self, disk: &Disk) -> Result<(), Broken> {
        if let Some((_, call)) = self.unanswered.first() {
            return Err(format!("submission {call} was never answered"));
        }
        for (id, number) in self.acknowledged.values() {
            if disk.life(*number).is_none_or(|life| !life.state.is_over()) {
                return Err(format!("{id} was acknowledged and has not ended"));
            }
        }
        for (key, row) in disk.table(Table::Ended) {
            let task = ended_row(&key.key, row).map_err(|error| format!("{error}"))?;
            if task.life.failures > FAILURES_MAX {
                return Err(format!("{} failed {} times", task.id, task.life.failures));
            }
        }
        let mut next = None;
        for (key, row) in disk.table(Table::Event) {
            let events = decode::<Vec<Event>>(Table::Event, &key.key, row);
            for event in events.map_err(|error| format!("{error}"))? {
                if next.is_some_and(|next| next != event.seq) {
                    return Err(format!("the feed has a gap before event {}", event.seq));
                }
                next = Some(event.seq + 1);
            }
        }
        let behind = next.is_some_and(|next| disk.seq.is_some_and(|seq| seq + 1 != next));
        if behind { Err("the feed ends before the last batch".into()) } else { Ok(()) }
    }
}

/// Whether a submission is one of those of which two may run at once.
pub(super) const fn is_limited(submission: usize) -> bool {
    !submission.is_multiple_of(3)
}

/// Whether a submission is one of those of which one may start in [`RATE_PER`].
pub(super) const fn is_rated(submission: usize) -> bool {
    submission.is_multiple_of(4)
}
