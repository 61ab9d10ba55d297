//! This file decides: one step takes an input in, lets deadlines pass, moves work on, hands it out.
//!
//! The passes run in a fixed order on one [`Tx`](tx::Tx), and no pass calls another:
//!
//! 1. *take in*: a command ([`command`]) or something about a connection ([`frame`]);
//! 2. *heal* ([`heal`]) ends what has run out of time, and is the only one that does;
//! 3. *advance* ([`advance`]) lets ended tasks move on those that wait for them;
//! 4. *schedule* ([`schedule`]) hands ready tasks to agents with room, and is the only one that does.
//!
//! **Invariant:** the same inputs give the same steps. Time, facts from the store and everything
//! random enter as inputs.

mod advance;
mod announced;
mod assignment;
mod command;
mod endpoints;
mod frame;
mod heal;
mod operators;
mod renew;
pub mod schedule;
mod tx;

pub use command::needs as command_needs;
pub use frame::needs as frame_needs;

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;

use crate::agent::TokenHash;
use crate::change::{Change, Genesis, Head};
use crate::command::{Command, Facts, Reply};
use crate::config::HubConfig;
use crate::id::{CallId, Cipher, Incarnation, Lease, SessionId};
use crate::name::{Key, Principal};
use crate::port::transport::CloseReason;
use crate::rng::Rng;
use crate::state::{Dirty, State};
use crate::time::{Mono, Now, Span, Wall};
use crate::view::{Event, ProgressView};
use crate::wire::{BadFrame, Dialect, ToAgent, ToHub};
use schedule::Policy;

/// How often a hub steps that has agents: they give up on one that says nothing for twice as long.
const WATCH_EVERY: Span = Span::from_secs(5);
/// By how much a hub is late that hears first.
const LATE: Span = Span(20);

/// What a hub is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// Somebody asks for something.
    Call {
        /// Names the reply.
        call: CallId,
        /// Who asks.
        by: Principal,
        /// The request or trace behind it.
        cause: Option<Box<str>>,
        /// What is asked.
        command: Command,
        /// What the command has to know of the store.
        facts: Facts,
    },
    /// A connection was opened.
    Opened {
        /// Names the connection.
        session: SessionId,
        /// Which rules it follows.
        dialect: Dialect,
        /// From where it comes: an address without a port.
        peer: Box<str>,
    },
    /// A connection brought a frame.
    Frame {
        /// Which connection.
        session: SessionId,
        /// The frame, or what is wrong with it.
        frame: Result<ToHub, BadFrame>,
        /// The digest of the token in an `identify`.
        token: Option<TokenHash>,
        /// What the frame has to know of the store.
        facts: Facts,
    },
    /// A connection ended.
    Closed(SessionId),
    /// It is time for something.
    Wake,
    /// The hub stood still while something became due: it was frozen, its machine slept, or its
    /// store did not answer. Taken in before anything else, so that nobody pays for what the hub
    /// did not hear.
    Stalled,
    /// The store holds keys and events whose time is over.
    Trim {
        /// The keys, and when their time was over.
        keys: Vec<(Key, Wall)>,
        /// The rows of events, by the number of the first in each.
        events: Vec<u64>,
        /// The oldest event that is to be kept.
        oldest: u64,
    },
}

/// What a hub wants done once its changes are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Answer a call.
    Reply(CallId, Reply),
    /// Send a frame.
    Send(SessionId, ToAgent),
    /// End a connection.
    Close(SessionId, CloseReason),
}

/// What a step decided. Its changes are made in the state already; the events and the rows of
/// `dirty` facts have to be durable before the effects are performed.
#[must_use]
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// What happened, in order.
    pub events: Vec<Event>,
    /// The facts whose rows have to be written.
    pub dirty: BTreeSet<Dirty>,
    /// What to do afterwards, in order.
    pub effects: Vec<Effect>,
    /// News about running work, for the live feed.
    pub progress: Vec<ProgressView>,
}

/// A hub: what it knows, and by which rules it decides.
#[derive(Debug)]
pub struct Hub {
    state: State,
    config: HubConfig,
    policy: Box<dyn Policy>,
}

impl Default for Hub {
    /// A hub that knows nothing, with the usual figures and the usual policy.
    fn default() -> Self {
        Self::new(State::default(), HubConfig::default(), Box::new(schedule::FairPolicy))
    }
}

impl Hub {
    /// A hub over a state that was loaded, or that is empty.
    #[must_use]
    pub fn new(mut state: State, config: HubConfig, policy: Box<dyn Policy>) -> Self {
        state.guard_by(config.guards);
        Self { state, config, policy }
    }

    /// Makes the data set. The first step of a hub whose store was empty.
    pub fn found(&mut self, now: Now, genesis: &Genesis) -> Step {
        self.state.tick(now);
        let head = Head {
            incarnation: genesis.incarnation,
            seed: genesis.seed,
            ids: Cipher::new(Rng::for_purpose(genesis.seed, "ids", 0).next_u64()),
            admin: genesis.admin,
            next_task: 1,
            next_question: 1,
            seq: 0,
            oldest_event: 1,
            ended: [0; 4],
            lease_floor: Lease(0),
        };
        let mut tx = self.tx(Principal::System, None);
        tx.record_as("hub.founded", Change::Head(head.into()));
        tx.finish()
    }

