//! This file is everything the hub knows.
//!
//! **Invariant:** [`State::apply`] and [`State::feel`] are the only ways to change it, live and at
//! start-up alike, so that a restart ends in the state the hub had. Indexes follow from the facts;
//! [`State::check`] compares them with a full scan.

mod alarm;
mod check;
mod fair;
mod fleet;
mod index;
mod ready;
mod session;

pub use alarm::{Alarms, Due, When};
pub use fair::{Fair, Flow, WEIGHT_USUAL};
pub use fleet::{Abilities, Fleet, Group, GroupId, Standing};
pub(crate) use index::bytes_of;
pub use ready::{Class, ClassId, Entry, Gate, Ready, Requirements};
pub use session::{Claimant, Clocks, Refusals, Session};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use crate::agent::{Agent, LastOutcome, Phase, Profile};
use crate::change::{BucketRow, Change, Head, Pulse, Settings};
use crate::command::{KeyUse, Scope};
use crate::id::{QuestionId, SessionId, TaskId};
use crate::name::{AgentId, Key, Repo};
use crate::question::Question;
use crate::task::{Life, Task, TaskState};
use crate::time::{Now, Span};

/// Everything the hub knows.
#[derive(Debug, Default)]
pub struct State {
    now: Now,
    /// When the wall clock was last not behind what it had shown before.
    straight: Now,
    // The durable part.
    head: Option<Box<Head>>,
    settings: Settings,
    /// Living tasks by number, which is the order of submission.
    tasks: BTreeMap<u64, Box<Task>>,
    agents: BTreeMap<AgentId, Agent>,
    questions: BTreeMap<QuestionId, Question>,
    buckets: BTreeMap<Key, BucketRow>,
    // What follows from it.
    by_state: [u64; 6],
    bytes: u64,
    dependents: BTreeMap<TaskId, BTreeSet<TaskId>>,
    held: BTreeMap<AgentId, BTreeSet<TaskId>>,
    running: BTreeMap<Key, BTreeSet<TaskId>>,
    asked: BTreeMap<TaskId, BTreeSet<QuestionId>>,
    ready: Ready,
    fair: Fair,
    fleet: Fleet,
    alarms: Alarms,
    // The volatile part.
    sessions: BTreeMap<SessionId, Session>,
    online: BTreeMap<AgentId, SessionId>,
    profiles: BTreeMap<AgentId, Profile>,
    clocks: BTreeMap<TaskId, Clocks>,
    refusals: BTreeMap<Claimant, Refusals>,
    last_outcomes: BTreeMap<AgentId, LastOutcome>,
    last_assigned: BTreeMap<AgentId, u64>,
    assignments: u64,
    warm: BTreeMap<Repo, AgentId>,
    /// What ended or was used by steps that may not be committed yet, by the number of the event.
    just_ended: BTreeMap<TaskId, (u64, Box<Task>)>,
    just_used: BTreeMap<Key, (u64, KeyUse)>,
    pending: Pending,
}

/// What the scheduler has to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Classes of which a task may start.
    pub classes: BTreeSet<ClassId>,
    /// Agents that have room.
    pub agents: BTreeSet<AgentId>,
}

impl State {
    /// Takes note of the time, which never goes back here. A wall clock that was set back is
    /// followed at half speed until it has caught up, so that dates still arrive in the meantime.
    pub fn tick(&mut self, now: Now) {
        let mono = now.mono.max(self.now.mono);
        let wall = if self.now.wall <= now.wall {
            self.straight = Now { mono, wall: now.wall };
            now.wall
        } else {
            let gone = mono - self.straight.mono;
            self.now.wall.max(self.straight.wall + Span(gone.as_millis() / 2))
        };
        self.now = Now { mono, wall };
    }

