//! This file drives a hub step by step, as a driver would, and checks its state after each.

mod agents;
mod corners;
mod limits;
mod openings;
mod ownership;
mod resubmission;
mod submission;

use super::*;
use crate::id::{Boot, Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::name::{AgentId, Capability, Kind};
use crate::state::State;
use crate::task::{Draft, Task, TaskState};
use crate::time::Span;
use crate::wire::{self, Accepted, Complete, Failed, Held, Identify, Ping};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec;
use schedule::FairPolicy;

/// A hub with its clock, and what it said to whom.
pub(super) struct Bench {
    pub(super) hub: Hub,
    pub(super) now: Now,
    pub(super) sent: BTreeMap<u64, Vec<ToAgent>>,
    pub(super) closed: Vec<(u64, CloseReason)>,
    pub(super) replies: Vec<Reply>,
    pub(super) events: Vec<Event>,
    history: BTreeMap<TaskId, Task>,
    keys: BTreeMap<Key, crate::command::KeyUse>,
    next_session: u64,
}

pub(super) fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(super) fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"true"}"#).unwrap())
}

fn hash(name: &str) -> TokenHash {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    TokenHash(bytes)
}

impl Bench {
    pub(super) fn new() -> Self {
        Self::with(HubConfig::default())
    }

    pub(super) fn with(config: HubConfig) -> Self {
        let now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };
        let mut hub = Hub::new(State::default(), config, Box::new(FairPolicy));
        let genesis = Genesis { incarnation: Incarnation(7), seed: 42, admin: hash("admin") };
        let _ = hub.found(now, &genesis);
        Self {
            hub,
            now,
            sent: BTreeMap::new(),
            closed: vec![],
            replies: vec![],
            events: vec![],
            history: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_session: 0,
        }
    }

    /// One step; what it wants done is written down, and its rows go to history.
    pub(super) fn step(&mut self, input: Input) {
        let step = self.hub.step(self.now, input);
        for fact in &step.dirty {
            if let Dirty::Ended(id) = fact {
                let task = self.hub.state().just_ended(*id).cloned();
                task.map(|task| self.history.insert(*id, task));
            }
            if let Dirty::Key(key) = fact {
                let used = self.hub.state().just_used(key).cloned();
                used.map(|used| self.keys.insert(key.clone(), used));
            }
        }
        self.events.extend(step.events);
        for effect in step.effects {
            match effect {
                Effect::Reply(_, reply) => self.replies.push(reply),
                Effect::Send(session, frame) => self.sent.entry(session.0).or_default().push(frame),
                Effect::Close(session, reason) => self.closed.push((session.0, reason)),
            }
        }
        self.hub.settle(self.hub.state().seq());
        self.hub.state().check().unwrap();
    }

    pub(super) fn call(&mut self, command: Command) -> Reply {
        self.call_as(Principal::Admin, command)
    }

    pub(super) fn call_as(&mut self, by: Principal, command: Command) -> Reply {
        let needs = command_needs(self.hub.state(), &command);
        let facts = self.facts(needs);
        self.step(Input::Call { call: CallId(0), by, cause: None, command, facts });
        self.replies.pop().unwrap()
    }

    fn facts(&self, needs: crate::command::Needs) -> Facts {
        let tasks = needs.tasks.iter().filter_map(|id| Some((*id, self.history.get(id)?.clone())));
        let keys = needs.keys.iter().filter_map(|key| Some((key.clone(), self.keys.get(key)?.clone())));
        Facts { tasks: tasks.collect(), keys: keys.collect() }
    }

    pub(super) fn submit(&mut self, draft: Draft) -> TaskId {
        let reply = self.call(Command::Submit(draft.into()));
        let Reply::Submitted(submitted) = reply else { panic!("{reply:?}") };
        submitted.id
    }

    /// A registered agent that connects with `slots` and `capabilities`.
    pub(super) fn join(&mut self, name: &str, dialect: Dialect, slots: u32, capabilities: &[&str]) -> u64 {
        if self.hub.state().agent(&agent_id(name)).is_none() {
            assert_eq!(self.call(Command::AddAgent { id: agent_id(name), token: hash(name) }), Reply::Done);
        }
        self.next_session += 1;
        let session = self.next_session;
        self.step(Input::Opened { session: SessionId(session), dialect });
        self.identify(session, name, name, slots, capabilities);
        session
    }

    pub(super) fn identify(&mut self, session: u64, name: &str, token: &str, slots: u32, capabilities: &[&str]) {
        let frame = ToHub::Identify(Identify {
            agent_id: name.into(),
            token: String::new(),
            name: None,
            capabilities: Some(capabilities.iter().map(|&capability| capability.into()).collect()),
            boot: Some(Boot(session)),
            executors: Some(vec!["shell".into(), "wake".into()]),
            slots: Some(slots),
            labels: None,
            version: None,
        });
        let (session, token) = (SessionId(session), Some(hash(token)));
        self.step(Input::Frame { session, frame: Ok(frame), token, facts: Facts::default() });
    }

    pub(super) fn frame(&mut self, session: u64, frame: ToHub) {
        let needs = frame_needs(self.hub.state(), &frame);
        let facts = self.facts(needs);
        self.step(Input::Frame { session: SessionId(session), frame: Ok(frame), token: None, facts });
    }

    pub(super) fn raw(&mut self, session: u64, text: &str) {
        let frame = wire::read_to_hub(text);
        let needs = frame.as_ref().map(|frame| frame_needs(self.hub.state(), frame)).unwrap_or_default();
        let facts = self.facts(needs);
        self.step(Input::Frame { session: SessionId(session), frame, token: None, facts });
    }

    pub(super) fn accept(&mut self, session: u64, held: Held) {
        let Held { task_id, generation } = held;
        self.frame(session, ToHub::TaskAccepted(Accepted { task_id, generation: Some(generation) }));
    }

    pub(super) fn complete(&mut self, session: u64, held: Held) {
        self.frame(session, ToHub::TaskComplete(Complete {
            task_id: held.task_id,
            generation: held.generation,
            incarnation: None,
            result: Some(Json::parse(r#"{"ok":true}"#).unwrap()),
            partial: None,
            tokens_used: Some(12),
            verification_report: None,
        }));
    }

    pub(super) fn fail(&mut self, session: u64, held: Held, category: crate::task::Category) {
        self.frame(session, ToHub::TaskFailed(Failed {
            task_id: held.task_id,
            generation: held.generation,
            incarnation: None,
            error: Some("boom".into()),
            reason: None,
            category: Some(category),
            retry_after_ms: None,
            tokens_used: None,
        }));
    }

    pub(super) fn ping(&mut self, session: u64, held: &[Held]) {
        self.frame(session, ToHub::Ping(Ping { held: Some(held.to_vec()), nonce: None }));
    }

    pub(super) fn leave(&mut self, session: u64) {
        self.step(Input::Closed(SessionId(session)));
    }

    /// Lets time pass, waking the hub whenever it wants to be.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.now.mono + span;
        loop {
            let next = self.hub.next_wake().map(|(at, _)| at).filter(|at| *at <= end);
            let at = next.unwrap_or(end).max(self.now.mono);
            let gone = at - self.now.mono;
            self.now = Now { mono: at, wall: self.now.wall + gone };
            self.step(Input::Wake);
            if next.is_none() {
                return;
            }
        }
    }

    /// The assignments that a session was sent since it was last asked.
    pub(super) fn assigned(&mut self, session: u64) -> Vec<Held> {
        let said = core::mem::take(self.sent.entry(session).or_default());
        let held = |frame: &ToAgent| {
            if let ToAgent::TaskAssign(assignment) = frame { Some(assignment.held()) } else { None }
        };
        said.iter().filter_map(held).collect()
    }

    pub(super) fn said(&mut self, session: u64) -> Vec<ToAgent> {
        core::mem::take(self.sent.entry(session).or_default())
    }

    /// A task, living or ended.
    pub(super) fn task(&self, id: TaskId) -> &Task {
        self.hub.state().task(id).or_else(|| self.history.get(&id)).unwrap()
    }

    pub(super) fn state(&self, id: TaskId) -> &TaskState {
        &self.task(id).life.state
    }

    pub(super) fn word(&self, id: TaskId) -> &'static str {
        self.state(id).as_str()
    }
}

pub(super) fn needing(capability: &str) -> Draft {
    Draft { needs: vec![Capability::new(capability).unwrap()], ..draft() }
}

pub(super) const fn lease(number: u64) -> Lease {
    Lease(number)
}
