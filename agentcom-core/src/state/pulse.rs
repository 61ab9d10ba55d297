//! This file lists the volatile changes of a state: signs of life, deadlines and progress.
//!
//! They go through the state like changes, but are neither stored nor numbered, so a heartbeat
//! costs no write.

use alloc::boxed::Box;

use super::{Claimant, Clocks, Due, Health, Refusals, Session};
use crate::agent::{LastOutcome, Profile};
use crate::id::{SessionId, TaskId};
use crate::name::{AgentId, Credential, EndpointId, Key};
use crate::time::{Mono, Wall};

/// A volatile change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pulse {
    /// A connection is as said.
    Session(Box<Session>),
    /// What the agent of a connection says of itself is as said.
    Profile(SessionId, Box<Profile>),
    /// A connection ended.
    SessionGone(SessionId),
    /// The deadlines of a held task are as said.
    Clocks(TaskId, Clocks),
    /// A task's backoff is over at this time.
    Backoff(TaskId, Mono),
    /// An agent's attempt ended.
    LastOutcome(AgentId, LastOutcome),
    /// An agent crashed at this time, with all that it held.
    Crashed(AgentId, Wall),
    /// A rate has room again at this time.
    RateOpens(Key, Wall),
    /// A task waits for the agent that has its repository at hand, until this time.
    AffinityEnds(TaskId, Mono),
    /// An endpoint is doing as said.
    Health(EndpointId, Box<Health>),
    /// An endpoint is looked at next at this time.
    ProbeAt(EndpointId, Mono),
    /// A key whose quota was renewed may be used by so many tasks at once, until this time.
    UsersBack(Credential, u32, Mono),
    /// Somebody at an address failed to prove to be an agent, or did at last.
    Refusals(Claimant, Option<Refusals>),
    /// The hub was away, and until this time agents may be on their way back.
    Returning(Mono),
    /// The hub stood still, and until this time no agent has to have been heard.
    Lenient(Mono),
    /// A deadline has passed and is dealt with.
    Passed(Due),
}
