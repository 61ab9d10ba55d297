//! This file keeps reports until the hub has taken them in.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::report::Report;
use crate::id::TaskId;
use crate::sidecar::Claim;
use crate::time::{Mono, Span};

/// A report that the hub has not acknowledged.
#[derive(Clone, Debug)]
struct Waiting {
    report: Report,
    /// When it goes out next.
    due: Mono,
}

/// Reports that the hub has not acknowledged, by what they are about.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<Claim, Waiting>,
}

impl Outbox {
    /// Keeps a report that is due at once.
    pub(super) fn keep(&mut self, claim: Claim, report: Report) {
        self.waiting.insert(claim, Waiting { report, due: Mono(0) });
    }

    /// Forgets a report; whether it was there.
    pub(super) fn forget(&mut self, claim: Claim) -> bool {
        self.waiting.remove(&claim).is_some()
    }

    /// The report about an assignment.
    pub(super) fn report(&self, claim: Claim) -> Option<&Report> {
        self.waiting.get(&claim).map(|waiting| &waiting.report)
    }

    /// Makes everything due at once: the connection that it went out on is gone.
    pub(super) fn hurry(&mut self) {
        for waiting in self.waiting.values_mut() {
            waiting.due = Mono(0);
        }
    }

    /// Puts off what is said about a task.
    pub(super) fn put_off(&mut self, task: TaskId, until: Mono) {
        for (_, waiting) in self.waiting.iter_mut().filter(|(claim, _)| claim.task == task) {
            waiting.due = waiting.due.max(until);
        }
    }

    /// What is to go out, each of it due again after `every`.
    pub(super) fn take_due(&mut self, now: Mono, every: Span) -> Vec<(Claim, Report)> {
        let due = self.waiting.iter_mut().filter(|(_, waiting)| waiting.due <= now);
        due.map(|(&claim, waiting)| {
            waiting.due = now + every;
            (claim, waiting.report.clone())
        })
        .collect()
    }

    /// When the next report goes out.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.waiting.values().map(|waiting| waiting.due).min()
    }

    /// What the reports are about.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.waiting.keys().copied()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}
