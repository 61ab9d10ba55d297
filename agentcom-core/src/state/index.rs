//! This file keeps the indexes of a state in step with its facts.

use alloc::boxed::Box;
use alloc::string::String;

use super::{Claimant, ClassId, Clocks, Due, Gate, LimitsNo, Live, Refusals, Session, State, When};
use crate::agent::Agent;
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
        let limits = self.limits.take_on(&task.spec);
        self.note_calls(&task.spec, None, Some(&task.life));
        self.note_probe(&task, true);
        let class = self.index_task(&task, limits);
        self.tasks.insert(number, Live { task: Some(task), class, limits });
        self.note_work(false);
    }

    pub(super) fn move_task(&mut self, id: TaskId, life: Life) {
        let number = self.number(id);
        let Some(live) = self.tasks.get_mut(&number) else { return };
        let (class, limits) = (live.class, live.limits);
        let Some(mut task) = live.task.take() else { return };
        self.note_calls(&task.spec, Some(&task.life), Some(&life));
        let kept = matches!((task.life.state.hold(), life.state.hold()), (Some(a), Some(b)) if a.lease == b.lease);
        let clocks = self.clocks.get(&id).copied().filter(|_| kept);
        if kept {
            // Who holds it still has as much room as before.
            self.count_state(&task.life.state, &life.state);
            task.life = life;
        } else {
            self.unindex_task(&task, class, limits);
            if let (TaskState::Ready { place, .. }, Some(hold)) =
                (&task.life.state, life.state.hold())
            {
                self.note_start(&task, place.tag, hold);
            }
            let left = core::mem::replace(&mut task.life, life);
            let class = self.index_task(&task, limits);
            if let Some(live) = self.tasks.get_mut(&number) {
                live.class = class;
            }
            for hold in left.state.hold().into_iter().chain(task.life.state.hold()) {
                self.refresh_holder(hold);
            }
        }
        self.set_clocks(id, clocks);
        if let Some(live) = self.tasks.get_mut(&number) {
            live.task = Some(task);
        }
        self.note_work(false);
    }

    pub(super) fn end_task(&mut self, id: TaskId, life: Life) {
        let Some(live) = self.tasks.remove(&self.number(id)) else { return };
        let Live { task: Some(mut task), class, limits } = live else { return };
        self.unindex_task(&task, class, limits);
        self.note_calls(&task.spec, Some(&task.life), None);
        self.limits.let_go(limits, &task.spec);
        self.note_probe(&task, false);
        self.alarms.set(Due::Deadline(id), None);
        self.set_clocks(id, None);
        self.bytes -= bytes_of(&task.spec);
        let left = core::mem::replace(&mut task.life, life);
        self.note_work(matches!(task.life.state, TaskState::Completed | TaskState::Partial));
        let seq = self.seq();
        if let Some(head) = &mut self.head {
            head.ended[ended_slot(&task.life.state)] += 1;
        }
        self.just_ended.insert(id, (seq, task));
        if let Some(hold) = left.state.hold() {
            self.refresh_holder(hold);
        }
    }

    /// Keeps since when work is under way without a task being completed.
    fn note_work(&mut self, completed: bool) {
        let [.., assigned, working, _] = self.by_state;
        let since = self.quiet_since.filter(|_| !completed).unwrap_or(self.now.mono);
        self.quiet_since = (assigned + working > 0).then_some(since);
    }

    fn note_start(&mut self, task: &Task, tag: u64, hold: &Hold) {
        let agent = self.fleet.enrol(&hold.agent);
        self.note_assignment(task.spec.priority.lane(), tag, agent);
        if let Some(repo) = &task.spec.repo {
            self.warm.insert(repo.clone(), hold.agent.clone());
        }
    }

    fn refresh_holder(&mut self, hold: &Hold) {
        if let Some(agent) = self.fleet.number(&hold.agent) {
            self.refresh_room(agent);
        }
    }

    fn count_state(&mut self, before: &TaskState, after: &TaskState) {
        for (slot, counted) in [(live_slot(before), u64::MAX), (live_slot(after), 1)] {
            if let Some(slot) = slot {
                self.by_state[slot] = self.by_state[slot].wrapping_add(counted);
            }
        }
    }

    /// Returns the class of a ready task.
    fn index_task(&mut self, task: &Task, limits: LimitsNo) -> ClassId {
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
            TaskState::Ready { .. } => {
                let class = self.enqueue(task, limits).unwrap_or(ClassId::NONE);
                self.await_route(task, (class, limits));
                return class;
            }
            TaskState::Assigned(hold) | TaskState::Working(hold) => {
                let agent = self.fleet.enrol(&hold.agent);
                self.hold(id, limits, agent);
                self.start_routed(task);
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
        ClassId::NONE
    }

    fn unindex_task(&mut self, task: &Task, class: ClassId, limits: LimitsNo) {
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
            TaskState::Ready { .. } => {
                self.dequeue(task, class);
                self.await_route_no_longer(task, (class, limits));
            }
            TaskState::Assigned(hold) | TaskState::Working(hold) => {
                if let Some(agent) = self.fleet.number(&hold.agent) {
                    self.let_off(id, limits, agent);
                }
                self.stop_routed(task);
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
        let number = self.fleet.enrol(&id);
        self.fleet.set_registered(number, true);
        self.refresh_agent(&id);
    }

    pub(super) fn remove_agent(&mut self, id: &AgentId) {
        self.alarms.set(Due::Quarantine(id.clone()), None);
        self.agents.remove(id);
        self.last_outcomes.remove(id);
        self.crashed_at.remove(id);
        self.warm.retain(|_, agent| agent != id);
        self.refresh_agent(id);
        if let Some(number) = self.fleet.number(id) {
            self.fleet.set_registered(number, false);
        }
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
        let terms = |session: &Session| (session.takes_work(), session.shunned.is_empty());
        let (before, after) = (self.sessions.get(&id).map(terms), terms(&session));
        self.sessions.insert(id, session);
        if let Some(agent) = agent {
            self.online.insert(agent.clone(), id);
            if before.map(|(takes_work, _)| takes_work) != Some(after.0) {
                self.refresh_agent(&agent);
            } else if before != Some(after) {
                self.refresh_terms(&agent);
            }
        }
    }

    pub(super) fn end_session(&mut self, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.move_alarms(&deadlines_of_session(id, Some(&session)), deadlines_of_session(id, None));
        let Some(agent) = session.agent else { return };
        if self.online.get(&agent) == Some(&id) {
            self.online.remove(&agent);
            self.profiles.remove(&agent);
            self.part_with(&agent);
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
        if let Due::Affinity(id) = &due {
            self.wake_one(*id);
        }
        if let Due::Batch(id) = &due {
            self.end_batch(id);
        }
        self.alarms.set(due, None);
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
