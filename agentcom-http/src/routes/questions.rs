//! This file serves questions that agents ask people: list them, answer one.

use agentcom_core::command::Command;
use agentcom_core::id::QuestionId;
use agentcom_core::question::Question;
use axum::Json;
use serde_json::{Value, json};

use crate::auth::{AnswerQuestions, Permit, ReadQuestions};
use crate::dto::manage::AnswerBody;
use crate::error::Problem;
use crate::input::{Body, Named};
use crate::route::{Method, Route};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(Method::Get, "/api/questions", list),
        Route::new(Method::Post, "/api/questions/{id}/answer", answer),
    ]
}

async fn list(permit: Permit<ReadQuestions>, (): ()) -> Result<Json<Value>, Problem> {
    let questions: Vec<Value> = permit.hub().questions().await?.iter().map(shown).collect();
    Ok(Json(json!({ "count": questions.len(), "questions": questions })))
}

fn shown(question: &Question) -> Value {
    json!({
        "question_id": question.id,
        "task_id": question.task,
        "generation": question.lease,
        "agent_id": question.asked_by,
        "question": question.text,
        "asked_at": question.asked_at,
        "deadline": question.deadline,
        "default": question.default,
        "takes": question.takes(),
    })
}

async fn answer(
    permit: Permit<AnswerQuestions>,
    (Named(id), Body(AnswerBody { answer })): (Named<QuestionId>, Body<AnswerBody>),
) -> Result<Json<Value>, Problem> {
    permit.call(Command::Answer { id, answer }).await?;
    Ok(Json(json!({ "status": "answered", "question_id": id })))
}
