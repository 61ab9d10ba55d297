//! This file indexes connected agents by what they can do, and says which of them have room.
//!
//! Agents that can do the same form a group. For each group the classes of tasks that it can run
//! are kept, so that matching is done once per class and group and not per task and agent.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::ready::{ClassId, Requirements};
use crate::name::{AgentId, Capability, Kind};

/// The number of a group while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupId(pub u32);

/// What the agents of a group can do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Abilities {
    /// The kinds of operations, sorted.
    pub kinds: Vec<Kind>,
    /// The capabilities, sorted.
    pub capabilities: Vec<Capability>,
}

impl Abilities {
    /// Whether they are enough.
    #[must_use]
    pub fn meet(&self, requirements: &Requirements) -> bool {
        self.kinds.binary_search(&requirements.kind).is_ok()
            && requirements.needs.iter().all(|need| self.capabilities.binary_search(need).is_ok())
    }

    /// What is missing, in words.
    #[must_use]
    pub fn lacks(&self, requirements: &Requirements) -> Vec<alloc::string::String> {
        let kind = self.kinds.binary_search(&requirements.kind).is_err();
        let kind = kind.then(|| alloc::format!("exec:{}", requirements.kind));
        let missing = |need: &&Capability| self.capabilities.binary_search(need).is_err();
        let needs = requirements.needs.iter().filter(missing).map(|need| alloc::format!("{need}"));
        kind.into_iter().chain(needs).collect()
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
    /// Unpinned classes of tasks that they can run.
    pub classes: BTreeSet<ClassId>,
    members: usize,
    free: BTreeSet<(Standing, AgentId)>,
}

/// Connected agents, by group.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    numbers: BTreeMap<Abilities, GroupId>,
    groups: BTreeMap<GroupId, Group>,
    next: u32,
    members: BTreeMap<AgentId, Member>,
    /// Unpinned classes and the groups that can run them.
    runs: BTreeMap<ClassId, BTreeSet<GroupId>>,
    /// Classes that only one agent may run.
    pinned: BTreeMap<AgentId, BTreeSet<ClassId>>,
}

/// A connected agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its group.
    pub group: GroupId,
    /// Its standing, if it has room.
    pub free: Option<Standing>,
}

impl Fleet {
    /// An agent connected. Returns its group, and whether that was made for the purpose; then
    /// [`Fleet::link`] has to be told which classes it can run.
    pub fn join(&mut self, agent: AgentId, abilities: Abilities) -> (GroupId, bool) {
        self.leave(&agent);
        let known = self.numbers.get(&abilities).copied();
        let group = known.unwrap_or_else(|| {
            self.next += 1;
            let id = GroupId(self.next);
            self.numbers.insert(abilities.clone(), id);
            let classes = BTreeSet::new();
            self.groups.insert(id, Group { abilities, classes, members: 0, free: BTreeSet::new() });
            id
        });
        if let Some(found) = self.groups.get_mut(&group) {
            found.members += 1;
        }
        self.members.insert(agent, Member { group, free: None });
        (group, known.is_none())
    }

    /// An agent is gone.
    pub fn leave(&mut self, agent: &AgentId) {
        self.set_free(agent, None);
        let Some(member) = self.members.remove(agent) else { return };
        let Some(group) = self.groups.get_mut(&member.group) else { return };
        group.members -= 1;
        if group.members == 0 {
            let classes = core::mem::take(&mut group.classes);
            for class in classes {
                if let Some(groups) = self.runs.get_mut(&class) {
                    groups.remove(&member.group);
                }
            }
            if let Some(group) = self.groups.remove(&member.group) {
                self.numbers.remove(&group.abilities);
            }
        }
    }

    /// An agent has room, or has none.
    pub fn set_free(&mut self, agent: &AgentId, standing: Option<Standing>) {
        let Some(member) = self.members.get_mut(agent) else { return };
        let Some(group) = self.groups.get_mut(&member.group) else { return };
        if let Some(old) = member.free.take() {
            group.free.remove(&(old, agent.clone()));
        }
        if let Some(new) = standing {
            group.free.insert((new, agent.clone()));
        }
        member.free = standing;
    }

    /// A group can run an unpinned class.
    pub fn link(&mut self, group: GroupId, class: ClassId) {
        if let Some(found) = self.groups.get_mut(&group) {
            found.classes.insert(class);
            self.runs.entry(class).or_default().insert(group);
        }
    }

    /// There is a class that only one agent may run.
    pub fn pin(&mut self, agent: AgentId, class: ClassId) {
        self.pinned.entry(agent).or_default().insert(class);
    }

    /// There is no such class any more.
    pub fn unlink(&mut self, class: ClassId) {
        for group in self.runs.remove(&class).unwrap_or_default() {
            if let Some(found) = self.groups.get_mut(&group) {
                found.classes.remove(&class);
            }
        }
        for classes in self.pinned.values_mut() {
            classes.remove(&class);
        }
        self.pinned.retain(|_, classes| !classes.is_empty());
    }

    /// A connected agent.
    #[must_use]
    pub fn member(&self, agent: &AgentId) -> Option<&Member> {
        self.members.get(agent)
    }

    /// All connected agents.
    pub fn members(&self) -> impl Iterator<Item = (&AgentId, &Member)> {
        self.members.iter()
    }

    /// A group.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(&id)
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        self.groups.iter().map(|(id, group)| (*id, group))
    }

    /// The groups that can run an unpinned class.
    pub fn groups_for(&self, class: ClassId) -> impl Iterator<Item = &Group> {
        self.runs.get(&class).into_iter().flatten().filter_map(|id| self.groups.get(id))
    }

    /// The classes that only this agent may run.
    pub fn pinned_to(&self, agent: &AgentId) -> impl Iterator<Item = ClassId> {
        self.pinned.get(agent).into_iter().flatten().copied()
    }
}

impl Group {
    /// Agents with room, those asked first in front.
    pub fn free(&self) -> impl Iterator<Item = (&Standing, &AgentId)> {
        self.free.iter().map(|(standing, agent)| (standing, agent))
    }

    /// Whether any of its agents has room.
    #[must_use]
    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
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
}
