//! This file serves tasks: submit, list, read, cancel, retry, and why one is where it is.

use agentcom_core::command::{Command, Rejected, Reply, Submitted};
use agentcom_core::id::TaskId;
use agentcom_core::name::Key;
use agentcom_core::task::Draft;
use axum::Json;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::auth::{ChangeTasks, Permit, Purpose, ReadTasks, SubmitTasks};
use crate::dto::query::{ListQuery, task_query};
use crate::dto::status::status_of;
use crate::dto::task_body::{References, TaskBody, draft};
use crate::dto::task_view::TaskView;
use crate::error::{FieldError, Problem};
use crate::input::{Body, Headers, Named, Query};
use crate::route::{Method, Route};

const IDEMPOTENCY_KEY: &str = "idempotency-key";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/api/tasks", submit),
        Route::new(Method::Get, "/api/tasks", list),
        Route::new(Method::Get, "/api/tasks/{id}", show),
        Route::new(Method::Get, "/api/tasks/{id}/why", why),
        Route::new(Method::Post, "/api/tasks/{id}/cancel", cancel),
        Route::new(Method::Post, "/api/tasks/{id}/retry", retry),
    ]
}

async fn submit(
    permit: Permit<SubmitTasks>,
    (Headers(headers), Body(body)): (Headers, Body<TaskBody>),
) -> Result<Response, Problem> {
    submit_draft(&permit, read(body, &headers)?).await
}

/// Reads a draft from a body and the header for its key.
pub(super) fn read(mut body: TaskBody, headers: &HeaderMap) -> Result<Draft, Problem> {
    if body.reference.take().is_some() {
        let why = "names a task within a batch; leave it out here";
        return Err(Problem::fields(vec![FieldError::invalid("ref", why)]));
    }
    let mut draft = draft(body, "", &References::new()).map_err(Problem::fields)?;
    if let Some(key) = key(headers)? {
        if draft.idempotency_key.as_ref().is_some_and(|given| *given != key) {
            let why = "differs from the Idempotency-Key header";
            return Err(Problem::fields(vec![FieldError::invalid("idempotency_key", why)]));
        }
        draft.idempotency_key = Some(key);
    }
    Ok(draft)
}

/// The idempotency key in the headers.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<Key>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let key = Key::new(value.to_str().unwrap_or_default());
    let wrong = |bad| Problem::fields(vec![FieldError::invalid("Idempotency-Key", bad)]);
    key.map(Some).map_err(wrong)
}

/// Queues a draft and tells what became of it.
pub(super) async fn submit_draft<P: Purpose>(
    permit: &Permit<P>,
    draft: Draft,
) -> Result<Response, Problem> {
    let priority = draft.priority;
    let reply = permit.call(Command::Submit(Box::new(draft))).await?;
    let Reply::Submitted(submitted) = reply else { return Err(Problem::internal()) };
    let mut told = tell(permit, &submitted).await;
    told["priority"] = json!(priority);
    let status = if submitted.existing { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(told)).into_response())
}

/// What a submitter is told of a task. A task that is new is `queued` to clients of the original,
/// even if an agent has it by now; `state` says where it really is.
async fn tell<P: Purpose>(permit: &Permit<P>, submitted: &Submitted) -> Value {
    let mut told = json!({
        "status": "queued",
        "task_id": submitted.id,
        "created_at": submitted.created_at,
        "existing": submitted.existing,
    });
    // The task is queued already; that its state cannot be read must not look like a failure.
    let Ok(Some(task)) = permit.hub().task(submitted.id).await else { return told };
    let task = TaskView::from(task);
    told["state"] = json!(task.state());
    if submitted.existing {
        told["status"] = json!(task.status());
        told["result"] = json!(task.result());
    }
    told
}

async fn list(
    permit: Permit<ReadTasks>,
    (Query(query),): (Query<ListQuery>,),
) -> Result<Json<Value>, Problem> {
    page(&permit, query).await.map(Json)
}

/// A page of tasks.
pub(super) async fn page<P: Purpose>(
    permit: &Permit<P>,
    query: ListQuery,
) -> Result<Value, Problem> {
    let Some(query) = task_query(query).map_err(Problem::fields)? else {
        return Ok(json!({ "tasks": [], "count": 0, "next_cursor": null }));
    };
    let page = permit.hub().tasks(query).await?;
    let tasks: Vec<TaskView> = page.tasks.into_iter().map(TaskView::from).collect();
    Ok(json!({ "count": tasks.len(), "tasks": tasks, "next_cursor": page.next }))
}

async fn show(
    permit: Permit<ReadTasks>,
    (Named(id),): (Named<TaskId>,),
) -> Result<Json<TaskView>, Problem> {
    let task = permit.hub().task(id).await?.ok_or(Rejected::UnknownTask(id))?;
    Ok(Json(TaskView::from(task)))
}

async fn why(
    permit: Permit<ReadTasks>,
    (Named(id),): (Named<TaskId>,),
) -> Result<Json<Value>, Problem> {
    let why = permit.hub().why(id).await?.ok_or(Rejected::UnknownTask(id))?;
    let status = status_of(why.state);
    let mut told = json!(why);
    told["status"] = json!(status);
    Ok(Json(told))
}

async fn cancel(
    permit: Permit<ChangeTasks>,
    (Named(id),): (Named<TaskId>,),
) -> Result<Json<Value>, Problem> {
    let Reply::Cancelled { previous } = permit.call(Command::Cancel(id)).await? else {
        return Err(Problem::internal());
    };
    Ok(Json(json!({
        "status": "cancelled",
        "state": "cancelled",
        "task_id": id,
        "previous_status": status_of(previous),
        "previous_state": previous,
    })))
}

async fn retry(
    permit: Permit<ChangeTasks>,
    (Named(id),): (Named<TaskId>,),
) -> Result<Json<Value>, Problem> {
    let Reply::Revived { revived, skipped } = permit.call(Command::Revive(vec![id])).await? else {
        return Err(Problem::internal());
    };
    if let Some((_, why)) = skipped.into_iter().next() {
        return Err(why.into());
    }
    if revived != [id] {
        return Err(Problem::internal());
    }
    Ok(Json(json!({ "status": "queued", "task_id": id })))
}
