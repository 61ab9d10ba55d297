//! This file remembers the newest assignment that was seen of each task: an older one is a word of a hub that
//! was replaced, or one that took long to arrive, and doing it would undo what the newer one did.

use alloc::collections::BTreeMap;

use super::{Claim, Sidecar};
use crate::guard::Guard;
use crate::id::{Incarnation, Lease, TaskId};

/// Of how many tasks the newest assignment is remembered, the latest first. Of those that are held or
/// waited for it is known beside.
pub(super) const TASKS_MAX: usize = 4_096;

type Key = (Incarnation, TaskId);

/// The newest assignment of a task.
#[derive(Clone, Copy, Debug)]
struct Newest {
    lease: Lease,
    /// Whether it was taken on.
    taken: bool,
    /// When it was last seen, in order.
    at: u64,
}

/// The newest assignments.
///
/// **Invariant:** `by_age` has exactly the tasks of `newest`, each at its `at`.
#[derive(Clone, Debug, Default)]
pub(super) struct Fences {
    newest: BTreeMap<Key, Newest>,
    by_age: BTreeMap<u64, Key>,
    clock: u64,
}

impl Fences {
    /// One was seen, and `taken` on or not.
    pub(super) fn see(&mut self, claim: Claim, taken: bool) {
        let key = (claim.incarnation, claim.task);
        let known = self.newest.get(&key).copied();
        if known.is_some_and(|known| known.lease > claim.lease) {
            return;
        }
        let same = known.filter(|known| known.lease == claim.lease);
        let taken = taken || same.is_some_and(|same| same.taken);
        self.clock += 1;
        known.map(|known| self.by_age.remove(&known.at));
        self.newest.insert(key, Newest { lease: claim.lease, taken, at: self.clock });
        self.by_age.insert(self.clock, key);
        if self.newest.len() > TASKS_MAX
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.newest.remove(&oldest);
        }
    }

    /// Whether one is older than the newest of its task, or was done before.
    fn bars(&self, claim: Claim) -> bool {
        let newest = self.newest.get(&(claim.incarnation, claim.task));
        newest.is_some_and(|newest| {
            newest.lease > claim.lease || newest.lease == claim.lease && newest.taken
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.newest.len(), self.by_age.len());
        self.newest.len()
    }
}

impl Sidecar {
    /// Whether an assignment, which is neither held nor waits to be reported, has had its time.
    pub(super) fn is_superseded(&self, claim: Claim) -> bool {
        let held = self.jobs.of(claim.task, None).map(|(held, _)| held);
        let mut known = held.chain(self.outbox.about(claim.task, None));
        let newer =
            |known: Claim| known.incarnation == claim.incarnation && known.lease > claim.lease;
        (self.fences.bars(claim) || known.any(newer)) && self.on(Guard::NewestLease)
    }
}
