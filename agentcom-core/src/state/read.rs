//! This file reads a state: single facts, and what follows from several.

use alloc::vec::Vec;

use super::{
    Abilities, Alarms, BucketRow, Claimant, Clocks, Counter, Durable, Fair, Fleet, Limits, Member,
    Refusals, Requirements, Session, State, WEIGHT_USUAL,
};
use crate::agent::{Agent, LastOutcome, Phase, Profile};
use crate::change::{Head, Settings};
use crate::command::{KeyUse, Scope};
use crate::guard::Guard;
use crate::id::{QuestionId, SessionId, TaskId};
use crate::limit::Bucket;
use crate::name::{AgentId, Key, Repo};
use crate::question::Question;
use crate::task::{Life, Rate, Task, TaskState};
use crate::time::{Mono, Now, Span, Wall};

impl State {
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

    /// The name behind a task's number.
    #[must_use]
    pub fn id_of(&self, number: u64) -> TaskId {
        TaskId(self.head.as_ref().map_or(number, |head| head.ids.hide(number)))
    }

    /// A living task.
    #[must_use]
    pub fn task(&self, id: TaskId) -> Option<&Task> {
        self.tasks.get(&self.number(id))?.task.as_deref()
    }

    /// Living tasks, in the order of submission.
    pub fn tasks(&self) -> impl DoubleEndedIterator<Item = &Task> {
        self.tasks.values().filter_map(|live| live.task.as_deref())
    }

    /// Living tasks behind the one with a number, in the order of submission.
    pub fn tasks_after(&self, number: u64) -> impl Iterator<Item = (u64, &Task)> {
        let after = self.tasks.range(number.saturating_add(1)..);
        after.filter_map(|(number, live)| Some((*number, live.task.as_deref()?)))
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
        self.fleet.named(agent).into_iter().flat_map(Member::held).copied()
    }

    /// When an agent crashed last since the hub started.
    #[must_use]
    pub fn crashed_at(&self, id: &AgentId) -> Option<Wall> {
        self.crashed_at.get(id).copied()
    }

    /// Until when no agent has to have been heard, for the hub stood still: what is granted before then
    /// lasts at least as long.
    #[must_use]
    pub const fn lenient_until(&self) -> Mono {
        self.lenient_until
    }

    /// Whether there are agents that a standstill of the hub could cost something.
    #[must_use]
    pub fn is_watching(&self) -> bool {
        let at_work = self.quiet_since.is_some();
        at_work || !self.sessions.is_empty() || self.now.mono < self.returning_until
    }

    /// All tasks that agents hold.
    pub fn held(&self) -> impl Iterator<Item = TaskId> {
        self.fleet.members().flat_map(Member::held).copied()
    }

    /// Held tasks that count against a concurrency key.
    pub fn running(&self, key: &Key) -> impl Iterator<Item = TaskId> {
        self.limits.counter(key).into_iter().flat_map(Counter::running)
    }

    /// The figures of the bucket of a rate and what is in it, if it was drawn on. What is stored
    /// may be of a time that is yet to come, since the clock was set back while the hub was down.
    #[must_use]
    pub fn level(&self, key: &Key) -> Option<(&Rate, Bucket)> {
        self.limits.counter(key)?.level()
    }

    /// The bucket of a rate as it is stored, if it was drawn on.
    #[must_use]
    pub fn bucket(&self, key: &Key) -> Option<&BucketRow> {
        self.limits.counter(key)?.bucket()
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

    /// How long work has been under way without a task being completed; 0 when nothing is.
    #[must_use]
    pub fn quiet_for(&self) -> Span {
        self.quiet_since.map_or(Span(0), |since| self.now.mono - since)
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

    /// What limits are measured against.
    #[must_use]
    pub const fn limits(&self) -> &Limits {
        &self.limits
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
        if self.settings.stopped && self.guards.on(Guard::Estop) {
            return Some(Scope::All);
        }
        if paused.is_empty() || !self.guards.on(Guard::Pause) {
            return None;
        }
        let Requirements { repo, needs, .. } = requirements;
        paused.iter().find(|scope| scope.holds(repo.as_ref(), needs)).cloned()
    }

    /// Whether whoever has these abilities may be given tasks with these requirements.
    pub(crate) fn meets(&self, abilities: &Abilities, requirements: &Requirements) -> bool {
        abilities.meet(requirements) || !self.guards.on(Guard::Capabilities)
    }

    /// The one agent that tasks with these requirements are meant for, if there is one.
    pub(crate) fn pin<'a>(&self, requirements: &'a Requirements) -> Option<&'a AgentId> {
        requirements.pin.as_ref().filter(|_| self.guards.on(Guard::Pin))
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
        matches!(task.life.state, TaskState::Working(_))
            .then_some(Phase::Working)
            .or(Some(Phase::Assigned))
    }

    /// The facts that a restart has to bring back, for comparison.
    #[must_use]
    pub fn durable(&self) -> Durable<'_> {
        Durable {
            head: self.head.as_deref(),
            settings: &self.settings,
            tasks: &self.tasks,
            agents: &self.agents,
            operators: &self.operators,
            questions: &self.questions,
            buckets: self.limits.buckets().collect(),
            accounts: self.ledger.accounts().collect(),
        }
    }

    /// A life in a task's place, for rows that are written.
    #[must_use]
    pub fn life(&self, id: TaskId) -> Option<&Life> {
        self.task(id).map(|task| &task.life)
    }
}
