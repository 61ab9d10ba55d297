//! This file serves repositories: what there are, in which order, and whether work on them is paused.

use agentcom_core::command::{Command, RepoCommand};
use agentcom_core::name::RepoName;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, ReadTasks, SteerQueue};
use crate::dto::repo::{PlaceBody, RepoBody};
use crate::error::Problem;
use crate::input::{Body, Named};
use crate::route::{Method, Route};

const PATH: &str = "/api/repos/{name}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/repos", list),
        Route::new(Method::Put, PATH, set),
        Route::new(Method::Delete, PATH, remove),
        Route::new(Method::Put, "/api/repos/{name}/place", place),
        Route::new(Method::Post, "/api/repos/{name}/pause", pause),
        Route::new(Method::Post, "/api/repos/{name}/unpause", unpause),
    ]
}

async fn list(permit: Permit<ReadTasks>, (): ()) -> Result<Json<Value>, Problem> {
    Ok(Json(json!({ "repos": permit.hub().repos().await? })))
}

async fn set(
    permit: Permit<SteerQueue>,
    (Named(name), Body(body)): (Named<RepoName>, Body<RepoBody>),
) -> Result<Json<Value>, Problem> {
    let repo = body.repo(name.clone()).map_err(Problem::fields)?;
    tell(&permit, RepoCommand::Set(repo.into())).await?;
    Ok(Json(json!({ "name": name, "status": "set" })))
}

async fn remove(
    permit: Permit<SteerQueue>,
    (Named(name),): (Named<RepoName>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, RepoCommand::Remove(name.clone())).await?;
    Ok(Json(json!({ "name": name, "status": "removed" })))
}

async fn place(
    permit: Permit<SteerQueue>,
    (Named(name), Body(PlaceBody { place })): (Named<RepoName>, Body<PlaceBody>),
) -> Result<Json<Value>, Problem> {
    tell(&permit, RepoCommand::Move(name.clone(), place)).await?;
    Ok(Json(json!({ "name": name, "status": "moved" })))
}

async fn pause(
    permit: Permit<SteerQueue>,
    (Named(name),): (Named<RepoName>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, RepoCommand::Pause(name.clone())).await?;
    Ok(Json(json!({ "name": name, "status": "paused" })))
}

async fn unpause(
    permit: Permit<SteerQueue>,
    (Named(name),): (Named<RepoName>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, RepoCommand::Unpause(name.clone())).await?;
    Ok(Json(json!({ "name": name, "status": "active" })))
}

async fn tell(permit: &Permit<SteerQueue>, command: RepoCommand) -> Result<(), Problem> {
    permit.call(Command::Repo(command)).await.map(drop)
}
