//! This file compares what a state keeps at hand with what its facts say.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;

use super::index::{bytes_of, live_slot};
use super::{Due, Gate, LimitsNo, Queued, Requirements, State};
use crate::id::TaskId;
use crate::name::{AgentId, Key};
use crate::task::{Delay, TaskState};

impl State {
    /// Checks every index against a full scan, and that nothing waits without an end.
    ///
    /// # Errors
    ///
    /// The first thing that does not fit, in words.
    pub fn check(&self) -> Result<(), String> {
        let mut by_state = [0_u64; 6];
        let mut bytes = 0;
        let mut held: BTreeMap<AgentId, BTreeSet<TaskId>> = BTreeMap::new();
        let mut running: BTreeMap<Key, BTreeSet<TaskId>> = BTreeMap::new();
        let mut limits: BTreeMap<LimitsNo, usize> = BTreeMap::new();
        let mut dependents: BTreeMap<TaskId, BTreeSet<TaskId>> = BTreeMap::new();
        for task in self.tasks() {
            let slot = live_slot(&task.life.state)
                .ok_or_else(|| format!("{} ended but lives", task.id))?;
            by_state[slot] += 1;
            bytes += bytes_of(&task.spec);
            if let Some(hold) = task.life.state.hold() {
                held.entry(hold.agent.clone()).or_default().insert(task.id);
                if let Some(limit) = task.spec.concurrency() {
                    running.entry(limit.key.clone()).or_default().insert(task.id);
                }
            }
            if let TaskState::Blocked { on } = &task.life.state {
                on.iter().for_each(|other| {
                    dependents.entry(*other).or_default().insert(task.id);
                });
            }
            self.check_task(task)?;
        }
        for live in self.tasks.values().filter(|live| live.limits != LimitsNo::NONE) {
            *limits.entry(live.limits).or_default() += 1;
        }
        same("tasks by state", &by_state, &self.by_state)?;
        same("bytes", &bytes, &self.bytes)?;
        let kept = self.fleet.members().filter(|member| !member.held().is_empty());
        let kept = kept.map(|member| (member.id.clone(), member.held().iter().copied().collect()));
        same("held tasks", &held, &kept.collect())?;
        let kept = self
            .limits
            .running()
            .map(|counter| (counter.key().clone(), counter.running().collect()));
        same("running tasks", &running, &kept.collect())?;
        same("dependents", &dependents, &self.dependents)?;
        same("ready tasks", &by_state[2], &self.ready.by_lane().iter().sum())?;
        let in_classes: usize = self.ready.classes().map(|(_, class)| class.len()).sum();
        same("tasks in classes", &(by_state[2] as usize), &in_classes)?;
        same("queued tasks of all flows", &in_classes, &self.fair.len())?;
        self.check_buckets()?;
        let agreements = [
            ("calls", self.ledger.reserves_as(&self.reckon_calls())),
            ("alarms", self.alarms.agree()),
            ("limits", self.limits.agree(&limits)),
            ("endpoints", self.routes_agree()),
            ("ready tasks", self.ready.agree()),
            ("agents", self.fleet.agree()),
            ("first classes", self.firsts.agree(&self.fleet, &self.ready)),
        ];
        for (what, agree) in agreements {
            if !agree {
                return Err(format!("the lists of {what} do not agree"));
            }
        }
        if let Some(due) = self.alarms.dues().find(|due| !self.awaits(due)) {
            return Err(format!("{due:?} has an alarm and nothing waits for it"));
        }
        let stray = self.questions.values().find(|question| self.task(question.task).is_none());
        if let Some(stray) = stray {
            return Err(format!("{:?} is open about a task that does not live", stray.id));
        }
        self.check_operators()?;
        self.check_sessions()
    }

    fn check_buckets(&self) -> Result<(), String> {
        let mut keys = self.limits.buckets().map(|(key, _)| key);
        match keys.find(|key| self.alarms.when(&Due::Rate((*key).clone())).is_none()) {
            Some(key) => Err(format!("the bucket of {key} is in use and nothing will forget it")),
            None => Ok(()),
        }
    }

