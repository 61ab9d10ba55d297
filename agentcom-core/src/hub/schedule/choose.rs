//! This file chooses: which of the tasks that may start comes first, and which agent gets it.

use super::policy::{AgentFacts, TaskFacts};
use crate::guard::Guard;
use crate::hub::tx::Tx;
use crate::id::TaskId;
use crate::name::AgentId;
use crate::state::{Class, ClassId, Pending, Standing, State};
use crate::task::{Task, TaskState};
use crate::time::{Mono, Span, Wall};

/// How much later a task of each lane counts as ready, for the choice between lanes: no task is
/// overtaken by one that became ready more than 60 s later.
const LANE_OFFSETS: [Span; 4] =
    [Span(0), Span::from_secs(20), Span::from_secs(40), Span::from_secs(60)];

/// The most agents of each group that are compared for one task; those that it does not suit do
/// not count.
const CANDIDATES_MAX: usize = 16;

/// A task that may start.
#[derive(Clone, Copy, Debug)]
pub(super) struct Choice {
    pub(super) class: ClassId,
    pub(super) task: TaskId,
}

/// The task that starts next among what changed, if any can.
pub(super) fn next(state: &State, pending: &mut Pending) -> Option<Choice> {
    pending.classes.retain(|class| has_head(state, *class) && has_room(state, *class));
    pending
        .agents
        .retain(|agent| state.fleet().member(agent).is_some_and(|member| member.free.is_some()));
    let mut heads = Heads::default();
    for class in &pending.classes {
        heads.offer(state, *class);
    }
    let mut idle: alloc::vec::Vec<AgentId> = alloc::vec::Vec::new();
    let mut seen: alloc::collections::BTreeSet<_> = alloc::collections::BTreeSet::new();
    for agent in &pending.agents {
        let mut found = false;
        let group = state.fleet().member(agent).map(|member| member.group);
        if let Some((id, group)) = group.and_then(|id| Some((id, state.fleet().group(id)?))) {
            // Agents of one group can run the same, so one scan serves all of them.
            if seen.insert(id) {
                for class in &group.classes {
                    found |= heads.offer(state, *class);
                }
            } else {
                found = true;
            }
        }
        for class in state.fleet().pinned_to(agent).filter(|class| has_room(state, *class)) {
            found |= heads.offer(state, class);
        }
        if !found {
            idle.push(agent.clone());
        }
    }
    // Who found nothing is not looked at again until something changes.
    idle.iter().for_each(|agent| {
        pending.agents.remove(agent);
    });
    heads.first(state)
}

/// The first task of each lane over several classes, by place; and the oldest, if it is its turn.
#[derive(Default)]
struct Heads {
    lanes: [Option<(u64, ClassId)>; 4],
    oldest: Option<(Wall, u64, ClassId, TaskId)>,
}

impl Heads {
    fn offer(&mut self, state: &State, class: ClassId) -> bool {
        let mut found = false;
        for (lane, order) in state.ready().heads(class).into_iter().enumerate() {
            if order == u64::MAX {
                continue;
            }
            found = true;
            let ahead = match self.lanes[lane] {
                None => true,
                Some((best, _)) if order != best => order < best,
                Some((_, other)) => head(state, class, lane) < head(state, other, lane),
            };
            if ahead {
                self.lanes[lane] = Some((order, class));
            }
        }
        if found && is_turn_of_oldest(state) {
            let oldest = state.ready().class(class).and_then(Class::oldest);
            let oldest = oldest.map(|(since, number, _, task)| (since, number, class, task));
            self.oldest = self.oldest.into_iter().chain(oldest).min();
        }
        found
    }

    /// Between the lanes age decides; every so often the oldest of all tasks comes first.
    fn first(&self, state: &State) -> Option<Choice> {
        if let Some((_, _, class, task)) = self.oldest {
            return Some(Choice { class, task });
        }
        let heads = (0..4).filter_map(|lane| {
            let (_, class) = self.lanes[lane]?;
            let entry = state.ready().class(class)?.head(lane)?;
            Some((entry.since + LANE_OFFSETS[lane], lane, class, entry.task))
        });
        heads.min().map(|(_, _, class, task)| Choice { class, task })
    }
}

/// Looking at the oldest of a class costs more than at its heads: it is done when it counts only.
fn is_turn_of_oldest(state: &State) -> bool {
    let every = u64::from(state.settings().oldest_first);
    every > 0 && (state.assignments() + 1).is_multiple_of(every)
}

