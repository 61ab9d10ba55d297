//! This file keeps the assignments that were taken on, and finds them by what is asked of them:
//! a step costs about the same however many there are.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::job::{Job, Phase};
use super::question::Open;
use super::{Claim, Wake};
use crate::id::{Lease, TaskId};
use crate::time::{Mono, Span};

/// The assignments that were taken on.
///
/// **Invariant:** the indexes say of each job what [`Marks::of`] says of it.
#[derive(Clone, Debug, Default)]
pub(super) struct Jobs {
    all: BTreeMap<Claim, Job>,
    /// Those that wait to be started.
    offered: BTreeSet<Claim>,
    /// How many are meant to go on.
    live: usize,
    /// How many have an executor at them.
    at_work: usize,
    /// How many of those whose lease is renewed have a lease of that length.
    leases: BTreeMap<Span, usize>,
    /// Those for which a time will come, by the first of theirs.
    wakes: BTreeSet<(Mono, Claim)>,
}

/// What a job goes by in the indexes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Marks {
    phase: Phase,
    lease: Option<Span>,
    wake: Option<Mono>,
}

impl Marks {
    fn of(claim: Claim, job: &Job) -> Self {
        let lease = job.is_held().then_some(job.ttl);
        Self { phase: job.phase, lease, wake: wake_of(claim, job).map(|(at, _)| at) }
    }
}

impl Jobs {
    /// Takes one on.
    pub(super) fn insert(&mut self, claim: Claim, job: Job) {
        self.remove(claim);
        self.index(claim, Marks::of(claim, &job));
        self.all.insert(claim, job);
    }

    /// Forgets one.
    pub(super) fn remove(&mut self, claim: Claim) -> Option<Job> {
        let job = self.all.remove(&claim)?;
        self.unindex(claim, Marks::of(claim, &job));
        Some(job)
    }

    /// Changes one; what `change` returns, if there is that job.
    pub(super) fn change<T>(
        &mut self,
        claim: Claim,
        change: impl FnOnce(&mut Job) -> T,
    ) -> Option<T> {
        let job = self.all.get_mut(&claim)?;
        let before = Marks::of(claim, job);
        let returned = change(job);
        let after = Marks::of(claim, job);
        if before != after {
            self.unindex(claim, before);
            self.index(claim, after);
        }
        Some(returned)
    }

    pub(super) fn get(&self, claim: Claim) -> Option<&Job> {
        self.all.get(&claim)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (Claim, &Job)> {
        self.all.iter().map(|(&claim, job)| (claim, job))
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Those of a task, under one lease or under all.
    pub(super) fn of(
        &self,
        task: TaskId,
        lease: Option<Lease>,
    ) -> impl Iterator<Item = (Claim, &Job)> {
        self.all.range(Claim::all_of(task, lease)).map(|(&claim, job)| (claim, job))
    }

    /// Those that wait to be started.
    pub(super) fn offered(&self) -> impl Iterator<Item = (Claim, &Job)> {
        self.offered.iter().filter_map(|&claim| Some((claim, self.all.get(&claim)?)))
    }

    /// How many are meant to go on.
    pub(super) const fn live(&self) -> usize {
        self.live
    }

    /// How many have an executor at them.
    pub(super) const fn at_work(&self) -> usize {
        self.at_work
    }

    /// The shortest lease of those that are renewed.
    pub(super) fn shortest_lease(&self) -> Option<Span> {
        self.leases.first_key_value().map(|(lease, _)| *lease)
    }

    /// Those for which a time has come, in order of their names.
    pub(super) fn due(&self, now: Mono) -> Vec<Claim> {
        let due = self.wakes.iter().take_while(|(at, _)| *at <= now);
        let mut claims: Vec<Claim> = due.map(|(_, claim)| *claim).collect();
        claims.sort_unstable();
        claims
    }

    /// When the next time comes, and what for.
    pub(super) fn next_wake(&self) -> Option<(Mono, Wake)> {
        let (_, claim) = self.wakes.first()?;
        wake_of(*claim, self.all.get(claim)?)
    }

    /// Panics if an index does not say what a full scan says.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let mut scanned = Self::default();
        for (claim, job) in self.iter() {
            scanned.insert(claim, job.clone());
        }
        assert_eq!(self.offered, scanned.offered);
        assert_eq!((self.live, self.at_work), (scanned.live, scanned.at_work));
        assert_eq!(self.leases, scanned.leases);
        assert_eq!(self.wakes, scanned.wakes);
    }

    fn index(&mut self, claim: Claim, marks: Marks) {
        if marks.phase == Phase::Offered {
            self.offered.insert(claim);
        }
        self.live += usize::from(marks.phase.is_live());
        self.at_work += usize::from(marks.phase.occupies());
        if let Some(lease) = marks.lease {
            *self.leases.entry(lease).or_default() += 1;
        }
        self.wakes.extend(marks.wake.map(|at| (at, claim)));
    }

    fn unindex(&mut self, claim: Claim, marks: Marks) {
        if marks.phase == Phase::Offered {
            self.offered.remove(&claim);
        }
        self.live -= usize::from(marks.phase.is_live());
        self.at_work -= usize::from(marks.phase.occupies());
        if let Some(lease) = marks.lease
            && let Some(count) = self.leases.get_mut(&lease)
        {
            *count -= 1;
            if *count == 0 {
                self.leases.remove(&lease);
            }
        }
        if let Some(at) = marks.wake {
            self.wakes.remove(&(at, claim));
        }
    }
}

/// When something is due for a job, and what.
fn wake_of(claim: Claim, job: &Job) -> Option<(Mono, Wake)> {
    let lease = job.stop_at().map(|at| (at, Wake::Lease(claim)));
    let running = job.timeout_at.filter(|_| job.phase == Phase::Running);
    let timeout = running.map(|at| (at, Wake::Timeout(claim)));
    let question = job.questions.iter().map(Open::due).chain(job.calls.due()).min();
    let question = question.map(|at| (at, Wake::Question(claim)));
    [lease, timeout, question].into_iter().flatten().min()
}
