//! This file gathers the tests that are named after what went wrong in the original: `a07_` is about
//! the problem A7 of `table.rs`, `b04_` about the defect B4.

mod api;
mod delivery;
mod operation;
mod plain;
mod sidecar;
mod store;

use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Kind};
use agentcom_core::task::Draft;

fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"true"}"#).unwrap())
}

fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}
