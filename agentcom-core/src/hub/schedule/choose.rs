//! This file chooses: which of the tasks that may start comes first, and which agent gets it.

use alloc::collections::BTreeSet;
use core::cmp::Reverse;

use super::policy::{AgentFacts, TaskFacts};
use crate::guard::Guard;
use crate::hub::tx::Tx;
use crate::id::TaskId;
use crate::name::{AgentId, Capability};
use crate::state::{
    AgentNo, Class, ClassId, First, Group, GroupId, LimitsNo, Member, Pending, Queued, Standing,
    State, earlier,
};
use crate::task::{Place, Priority, Task, TaskState};
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
    pub(super) queued: Queued,
    pub(super) limits: LimitsNo,
}

/// The tasks that start next among what changed, one of each lane; or the oldest alone, if it is
/// its turn.
pub(super) fn next(tx: &mut Tx<'_>, pending: &mut Pending) -> [Option<Choice>; 4] {
    let state = &*tx.state;
    pending.classes.retain(|class| state.ready().has_head(*class) && has_room(state, *class));
    let mut heads = Heads::default();
    for class in &pending.classes {
        heads.offer(state, *class);
    }
    let (mut latest, mut seen) = (None, BTreeSet::new());
    // Who has no room or finds nothing is not looked at again until something changes.
    pending.agents.retain(|agent| {
        let Some(member) = tx.state.fleet().member(*agent) else { return false };
        let (Some(_), Some(group)) = (member.free, member.group) else { return false };
        // Agents of one group can run the same, so one look serves all of them.
        let is_seen = latest == Some(group) || seen.contains(&group);
        seen.extend(latest.replace(group).filter(|before| *before != group));
        let found = is_seen || heads.offer_all(tx, group);
        offer_pinned(tx.state, &mut heads, *agent) || found
    });
    heads.choices(tx.state)
}

fn offer_pinned(state: &State, heads: &mut Heads, agent: AgentNo) -> bool {
    let pins = state.fleet().member(agent).map_or(&[][..], Member::pins);
    let mut found = false;
    for class in pins.iter().filter(|class| has_room(state, **class)) {
        found |= heads.offer(state, *class);
    }
    found
}

/// The first task of each lane over several classes; and the oldest, if it is its turn.
#[derive(Default)]
struct Heads {
    lanes: First,
    /// Since when it is ready, and its number.
    oldest: Option<(Wall, u64)>,
}

impl Heads {
    /// What the agents of a group can run.
    fn offer_all(&mut self, tx: &mut Tx<'_>, group: GroupId) -> bool {
        if is_turn_of_oldest(tx.state) {
            let mut found = false;
            for class in tx.state.fleet().group(group).map_or(&[][..], Group::classes) {
                found |= self.offer(tx.state, *class);
            }
            return found;
        }
        let first = tx.state.first_of(group);
        self.take(tx.state, first)
    }

    fn offer(&mut self, state: &State, class: ClassId) -> bool {
        let orders = state.ready().orders(class);
        let found = self.take(state, orders.map(|order| (order != u64::MAX).then_some(class)));
        if found && is_turn_of_oldest(state) {
            let oldest = state.ready().class(class).and_then(Class::oldest);
            self.oldest = self.oldest.into_iter().chain(oldest).min();
        }
        found
    }

    fn take(&mut self, state: &State, first: First) -> bool {
        for (lane, class) in first.into_iter().enumerate() {
            self.lanes[lane] = earlier(state.ready(), lane, self.lanes[lane], class);
        }
        first.iter().any(Option::is_some)
    }

    fn choices(&self, state: &State) -> [Option<Choice>; 4] {
        let ready = state.ready();
        let lanes = core::array::from_fn(|lane| {
            let class = self.lanes[lane]?;
            let queued = Queued { class, lane, spot: ready.spot(class, lane) };
            Some(Choice { queued, limits: ready.limits(class, lane) })
        });
        if let Some((_, number)) = self.oldest
            && look(state, &lanes).is_none()
        {
            let queued = state.queued(state.id_of(number));
            let entry = queued.and_then(|queued| Some((queued, ready.entry(&queued)?.limits)));
            return [entry.map(|(queued, limits)| Choice { queued, limits }), None, None, None];
        }
        lanes
    }
}

/// The one of them that starts first: a look at an endpoint, or else age decides between lanes.
pub(super) fn first<'a>(state: &State, choices: &'a [Option<Choice>; 4]) -> Option<&'a Choice> {
    if let Some(look) = look(state, choices) {
        return Some(look);
    }
    let turn = |choice: &&Choice| {
        let Queued { lane, spot, .. } = choice.queued;
        (spot.since + LANE_OFFSETS[lane], lane)
    };
    choices.iter().flatten().min_by_key(turn)
}

/// A look at an endpoint takes a moment, and nothing is given to a model that nobody has seen: it comes
/// before whatever else its agent waits for.
fn look<'a>(state: &State, choices: &'a [Option<Choice>; 4]) -> Option<&'a Choice> {
    let is_look = |queued: &Queued| {
        queued.spot.order == Place::FRONT
            && state.endpoints().is_look(state.id_of(queued.spot.number))
    };
    choices[Priority::Urgent.lane()].as_ref().filter(|choice| is_look(&choice.queued))
}

/// Looking at the oldest of a class costs more than at its heads: it is done when it counts only.
fn is_turn_of_oldest(state: &State) -> bool {
    let every = u64::from(state.settings().oldest_first);
    every > 0 && (state.assignments() + 1).is_multiple_of(every)
}

/// Whether any agent that can run the class has room.
fn has_room(state: &State, class: ClassId) -> bool {
    let Some(found) = state.ready().class(class) else { return false };
    match state.pin(&found.requirements) {
        Some(agent) => {
            state.fleet().number(agent).is_some_and(|agent| room_of(state, found, agent).is_some())
        }
        None => state.fleet().rooms_for(class).next().is_some(),
    }
}

