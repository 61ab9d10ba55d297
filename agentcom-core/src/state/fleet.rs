//! This file indexes agents by what they can do, and says which of them have room.
//!
//! Agents that can do the same form a group. For each group the classes of tasks that it can run
//! are kept, so that matching is done once per class and group and not per task and agent. Inside,
//! agents go by number: names are long, and compared character by character.

mod group;
mod member;

pub use group::{Abilities, Group, GroupId, Standing};
pub use member::{AgentNo, Member, Terms};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::ready::{ClassId, Requirements};
use super::sorted::Sorted;
use crate::id::TaskId;
use crate::name::{AgentId, Capability};

/// Agents, by group.
#[derive(Clone, Debug, Default)]
pub struct Fleet {
    numbers: BTreeMap<AgentId, AgentNo>,
    members: Vec<Option<Member>>,
    vacant: Vec<AgentNo>,
    connected: usize,
    by_abilities: BTreeMap<Abilities, GroupId>,
    groups: Vec<Option<Group>>,
    vacant_groups: Vec<GroupId>,
    /// Groups of which an agent has room.
    rooms: Sorted<GroupId>,
    /// Groups by each of their capabilities.
    skilled: BTreeMap<Capability, BTreeSet<GroupId>>,
    /// The groups that can run an unpinned class, by its number.
    runs: Vec<Sorted<GroupId>>,
    /// How often any group learnt or unlearnt a class.
    stamps: u64,
}

impl Fleet {
    /// The number of an agent that is known here: registered, connected, at work, or waited for.
    #[must_use]
    pub fn number(&self, agent: &AgentId) -> Option<AgentNo> {
        self.numbers.get(agent).copied()
    }

    /// The number of an agent, which is known from then on.
    pub fn enrol(&mut self, agent: &AgentId) -> AgentNo {
        if let Some(known) = self.number(agent) {
            return known;
        }
        let member = Some(Member::new(agent.clone()));
        let number = match self.vacant.pop() {
            Some(number) => {
                self.members[number.0 as usize] = member;
                number
            }
            None => {
                self.members.push(member);
                AgentNo((self.members.len() - 1) as u32)
            }
        };
        self.numbers.insert(agent.clone(), number);
        number
    }

    /// Says whether an agent is registered; one that is nothing to anybody is forgotten.
    pub fn set_registered(&mut self, agent: AgentNo, registered: bool) {
        if let Some(member) = self.member_mut(agent) {
            member.registered = registered;
            if !registered {
                member.last_assigned = 0;
            }
        }
        self.forget_stranger(agent);
    }

    /// An agent connected. Returns its group, and whether that was made for the purpose; then
    /// [`Fleet::link`] has to be told which classes it can run.
    pub fn join(&mut self, agent: AgentNo, abilities: Abilities) -> (GroupId, bool) {
        self.part(agent);
        let known = self.by_abilities.get(&abilities).copied();
        let id = known.unwrap_or_else(|| self.found(abilities));
        if let Some(group) = self.group_mut(id) {
            group.members += 1;
        }
        if let Some(member) = self.member_mut(agent) {
            member.group = Some(id);
            self.connected += 1;
        }
        (id, known.is_none())
    }

    /// An agent is gone.
    pub fn leave(&mut self, agent: AgentNo) {
        self.part(agent);
        self.forget_stranger(agent);
    }

    /// The terms on which an agent is given work, as of its next [`Fleet::refresh`].
    pub fn set_terms(&mut self, agent: AgentNo, terms: Terms) {
        let Some(member) = self.member_mut(agent) else { return };
        let before = core::mem::replace(&mut member.terms, terms).gives_work();
        let group = member.group.filter(|_| before != terms.gives_work());
        if let Some(group) = group.and_then(|id| self.group_mut(id)) {
            group.workers = if before { group.workers - 1 } else { group.workers + 1 };
        }
    }

    /// An agent holds a task.
    pub fn hold(&mut self, agent: AgentNo, task: TaskId) {
        if let Some(member) = self.member_mut(agent)
            && let Err(at) = member.held.binary_search(&task)
        {
            member.held.insert(at, task);
        }
    }

    /// An agent holds a task no longer.
    pub fn release(&mut self, agent: AgentNo, task: TaskId) {
        if let Some(member) = self.member_mut(agent)
            && let Ok(at) = member.held.binary_search(&task)
        {
            member.held.remove(at);
        }
        self.forget_stranger(agent);
    }

