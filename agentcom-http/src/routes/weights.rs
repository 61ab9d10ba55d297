//! This file serves the knobs of fairness: weights of fair keys, and how often the oldest goes
//! first.

use agentcom_core::command::Command;
use agentcom_core::name::Key;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, SteerQueue};
use crate::dto::manage::{OldestFirstBody, WeightBody};
use crate::error::Problem;
use crate::input::{Body, Named};
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Put, "/api/admin/weights/{key}", weigh),
        Route::new(Method::Put, "/api/admin/oldest-first", oldest_first),
    ]
}

async fn weigh(
    permit: Permit<SteerQueue>,
    (Named(key), Body(WeightBody { weight })): (Named<Key>, Body<WeightBody>),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::SetWeight { key: key.clone(), weight }).await?;
    Ok(Json(json!({ "fair_key": key, "weight": weight })))
}

async fn oldest_first(
    permit: Permit<SteerQueue>,
    (Body(OldestFirstBody { every }),): (Body<OldestFirstBody>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::SetOldestFirst { every }).await?;
    Ok(Json(json!({ "every": every })))
}
