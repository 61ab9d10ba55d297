//! This file serves the dead letters: list them, and retry many at once.

use agentcom_core::command::{Command, Reply};
use agentcom_core::id::TaskId;
use agentcom_core::view::TaskQuery;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{ChangeTasks, Permit, ReadTasks};
use crate::dto::manage::{Chosen, RetryBody};
use crate::dto::query::ListQuery;
use crate::error::{FieldError, Problem};
use crate::input::{Body, Query};
use crate::route::{Method, Route};
use crate::routes::tasks::page;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/tasks/dead-letter", list),
        Route::new(Method::Post, "/api/tasks/dead-letter/retry", retry),
    ]
}

async fn list(
    permit: Permit<ReadTasks>,
    (Query(query),): (Query<ListQuery>,),
) -> Result<Json<Value>, Problem> {
    if query.state.is_some() || query.status.is_some() {
        let why = "is given by the path; leave it out here";
        return Err(Problem::fields(vec![FieldError::invalid("state", why)]));
    }
    let state = Some("dead_letter".to_owned());
    page(&permit, ListQuery { state, ..query }).await.map(Json)
}

async fn retry(
    permit: Permit<ChangeTasks>,
    (Body(body),): (Body<RetryBody>,),
) -> Result<Json<Value>, Problem> {
    let (ids, more) = match body.chosen().map_err(Problem::fields)? {
        Chosen::Ids(ids) => (ids, false),
        Chosen::Fitting { query, limit } => gather(&permit, query, limit).await?,
    };
    if ids.is_empty() {
        return Ok(Json(told(&[], &[], more)));
    }
    let Reply::Revived { revived, skipped } = permit.call(Command::Revive(ids)).await? else {
        return Err(Problem::internal());
    };
    let skipped = skipped.into_iter().map(|(id, why)| {
        let problem = Problem::from(why).document();
        json!({ "task_id": id, "error": problem["error"], "detail": problem["detail"] })
    });
    Ok(Json(told(&revived, &skipped.collect::<Vec<_>>(), more)))
}

fn told(revived: &[TaskId], skipped: &[Value], more: bool) -> Value {
    json!({
        "status": "queued",
        "count": revived.len(),
        "task_ids": revived,
        "skipped": skipped,
        "more": more,
    })
}

/// The dead letters that fit, up to a bound, and whether there may be more.
async fn gather(
    permit: &Permit<ChangeTasks>,
    mut query: TaskQuery,
    limit: usize,
) -> Result<(Vec<TaskId>, bool), Problem> {
    let mut ids = Vec::new();
    loop {
        query.limit = (limit - ids.len()).min(TaskQuery::LIMIT_MAX);
        let page = permit.hub().tasks(query.clone()).await?;
        ids.extend(page.tasks.iter().take(query.limit).map(|task| task.id));
        let Some(next) = page.next else { return Ok((ids, false)) };
        if ids.len() >= limit {
            return Ok((ids, true));
        }
        query.after = Some(next);
    }
}
