//! This file is everything the hub knows.
//!
//! **Invariant:** [`State::apply`] and [`State::feel`] are the only ways to change it, live and at
//! start-up alike, so that a restart ends in the state the hub had. Indexes follow from the facts;
//! [`State::check`] compares them with a full scan.

mod alarm;
mod check;
mod endpoints;
mod fair;
mod firsts;
mod fleet;
mod index;
mod limits;
mod mend;
mod money;
mod operators;
mod pulse;
mod queue;
mod read;
mod ready;
mod rows;
mod session;
mod sorted;

pub use alarm::{Alarms, Due, When};
pub use endpoints::{Endpoints, Health, PROBE, probed_by};
pub use fair::{Fair, Flow, FlowNo, WEIGHT_USUAL};
pub(crate) use firsts::{First, earlier};
pub use fleet::{Abilities, AgentNo, Fleet, Group, GroupId, Member, Standing, Terms};
pub(crate) use index::bytes_of;
pub use limits::{Counter, Limits, LimitsNo, Shut};
pub use mend::{Rows, mend};
pub(crate) use money::payer;
pub use pulse::Pulse;
pub use queue::Queued;
pub use ready::{Class, ClassId, Entry, Gate, Ready, Requirements, Spot};
pub use rows::{
    Dirty, EndedEntry, EndedRow, Loader, MetaKey, ended_row, index_entries, index_prefix, key_row,
    rows_of, task_key,
};
pub use session::{Claimant, Clocks, Refusals, Session};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::fmt;

use crate::agent::{Agent, LastOutcome, Profile};
use crate::change::{BucketRow, Change, Head, Settings};
use crate::command::KeyUse;
use crate::guard::{Guard, Guards};
use crate::id::{QuestionId, SessionId, TaskId};
use crate::ledger::{Account, Ledger, Subject};
use crate::name::{AgentId, Key, OperatorId, Repo};
use crate::operator::Operator;
use crate::question::Question;
use crate::task::{Task, TaskState};
use crate::time::{Mono, Now, Span, Wall};

/// Everything the hub knows.
#[derive(Clone, Debug, Default)]
pub struct State {
    guards: Guards,
    now: Now,
    /// When the wall clock was last not behind what it had shown before.
    straight: Now,
    // The durable part.
    head: Option<Box<Head>>,
    settings: Settings,
    /// Living tasks by number, which is the order of submission.
    tasks: BTreeMap<u64, Live>,
    agents: BTreeMap<AgentId, Agent>,
    operators: BTreeMap<OperatorId, Operator>,
    questions: BTreeMap<QuestionId, Question>,
    // What follows from it.
    by_state: [u64; 6],
    bytes: u64,
    dependents: BTreeMap<TaskId, BTreeSet<TaskId>>,
    asked: BTreeMap<TaskId, BTreeSet<QuestionId>>,
    ready: Ready,
    fair: Fair,
    fleet: Fleet,
    firsts: firsts::Firsts,
    /// With the buckets, which are durable.
    limits: Limits,
    endpoints: Endpoints,
    alarms: Alarms,
    /// With what is reserved, which follows from the tasks.
    ledger: Ledger,
    // The volatile part.
    sessions: BTreeMap<SessionId, Session>,
    online: BTreeMap<AgentId, SessionId>,
    profiles: BTreeMap<AgentId, Profile>,
    clocks: BTreeMap<TaskId, Clocks>,
    refusals: BTreeMap<Claimant, Refusals>,
    last_outcomes: BTreeMap<AgentId, LastOutcome>,
    crashed_at: BTreeMap<AgentId, Wall>,
    /// Until when agents may be on their way back, for the hub was away.
    returning_until: Mono,
    /// Until when no agent has to have been heard.
    lenient_until: Mono,
    assignments: u64,
    warm: BTreeMap<Repo, AgentId>,
    /// While work is under way: when that began, or when a task was last completed.
    quiet_since: Option<Mono>,
    /// What ended or was used by steps that may not be committed yet, by the number of the event.
    just_ended: BTreeMap<TaskId, (u64, Box<Task>)>,
    just_used: BTreeMap<Key, (u64, KeyUse)>,
    pending: Pending,
}

/// A living task, and what it goes by in the indexes.
#[derive(Clone)]
struct Live {
    /// Always there, but while it moves.
    task: Option<Box<Task>>,
    class: ClassId,
    limits: LimitsNo,
}

/// The numbers follow from the task and from what was before.
impl PartialEq for Live {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task
    }
}

impl Eq for Live {}

/// What is equal reads the same.
impl fmt::Debug for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.task.fmt(f)
    }
}

/// What the scheduler has to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pending {
    /// Classes of which a task may start.
    pub classes: BTreeSet<ClassId>,
    /// Agents that have room, sorted.
    pub agents: Vec<AgentNo>,
}

impl Pending {
    /// Adds an agent that has room.
    fn add(&mut self, agent: AgentNo) {
        if let Err(at) = self.agents.binary_search(&agent) {
            self.agents.insert(at, agent);
        }
    }

    /// Takes an agent out that has none.
    fn drop(&mut self, agent: AgentNo) {
        if let Ok(at) = self.agents.binary_search(&agent) {
            self.agents.remove(at);
        }
    }

