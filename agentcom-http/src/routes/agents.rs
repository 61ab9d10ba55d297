//! This file serves agents: who is there and how they are, drain, resume and restart.

use agentcom_core::command::{Command, Rejected};
use agentcom_core::name::AgentId;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{ChangeAgents, Permit, ReadAgents};
use crate::dto::agent::AgentView;
use crate::dto::manage::RestartBody;
use crate::error::Problem;
use crate::input::{MaybeBody, Named};
use crate::route::{Method, Route};

/// The longest reason for a restart, in characters.
const REASON_CHARS_MAX: usize = 500;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/agents", list),
        Route::new(Method::Get, "/api/agents/states", list),
        Route::new(Method::Get, "/api/agents/{id}/state", show),
        Route::new(Method::Post, "/api/agents/{id}/drain", drain),
        Route::new(Method::Post, "/api/agents/{id}/resume", resume),
        Route::new(Method::Post, "/api/admin/agents/{id}/restart", restart),
    ]
}

async fn list(permit: Permit<ReadAgents>, (): ()) -> Result<Json<Value>, Problem> {
    let agents = permit.hub().agents().await?.into_iter();
    let agents: Vec<AgentView> = agents.map(|seen| AgentView::from(seen).brief()).collect();
    Ok(Json(json!({ "count": agents.len(), "agents": agents })))
}

async fn show(
    permit: Permit<ReadAgents>,
    (Named(id),): (Named<AgentId>,),
) -> Result<Json<AgentView>, Problem> {
    let agents = permit.hub().agents().await?;
    let found = agents.into_iter().find(|seen| seen.agent.id == id);
    Ok(Json(AgentView::from(found.ok_or(Rejected::UnknownAgent(id))?)))
}

async fn drain(
    permit: Permit<ChangeAgents>,
    (Named(id),): (Named<AgentId>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::Drain(id.clone())).await?;
    Ok(Json(json!({ "status": "draining", "agent_id": id })))
}

async fn resume(
    permit: Permit<ChangeAgents>,
    (Named(id),): (Named<AgentId>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::Resume(id.clone())).await?;
    Ok(Json(json!({ "status": "resumed", "agent_id": id })))
}

async fn restart(
    permit: Permit<ChangeAgents>,
    (Named(id), MaybeBody(body)): (Named<AgentId>, MaybeBody<RestartBody>),
) -> Result<Json<Value>, Problem> {
    let reason = body.reason.unwrap_or_else(|| "asked for over HTTP".into());
    let reason = reason.chars().take(REASON_CHARS_MAX).collect();
    permit.call(Command::Restart { id: id.clone(), reason }).await?;
    Ok(Json(json!({ "status": "restart_requested", "agent_id": id })))
}