    fn check_task(&self, task: &crate::task::Task) -> Result<(), String> {
        let id = task.id;
        let armed = |due: Due| self.alarms.when(&due).is_some();
        let fine = match &task.life.state {
            TaskState::Blocked { on } => {
                !on.is_empty() && on.iter().all(|other| self.task(*other).is_some())
            }
            TaskState::Delayed(Delay::Until(_)) => armed(Due::RunAfter(id)),
            TaskState::Delayed(Delay::Backoff(_)) => armed(Due::Backoff(id)),
            TaskState::Ready { .. } => self.check_ready(id),
            TaskState::Assigned(hold) => {
                hold.lease == task.life.lease && armed(Due::Lease(id)) && armed(Due::Accept(id))
            }
            TaskState::Working(hold) => {
                hold.lease == task.life.lease && armed(Due::Lease(id)) && armed(Due::Timeout(id))
            }
            TaskState::Waiting { .. } => armed(Due::Wait(id)),
            TaskState::Completed
            | TaskState::Partial
            | TaskState::Dead(_)
            | TaskState::Cancelled => false,
        };
        if !fine {
            return Err(format!("{id} is {} and nothing will end that", task.life.state.as_str()));
        }
        let deadline = task.spec.times.as_ref().and_then(|times| times.complete_by);
        if deadline.is_some() != armed(Due::Deadline(id)) {
            return Err(format!("{id} has a deadline without an alarm, or the other way round"));
        }
        Ok(())
    }

    /// Whether something waits for what becomes due.
    fn awaits(&self, due: &Due) -> bool {
        let state = |id: &TaskId| self.task(*id).map(|task| &task.life.state);
        match due {
            Due::Identify(id)
            | Due::Close(id)
            | Due::Silence(id)
            | Due::Report(id)
            | Due::Unbar(id)
            | Due::Room(id) => self.sessions.contains_key(id),
            Due::Lease(id) | Due::Accept(id) | Due::Timeout(id) | Due::Stuck(id) => {
                state(id).is_some_and(|state| state.hold().is_some())
            }
            Due::Backoff(id) => matches!(state(id), Some(TaskState::Delayed(Delay::Backoff(_)))),
            Due::RunAfter(id) => matches!(state(id), Some(TaskState::Delayed(Delay::Until(_)))),
            Due::Affinity(id) | Due::Expiry(id) => {
                matches!(state(id), Some(TaskState::Ready { .. }))
            }
            Due::Deadline(id) => state(id).is_some(),
            Due::Wait(id) => matches!(state(id), Some(TaskState::Waiting { .. })),
            Due::Question(id) => self.questions.contains_key(id),
            Due::Quarantine(id) => self.agents.contains_key(id),
            Due::TokenEnd(id) => self.operator(id).is_some(),
            Due::Rate(key) => self.bucket(key).is_some(),
            Due::Probe(id) => self.endpoint(id).is_some(),
            Due::Batch(id) => self.endpoint(id).is_some(),
            Due::Parked(key) => self.settings().routing.parked.contains_key(key),
        }
    }

    /// A ready task is in its class, and what holds it back will let it go.
    fn check_ready(&self, id: TaskId) -> bool {
        let Some(queued) = self.queued(id) else { return false };
        let Queued { class, spot, .. } = queued;
        let Some(found) = self.ready.class(class) else { return false };
        let required = self.task(id).map(|task| Requirements::of(&task.spec));
        if required.as_ref() != Some(&found.requirements) {
            return false;
        }
        let Some(gate) = self.ready.gate_of(spot.number) else {
            return self.ready.entry(&queued).is_some();
        };
        let closed = match gate {
            Gate::Fit => true,
            Gate::Concurrency(key, max) => self.running(key).count() >= *max as usize,
            Gate::Rate(key) => self.alarms.when(&Due::Rate(key.clone())).is_some(),
            Gate::Route(wanted) => {
                let decision = self.route(wanted, &found.requirements, &[]);
                decision.is_some_and(|decision| decision.chosen.is_none())
            }
        };
        closed || self.ready.is_open(gate, class)
    }

    fn check_sessions(&self) -> Result<(), String> {
        for (agent, session) in &self.online {
            let of = self.sessions.get(session).and_then(|session| session.agent.as_ref());
            if of != Some(agent) {
                return Err(format!("{agent} is online in a session that is not its own"));
            }
            let token = self.sessions.get(session).and_then(|session| session.token);
            let valid = self.agent(agent).map_or(&[][..], |agent| &agent.tokens);
            if token.is_some_and(|token| !valid.contains(&token)) {
                return Err(format!("{agent} is online by a token that is over"));
            }
            let terms = self.fleet.named(agent).filter(|member| member.group.is_some());
            let Some(terms) = terms.map(|member| member.terms) else {
                return Err(format!("{agent} is online but not in the fleet"));
            };
            same("terms of an agent", &self.terms(agent).unwrap_or_default(), &terms)?;
        }
        same("connected agents", &self.online.len(), &self.fleet.connected())
    }
}

fn same<T: PartialEq + core::fmt::Debug>(what: &str, scanned: &T, kept: &T) -> Result<(), String> {
    if scanned == kept {
        return Ok(());
    }
    Err(format!("{what}: a scan finds {scanned:?}, the index says {kept:?}"))
}