    /// Makes a loaded state ready to go on: leases are granted again in full, for nobody can renew
    /// while a hub is down. Its time so far is when the loading began.
    pub fn resume(&mut self, now: Now) -> Step {
        let took = now.mono - self.state.now().mono;
        self.state.tick(now);
        self.state.resume_shares();
        self.state.resume_rates();
        let mut tx = self.tx(Principal::System, None);
        heal::resume(&mut tx, took);
        schedule::run(&mut tx);
        tx.finish()
    }

    /// Begins another life of the data set, which was restored from a backup: no
    /// number is given out again, and no work that was under way at the backup goes on.
    pub fn renew(&mut self, now: Now, incarnation: Incarnation) -> Step {
        self.state.tick(now);
        let mut tx = self.tx(Principal::System, None);
        renew::run(&mut tx, incarnation);
        advance::run(&mut tx);
        tx.finish()
    }

    /// Takes `input` in and decides what follows from it and from the time. A hub that is late lets
    /// no deadline pass but in an [`Input::Wake`], which has to follow when all that waits has been
    /// heard: it may be what the deadline is for.
    pub fn step(&mut self, now: Now, input: Input) -> Step {
        let gone = now.mono - self.state.now().mono;
        let hears_first = !matches!(input, Input::Wake)
            && self.next_wake().is_some_and(|at| now.mono - at > LATE);
        self.state.tick(now);
        let mut tx = match &input {
            Input::Call { by, cause, .. } => {
                let (by, cause) = (by.clone(), cause.clone());
                self.tx(by, cause)
            }
            Input::Frame { session, .. } => {
                let agent = self.state.session(*session).and_then(|session| session.agent.clone());
                self.tx(agent.map_or(Principal::System, Principal::Agent), None)
            }
            Input::Opened { .. }
            | Input::Closed(_)
            | Input::Wake
            | Input::Stalled
            | Input::Trim { .. } => self.tx(Principal::System, None),
        };
        match input {
            Input::Call { call, command, facts, .. } => {
                command::take(&mut tx, call, command, &facts)
            }
            Input::Opened { session, dialect, peer } => {
                frame::opened(&mut tx, session, dialect, peer)
            }
            Input::Frame { session, frame, token, facts } => {
                frame::take(&mut tx, session, frame, token, &facts);
            }
            Input::Closed(session) => frame::closed(&mut tx, session),
            Input::Wake => {}
            Input::Stalled => heal::stood_still(&mut tx, gone),
            Input::Trim { keys, events, oldest } => {
                tx.record_as("feed.trimmed", Change::Trimmed { keys, events, oldest });
            }
        }
        tx.by = Principal::System;
        if !hears_first {
            heal::run(&mut tx);
        }
        advance::run(&mut tx);
        schedule::run(&mut tx);
        tx.finish()
    }

    /// When to step with [`Input::Wake`] if nothing else happens: when something is due and, as long
    /// as there are agents that could pay for it, often enough to notice a standstill.
    #[must_use]
    pub fn next_wake(&self) -> Option<Mono> {
        let now = self.state.now();
        let due = self.state.alarms().next(now).map(|(at, _)| at);
        let watch = self.state.is_watching().then_some(now.mono + WATCH_EVERY);
        due.into_iter().chain(watch).min()
    }

    /// By how much it is late at `now` for what is due, if that is more than a hub at work ever is:
    /// then the next step takes in [`Input::Stalled`].
    #[must_use]
    pub fn stalled_for(&self, now: Mono) -> Option<Span> {
        // What was due at the latest step already waits for its turn and not for the hub.
        let late = now - self.next_wake()?.max(self.state.now().mono);
        Some(late).filter(|late| *late > self.config.stalled_after)
    }

    /// Everything it knows.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// What a ready task is to the rules.
    #[must_use]
    pub fn why(&self, id: crate::id::TaskId) -> Option<crate::view::Why> {
        schedule::why(&self.state, id)
    }

    /// Forgets what is kept only until it is durable.
    pub fn settle(&mut self, seq: u64) {
        self.state.settle(seq);
    }

    /// Gives its rules back, for a hub that takes its place.
    #[must_use]
    pub fn into_rules(self) -> (HubConfig, Box<dyn Policy>) {
        (self.config, self.policy)
    }

    /// By which figures it decides.
    #[must_use]
    pub const fn config(&self) -> &HubConfig {
        &self.config
    }

    /// Makes a volatile change true that no step has asked for, as a bug would.
    #[cfg(any(feature = "testing", test))]
    pub(crate) fn feel(&mut self, pulse: crate::state::Pulse) {
        self.state.feel(pulse);
    }

    /// Makes a durable change true that no step has asked for, as a bug would.
    #[cfg(any(feature = "testing", test))]
    pub(crate) fn apply(&mut self, change: Change) {
        self.state.apply(change);
    }

    fn tx(&mut self, by: Principal, cause: Option<Box<str>>) -> tx::Tx<'_> {
        tx::Tx::new(&mut self.state, &self.config, &*self.policy, by, cause)
    }
}

/// The beginning of a text, of so many characters at most.
fn clipped(text: &str, chars_max: usize) -> Box<str> {
    text.chars().take(chars_max).collect::<String>().into()
}

#[cfg(test)]
#[cfg(feature = "driver")]
mod tests;
