//! This file serves pauses: of everything, of a repository, of a capability.

use agentcom_core::command::Command;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, ReadQueue, SteerQueue};
use crate::dto::manage::ScopeBody;
use crate::error::Problem;
use crate::input::Body;
use crate::route::{Method, Route};

const PATH: &str = "/api/admin/pauses";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, PATH, list),
        Route::new(Method::Put, PATH, pause),
        Route::new(Method::Delete, PATH, unpause),
    ]
}

async fn list(permit: Permit<ReadQueue>, (): ()) -> Result<Json<Value>, Problem> {
    let paused = permit.hub().stats().await?.paused;
    let paused: Vec<ScopeBody> = paused.iter().map(ScopeBody::from).collect();
    Ok(Json(json!({ "count": paused.len(), "paused": paused })))
}

async fn pause(
    permit: Permit<SteerQueue>,
    (Body(body),): (Body<ScopeBody>,),
) -> Result<Json<Value>, Problem> {
    let scope = body.scope().map_err(Problem::fields)?;
    let shown = ScopeBody::from(&scope);
    permit.call(Command::Pause(scope)).await?;
    Ok(Json(json!({ "status": "paused", "scope": shown })))
}

async fn unpause(
    permit: Permit<SteerQueue>,
    (Body(body),): (Body<ScopeBody>,),
) -> Result<Json<Value>, Problem> {
    let scope = body.scope().map_err(Problem::fields)?;
    let shown = ScopeBody::from(&scope);
    permit.call(Command::Unpause(scope)).await?;
    Ok(Json(json!({ "status": "running", "scope": shown })))
}
