//! This file keeps the indexes of a state in step with its facts.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::{
    Abilities, Claimant, ClassId, Clocks, Due, Entry, Gate, Refusals, Requirements, Session,
    Standing, State, When,
};
use crate::agent::{Agent, Profile};
use crate::change::Settings;
use crate::guard::Guard;
use crate::id::{QuestionId, SessionId, TaskId};
use crate::name::AgentId;
use crate::question::Question;
use crate::task::{Delay, Hold, Life, Spec, Task, TaskState};
use crate::time::{Mono, Wall};

impl State {
    pub(super) fn add_task(&mut self, task: Box<Task>) {
        let (id, number) = (task.id, self.number(task.id));
        if let Some(at) = task.spec.times.as_ref().and_then(|times| times.complete_by) {
            self.alarms.set(Due::Deadline(id), Some(When::Wall(at)));
        }
        self.bytes += bytes_of(&task.spec);
        self.just_ended.remove(&id);
        self.index_task(&task);
        self.tasks.insert(number, task);
    }

    pub(super) fn move_task(&mut self, id: TaskId, life: Life) {
        let number = self.number(id);
        let Some(mut task) = self.tasks.remove(&number) else { return };
        let kept = matches!((task.life.state.hold(), life.state.hold()), (Some(a), Some(b)) if a.lease == b.lease);
        let clocks = self.clocks.get(&id).copied().filter(|_| kept);
        let left = task.life.state.hold().map(|hold| hold.agent.clone());
        self.unindex_task(&task);
        if let (TaskState::Ready { place, .. }, TaskState::Assigned(hold)) =
            (&task.life.state, &life.state)
        {
            self.note_assignment(&task, place.tag, hold);
        }
        task.life = life;
        self.index_task(&task);
        self.set_clocks(id, clocks);
        let joined = task.life.state.hold().map(|hold| hold.agent.clone());
        self.tasks.insert(number, task);
        // Who holds it still has as much room as before.
        if left != joined {
            for agent in left.iter().chain(joined.iter()) {
                self.refresh_agent(agent);
            }
        }
    }

    pub(super) fn end_task(&mut self, id: TaskId, life: Life) {
        let Some(mut task) = self.tasks.remove(&self.number(id)) else { return };
        let left = task.life.state.hold().map(|hold| hold.agent.clone());
        self.unindex_task(&task);
        self.alarms.set(Due::Deadline(id), None);
        self.set_clocks(id, None);
        self.bytes -= bytes_of(&task.spec);
        task.life = life;
        let seq = self.seq();
        if let Some(head) = &mut self.head {
            head.ended[ended_slot(&task.life.state)] += 1;
        }
        self.just_ended.insert(id, (seq, task));
        if let Some(agent) = left {
            self.refresh_agent(&agent);
        }
    }

    fn note_assignment(&mut self, task: &Task, tag: u64, hold: &Hold) {
        self.fair.served(task.spec.priority.lane(), tag);
        self.assignments += 1;
        self.last_assigned.insert(hold.agent.clone(), self.assignments);
        if let Some(repo) = &task.spec.repo {
            self.warm.insert(repo.clone(), hold.agent.clone());
        }
    }

    fn index_task(&mut self, task: &Task) {
        let id = task.id;
        if let Some(slot) = live_slot(&task.life.state) {
            self.by_state[slot] += 1;
        }
        match &task.life.state {
            TaskState::Blocked { on } => {
                for other in on {
                    self.dependents.entry(*other).or_default().insert(id);
                }
            }
            TaskState::Delayed(Delay::Until(at)) => {
                self.alarms.set(Due::RunAfter(id), Some(When::Wall(*at)));
            }
            TaskState::Delayed(Delay::Backoff(wait)) => {
                self.alarms.set(Due::Backoff(id), Some(When::Mono(self.now.mono + *wait)));
            }
            TaskState::Ready { .. } => self.index_ready(task),
            TaskState::Assigned(hold) | TaskState::Working(hold) => {
                self.held.entry(hold.agent.clone()).or_default().insert(id);
                if let Some(limit) = task.spec.concurrency() {
                    self.running.entry(limit.key.clone()).or_default().insert(id);
                }
            }
            TaskState::Waiting { until, .. } => {
                let at = self.after_span(task.life.updated_at, *until);
                self.alarms.set(Due::Wait(id), Some(at));
            }
            TaskState::Completed
            | TaskState::Partial
            | TaskState::Dead(_)
            | TaskState::Cancelled => {}
        }
    }