    /// An agent was given the assignment with a number.
    pub fn assigned(&mut self, agent: AgentNo, assignment: u64) {
        if let Some(member) = self.member_mut(agent) {
            member.last_assigned = assignment;
        }
    }

    /// Says anew how much room an agent has; whether it has any.
    pub fn refresh(&mut self, agent: AgentNo) -> bool {
        let Some(Some(member)) = self.members.get_mut(agent.0 as usize) else { return false };
        let standing = member.standing();
        let Some(id) = member.group else { return false };
        let before = core::mem::replace(&mut member.free, standing);
        if before != standing
            && let Some(Some(group)) = self.groups.get_mut(id.0 as usize)
        {
            let had_room = group.has_room();
            group.move_free(agent, &member.id, before, standing);
            let has_room = group.has_room();
            if had_room != has_room {
                if has_room {
                    self.rooms.insert(id);
                } else {
                    self.rooms.take(&id);
                }
            }
        }
        standing.is_some()
    }

    /// A group can run an unpinned class.
    pub fn link(&mut self, group: GroupId, class: ClassId) {
        let number = class.0 as usize;
        if self.runs.len() <= number {
            self.runs.resize_with(number + 1, Sorted::new);
        }
        self.stamps += 1;
        let stamp = self.stamps;
        if let Some(found) = self.group_mut(group)
            && found.learn(class, stamp)
        {
            self.runs[number].insert(group);
        }
    }

    /// There is a class that only one agent may run.
    pub fn pin(&mut self, agent: &AgentId, class: ClassId) {
        let agent = self.enrol(agent);
        if let Some(member) = self.member_mut(agent)
            && !member.pins.contains(&class)
        {
            member.pins.push(class);
        }
    }

    /// There is no such class any more.
    pub fn unlink(&mut self, class: ClassId, pin: Option<&AgentId>) {
        let groups = self.runs.get_mut(class.0 as usize).map(core::mem::take);
        self.stamps += 1;
        let stamp = self.stamps;
        for group in groups.unwrap_or_default().iter() {
            if let Some(found) = self.group_mut(*group) {
                found.unlearn(class, stamp);
            }
        }
        let Some(agent) = pin.and_then(|agent| self.number(agent)) else { return };
        if let Some(member) = self.member_mut(agent) {
            member.pins.retain(|pin| *pin != class);
        }
        self.forget_stranger(agent);
    }

    /// An agent.
    #[must_use]
    pub fn member(&self, agent: AgentNo) -> Option<&Member> {
        self.members.get(agent.0 as usize)?.as_ref()
    }

    /// An agent, by name.
    #[must_use]
    pub fn named(&self, agent: &AgentId) -> Option<&Member> {
        self.member(self.number(agent)?)
    }

