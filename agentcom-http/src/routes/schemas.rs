//! This file serves the shapes of frames and bodies as data.

use axum::Json;
use serde_json::Value;

use crate::auth::Pulse;
use crate::error::Problem;
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new(Method::Get, "/api/schemas", schemas)]
}

async fn schemas(_: Pulse, (): ()) -> Result<Json<Value>, Problem> {
    Ok(Json(crate::schema::document()))
}