    fn unindex_task(&mut self, task: &Task) {
        let id = task.id;
        if let Some(slot) = live_slot(&task.life.state) {
            self.by_state[slot] -= 1;
        }
        match &task.life.state {
            TaskState::Blocked { on } => {
                for other in on {
                    remove_from(&mut self.dependents, other, &id);
                }
            }
            TaskState::Delayed(Delay::Until(_)) => self.alarms.set(Due::RunAfter(id), None),
            TaskState::Delayed(Delay::Backoff(_)) => self.alarms.set(Due::Backoff(id), None),
            TaskState::Ready { .. } => self.unindex_ready(task),
            TaskState::Assigned(hold) | TaskState::Working(hold) => {
                remove_from(&mut self.held, &hold.agent, &id);
                if let Some(limit) = task.spec.concurrency() {
                    remove_from(&mut self.running, &limit.key, &id);
                    let beside = self.running(&limit.key).len() as u32;
                    self.wake(&Gate::Concurrency(limit.key.clone(), beside.saturating_add(1)));
                }
            }
            TaskState::Waiting { .. } => self.alarms.set(Due::Wait(id), None),
            TaskState::Completed
            | TaskState::Partial
            | TaskState::Dead(_)
            | TaskState::Cancelled => {}
        }
    }

    /// When a span that began at `since` and ends at `until` is over: no later than if it began
    /// now, whatever became of the wall clock since.
    fn after_span(&self, since: Wall, until: Wall) -> When {
        When::Mono(self.now.mono + (until - self.now.wall).min(until - since))
    }

    fn index_ready(&mut self, task: &Task) {
        let TaskState::Ready { place, .. } = task.life.state else { return };
        let Some((lane, entry)) = self.entry_of(task) else { return };
        let spec = &task.spec;
        let weight = self.weight(spec.fair_key());
        self.fair.queued((lane, spec.fair_key().cloned()), place.tag, spec.cost(), weight);
        let requirements = Requirements::of(spec);
        let paused = self.pause_on(&requirements).is_some();
        let (class, made) = self.ready.class_for(requirements, paused);
        if made {
            self.link_class(class);
        }
        self.ready.insert(class, lane, entry);
        self.pending.classes.insert(class);
        if let Some(span) = spec.times.as_ref().and_then(|times| times.expires_after) {
            self.alarms.set(Due::Expiry(task.id), Some(When::Wall(entry.since + span)));
        }
    }

    fn unindex_ready(&mut self, task: &Task) {
        let Some((lane, entry)) = self.entry_of(task) else { return };
        let Some(class) = self.ready.find(&Requirements::of(&task.spec)) else { return };
        self.fair.left(&(lane, task.spec.fair_key().cloned()));
        let let_on_by = self.ready.let_on_by(task.id).cloned();
        if let Some(gone) = self.ready.remove(class, lane, &entry) {
            self.fleet.unlink(gone);
            self.pending.classes.remove(&gone);
        } else if let_on_by.is_some_and(|gate| self.ready.wake_first(&gate, class)) {
            self.pending.classes.insert(class);
        }
        self.alarms.set(Due::Expiry(task.id), None);
        self.alarms.set(Due::Affinity(task.id), None);
    }

    /// Where a ready task stands in the index.
    pub(super) fn ready_entry(&self, id: TaskId) -> Option<(ClassId, usize, Entry)> {
        let task = self.task(id)?;
        let (lane, entry) = self.entry_of(task)?;
        Some((self.ready.find(&Requirements::of(&task.spec))?, lane, entry))
    }

    fn entry_of(&self, task: &Task) -> Option<(usize, Entry)> {
        let TaskState::Ready { since, place } = task.life.state else { return None };
        let number = self.number(task.id);
        Some((
            task.spec.priority.lane(),
            Entry { order: place.order, since, number, task: task.id },
        ))
    }

    fn link_class(&mut self, class: ClassId) {
        let Some(found) = self.ready.class(class) else { return };
        if let Some(agent) = self.pin(&found.requirements).cloned() {
            self.fleet.pin(agent, class);
            return;
        }
        let able = |group: &super::Group| self.meets(&group.abilities, &found.requirements);
        let groups: Vec<_> =
            self.fleet.groups().filter(|(_, group)| able(group)).map(|(id, _)| id).collect();
        for group in groups {
            self.fleet.link(group, class);
        }
    }

