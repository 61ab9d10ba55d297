//! This file checks what a hub decides, step by step on a bench.

mod agents;
mod bounds;
mod corners;
mod edges;
mod limits;
mod matrix;
mod money;
mod openings;
mod operators;
mod ownership;
mod questions;
mod reports;
mod resubmission;
mod roster;
mod routing;
mod sandbox;
mod stalls;
mod submission;
mod why;

use super::*;
use crate::command::Reply;
use crate::id::{Lease, TaskId};
use crate::json::Json;
use crate::name::{AgentId, Capability, Kind};
use crate::task::{Draft, TaskState};
use crate::testing::bench::Bench;
use crate::time::Span;
use crate::wire::{self, Held};
use alloc::string::ToString as _;
use alloc::vec;
use schedule::FairPolicy;

pub(super) fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

pub(super) fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"true"}"#).unwrap())
}

pub(super) fn needing(capability: &str) -> Draft {
    Draft { needs: vec![Capability::new(capability).unwrap()], ..draft() }
}

pub(super) const fn lease(number: u64) -> Lease {
    Lease(number)
}
