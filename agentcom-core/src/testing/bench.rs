//! This file drives a hub step by step in virtual time, as a driver would: to test rules with.
//!
//! ```
//! use agentcom_core::hub::schedule::{AgentFacts, Policy, TaskFacts};
//! use agentcom_core::json::Json;
//! use agentcom_core::name::Kind;
//! use agentcom_core::config::HubConfig;
//! use agentcom_core::task::Draft;
//! use agentcom_core::testing::bench::Bench;
//! use agentcom_core::wire::Dialect;
//!
//! /// The youngest task first, whoever has room.
//! #[derive(Debug)]
//! struct Stack;
//!
//! impl Policy for Stack {
//!     fn key(&self, task: &TaskFacts<'_>) -> u64 {
//!         u64::MAX - 1 - task.ready_at.0
//!     }
//!     fn fit(&self, _: &TaskFacts<'_>, _: &AgentFacts<'_>) -> Option<u32> {
//!         Some(1)
//!     }
//! }
//!
//! let mut bench = Bench::over(HubConfig::default(), Stack);
//! let draft = || Draft::new(Kind::new("shell").unwrap(), Json::null());
//! let old = bench.submit(draft());
//! bench.pass(agentcom_core::time::Span(1));
//! let young = bench.submit(draft());
//! let agent = bench.join("a", Dialect::V1, 1, &[]);
//! assert_eq!(bench.serve(agent), Some(young));
//! assert_eq!(bench.serve(agent), Some(old));
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use crate::agent::TokenHash;
use crate::change::Genesis;
use crate::command::{Command, Facts, KeyUse, Needs, Reply};
use crate::config::HubConfig;
use crate::hub::schedule::{FairPolicy, Policy};
use crate::hub::{Effect, Hub, Input, command_needs, frame_needs};
use crate::id::{Boot, CallId, Incarnation, Lease, SessionId, TaskId};
use crate::json::Json;
use crate::name::{AgentId, Key, Principal};
use crate::port::transport::CloseReason;
use crate::state::Dirty;
use crate::state::State;
use crate::task::{Category, Draft, Task, TaskState};
use crate::time::{Mono, Now, Span, Wall};
use crate::view::Event;
use crate::wire::{
    self, Accepted, Complete, Dialect, Failed, Held, Identify, Ping, ToAgent, ToHub,
};

/// The kinds of work that agents on a bench do.
pub const KINDS: [&str; 2] = ["shell", "wake"];

/// The seed of the data set on a bench.
pub const SEED: u64 = 42;
/// When a bench starts.
pub const START: Now = Now { mono: Mono(1_000), wall: Wall(1_700_000_000_000) };

/// With at most so many tasks the state is checked after every step, ..
const CHECKED_ALWAYS: usize = 64;
/// .. and with more of them after every so many steps.
const CHECKED_EVERY: u64 = 512;

/// A hub with its clock, and what it said to whom.
#[derive(Debug)]
pub struct Bench {
    /// The hub.
    pub hub: Hub,
    /// The time; [`Bench::pass`] lets it go on.
    pub now: Now,
    /// The frames that it sent, by session.
    pub sent: BTreeMap<u64, Vec<ToAgent>>,
    /// The sessions that it closed.
    pub closed: Vec<(u64, CloseReason)>,
    /// What happened.
    pub events: Vec<Event>,
    /// What it gave out, in order.
    pub starts: Vec<Start>,
    replies: Vec<Reply>,
    given: BTreeSet<(TaskId, Lease)>,
    history: BTreeMap<TaskId, Task>,
    keys: BTreeMap<Key, KeyUse>,
    next_session: u64,
    steps: u64,
}

/// A task that was given to an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// When.
    pub at: Now,
    /// To whom.
    pub agent: AgentId,
    /// On which connection.
    pub session: u64,
    /// The task and its lease.
    pub held: Held,
}

/// What the hub knows of the token of `name`.
#[must_use]
pub fn token(name: &str) -> TokenHash {
    let mut bytes = [0; 32];
    bytes.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from);
    TokenHash(bytes)
}

impl Default for Bench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench {
    /// A hub with the usual figures and the usual policy.
    #[must_use]
    pub fn new() -> Self {
        Self::with(HubConfig::default())
    }

