//! This file serves the original's "push a task to an agent": a tracked task that is pinned to it.

use axum::response::Response;

use crate::auth::{Permit, PushTasks};
use crate::dto::manage::PushBody;
use crate::error::Problem;
use crate::input::{Body, Headers};
use crate::route::{Method, Route};
use crate::routes::tasks::{read, submit_draft};

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new(Method::Post, "/api/admin/push-task", push)]
}

async fn push(
    permit: Permit<PushTasks>,
    (Headers(headers), Body(body)): (Headers, Body<PushBody>),
) -> Result<Response, Problem> {
    submit_draft(&permit, read(body.into(), &headers)?).await
}
