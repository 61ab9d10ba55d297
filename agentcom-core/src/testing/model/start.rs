//! This file decides in a model which task starts next, and which agent gets it.

use core::cmp::Reverse;

use super::{Model, ModelAgent, ModelStart, ModelTask};
use crate::hub::schedule::{AgentFacts, TaskFacts};
use crate::name::Capability;
use crate::repo::lacking;
use crate::task::{Hold, TaskState};
use crate::time::{Span, Wall};

/// How much later a task of each lane counts as ready, for the choice between lanes.
const LANE_OFFSETS: [Span; 4] =
    [Span(0), Span::from_secs(20), Span::from_secs(40), Span::from_secs(60)];

impl Model {
    /// Of all tasks that could start right now, the first; and the agent that suits it best.
    ///
    /// Every so often that is the one that has been ready for longest. Otherwise the first of each
    /// lane is the one with the smallest place, and between lanes their age decides.
    pub(super) fn next_start(&self) -> Option<(usize, usize)> {
        let mut best: [Option<(u64, Wall, usize, usize)>; 4] = [None; 4];
        let mut oldest: Option<(Wall, usize, usize)> = None;
        for (number, task) in self.tasks.iter().enumerate() {
            let TaskState::Ready { since, place } = task.state else { continue };
            if !self.may_start(task) {
                continue;
            }
            let Some(agent) = self.best_agent(task) else { continue };
            oldest = oldest.into_iter().chain([(since, number, agent)]).min();
            let lane = &mut best[task.spec.priority.lane()];
            *lane = lane.take().into_iter().chain([(place.order, since, number, agent)]).min();
        }
        let every = u64::from(self.oldest_first);
        if every > 0 && (self.starts.len() as u64 + 1).is_multiple_of(every) {
            return oldest.map(|(_, task, agent)| (task, agent));
        }
        let heads = best.iter().enumerate().filter_map(|(lane, head)| {
            let (_, since, task, agent) = (*head)?;
            Some((since + LANE_OFFSETS[lane], lane, task, agent))
        });
        heads.min().map(|(_, _, task, agent)| (task, agent))
    }

    /// The agent that the policy likes best, of those that can do the task and have room; among
    /// equals the one with the least to do, then the one that was given a task longest ago, then
    /// the first by name.
    fn best_agent(&self, task: &ModelTask) -> Option<usize> {
        let mut best = None;
        for (number, agent) in self.agents.iter().enumerate() {
            if !can(task, agent) {
                continue;
            }
            let Some(load) = self.load(number) else { continue };
            let Some(fit) = self.fit(task, agent, load) else { continue };
            let standing = (agent.trust.is_on_probation(), load, agent.last_assigned);
            let offer = (fit, Reverse(standing), Reverse(agent.id.clone()), number);
            best = best.into_iter().chain([offer]).max();
        }
        best.map(|(.., number)| number)
    }

    /// Held tasks per thousand slots of an agent that takes work and has a slot free.
    fn load(&self, number: usize) -> Option<u32> {
        let agent = &self.agents[number];
        if !agent.connected || agent.draining || agent.trust.is_quarantined() {
            return None;
        }
        let slots = if agent.trust.is_on_probation() { 1 } else { agent.profile.slots };
        let held = self.held_by(number).len() as u32;
        (held < slots).then_some(held * 1_000 / slots)
    }

    fn fit(&self, task: &ModelTask, agent: &ModelAgent, load: u32) -> Option<u32> {
        let TaskState::Ready { since, place } = task.state else { return None };
        let ModelTask { id, ref spec, failures, .. } = *task;
        let ModelAgent { id: ref name, ref profile, last_assigned, trust, .. } = *agent;
        let facts = TaskFacts { id, spec, failures, ready_at: since, start_tag: place.tag };
        let warm = spec.repo.as_ref().is_some_and(|repo| self.warm.get(repo) == Some(name));
        let probation = trust.is_on_probation();
        let agent = AgentFacts { id: name, profile, load, probation, last_assigned, warm };
        self.policy.fit(&facts, &agent)
    }

    pub(super) fn start(&mut self, task: usize, agent: usize) {
        self.draw(task);
        let name = self.agents[agent].id.clone();
        let found = &mut self.tasks[task];
        let TaskState::Ready { place, .. } = found.state else { return };
        let served = &mut self.virtual_time[found.spec.priority.lane()];
        *served = place.tag.max(*served);
        if let Some(repo) = &found.spec.repo {
            self.warm.insert(repo.clone(), name.clone());
        }
        found.lease = found.lease.next();
        let times = found.spec.times();
        found.lease_ends = Some(self.now + times.lease_ttl.unwrap_or(self.config.lease_ttl));
        found.accept_by = Some(self.now + self.config.accept_within);
        found.times_out = times.timeout.map(|timeout| self.now + timeout);
        found.state =
            TaskState::Assigned(Hold { agent: name.clone(), lease: found.lease, since: self.now });
        let (at, task, lease) = (self.now, found.id, found.lease);
        self.starts.push(ModelStart { at, task, lease, agent: name });
        self.agents[agent].last_assigned = self.starts.len() as u64;
    }
}

fn can(task: &ModelTask, agent: &ModelAgent) -> bool {
    let (spec, profile) = (&task.spec, &agent.profile);
    let has = |need: &Capability| {
        let mut kinds = profile.kinds.iter().filter_map(|kind| Capability::of_kind(kind.as_str()));
        profile.capabilities.contains(need) || kinds.any(|kind| kind == *need)
    };
    profile.kinds.contains(&spec.op.kind)
        && spec.needs.iter().all(has)
        && lacking(&profile.capabilities, &spec.op.kind, spec.repo.as_ref()).is_none()
        && spec.assign_to.as_ref().is_none_or(|pin| *pin == agent.id)
}
