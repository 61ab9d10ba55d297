//! This file describes agents that can do the same: what they can do, and which have room.

use alloc::vec::Vec;

use super::member::AgentNo;
use crate::agent::Profile;
use crate::name::{AgentId, Capability, Kind};
use crate::repo;
use crate::state::sorted::Sorted;
use crate::state::{ClassId, Requirements};

/// The number of a group while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// What the agents of a group can do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abilities {
    /// The kinds of operations, sorted.
    pub kinds: Vec<Kind>,
    /// The capabilities, sorted; the kinds are among them, as `exec:KIND`.
    pub capabilities: Vec<Capability>,
}

impl Abilities {
    /// What an agent can do that says so of itself.
    #[must_use]
    pub fn of(profile: &Profile) -> Self {
        let kinds = profile.kinds.iter().filter_map(|kind| Capability::of_kind(kind.as_str()));
        let mut capabilities: Vec<_> = profile.capabilities.iter().cloned().chain(kinds).collect();
        capabilities.sort();
        capabilities.dedup();
        Self { kinds: profile.kinds.clone(), capabilities }
    }

    /// Whether a capability is among them.
    #[must_use]
    pub fn has(&self, need: &Capability) -> bool {
        self.capabilities.binary_search(need).is_ok()
    }

    /// Whether they are enough.
    #[must_use]
    pub fn meet(&self, requirements: &Requirements) -> bool {
        self.kinds.binary_search(&requirements.kind).is_ok()
            && requirements.needs.iter().all(|need| self.has(need))
            && self.lacks_repo(requirements).is_none()
    }

    /// What is missing, in words.
    #[must_use]
    pub fn lacks(&self, requirements: &Requirements) -> Vec<alloc::string::String> {
        let kind = self.kinds.binary_search(&requirements.kind).is_err();
        let kind = kind.then(|| alloc::format!("exec:{}", requirements.kind));
        let missing = |need: &&Capability| !self.has(need);
        let needs = requirements.needs.iter().filter(missing).map(|need| alloc::format!("{need}"));
        let repo = self.lacks_repo(requirements).map(|need| alloc::format!("{need}"));
        kind.into_iter().chain(needs).chain(repo).collect()
    }

    fn lacks_repo(&self, requirements: &Requirements) -> Option<Capability> {
        repo::lacking(&self.capabilities, &requirements.kind, requirements.repo.as_ref())
    }
}

/// How much room an agent has; agents with a smaller standing are asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Standing {
    /// Whether it is on probation.
    pub probation: bool,
    /// Held tasks per thousand slots.
    pub load: u32,
    /// The number of the assignment that it was last given.
    pub last_assigned: u64,
}

/// Agents that can do the same.
#[derive(Clone, Debug)]
pub struct Group {
    /// What they can do.
    pub abilities: Abilities,
    /// Unpinned classes of tasks that they can run, sorted.
    classes: Vec<ClassId>,
    /// A number that no other group with other classes ever had.
    stamp: u64,
    pub(super) members: usize,
    /// How many of them are given work, whether they have room or not.
    pub(super) workers: usize,
    free: Sorted<(Standing, Option<AgentId>, AgentNo)>,
}

impl Group {
    pub(super) const fn new(abilities: Abilities) -> Self {
        Self {
            abilities,
            classes: Vec::new(),
            stamp: 0,
            members: 0,
            workers: 0,
            free: Sorted::new(),
        }
    }

    /// Unpinned classes of tasks that its agents can run, sorted.
    #[must_use]
    pub fn classes(&self) -> &[ClassId] {
        &self.classes
    }

    /// Whether its agents can run an unpinned class.
    #[must_use]
    pub fn runs(&self, class: ClassId) -> bool {
        self.classes.binary_search(&class).is_ok()
    }

    /// Agents with room, those asked first in front.
    pub fn free(&self) -> impl Iterator<Item = (Standing, AgentNo)> {
        self.free.iter().map(|(standing, _, agent)| (*standing, *agent))
    }

    /// Whether any of its agents has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.free.len() > 0
    }

    /// Whether any of its agents is given work when it has room.
    #[must_use]
    pub const fn works(&self) -> bool {
        self.workers > 0
    }

    /// How many agents are in it.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.members
    }

    /// Whether no agent is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.members == 0
    }

    pub(super) fn move_free(
        &mut self,
        agent: AgentNo,
        id: &AgentId,
        before: Option<Standing>,
        after: Option<Standing>,
    ) {
        // Only agents that were never given anything stand alike: among them names count.
        let place = |standing: Standing| {
            (standing, (standing.last_assigned == 0).then(|| id.clone()), agent)
        };
        if let Some(before) = before {
            self.free.take(&place(before));
        }
        if let Some(after) = after {
            self.free.insert(place(after));
        }
    }

    /// What changes whenever the classes do.
    #[must_use]
    pub(in crate::state) const fn stamp(&self) -> u64 {
        self.stamp
    }

    /// Adds a class that its agents can run; whether it was not there.
    pub(super) fn learn(&mut self, class: ClassId, stamp: u64) -> bool {
        let place = self.classes.binary_search(&class);
        if let Err(at) = place {
            self.classes.insert(at, class);
            self.stamp = stamp;
        }
        place.is_err()
    }

    pub(super) fn unlearn(&mut self, class: ClassId, stamp: u64) {
        if let Ok(at) = self.classes.binary_search(&class) {
            self.classes.remove(at);
            self.stamp = stamp;
        }
    }
}