    pub(super) fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
        let verdicts: Vec<(ClassId, bool, bool)> = self
            .ready
            .classes()
            .map(|(id, class)| (id, class.paused, self.pause_on(&class.requirements).is_some()))
            .collect();
        for (id, before, paused) in verdicts {
            self.ready.set_paused(id, paused);
            if before && !paused {
                self.pending.classes.insert(id);
            }
        }
    }

    pub(super) fn set_agent(&mut self, agent: Agent) {
        let id = agent.id.clone();
        let quarantine = match agent.trust {
            crate::agent::Trust::Quarantined { since, until } => {
                Some(self.after_span(since, until))
            }
            crate::agent::Trust::Good
            | crate::agent::Trust::Flagged
            | crate::agent::Trust::Shaken { .. }
            | crate::agent::Trust::Probing => None,
        };
        self.alarms.set(Due::Quarantine(id.clone()), quarantine);
        self.agents.insert(id.clone(), agent);
        self.refresh_agent(&id);
    }

    pub(super) fn remove_agent(&mut self, id: &AgentId) {
        self.alarms.set(Due::Quarantine(id.clone()), None);
        self.agents.remove(id);
        self.last_outcomes.remove(id);
        self.crashed_at.remove(id);
        self.last_assigned.remove(id);
        self.warm.retain(|_, agent| agent != id);
        self.refresh_agent(id);
    }

    pub(super) fn ask(&mut self, question: Question) {
        self.asked.entry(question.task).or_default().insert(question.id);
        let at = self.after_span(question.asked_at, question.deadline);
        self.alarms.set(Due::Question(question.id), Some(at));
        self.questions.insert(question.id, question);
    }

    pub(super) fn close_question(&mut self, id: QuestionId) {
        self.alarms.set(Due::Question(id), None);
        if let Some(question) = self.questions.remove(&id) {
            remove_from(&mut self.asked, &question.task, &id);
        }
    }

    pub(super) fn set_session(&mut self, session: Session) {
        let id = session.id;
        let before = deadlines_of_session(id, self.sessions.get(&id));
        self.move_alarms(&before, deadlines_of_session(id, Some(&session)));
        let agent = session.agent.clone();
        let took_work = self.sessions.get(&id).map(Session::takes_work);
        let takes_work = session.takes_work();
        self.sessions.insert(id, session);
        if let Some(agent) = agent {
            self.online.insert(agent.clone(), id);
            if took_work != Some(takes_work) {
                self.refresh_agent(&agent);
            }
        }
    }

    pub(super) fn set_profile(&mut self, session: SessionId, profile: Profile) {
        let Some(agent) = self.sessions.get(&session).and_then(|session| session.agent.clone())
        else {
            return;
        };
        let abilities =
            Abilities { kinds: profile.kinds.clone(), capabilities: profile.capabilities.clone() };
        let (group, made) = self.fleet.join(agent.clone(), abilities.clone());
        if made {
            let able = |class: &super::Class| {
                self.pin(&class.requirements).is_none()
                    && self.meets(&abilities, &class.requirements)
            };
            let classes: Vec<ClassId> =
                self.ready.classes().filter(|(_, class)| able(class)).map(|(id, _)| id).collect();
            for class in classes {
                self.fleet.link(group, class);
            }
        }
        self.profiles.insert(agent.clone(), profile);
        self.refresh_agent(&agent);
    }

    pub(super) fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.move_alarms(&deadlines_of_session(id, Some(&session)), deadlines_of_session(id, None));
        let Some(agent) = session.agent else { return };
        if self.online.get(&agent) == Some(&id) {
            self.online.remove(&agent);
            self.profiles.remove(&agent);
            self.fleet.leave(&agent);
        }
    }

    pub(super) fn set_clocks(&mut self, task: TaskId, clocks: Option<Clocks>) {
        let before = match clocks {
            Some(clocks) => self.clocks.insert(task, clocks),
            None => self.clocks.remove(&task),
        };
        let after = deadlines_of_hold(task, clocks.as_ref());
        self.move_alarms(&deadlines_of_hold(task, before.as_ref()), after);
    }

    /// Sets the alarms that changed: most changes move one of several, and each look at the list
    /// of alarms costs.
    fn move_alarms<const N: usize>(&mut self, before: &[Deadline; N], after: [Deadline; N]) {
        for ((_, old), (due, new)) in before.iter().zip(after) {
            if *old != new {
                self.alarms.set(due, new.map(When::Mono));
            }
        }
    }

    pub(super) fn set_refusals(&mut self, claimant: Claimant, refusals: Option<Refusals>) {
        let Some(refusals) = refusals else {
            self.refusals.remove(&claimant);
            return;
        };
        if self.refusals.len() >= Refusals::CLAIMANTS_MAX && !self.refusals.contains_key(&claimant)
        {
            let oldest = self.refusals.iter().min_by_key(|(_, refusals)| refusals.at);
            if let Some(oldest) = oldest.map(|(claimant, _)| claimant.clone()) {
                self.refusals.remove(&oldest);
            }
        }
        self.refusals.insert(claimant, refusals);
    }

    /// A deadline passed. Those of tasks and sessions go away with the change that answers them;
    /// the rest go here.
    pub(super) fn pass(&mut self, due: Due) {
        if let Due::Rate(key) = &due {
            self.wake(&Gate::Rate(key.clone()));
        }
        if let Due::Affinity(id) = &due
            && let Some((_, lane, entry)) = self.ready_entry(*id)
        {
            self.pending.classes.extend(self.ready.wake_one(lane, entry));
        }
        self.alarms.set(due, None);
    }

    /// Says anew whether an agent has room.
    pub(super) fn refresh_agent(&mut self, id: &AgentId) {
        if self.fleet.member(id).is_none() {
            return;
        }
        let standing = self.standing(id);
        self.fleet.set_free(id, standing);
        if standing.is_some() {
            self.pending.agents.insert(id.clone());
            self.wake(&Gate::Fit);
        } else {
            self.pending.agents.remove(id);
        }
    }

    fn standing(&self, id: &AgentId) -> Option<Standing> {
        let agent = self.agents.get(id)?;
        if agent.draining && self.guards.on(Guard::Drained)
            || agent.trust.is_quarantined() && self.guards.on(Guard::Quarantine)
        {
            return None;
        }
        self.session_of(id).filter(|session| session.takes_work())?;
        let probation = agent.trust.is_on_probation();
        let slots = if probation { 1 } else { self.profiles.get(id)?.slots };
        let held = self.held.get(id).map_or(0, |tasks| tasks.len()) as u32;
        let load = held.saturating_mul(1000) / slots.max(1);
        let last_assigned = self.last_assigned.get(id).copied().unwrap_or(0);
        let room = held < slots || !self.guards.on(Guard::Slots);
        room.then_some(Standing { probation, load, last_assigned })
    }
}

