//! This file has backups made.

use axum::Json;
use axum::http::StatusCode;
use serde_json::Value;

use crate::auth::{ManageBackups, Permit};
use crate::error::Problem;
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new(Method::Post, "/api/admin/backup", back_up)]
}

async fn back_up(
    permit: Permit<ManageBackups>,
    (): (),
) -> Result<(StatusCode, Json<Value>), Problem> {
    let backups = permit.options().backups.as_ref().ok_or_else(Problem::no_backups)?;
    let made = backups.back_up().await.map_err(|why| Problem::backup_failed(&why))?;
    Ok((StatusCode::CREATED, Json(made)))
}
