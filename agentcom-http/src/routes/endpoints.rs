//! This file serves endpoints: servers of models, and how tasks come to them.

use agentcom_core::command::{Command, EndpointCommand};
use agentcom_core::name::EndpointId;
use agentcom_core::view::RoutingView;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, ReadAgents, SteerQueue};
use crate::dto::endpoint::{ChainBody, EndpointBody, ExecutorBody, ParkBody, ParkingBody};
use crate::error::Problem;
use crate::input::{Body, Named};
use crate::route::{Method, Route};

const PATH: &str = "/api/endpoints/{name}";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/endpoints", list),
        Route::new(Method::Put, PATH, set),
        Route::new(Method::Delete, PATH, remove),
        Route::new(Method::Post, "/api/endpoints/{name}/park", park),
        Route::new(Method::Post, "/api/endpoints/{name}/unpark", unpark),
        Route::new(Method::Put, "/api/admin/chain", chain),
        Route::new(Method::Put, "/api/admin/executor", executor),
        Route::new(Method::Put, "/api/admin/parking", parking),
    ]
}

async fn list(permit: Permit<ReadAgents>, (): ()) -> Result<Json<RoutingView>, Problem> {
    Ok(Json(permit.hub().routing().await?))
}

async fn set(
    permit: Permit<SteerQueue>,
    (Named(name), Body(body)): (Named<EndpointId>, Body<EndpointBody>),
) -> Result<Json<Value>, Problem> {
    let endpoint = body.endpoint().map_err(Problem::fields)?;
    tell(&permit, EndpointCommand::Set(name.clone(), endpoint.into())).await?;
    Ok(Json(json!({ "name": name, "status": "set" })))
}

async fn remove(
    permit: Permit<SteerQueue>,
    (Named(name),): (Named<EndpointId>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Remove(name.clone())).await?;
    Ok(Json(json!({ "name": name, "status": "removed" })))
}

async fn park(
    permit: Permit<SteerQueue>,
    (Named(name), Body(body)): (Named<EndpointId>, Body<ParkBody>),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Park(name.clone(), body.for_ms)).await?;
    Ok(Json(json!({ "name": name, "status": "parked" })))
}

async fn unpark(
    permit: Permit<SteerQueue>,
    (Named(name),): (Named<EndpointId>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Unpark(name.clone())).await?;
    Ok(Json(json!({ "name": name, "status": "unparked" })))
}

async fn chain(
    permit: Permit<SteerQueue>,
    (Body(ChainBody { tier, classes }),): (Body<ChainBody>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Chain(tier, classes.clone())).await?;
    Ok(Json(json!({ "tier": tier, "classes": classes })))
}

async fn executor(
    permit: Permit<SteerQueue>,
    (Body(ExecutorBody { tier, kind }),): (Body<ExecutorBody>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Executor(tier, kind.clone())).await?;
    Ok(Json(json!({ "tier": tier, "kind": kind })))
}

async fn parking(
    permit: Permit<SteerQueue>,
    (Body(ParkingBody { parking }),): (Body<ParkingBody>,),
) -> Result<Json<Value>, Problem> {
    tell(&permit, EndpointCommand::Parking(parking)).await?;
    Ok(Json(json!({ "parking": parking })))
}

async fn tell(permit: &Permit<SteerQueue>, command: EndpointCommand) -> Result<(), Problem> {
    permit.call(Command::Endpoint(command)).await.map(drop)
}
