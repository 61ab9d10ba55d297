//! This file is the protocol between hub and agents: JSON text frames with a `type`.
//!
//! Two kinds of clients speak it. A *v1* client negotiates the sub-protocol [`PROTOCOL`] and
//! carries the generation (the lease number) on every frame about a task. A *plain* client is the
//! original Node sidecar or any WebSocket program: many of its frames have no generation.
//!
//! Unknown fields are ignored in both directions, and optional fields may be `null`.

mod figures;
mod frame;
mod read;
mod to_agent;
mod to_hub;

pub use figures::Figures;
pub use frame::Frame;
pub use read::{BadFrame, FieldError, read_to_agent, read_to_hub};
pub use to_agent::{
    Acked, Answered, AssignedComplexity, Assignment, ErrorFrame, Identified, InferredTier,
    PeerAgent, ReportAction, Route, RoutingDecision, SpendAnswered, TaskAck, ToAgent,
};
pub use to_hub::{
    Accepted, Asked, Complete, Failed, Held, Identify, Ping, Progress, Recovering, Rejection,
    Released, Report, SpendCall, ToHub, WakeResult, Withdrawn,
};

/// The sub-protocol that v1 clients negotiate.
pub const PROTOCOL: &str = "agentcom.v1";

/// Which rules a client follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// It negotiated [`PROTOCOL`].
    V1,
    /// It did not.
    Plain,
}

/// Writes a frame.
///
/// # Panics
///
/// Never for the frames of this module: their keys are text and their payloads valid JSON.
#[must_use]
pub fn write<F: serde::Serialize>(frame: &F) -> alloc::string::String {
    serde_json::to_string(frame).expect("frames serialise")
}

#[cfg(test)]
mod tests;
