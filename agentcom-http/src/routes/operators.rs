//! This file serves operators' tokens: add one with rights and an end, list, rotate and remove them.

use agentcom_core::command::{Command, OperatorCommand};
use agentcom_core::driver::token::Token;
use agentcom_core::name::OperatorId;
use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::tokens::fingerprint;
use crate::auth::{ManageTokens, Permit, ReadTokens};
use crate::dto::operator::{OperatorBody, OperatorView, RotateBody};
use crate::error::{FieldError, Problem};
use crate::input::{Body, MaybeBody, Named};
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Post, "/api/tokens", add),
        Route::new(Method::Get, "/api/tokens", list),
        Route::new(Method::Delete, "/api/tokens/{name}", remove),
        Route::new(Method::Post, "/api/tokens/{name}/rotate", rotate),
    ]
}

async fn add(
    permit: Permit<ManageTokens>,
    (Body(body),): (Body<OperatorBody>,),
) -> Result<(StatusCode, Json<Value>), Problem> {
    let id = OperatorId::new(&body.name);
    let id = id.map_err(|bad| Problem::fields(vec![FieldError::invalid("name", bad)]))?;
    let (rights, validity) = body.terms().map_err(Problem::fields)?;
    let token = Token::generate()?;
    let command = OperatorCommand::Add { id: id.clone(), rights, validity, token: token.hash() };
    permit.call(Command::Operator(command)).await?;
    Ok((StatusCode::CREATED, Json(shown_once(&permit, &id, &token).await)))
}

/// The one time that a token is shown, with what it permits and until when.
async fn shown_once(permit: &Permit<ManageTokens>, id: &OperatorId, token: &Token) -> Value {
    let mut shown = json!({ "name": id, "token": token.reveal() });
    // It is made, and must be shown whatever else can be said of it.
    let known = permit.hub().operators().await.unwrap_or_default();
    if let Some(operator) = known.into_iter().find(|operator| operator.id == *id) {
        shown["rights"] = json!(operator.rights);
        shown["expires_at"] = json!(operator.tokens.first().and_then(|token| token.expires_at));
    }
    shown
}

async fn list(permit: Permit<ReadTokens>, (): ()) -> Result<Json<Value>, Problem> {
    let operators = permit.hub().operators().await?.into_iter();
    let view = |operator| OperatorView::of(operator, |token| fingerprint(&token.hash));
    let tokens: Vec<OperatorView> = operators.map(view).collect();
    Ok(Json(json!({ "count": tokens.len(), "tokens": tokens })))
}

async fn remove(
    permit: Permit<ManageTokens>,
    (Named(id),): (Named<OperatorId>,),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::Operator(OperatorCommand::Remove(id.clone()))).await?;
    Ok(Json(json!({ "status": "removed", "name": id })))
}

async fn rotate(
    permit: Permit<ManageTokens>,
    (Named(id), MaybeBody(body)): (Named<OperatorId>, MaybeBody<RotateBody>),
) -> Result<Json<Value>, Problem> {
    let validity = body.validity().map_err(Problem::fields)?;
    let token = Token::generate()?;
    let command = OperatorCommand::Rotate { id: id.clone(), validity, token: token.hash() };
    permit.call(Command::Operator(command)).await?;
    Ok(Json(shown_once(&permit, &id, &token).await))
}