fn head(state: &State, class: ClassId, lane: usize) -> Option<(Wall, u64)> {
    let entry = state.ready().class(class)?.head(lane)?;
    Some((entry.since, entry.number))
}

fn has_head(state: &State, class: ClassId) -> bool {
    state.ready().class(class).is_some()
        && state.ready().heads(class).iter().any(|order| *order != u64::MAX)
}

/// Whether any agent that can run the class has room.
fn has_room(state: &State, class: ClassId) -> bool {
    let Some(found) = state.ready().class(class) else { return false };
    match state.pin(&found.requirements) {
        Some(agent) => pinned_room(state, found, agent).is_some(),
        None => state.fleet().groups_for(class).any(crate::state::Group::has_room),
    }
}

fn pinned_room(state: &State, class: &Class, agent: &AgentId) -> Option<Standing> {
    let member = state.fleet().member(agent)?;
    let able = state.meets(&state.fleet().group(member.group)?.abilities, &class.requirements);
    member.free.filter(|_| able)
}

/// The agent that suits the task best, if any suits it.
pub(super) fn agent(tx: &Tx<'_>, choice: &Choice) -> Option<AgentId> {
    let state = &*tx.state;
    let (task, class) = (state.task(choice.task)?, state.ready().class(choice.class)?);
    let mut best: Option<(u32, core::cmp::Reverse<Standing>, &AgentId)> = None;
    let mut suits = |standing: Standing, agent| {
        let Some(fit) = fit(tx, task, standing, agent) else { return false };
        let offer = (fit, core::cmp::Reverse(standing), agent);
        if best.as_ref().is_none_or(|best| (offer.0, &offer.1) > (best.0, &best.1)) {
            best = Some(offer);
        }
        true
    };
    if let Some(agent) = state.pin(&class.requirements) {
        suits(pinned_room(state, class, agent)?, agent);
    } else {
        for group in state.fleet().groups_for(choice.class) {
            group
                .free()
                .filter(|(standing, agent)| suits(**standing, agent))
                .take(CANDIDATES_MAX)
                .for_each(drop);
        }
        if let Some((agent, standing)) = warm_room(state, task, class) {
            suits(standing, agent);
        }
    }
    best.map(|(_, _, agent)| agent.clone())
}

/// The agent that has the task's repository at hand, if it can run the task and has room.
fn warm_room<'a>(state: &'a State, task: &Task, class: &Class) -> Option<(&'a AgentId, Standing)> {
    let agent = state.warm(task.spec.repo.as_ref()?)?;
    Some((agent, pinned_room(state, class, agent)?))
}

fn fit(tx: &Tx<'_>, task: &Task, standing: Standing, agent: &AgentId) -> Option<u32> {
    let state = &*tx.state;
    let shunned = state.session_of(agent).is_some_and(|session| session.shunned.contains(&task.id));
    if shunned && tx.on(Guard::Shunned) {
        return None;
    }
    let warm_agent = task.spec.repo.as_ref().and_then(|repo| state.warm(repo));
    let warm = warm_agent == Some(agent);
    if !warm && affinity_ends(tx, task.id).is_some_and(|ends| ends > tx.now().mono) {
        return None;
    }
    let TaskState::Ready { since, place } = task.life.state else { return None };
    let (spec, failures) = (&*task.spec, task.life.failures);
    let facts = TaskFacts { id: task.id, spec, failures, ready_at: since, start_tag: place.tag };
    let (profile, load) = (state.profile(agent)?, standing.load);
    let (probation, last_assigned) = (standing.probation, standing.last_assigned);
    tx.policy.fit(&facts, &AgentFacts { id: agent, profile, load, probation, last_assigned, warm })
}

/// Until when a task waits for the busy agent that has its repository at hand.
pub(super) fn affinity_ends(tx: &Tx<'_>, id: TaskId) -> Option<Mono> {
    let state = &*tx.state;
    if tx.config.affinity_wait == Span(0) {
        return None;
    }
    let task = state.task(id)?;
    let TaskState::Ready { since, .. } = task.life.state else { return None };
    let member = state.fleet().member(state.warm(task.spec.repo.as_ref()?)?)?;
    let waited = tx.now().wall - since;
    let left = Span(tx.config.affinity_wait.0.saturating_sub(waited.0));
    (member.free.is_none() && left > Span(0)).then(|| tx.now().mono + left)
}
