//! This file serves figures about the hub and its queue.

use std::collections::BTreeMap;

use agentcom_core::task::Priority;
use agentcom_core::view::Stats;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, ReadTasks};
use crate::dto::manage::ScopeBody;
use crate::dto::status::status_of;
use crate::error::Problem;
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/stats", stats),
        Route::new(Method::Get, "/api/tasks/stats", task_stats),
    ]
}

async fn stats(permit: Permit<ReadTasks>, (): ()) -> Result<Json<Value>, Problem> {
    let stats = permit.hub().stats().await?;
    Ok(Json(json!({
        "incarnation": stats.incarnation,
        "seq": stats.seq,
        "tasks": tasks(&stats),
        "agents": counts(&stats.agents),
        "questions": stats.questions,
        "quiet_for_ms": stats.quiet_for.as_millis(),
        "lag": stats.lag,
        "paused": stats.paused.iter().map(ScopeBody::from).collect::<Vec<_>>(),
        "stopped": stats.stopped,
    })))
}

async fn task_stats(permit: Permit<ReadTasks>, (): ()) -> Result<Json<Value>, Problem> {
    let stats = permit.hub().stats().await?;
    Ok(Json(tasks(&stats)))
}

fn tasks(stats: &Stats) -> Value {
    let mut by_status: BTreeMap<&str, u64> = BTreeMap::new();
    for (state, count) in stats.tasks.iter().chain(&stats.ended) {
        *by_status.entry(status_of(state)).or_default() += count;
    }
    let lanes = Priority::ALL.map(|lane| (lane.as_str(), stats.ready_by_lane[lane.lane()]));
    json!({
        "by_status": by_status,
        "by_state": counts(&stats.tasks),
        "ended": counts(&stats.ended),
        "ready_by_priority": counts(&lanes),
    })
}

fn counts<'a>(pairs: &[(&'a str, u64)]) -> BTreeMap<&'a str, u64> {
    pairs.iter().copied().collect()
}
