//! This file serves money: what is spent, how much may be, what models cost, and the emergency stop.

use std::collections::BTreeMap;

use agentcom_core::command::Command;
use agentcom_core::price::{LISTED, Price};
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{Permit, ReadSpending, SteerSpending};
use crate::dto::money::{CapBody, CapNameBody, LedgerQuery, ModelBody, PriceBody, micros_of};
use crate::error::Problem;
use crate::input::{Body, Query};
use crate::route::{Method, Route};

const CAPS: &str = "/api/admin/caps";
const PRICES: &str = "/api/admin/prices";
const ESTOP: &str = "/api/admin/estop";

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/ledger", ledger),
        Route::new(Method::Get, CAPS, caps),
        Route::new(Method::Put, CAPS, set_cap),
        Route::new(Method::Delete, CAPS, remove_cap),
        Route::new(Method::Get, PRICES, prices),
        Route::new(Method::Put, PRICES, set_price),
        Route::new(Method::Delete, PRICES, remove_price),
        Route::new(Method::Put, ESTOP, stop),
        Route::new(Method::Delete, ESTOP, go_on),
    ]
}

async fn ledger(
    permit: Permit<ReadSpending>,
    (Query(query),): (Query<LedgerQuery>,),
) -> Result<Json<Value>, Problem> {
    let money = permit.hub().money(query.account.unwrap_or_default()).await?;
    Ok(Json(json!({
        "count": money.accounts.len(), "accounts": money.accounts, "more": money.more,
        "stopped": money.stopped,
    })))
}

async fn caps(permit: Permit<ReadSpending>, (): ()) -> Result<Json<Value>, Problem> {
    let money = permit.hub().money("all".into()).await?;
    let caps = money.caps.iter();
    let caps: Vec<Value> =
        caps.map(|(cap, limit)| json!({ "cap": cap, "limit_micros": limit })).collect();
    Ok(Json(json!({ "count": caps.len(), "caps": caps, "stopped": money.stopped })))
}

async fn set_cap(
    permit: Permit<SteerSpending>,
    (Body(body),): (Body<CapBody>,),
) -> Result<Json<Value>, Problem> {
    let (cap, limit) = (body.cap()?, body.limit_micros);
    permit.call(Command::SetCap { cap: cap.clone(), limit: Some(limit) }).await?;
    Ok(Json(json!({ "cap": cap, "limit_micros": limit })))
}

async fn remove_cap(
    permit: Permit<SteerSpending>,
    (Body(body),): (Body<CapNameBody>,),
) -> Result<Json<Value>, Problem> {
    let cap = body.cap()?;
    permit.call(Command::SetCap { cap: cap.clone(), limit: None }).await?;
    Ok(Json(json!({ "cap": cap, "limit_micros": null })))
}

async fn prices(permit: Permit<ReadSpending>, (): ()) -> Result<Json<Value>, Problem> {
    let set = permit.hub().money("all".into()).await?.prices;
    let set: BTreeMap<_, _> = set.into_iter().collect();
    let shown = |model: &str, price: &Price, source: &str, as_of: Option<&str>| {
        json!({
            "model": model, "price": micros_of(price), "source": source, "as_of": as_of,
        })
    };
    let own = set.iter().map(|(model, price)| shown(model.as_str(), price, "operator", None));
    let listed = LISTED.iter().filter(|listed| !set.contains_key(listed.model));
    let listed =
        listed.map(|listed| shown(listed.model, &listed.price, listed.source, Some(listed.as_of)));
    let prices: Vec<Value> = own.chain(listed).collect();
    Ok(Json(json!({ "count": prices.len(), "prices": prices })))
}

async fn set_price(
    permit: Permit<SteerSpending>,
    (Body(body),): (Body<PriceBody>,),
) -> Result<Json<Value>, Problem> {
    let price = body.price();
    permit.call(Command::SetPrice { model: body.model.clone(), price: Some(price) }).await?;
    Ok(Json(json!({ "model": body.model, "price": micros_of(&price) })))
}

async fn remove_price(
    permit: Permit<SteerSpending>,
    (Body(ModelBody { model }),): (Body<ModelBody>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::SetPrice { model: model.clone(), price: None }).await?;
    Ok(Json(json!({ "model": model, "price": null })))
}

async fn stop(permit: Permit<SteerSpending>, (): ()) -> Result<Json<Value>, Problem> {
    permit.call(Command::Estop { stop: true }).await?;
    Ok(Json(json!({ "status": "stopped" })))
}

async fn go_on(permit: Permit<SteerSpending>, (): ()) -> Result<Json<Value>, Problem> {
    permit.call(Command::Estop { stop: false }).await?;
    Ok(Json(json!({ "status": "running" })))
}
