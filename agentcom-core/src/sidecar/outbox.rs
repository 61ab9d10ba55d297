//! This file keeps reports until the hub has taken them in.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::report::Report;
use crate::id::{Lease, TaskId};
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
///
/// **Invariant:** `by_due` has exactly the reports of `waiting`, each with its time.
#[derive(Clone, Debug, Default)]
pub(super) struct Outbox {
    waiting: BTreeMap<Claim, Waiting>,
    by_due: BTreeSet<(Mono, Claim)>,
}

impl Outbox {
    /// Keeps a report that is due at once.
    pub(super) fn keep(&mut self, claim: Claim, report: Report) {
        self.forget(claim);
        self.waiting.insert(claim, Waiting { report, due: Mono(0) });
        self.by_due.insert((Mono(0), claim));
    }

    /// Forgets a report; whether it was there.
    pub(super) fn forget(&mut self, claim: Claim) -> bool {
        let forgotten = self.waiting.remove(&claim);
        forgotten.is_some_and(|waiting| self.by_due.remove(&(waiting.due, claim)))
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
        self.by_due = self.waiting.keys().map(|claim| (Mono(0), *claim)).collect();
    }

    /// Puts off what is said about a task.
    pub(super) fn put_off(&mut self, task: TaskId, until: Mono) {
        for (claim, waiting) in self.waiting.range_mut(Claim::all_of(task, None)) {
            self.by_due.remove(&(waiting.due, *claim));
            waiting.due = waiting.due.max(until);
            self.by_due.insert((waiting.due, *claim));
        }
    }

    /// What is to go out, by what it is about, each of it due again after `every`.
    pub(super) fn take_due(&mut self, now: Mono, every: Span) -> Vec<(Claim, Report)> {
        let due = self.by_due.iter().take_while(|(due, _)| *due <= now);
        let mut claims: Vec<Claim> = due.map(|(_, claim)| *claim).collect();
        claims.sort_unstable();
        let mut taken = Vec::with_capacity(claims.len());
        for claim in claims {
            let Some(waiting) = self.waiting.get_mut(&claim) else { continue };
            self.by_due.remove(&(waiting.due, claim));
            waiting.due = now + every;
            self.by_due.insert((waiting.due, claim));
            taken.push((claim, waiting.report.clone()));
        }
        taken
    }

    /// When the next report goes out.
    pub(super) fn next_due(&self) -> Option<Mono> {
        self.by_due.first().map(|(due, _)| *due)
    }

    /// What the reports are about.
    pub(super) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.waiting.keys().copied()
    }

    /// The assignments that it keeps a report of and that a word about a task is about.
    pub(super) fn about(&self, task: TaskId, lease: Option<Lease>) -> impl Iterator<Item = Claim> {
        self.waiting.range(Claim::all_of(task, lease)).map(|(claim, _)| *claim)
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
