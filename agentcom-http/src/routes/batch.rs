//! This file serves batches: tasks that depend on each other, queued all together or not at all.

use agentcom_core::command::{Command, Reply};
use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use crate::auth::{Permit, SubmitTasks};
use crate::dto::batch::{BatchBody, drafts};
use crate::error::{FieldError, Place, Problem};
use crate::input::{Body, Headers};
use crate::route::{Method, Route};
use crate::routes::tasks::key;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new(Method::Post, "/api/tasks/batch", submit)]
}

async fn submit(
    permit: Permit<SubmitTasks>,
    (Headers(headers), Body(body)): (Headers, Body<BatchBody>),
) -> Result<(StatusCode, Json<Value>), Problem> {
    if key(&headers)?.is_some() {
        let why = "is for single tasks; give each task of a batch its own idempotency_key";
        return Err(Problem::fields(vec![FieldError::invalid("Idempotency-Key", why)]));
    }
    let named = drafts(body).map_err(Problem::fields)?;
    let heads: Vec<_> = named.iter().map(|(name, draft)| (name.clone(), draft.priority)).collect();
    let drafts = named.into_iter().map(|(_, draft)| draft).collect();
    let all = match permit.ask(Command::SubmitBatch(drafts)).await? {
        Reply::SubmittedBatch(all) if all.len() == heads.len() => all,
        Reply::Rejected(rejected) => return Err(Problem::rejected(&rejected, Place::Batch)),
        Reply::SubmittedBatch(_)
        | Reply::Done
        | Reply::Submitted(_)
        | Reply::Cancelled { .. }
        | Reply::Revived { .. } => return Err(Problem::internal()),
    };
    let tasks = all.iter().zip(heads).map(|(task, (name, priority))| {
        json!({
            "ref": name,
            "task_id": task.id,
            "priority": priority,
            "created_at": task.created_at,
            "existing": task.existing,
        })
    });
    let tasks: Vec<Value> = tasks.collect();
    let told = json!({ "status": "queued", "count": tasks.len(), "tasks": tasks });
    Ok((StatusCode::CREATED, Json(told)))
}
