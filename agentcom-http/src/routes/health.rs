//! This file answers whether the hub lives and works.

use std::time::Duration;

use agentcom_core::agent::Phase;
use agentcom_core::driver::CallError;
use agentcom_core::view::Stats;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::Pulse;
use crate::error::Problem;
use crate::route::{Method, Route};

/// How long the hub may take to give figures before it counts as not working.
const WITHIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/livez", live),
        Route::new(Method::Get, "/readyz", ready),
        Route::new(Method::Get, "/healthz", ready),
        Route::new(Method::Get, "/health", health),
    ]
}

/// The process answers; nothing is said of the hub.
async fn live(_: Pulse, (): ()) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "status": "ok" })))
}

/// The hub answers.
async fn ready(pulse: Pulse, (): ()) -> Result<Json<Value>, Problem> {
    stats(&pulse).await?;
    Ok(Json(json!({ "status": "ok" })))
}

/// The original's form, and how backups went.
async fn health(pulse: Pulse, (): ()) -> Result<Json<Value>, Problem> {
    let stats = stats(&pulse).await?;
    let connected = stats.agents.iter().filter(|(phase, _)| *phase != Phase::Offline.as_str());
    let connected: u64 = connected.map(|(_, count)| count).sum();
    let mut health = json!({
        "status": "ok",
        "service": "agentcom",
        "agents_connected": connected,
        "lag": stats.lag,
    });
    if let Some(backups) = pulse.backups() {
        health["backups"] = backups;
    }
    Ok(Json(health))
}

async fn stats(pulse: &Pulse) -> Result<Stats, Problem> {
    let stats = tokio::time::timeout(WITHIN, pulse.stats()).await;
    Ok(stats.unwrap_or(Err(CallError::Busy { retry_after: WITHIN.into() }))?)
}