/// The standing of one agent, if it can run a class and has room.
fn room_of(state: &State, class: &Class, agent: AgentNo) -> Option<Standing> {
    let member = state.fleet().member(agent)?;
    let able = state.meets(&state.fleet().group(member.group?)?.abilities, &class.requirements);
    member.free.filter(|_| able)
}

/// The agent that suits the task best of those that have what else it `needs`, sorted or not; or, if
/// none does, to how many it was offered.
pub(super) fn agent(tx: &Tx<'_>, queued: &Queued, needs: &[Capability]) -> Result<AgentNo, usize> {
    let mut offered = 0;
    best(tx, queued, needs, &mut offered).ok_or(offered)
}

fn best(
    tx: &Tx<'_>,
    queued: &Queued,
    needs: &[Capability],
    offered: &mut usize,
) -> Option<AgentNo> {
    let state = &*tx.state;
    let class = state.ready().class(queued.class)?;
    if needs.is_empty()
        && let Some(agent) = sole(tx, queued.class, class)
    {
        return Some(agent);
    }
    let task = state.task(state.id_of(queued.spot.number))?;
    let mut best: Option<Offer<'_>> = None;
    let has_all = |group: &Group| needs.iter().all(|need| group.abilities.has(need));
    let can = |agent: AgentNo| {
        let group = state.fleet().member(agent).and_then(|member| member.group);
        group.and_then(|group| state.fleet().group(group)).is_some_and(has_all)
    };
    let mut suits = |standing: Standing, agent: AgentNo| {
        let Some(member) = state.fleet().member(agent) else { return false };
        *offered += 1;
        let Some(fit) = fit(tx, task, standing, member) else { return false };
        let offer = Offer { fit, standing: Reverse(standing), name: Reverse(&member.id), agent };
        if best.as_ref().is_none_or(|best| offer > *best) {
            best = Some(offer);
        }
        true
    };
    if let Some(agent) = state.pin(&class.requirements) {
        let agent = state.fleet().number(agent).filter(|agent| can(*agent))?;
        suits(room_of(state, class, agent)?, agent);
    } else {
        for group in state.fleet().rooms_for(queued.class).filter(|group| has_all(group)) {
            let suited = group.free().filter(|(standing, agent)| suits(*standing, *agent));
            suited.take(CANDIDATES_MAX).for_each(drop);
        }
        let warm = task.spec.repo.as_ref().and_then(|repo| state.warm(repo));
        if let Some(agent) = warm.and_then(|agent| state.fleet().number(agent))
            && let Some(standing) = room_of(state, class, agent)
            && can(agent)
        {
            suits(standing, agent);
        }
    }
    best.map(|best| best.agent)
}

/// How well an agent suits; the best is the largest. Among agents that are alike in all that counts
/// the first by name is taken.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Offer<'a> {
    fit: u32,
    standing: Reverse<Standing>,
    name: Reverse<&'a AgentId>,
    agent: AgentNo,
}

/// The one agent that can run a class and has room, if nothing can speak against it: in a fleet at
/// work that is nearly always so, and then the task itself need not be looked at.
fn sole(tx: &Tx<'_>, id: ClassId, class: &Class) -> Option<AgentNo> {
    if tx.policy.may_refuse()
        || class.requirements.repo.is_some()
        || class.requirements.pin.is_some()
    {
        return None;
    }
    let fleet = tx.state.fleet();
    let mut rooms = fleet.rooms_for(id);
    let (Some(room), None) = (rooms.next(), rooms.next()) else { return None };
    let mut free = room.free();
    let (Some((_, agent)), None) = (free.next(), free.next()) else { return None };
    (!fleet.member(agent)?.terms.shuns).then_some(agent)
}

fn fit(tx: &Tx<'_>, task: &Task, standing: Standing, agent: &Member) -> Option<u32> {
    let state = &*tx.state;
    let name = &agent.id;
    let shuns = |session: &crate::state::Session| session.shunned.contains(&task.id);
    if agent.terms.shuns && tx.on(Guard::Shunned) && state.session_of(name).is_some_and(shuns) {
        return None;
    }
    let warm_agent = task.spec.repo.as_ref().and_then(|repo| state.warm(repo));
    let warm = warm_agent == Some(name);
    if !warm && affinity_ends(tx, task.id).is_some_and(|ends| ends > tx.now().mono) {
        return None;
    }
    let TaskState::Ready { since, place } = task.life.state else { return None };
    let (spec, failures) = (&*task.spec, task.life.failures);
    let facts = TaskFacts { id: task.id, spec, failures, ready_at: since, start_tag: place.tag };
    let (profile, load) = (state.profile(name)?, standing.load);
    let (probation, last_assigned) = (standing.probation, standing.last_assigned);
    tx.policy.fit(&facts, &AgentFacts { id: name, profile, load, probation, last_assigned, warm })
}

/// Until when a task waits for the busy agent that has its repository at hand.
pub(super) fn affinity_ends(tx: &Tx<'_>, id: TaskId) -> Option<Mono> {
    let state = &*tx.state;
    if tx.config.affinity_wait == Span(0) {
        return None;
    }
    let task = state.task(id)?;
    let TaskState::Ready { since, .. } = task.life.state else { return None };
    let member = state.fleet().named(state.warm(task.spec.repo.as_ref()?)?)?;
    member.group?;
    let waited = tx.now().wall - since;
    let left = Span(tx.config.affinity_wait.0.saturating_sub(waited.0));
    (member.free.is_none() && left > Span(0)).then(|| tx.now().mono + left)
}