    /// A hub with these figures and the usual policy.
    #[must_use]
    pub fn with(config: HubConfig) -> Self {
        Self::over(config, FairPolicy)
    }

    /// A hub with these figures and a policy of your own.
    #[must_use]
    pub fn over(config: HubConfig, policy: impl Policy + 'static) -> Self {
        let now = START;
        let mut hub = Hub::new(State::default(), config, Box::new(policy));
        let genesis = Genesis { incarnation: Incarnation(7), seed: SEED, admin: token("admin") };
        let _ = hub.found(now, &genesis);
        Self {
            hub,
            now,
            sent: BTreeMap::new(),
            closed: vec![],
            events: vec![],
            starts: vec![],
            replies: vec![],
            given: BTreeSet::new(),
            history: BTreeMap::new(),
            keys: BTreeMap::new(),
            next_session: 0,
            steps: 0,
        }
    }

    /// One step; what it wants done is written down, and its rows go to history.
    ///
    /// # Panics
    ///
    /// If the state contradicts itself afterwards.
    pub fn step(&mut self, input: Input) {
        if self.hub.stalled_for(self.now.mono).is_some() {
            self.step_once(Input::Stalled);
        }
        self.step_once(input);
    }

    fn step_once(&mut self, input: Input) {
        let step = self.hub.step(self.now, input);
        for fact in &step.dirty {
            self.remember(fact);
        }
        self.events.extend(step.events);
        for effect in step.effects {
            match effect {
                Effect::Reply(_, reply) => self.replies.push(reply),
                Effect::Send(session, frame) => self.sent(session, frame),
                Effect::Close(session, reason) => self.closed.push((session.0, reason)),
            }
        }
        self.hub.settle(self.hub.state().seq());
        self.steps += 1;
        if self.hub.state().task_count() <= CHECKED_ALWAYS
            || self.steps.is_multiple_of(CHECKED_EVERY)
        {
            self.check();
        }
    }

    /// Compares every index of the state with a full scan.
    ///
    /// # Panics
    ///
    /// If one does not agree.
    pub fn check(&self) {
        if let Err(why) = self.hub.state().check() {
            panic!("the state contradicts itself: {why}");
        }
    }

    fn remember(&mut self, fact: &Dirty) {
        if let Dirty::Ended(id) | Dirty::Settled(id) = fact
            && let Some(task) = self.hub.state().just_ended(*id)
        {
            self.history.insert(*id, task.clone());
        }
        if let Dirty::Key(key) = fact
            && let Some(used) = self.hub.state().just_used(key)
        {
            self.keys.insert(key.clone(), used.clone());
        }
    }

    fn sent(&mut self, session: SessionId, frame: ToAgent) {
        if let ToAgent::TaskAssign(assignment) = &frame {
            let agent = self.hub.state().session(session).and_then(|session| session.agent.clone());
            let agent = agent.expect("work is given to those who have identified themselves");
            let (held, at) = (assignment.held(), self.now);
            // One who comes back without having accepted is told again.
            if self.given.insert((held.task_id, held.generation)) {
                self.starts.push(Start { at, agent, session: session.0, held });
            }
        }
        self.sent.entry(session.0).or_default().push(frame);
    }

    /// Asks for something as the administrator, and returns the answer.
    ///
    /// # Panics
    ///
    /// If the hub gives none.
    pub fn call(&mut self, command: Command) -> Reply {
        self.call_as(Principal::Admin, command)
    }

    /// As [`Bench::call`], in another's name.
    ///
    /// # Panics
    ///
    /// If the hub gives no answer.
    pub fn call_as(&mut self, by: Principal, command: Command) -> Reply {
        let needs = command_needs(self.hub.state(), &command);
        let facts = self.facts(needs);
        self.step(Input::Call { call: CallId(0), by, cause: None, command, facts });
        self.replies.pop().expect("a call is answered")
    }

    fn facts(&self, needs: Needs) -> Facts {
        let tasks = needs.tasks.iter().filter_map(|id| Some((*id, self.history.get(id)?.clone())));
        let keys =
            needs.keys.iter().filter_map(|key| Some((key.clone(), self.keys.get(key)?.clone())));
        Facts { tasks: tasks.collect(), keys: keys.collect() }
    }