/// Something that becomes due on the clock of spans, if it does.
type Deadline = (Due, Option<Mono>);

fn deadlines_of_session(id: SessionId, session: Option<&Session>) -> [Deadline; 6] {
    let at = |of: fn(&Session) -> Option<Mono>| session.and_then(of);
    [
        (Due::Identify(id), at(|session| session.identify_by)),
        (Due::Close(id), at(|session| session.close_at)),
        (Due::Silence(id), at(|session| session.silent_at)),
        (Due::Report(id), at(|session| session.report_by)),
        (Due::Unbar(id), at(|session| session.barred_until)),
        (Due::Room(id), at(|session| session.busy_until)),
    ]
}

fn deadlines_of_hold(task: TaskId, clocks: Option<&Clocks>) -> [Deadline; 4] {
    [
        (Due::Lease(task), clocks.map(|clocks| clocks.lease)),
        (Due::Accept(task), clocks.and_then(|clocks| clocks.accept)),
        (Due::Timeout(task), clocks.and_then(|clocks| clocks.timeout)),
        (Due::Stuck(task), clocks.and_then(|clocks| clocks.stuck)),
    ]
}

/// What a task counts against the bound on bytes.
pub(crate) fn bytes_of(spec: &Spec) -> u64 {
    let texts =
        spec.description.len() + spec.op.input.as_str().len() + spec.metadata.as_str().len();
    let coding =
        spec.coding.iter().flat_map(|coding| coding.texts()).map(String::len).sum::<usize>();
    let needed = size_of_val(&*spec.depends_on);
    (texts + coding + needed + size_of::<Spec>() + size_of::<Task>()) as u64
}

/// The counter of a living state.
pub(super) const fn live_slot(state: &TaskState) -> Option<usize> {
    match state {
        TaskState::Blocked { .. } => Some(0),
        TaskState::Delayed(_) => Some(1),
        TaskState::Ready { .. } => Some(2),
        TaskState::Assigned(_) => Some(3),
        TaskState::Working(_) => Some(4),
        TaskState::Waiting { .. } => Some(5),
        TaskState::Completed | TaskState::Partial | TaskState::Dead(_) | TaskState::Cancelled => {
            None
        }
    }
}

const fn ended_slot(state: &TaskState) -> usize {
    match state {
        TaskState::Partial => 1,
        TaskState::Dead(_) => 2,
        TaskState::Cancelled => 3,
        TaskState::Completed
        | TaskState::Blocked { .. }
        | TaskState::Delayed(_)
        | TaskState::Ready { .. }
        | TaskState::Assigned(_)
        | TaskState::Working(_)
        | TaskState::Waiting { .. } => 0,
    }
}

fn remove_from<K: Ord + Clone, V: Ord>(
    map: &mut alloc::collections::BTreeMap<K, alloc::collections::BTreeSet<V>>,
    key: &K,
    value: &V,
) {
    if let Some(set) = map.get_mut(key) {
        set.remove(value);
        if set.is_empty() {
            map.remove(key);
        }
    }
}