    /// Makes a durable change true.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Head(head) => self.head = Some(head),
            Change::Settings(settings) => self.set_settings(*settings),
            Change::TaskAdded(task) | Change::TaskRevived(task) => self.add_task(task),
            Change::TaskMoved { id, life } => self.move_task(id, *life),
            Change::TaskEnded { id, life } => self.end_task(id, *life),
            Change::KeyUsed(key, used) => {
                // It is told with the next event, so the commit of the latest one does not cover it.
                self.just_used.insert(key, (self.seq() + 1, used));
            }
            Change::Drawn(key, row) => {
                self.buckets.insert(key, row);
            }
            Change::BucketFull(key) => {
                self.buckets.remove(&key);
                self.alarms.set(Due::Rate(key), None);
            }
            Change::Trimmed { keys: _, events: _, oldest } => {
                if let Some(head) = &mut self.head {
                    head.oldest_event = oldest.max(head.oldest_event);
                }
            }
            Change::AgentSet(agent) => self.set_agent(*agent),
            Change::AgentRemoved(id) => self.remove_agent(&id),
            Change::QuestionAsked(question) => self.ask(*question),
            Change::QuestionClosed(id) => self.close_question(id),
        }
    }

    /// Makes a volatile change true.
    pub fn feel(&mut self, pulse: Pulse) {
        match pulse {
            Pulse::Session(session) => self.set_session(*session),
            Pulse::Profile(session, profile) => self.set_profile(session, *profile),
            Pulse::SessionGone(id) => self.end_session(id),
            Pulse::Clocks(task, clocks) => self.set_clocks(task, Some(clocks)),
            Pulse::Backoff(task, at) => self.alarms.set(Due::Backoff(task), Some(When::Mono(at))),
            Pulse::LastOutcome(agent, last) => {
                self.last_outcomes.insert(agent, last);
            }
            Pulse::RateOpens(key, at) => self.alarms.set(Due::Rate(key), Some(When::Wall(at))),
            Pulse::AffinityEnds(task, at) => {
                self.alarms.set(Due::Affinity(task), Some(When::Mono(at)));
            }
            Pulse::Refusals(claimant, refusals) => self.set_refusals(claimant, refusals),
            Pulse::Passed(due) => self.pass(due),
        }
    }

    /// Lets virtual time start where the earliest queued task of each lane does.
    pub(crate) fn resume_shares(&mut self) {
        let mut earliest = [u64::MAX; 4];
        for task in self.tasks.values() {
            if let TaskState::Ready { place, .. } = task.life.state {
                let lane = task.spec.priority.lane();
                earliest[lane] = earliest[lane].min(place.tag);
            }
        }
        for (lane, tag) in earliest.into_iter().enumerate().filter(|(_, tag)| *tag != u64::MAX) {
            self.fair.loaded(lane, tag);
        }
    }

    /// Counts one more event.
    pub(crate) fn next_seq(&mut self) -> u64 {
        match &mut self.head {
            Some(head) => {
                head.seq += 1;
                head.seq
            }
            None => 0,
        }
    }

    /// Forgets what ended or was used by events up to `seq`, which the store has now.
    pub fn settle(&mut self, seq: u64) {
        self.just_ended.retain(|_, (at, _)| *at > seq);
        self.just_used.retain(|_, (at, _)| *at > seq);
    }

    /// What the scheduler has to look at since it was last asked.
    pub(crate) fn take_pending(&mut self) -> Pending {
        core::mem::take(&mut self.pending)
    }

    /// The scheduler could not look at everything in one step.
    pub(crate) fn put_back(&mut self, rest: Pending) {
        self.pending.classes.extend(rest.classes);
        self.pending.agents.extend(rest.agents);
    }

    /// Whether the scheduler has something to look at.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        !self.pending.classes.is_empty() || !self.pending.agents.is_empty()
    }

    /// How many assignments were made since the hub started.
    #[must_use]
    pub const fn assignments(&self) -> u64 {
        self.assignments
    }

    /// The index of ready tasks.
    #[must_use]
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }

    /// The scheduler holds a ready task back.
    pub(crate) fn park(&mut self, id: TaskId, gate: Gate) {
        let Some((class, lane, entry)) = self.ready_entry(id) else { return };
        let before = self.ready.let_on_by(id).cloned();
        let unfit = gate == Gate::Fit;
        let moved = before.filter(|before| *before != gate);
        self.ready.park(class, lane, entry, gate);
        let behind = moved.is_some_and(|gate| self.ready.wake_first(&gate, class));
        if behind | (unfit && self.ready.wake_next_unfit(class)) {
            self.pending.classes.insert(class);
        }
    }

    /// The scheduler lets tasks that are held back try again.
    pub(crate) fn wake(&mut self, gate: &Gate) {
        let woken = self.ready.wake(gate);
        self.pending.classes.extend(woken);
    }

    /// The time of the step.
    #[must_use]
    pub const fn now(&self) -> Now {
        self.now
    }

    /// What there is one of; `None` before the data set is made.
    #[must_use]
    pub fn head(&self) -> Option<&Head> {
        self.head.as_deref()
    }

    /// The number of the latest event.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.head.as_ref().map_or(0, |head| head.seq)
    }

    /// What operators set.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The number behind a task's name.
    #[must_use]
    pub fn number(&self, id: TaskId) -> u64 {
        self.head.as_ref().map_or(id.0, |head| head.ids.reveal(id.0))
    }

    /// A living task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&self.number(id)).map(|task| &**task)
    }

    /// Living tasks, in the order of submission.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.values().map(|task| &**task)
    }

    /// Living tasks behind the one with a number, in the order of submission.
    pub fn tasks_after(&self, number: u64) -> impl Iterator<Item = (u64, &Task)> {
        self.tasks.range(number.saturating_add(1)..).map(|(number, task)| (*number, &**task))
    }

    /// How many tasks live.
    #[must_use]
    pub fn task_count(&self) -> usize {
        self.tasks.len()
    }

    /// Living tasks by state: blocked, delayed, ready, assigned, working, waiting.
    #[must_use]
    pub const fn by_state(&self) -> [u64; 6] {
        self.by_state
    }

    /// What the specs of living tasks take, in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// A task that ended in a step which may not be committed yet.
    #[must_use]
    pub fn just_ended(&self, id: TaskId) -> Option<&Task> {
        self.just_ended.get(&id).map(|(_, task)| &**task)
    }

    /// A key that was used in a step which may not be committed yet.
    #[must_use]
    pub fn just_used(&self, key: &Key) -> Option<&KeyUse> {
        self.just_used.get(key).map(|(_, used)| used)
    }

    /// Tasks that wait for a task.
    pub fn dependents(&self, id: TaskId) -> Vec<TaskId> {
        self.dependents.get(&id).into_iter().flatten().copied().collect()
    }

    /// Tasks that an agent holds.
    pub fn held_by(&self, agent: &AgentId) -> impl Iterator<Item = TaskId> {
        self.held.get(agent).into_iter().flatten().copied()
    }

    /// Held tasks that count against a concurrency key.
    pub fn running(&self, key: &Key) -> impl ExactSizeIterator<Item = TaskId> {
        let none: &BTreeSet<TaskId> = const { &BTreeSet::new() };
        self.running.get(key).unwrap_or(none).iter().copied()
    }

    /// The bucket of a rate, if it was drawn on.
    #[must_use]
    pub fn bucket(&self, key: &Key) -> Option<&BucketRow> {
        self.buckets.get(key)
    }

    /// A registered agent.
    #[must_use]
    pub fn agent(&self, id: &AgentId) -> Option<&Agent> {
        self.agents.get(id)
    }

    /// All registered agents.
    pub fn agents(&self) -> impl ExactSizeIterator<Item = &Agent> {
        self.agents.values()
    }

    /// What a connected agent says of itself.
    #[must_use]
    pub fn profile(&self, id: &AgentId) -> Option<&Profile> {
        self.profiles.get(id)
    }

    /// How an agent's latest attempt ended.
    #[must_use]
    pub fn last_outcome(&self, id: &AgentId) -> Option<&LastOutcome> {
        self.last_outcomes.get(id)
    }

    /// A connection.
    #[must_use]
    pub fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions.get(&id)
    }

    /// All connections.
    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    /// The connection of an agent.
    #[must_use]
    pub fn session_of(&self, agent: &AgentId) -> Option<&Session> {
        self.sessions.get(self.online.get(agent)?)
    }

    /// How often somebody failed to prove who it is.
    #[must_use]
    pub fn refusals(&self, claimant: &Claimant) -> Option<&Refusals> {
        self.refusals.get(claimant)
    }

    /// The deadlines of a held task.
    #[must_use]
    pub fn clocks(&self, task: TaskId) -> Option<&Clocks> {
        self.clocks.get(&task)
    }

    /// An open question.
    #[must_use]
    pub fn question(&self, id: QuestionId) -> Option<&Question> {
        self.questions.get(&id)
    }

    /// All open questions.
    pub fn questions(&self) -> impl ExactSizeIterator<Item = &Question> {
        self.questions.values()
    }

    /// The open questions about a task.
    pub fn questions_about(&self, task: TaskId) -> impl Iterator<Item = &Question> {
        self.asked.get(&task).into_iter().flatten().filter_map(|id| self.questions.get(id))
    }

    /// The agent that last worked on a repository.
    #[must_use]
    pub fn warm(&self, repo: &Repo) -> Option<&AgentId> {
        self.warm.get(repo)
    }

    /// Everything that has a deadline.
    #[must_use]
    pub const fn alarms(&self) -> &Alarms {
        &self.alarms
    }

    /// Connected agents, by what they can do.
    #[must_use]
    pub const fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    /// The tags of fair queueing.
    #[must_use]
    pub const fn fair(&self) -> &Fair {
        &self.fair
    }

    /// The weight of a flow.
    #[must_use]
    pub fn weight(&self, key: Option<&Key>) -> u32 {
        let said = key.and_then(|key| self.settings.weights.get(key));
        said.copied().unwrap_or(WEIGHT_USUAL)
    }

    /// The scope that keeps tasks with these requirements from starting.
    #[must_use]
    pub fn pause_on(&self, requirements: &Requirements) -> Option<Scope> {
        let paused = &self.settings.paused;
        if paused.is_empty() {
            return None;
        }
        let repo = requirements.repo.clone().map(Scope::Repo);
        let needs = requirements.needs.iter().cloned().map(Scope::Capability);
        core::iter::once(Scope::All).chain(repo).chain(needs).find(|scope| paused.contains(scope))
    }

    /// What an agent is about.
    #[must_use]
    pub fn phase(&self, id: &AgentId) -> Phase {
        let Some(session) = self.session_of(id) else { return Phase::Offline };
        let draining = session.drains || self.agents.get(id).is_some_and(|agent| agent.draining);
        if draining {
            return Phase::Draining;
        }
        let furthest = self.held_by(id).filter_map(|task| self.hold_phase(task)).max();
        furthest.unwrap_or(Phase::Idle)
    }

    fn hold_phase(&self, id: TaskId) -> Option<Phase> {
        let task = self.task(id)?;
        if self.asked.contains_key(&id) {
            return Some(Phase::Blocked);
        }
        matches!(task.life.state, TaskState::Working(_)).then_some(Phase::Working).or(Some(Phase::Assigned))
    }

    /// The facts that a restart has to bring back, for comparison.
    #[must_use]
    pub fn durable(&self) -> Durable<'_> {
        Durable {
            head: self.head.as_deref(),
            settings: &self.settings,
            tasks: &self.tasks,
            agents: &self.agents,
            questions: &self.questions,
            buckets: &self.buckets,
        }
    }

    /// A life in a task's place, for rows that are written.
    #[must_use]
    pub fn life(&self, id: TaskId) -> Option<&Life> {
        self.task(id).map(|task| &task.life)
    }
}

/// The durable part of a state.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable<'a> {
    head: Option<&'a Head>,
    settings: &'a Settings,
    tasks: &'a BTreeMap<u64, Box<Task>>,
    agents: &'a BTreeMap<AgentId, Agent>,
    questions: &'a BTreeMap<QuestionId, Question>,
    buckets: &'a BTreeMap<Key, BucketRow>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Mono, Wall};

    #[test]
    fn a_wall_clock_that_is_set_back_goes_on_at_half_speed_until_it_has_caught_up() {
        let mut state = State::default();
        let mut at = |mono, wall| {
            state.tick(Now { mono: Mono(mono), wall: Wall(wall) });
            state.now().wall.0
        };
        assert_eq!(at(0, 10_000), 10_000);
        assert_eq!(at(1_000, 1_000), 10_500);
        assert_eq!(at(1_001, 1_001), 10_500);
        assert_eq!(at(2_000, 2_000), 11_000);
        assert_eq!(at(10_000, 10_000), 15_000);
        assert_eq!(at(16_000, 16_000), 16_000);
        assert_eq!(at(16_010, 16_010), 16_010);
    }
}