    /// All agents that are known here, by name.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.numbers.values().filter_map(|number| self.member(*number))
    }

    /// How many agents are connected.
    #[must_use]
    pub const fn connected(&self) -> usize {
        self.connected
    }

    /// A group.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&Group> {
        self.groups.get(id.0 as usize)?.as_ref()
    }

    /// All groups.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &Group)> {
        let all = self.groups.iter().enumerate();
        all.filter_map(|(number, group)| Some((GroupId(number as u32), group.as_ref()?)))
    }

    /// The groups whose agents can run what is required, whoever it is meant for.
    #[must_use]
    pub fn able(&self, requirements: &Requirements) -> Vec<GroupId> {
        let none: &BTreeSet<GroupId> = const { &BTreeSet::new() };
        let skilled = |need| self.skilled.get(need).unwrap_or(none);
        let fewest = requirements.needs.iter().map(skilled).min_by_key(|groups| groups.len());
        let meets =
            |id: &GroupId| self.group(*id).is_some_and(|group| group.abilities.meet(requirements));
        match fewest {
            Some(groups) => groups.iter().copied().filter(meets).collect(),
            None => self.groups().map(|(id, _)| id).filter(meets).collect(),
        }
    }

    /// The groups that can run an unpinned class.
    pub fn groups_for(&self, class: ClassId) -> impl Iterator<Item = &Group> {
        self.runners(class).iter().filter_map(|id| self.group(*id))
    }

    /// Those of them of which an agent has room.
    pub fn rooms_for(&self, class: ClassId) -> impl Iterator<Item = &Group> {
        let runners = self.runners(class);
        // A fleet at work has room in a few groups only, whoever can run the class.
        let few = if self.rooms.len() < runners.len() { &self.rooms } else { runners };
        let groups = few.iter().filter_map(|id| self.group(*id));
        groups.filter(move |group| group.has_room() && group.runs(class))
    }

    /// Whether an agent can run a class, or is the only one that may.
    #[must_use]
    pub fn runs(&self, agent: AgentNo, class: ClassId) -> bool {
        self.member(agent).is_some_and(|member| {
            let group = member.group.and_then(|id| self.group(id));
            group.is_some_and(|group| group.runs(class)) || member.pins.contains(&class)
        })
    }

    fn runners(&self, class: ClassId) -> &Sorted<GroupId> {
        let none: &Sorted<GroupId> = const { &Sorted::new() };
        self.runs.get(class.0 as usize).unwrap_or(none)
    }

    /// Whether the indexes follow from the members and the groups.
    #[must_use]
    pub fn agree(&self) -> bool {
        let connected = self.members().filter(|member| member.group.is_some()).count();
        connected == self.connected
            && self.numbers.iter().all(|(agent, number)| {
                self.member(*number).is_some_and(|member| member.id == *agent)
            })
            && self.members().all(|member| {
                let free = member.group.and_then(|_| member.standing());
                member.free == free && member.held.is_sorted()
            })
            && self.groups().all(|(id, group)| self.group_agrees(id, group))
            && self.runs.iter().map(Sorted::len).sum::<usize>()
                == self.groups().map(|(_, group)| group.classes().len()).sum::<usize>()
            && self.skilled.values().map(BTreeSet::len).sum::<usize>()
                == self.groups().map(|(_, group)| group.abilities.capabilities.len()).sum::<usize>()
    }

    fn group_agrees(&self, id: GroupId, group: &Group) -> bool {
        let members = self.members().filter(|member| member.group == Some(id));
        let (all, works, free) = members.fold((0, 0, 0), |(all, works, free), member| {
            let is_free = usize::from(member.free.is_some());
            (all + 1, works + usize::from(member.terms.gives_work()), free + is_free)
        });
        (all, works) == (group.len(), group.workers)
            && free == group.free().count()
            && group.free().all(|(standing, agent)| {
                self.member(agent).is_some_and(|member| member.free == Some(standing))
            })
            && self.rooms.contains(&id) == group.has_room()
            && group.classes().iter().all(|class| self.runners(*class).contains(&id))
    }

    /// A group comes to be.
    fn found(&mut self, abilities: Abilities) -> GroupId {
        let id = self.vacant_groups.pop().unwrap_or(GroupId(self.groups.len() as u32));
        for capability in &abilities.capabilities {
            self.skilled.entry(capability.clone()).or_default().insert(id);
        }
        self.by_abilities.insert(abilities.clone(), id);
        let group = Some(Group::new(abilities));
        match self.groups.get_mut(id.0 as usize) {
            Some(place) => *place = group,
            None => self.groups.push(group),
        }
        id
    }

    /// An agent leaves its group, which ends with its last member.
    fn part(&mut self, agent: AgentNo) {
        self.set_terms(agent, Terms::default());
        self.refresh(agent);
        let Some(id) = self.member_mut(agent).and_then(|member| member.group.take()) else {
            return;
        };
        self.connected -= 1;
        let Some(group) = self.group_mut(id) else { return };
        group.members -= 1;
        if group.members > 0 {
            return;
        }
        let Some(group) = self.groups[id.0 as usize].take() else { return };
        for class in group.classes() {
            self.runs[class.0 as usize].take(&id);
        }
        for capability in &group.abilities.capabilities {
            if let Some(groups) = self.skilled.get_mut(capability) {
                groups.remove(&id);
                if groups.is_empty() {
                    self.skilled.remove(capability);
                }
            }
        }
        self.by_abilities.remove(&group.abilities);
        self.vacant_groups.push(id);
    }

    fn forget_stranger(&mut self, agent: AgentNo) {
        if self.member(agent).is_some_and(Member::is_stranger)
            && let Some(member) = self.members[agent.0 as usize].take()
        {
            self.numbers.remove(&member.id);
            self.vacant.push(agent);
        }
    }

    fn member_mut(&mut self, agent: AgentNo) -> Option<&mut Member> {
        self.members.get_mut(agent.0 as usize)?.as_mut()
    }

    fn group_mut(&mut self, id: GroupId) -> Option<&mut Group> {
        self.groups.get_mut(id.0 as usize)?.as_mut()
    }
}