    /// Takes over what has to be looked at as well.
    pub fn merge(&mut self, more: &mut Self) {
        if self.classes.is_empty() {
            core::mem::swap(&mut self.classes, &mut more.classes);
        }
        if self.agents.is_empty() {
            core::mem::swap(&mut self.agents, &mut more.agents);
        }
        self.classes.append(&mut more.classes);
        more.agents.drain(..).for_each(|agent| self.add(agent));
    }
}

impl State {
    /// Decides under these guards from here on.
    pub(crate) const fn guard_by(&mut self, guards: Guards) {
        self.guards = guards;
    }

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
            Change::TaskSettled(task) => {
                self.just_ended.insert(task.id, (self.seq(), task));
            }
            Change::KeyUsed(key, used) => {
                // It is told with the next event, so the commit of the latest one does not cover it.
                self.just_used.insert(key, (self.seq() + 1, used));
            }
            Change::Drawn(key, row) => {
                self.limits.set_bucket(&key, Some(row));
            }
            Change::BucketFull(key) => {
                self.limits.set_bucket(&key, None);
                self.alarms.set(Due::Rate(key), None);
            }
            Change::Trimmed { keys: _, events: _, oldest } => {
                if let Some(head) = &mut self.head {
                    head.oldest_event = oldest.max(head.oldest_event);
                }
            }
            Change::Account(subject, account) => {
                self.ledger.set(subject, account.map(|account| *account));
            }
            Change::AgentSet(agent) => self.set_agent(*agent),
            Change::AgentRemoved(id) => self.remove_agent(&id),
            Change::OperatorSet(operator) => self.set_operator(*operator),
            Change::OperatorRemoved(id) => self.remove_operator(&id),
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
            Pulse::Crashed(agent, at) => {
                self.crashed_at.insert(agent, at);
            }
            Pulse::LastOutcome(agent, last) => {
                self.last_outcomes.insert(agent, last);
            }
            Pulse::RateOpens(key, at) => self.alarms.set(Due::Rate(key), Some(When::Wall(at))),
            Pulse::AffinityEnds(task, at) => {
                self.alarms.set(Due::Affinity(task), Some(When::Mono(at)));
            }
            Pulse::Health(id, health) => self.set_health(&id, *health),
            Pulse::ProbeAt(id, at) => self.set_probe(id, at),
            Pulse::UsersBack(key, users, until) => self.set_returning(key, users, until),
            Pulse::Refusals(claimant, refusals) => self.set_refusals(claimant, refusals),
            Pulse::Returning(until) => self.returning_until = self.returning_until.max(until),
            Pulse::Lenient(until) => self.lenient_until = self.lenient_until.max(until),
            Pulse::Passed(due) => self.pass(due),
        }
    }

    /// Lets virtual time start where the earliest queued task of each lane does.
    pub(crate) fn resume_shares(&mut self) {
        let mut earliest = [u64::MAX; 4];
        for task in self.tasks() {
            if let TaskState::Ready { place, .. } = task.life.state {
                let lane = task.spec.priority.lane();
                earliest[lane] = earliest[lane].min(place.tag);
            }
        }
        for (lane, tag) in earliest.into_iter().enumerate().filter(|(_, tag)| *tag != u64::MAX) {
            self.fair.loaded(lane, tag);
        }
    }

    /// Says when each bucket in use will be full. A bucket that was drawn on at a time which is yet
    /// to come, since the clock was set back while the hub was down, fills from now on.
    pub(crate) fn resume_rates(&mut self) {
        for (key, full) in self.limits.resume(self.now.wall) {
            self.alarms.set(Due::Rate(key), Some(When::Wall(full)));
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
        let kept = |at: u64| at > seq && self.guards.on(Guard::Tombstones);
        self.just_ended.retain(|_, (at, _)| kept(*at));
        self.just_used.retain(|_, (at, _)| kept(*at));
    }

    /// Adds what the scheduler has to look at since it was last asked.
    pub(crate) fn hand_over(&mut self, pending: &mut Pending) {
        pending.merge(&mut self.pending);
    }

    /// The scheduler could not look at everything in one step.
    pub(crate) fn put_back(&mut self, mut rest: Pending) {
        self.pending.merge(&mut rest);
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

    /// The first class of each lane among those that the agents of a group can run.
    pub(crate) fn first_of(&mut self, group: GroupId) -> First {
        let found = self.fleet.group(group);
        found.map_or([None; 4], |found| self.firsts.of(group, found, &self.ready))
    }

    /// The index of ready tasks.
    #[must_use]
    pub const fn ready(&self) -> &Ready {
        &self.ready
    }
}

/// The durable part of a state.
#[derive(Debug, PartialEq, Eq)]
pub struct Durable<'a> {
    head: Option<&'a Head>,
    settings: &'a Settings,
    tasks: &'a BTreeMap<u64, Live>,
    agents: &'a BTreeMap<AgentId, Agent>,
    operators: &'a BTreeMap<OperatorId, Operator>,
    questions: &'a BTreeMap<QuestionId, Question>,
    buckets: Vec<(&'a Key, &'a BucketRow)>,
    accounts: Vec<(&'a Subject, &'a Account)>,
}

#[cfg(test)]
mod tests;