    /// Queues a task.
    ///
    /// # Panics
    ///
    /// If the hub does not take it.
    pub fn submit(&mut self, draft: Draft) -> TaskId {
        let reply = self.call(Command::Submit(draft.into()));
        let Reply::Submitted(submitted) = reply else { panic!("not taken: {reply:?}") };
        submitted.id
    }

    /// An agent, registered if need be, connects with `slots` and `capabilities`, and does the kinds
    /// `shell` and `wake`. Returns its session.
    ///
    /// # Panics
    ///
    /// If the name is not one.
    pub fn join(&mut self, name: &str, dialect: Dialect, slots: u32, capabilities: &[&str]) -> u64 {
        let id = AgentId::new(name).expect("the name of an agent is one");
        if self.hub.state().agent(&id).is_none() {
            let reply = self.call(Command::AddAgent { id, token: token(name) });
            assert_eq!(reply, Reply::Done, "{name} is registered");
        }
        self.next_session += 1;
        let session = self.next_session;
        self.open(session, dialect);
        self.identify(session, name, name, slots, capabilities);
        session
    }

    /// Opens a connection that has yet to say who it is.
    pub fn open(&mut self, session: u64, dialect: Dialect) {
        let peer = "10.0.0.1".into();
        self.step(Input::Opened { session: SessionId(session), dialect, peer });
    }

    /// Says who is at the other end of a connection; `token` is the name that the token was made for.
    pub fn identify(
        &mut self,
        session: u64,
        name: &str,
        token: &str,
        slots: u32,
        capabilities: &[&str],
    ) {
        let frame = ToHub::Identify(Identify {
            agent_id: name.into(),
            token: String::new(),
            capabilities: Some(capabilities.iter().map(|&capability| capability.into()).collect()),
            boot: Some(Boot(session)),
            executors: Some(KINDS.map(String::from).into()),
            slots: Some(slots),
            ..Identify::default()
        });
        let (session, token) = (SessionId(session), Some(self::token(token)));
        self.step(Input::Frame { session, frame: Ok(frame), token, facts: Facts::default() });
    }

    /// A frame arrives.
    pub fn frame(&mut self, session: u64, frame: ToHub) {
        let needs = frame_needs(self.hub.state(), &frame);
        let facts = self.facts(needs);
        self.step(Input::Frame {
            session: SessionId(session),
            frame: Ok(frame),
            token: None,
            facts,
        });
    }

    /// A text arrives.
    pub fn raw(&mut self, session: u64, text: &str) {
        let frame = wire::read_to_hub(text);
        let needs =
            frame.as_ref().map(|frame| frame_needs(self.hub.state(), frame)).unwrap_or_default();
        let facts = self.facts(needs);
        self.step(Input::Frame { session: SessionId(session), frame, token: None, facts });
    }

    /// An agent accepts.
    pub fn accept(&mut self, session: u64, held: Held) {
        let Held { task_id, generation } = held;
        self.frame(
            session,
            ToHub::TaskAccepted(Accepted { task_id, generation: Some(generation) }),
        );
    }

    /// An agent is done.
    pub fn complete(&mut self, session: u64, held: Held) {
        self.done(session, held, None);
    }

    /// An agent is done with part of what was asked for.
    pub fn complete_partly(&mut self, session: u64, held: Held) {
        self.done(session, held, Some(true));
    }

    fn done(&mut self, session: u64, held: Held, partial: Option<bool>) {
        self.frame(
            session,
            ToHub::TaskComplete(Complete {
                task_id: held.task_id,
                generation: held.generation,
                incarnation: None,
                result: Json::of(&"done").ok(),
                partial,
                tokens_used: Some(12),
                verification_report: None,
                left: Default::default(),
            }),
        );
    }

    /// An agent has failed.
    pub fn fail(&mut self, session: u64, held: Held, category: Category) {
        self.frame(
            session,
            ToHub::TaskFailed(Failed {
                task_id: held.task_id,
                generation: held.generation,
                incarnation: None,
                error: Some("boom".into()),
                reason: None,
                category: Some(category),
                fault: None,
                retry_after_ms: None,
                tokens_used: None,
                left: Default::default(),
            }),
        );
    }

