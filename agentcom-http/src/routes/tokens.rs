//! This file serves the tokens of agents: register agents, list them, give them other tokens, forget them.

use std::fmt::Write as _;

use agentcom_core::agent::TokenHash;
use agentcom_core::command::Command;
use agentcom_core::driver::token::Token;
use agentcom_core::name::AgentId;
use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::auth::{ManageTokens, Permit, ReadTokens};
use crate::dto::manage::TokenBody;
use crate::error::{FieldError, Problem};
use crate::input::{Body, Named};
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/admin/tokens", create),
        Route::new(Method::Get, "/admin/tokens", list),
        Route::new(Method::Delete, "/admin/tokens/{agent}", remove),
        Route::new(Method::Post, "/api/admin/agents/{id}/reset-token", rotate),
    ]
}

async fn create(
    permit: Permit<ManageTokens>,
    (Body(body),): (Body<TokenBody>,),
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = AgentId::new(&body.agent_id);
    let id = id.map_err(|bad| Problem::fields(vec![FieldError::invalid("agent_id", bad)]))?;
    let token = Token::generate()?;
    permit.call(Command::AddAgent { id: id.clone(), token: token.hash() }).await?;
    Ok((StatusCode::CREATED, Json(shown_once(&id, &token))))
}

/// The one time that a token is shown.
fn shown_once(id: &AgentId, token: &Token) -> Value {
    json!({ "agent_id": id, "token": token.reveal() })
}

async fn list(permit: Permit<ReadTokens>, (): ()) -> Result<Json<Value>, Problem> {
    let agents = permit.hub().agents().await?.into_iter();
    let tokens = agents.map(|seen| {
        let prints: Vec<String> = seen.agent.tokens.iter().map(fingerprint).collect();
        json!({
            "agent_id": seen.agent.id,
            "registered_at": seen.agent.registered_at,
            "fingerprints": prints,
        })
    });
    let tokens: Vec<Value> = tokens.collect();
    Ok(Json(json!({ "count": tokens.len(), "tokens": tokens })))
}

/// Enough of a hash to tell tokens apart.
pub(super) fn fingerprint(hash: &TokenHash) -> String {
    hash.0[..4].iter().fold(String::from("sha256:"), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

async fn remove(
    permit: Permit<ManageTokens>,
    (Named(id),): (Named<AgentId>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::RemoveAgent(id.clone())).await?;
    Ok(Json(json!({ "status": "revoked", "agent_id": id })))
}

async fn rotate(
    permit: Permit<ManageTokens>,
    (Named(id),): (Named<AgentId>,),
) -> Result<Json<Value>, Problem> {
    let token = Token::generate()?;
    permit.call(Command::RotateToken { id: id.clone(), token: token.hash() }).await?;
    Ok(Json(shown_once(&id, &token)))
}