    /// An agent beats, holding these leases.
    pub fn ping(&mut self, session: u64, held: &[Held]) {
        self.frame(session, ToHub::Ping(Ping { held: Some(held.to_vec()), nonce: None }));
    }

    /// A connection ends.
    pub fn leave(&mut self, session: u64) {
        self.step(Input::Closed(SessionId(session)));
    }

    /// Lets time pass, waking the hub whenever it wants to be.
    pub fn pass(&mut self, span: Span) {
        let end = self.now.mono + span;
        while self.pass_to_wake(end) {}
    }

    /// Lets time pass while the hub is stopped, and hears nobody; the next step is its first.
    pub fn stall(&mut self, span: Span) {
        self.now = Now { mono: self.now.mono + span, wall: self.now.wall + span };
    }

    /// Lets time pass until the hub has been woken once, or until `end`; whether it was the former.
    pub fn pass_to_wake(&mut self, end: Mono) -> bool {
        let next = self.hub.next_wake().filter(|at| *at <= end);
        let at = next.unwrap_or(end).max(self.now.mono);
        let gone = at - self.now.mono;
        self.now = Now { mono: at, wall: self.now.wall + gone };
        self.step(Input::Wake);
        next.is_some()
    }

    /// The assignments that a session was sent since it was last asked.
    pub fn assigned(&mut self, session: u64) -> Vec<Held> {
        let said = core::mem::take(self.sent.entry(session).or_default());
        let mut assigned = Vec::new();
        for frame in &said {
            if let ToAgent::TaskAssign(assignment) = frame {
                assigned.push(assignment.held());
            }
        }
        assigned
    }

    /// All frames that a session was sent since it was last asked.
    pub fn said(&mut self, session: u64) -> Vec<ToAgent> {
        core::mem::take(self.sent.entry(session).or_default())
    }

    /// A task, living or ended.
    ///
    /// # Panics
    ///
    /// If there is none of this name.
    #[must_use]
    pub fn task(&self, id: TaskId) -> &Task {
        self.hub.state().task(id).or_else(|| self.history.get(&id)).expect("the task exists")
    }

    /// Where the life of a task stands.
    pub fn state(&self, id: TaskId) -> &TaskState {
        &self.task(id).life.state
    }

    /// The word for where the life of a task stands.
    pub fn word(&self, id: TaskId) -> &'static str {
        self.state(id).as_str()
    }

    /// An agent accepts the oldest task that it holds, and is done with it at once.
    pub fn serve(&mut self, session: u64) -> Option<TaskId> {
        let agent = self.hub.state().session(SessionId(session))?.agent.clone()?;
        let held = self.holds(&agent).into_iter().next()?;
        self.accept(session, held);
        self.complete(session, held);
        Some(held.task_id)
    }

    /// How many of `tasks`, which came in this order, were started before one that came earlier:
    /// the largest number for any of them, whether it was started since or not. With a policy that
    /// starves tasks it grows with the load.
    #[must_use]
    pub fn overtaken(&self, tasks: &[TaskId]) -> usize {
        let starts: Vec<TaskId> = self.starts.iter().map(|start| start.held.task_id).collect();
        let before = |n: usize| {
            let earlier = starts.iter().take_while(|id| **id != tasks[n]);
            earlier.filter(|id| tasks[n + 1..].contains(id)).count()
        };
        (0..tasks.len()).map(before).max().unwrap_or(0)
    }

    /// What an agent holds, the longest held first.
    #[must_use]
    pub fn holds(&self, agent: &AgentId) -> Vec<Held> {
        let state = self.hub.state();
        let mut held: Vec<_> = state
            .held_by(agent)
            .filter_map(|id| Some((state.task(id)?.life.state.hold()?, state.number(id), id)))
            .collect();
        held.sort_by_key(|(hold, number, _)| (hold.since, *number));
        held.into_iter()
            .map(|(hold, _, task_id)| Held { task_id, generation: hold.lease })
            .collect()
    }
}
