//! This file says what the feed tells of a task's moves.

use alloc::string::String;

use serde::Serialize;

use super::EVENT_TEXT_MAX;
use crate::json::Json;
use crate::name::Kind;
use crate::task::{Life, Outcome, Priority, Task, TaskState};
use crate::view::Event;

/// What an event says of a task that was added.
#[derive(Serialize)]
pub(super) struct SubmittedDetail<'a> {
    state: &'static str,
    priority: Priority,
    op: &'a Kind,
    description: String,
}

impl<'a> SubmittedDetail<'a> {
    pub(super) fn of(task: &'a Task) -> Self {
        let description = task.spec.description.chars().take(EVENT_TEXT_MAX).collect();
        let (state, priority) = (task.life.state.as_str(), task.spec.priority);
        Self { state, priority, op: &task.spec.op.kind, description }
    }
}

/// What an event says of an attempt that ended.
#[derive(Serialize)]
struct EndedDetail {
    outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// The word for the move of a task to a state.
pub(super) const fn word(state: &TaskState) -> &'static str {
    match state {
        TaskState::Blocked { .. } => "task.blocked",
        TaskState::Delayed(_) => "task.delayed",
        TaskState::Ready { .. } => "task.ready",
        TaskState::Assigned(_) => "task.assigned",
        TaskState::Working(_) => "task.working",
        TaskState::Waiting { .. } => "task.waiting",
        TaskState::Completed => "task.completed",
        TaskState::Partial => "task.partial",
        TaskState::Dead(_) => "task.dead_letter",
        TaskState::Cancelled => "task.cancelled",
    }
}

/// Says whose move it was. An attempt that ended earlier is told of once.
pub(super) fn describe(event: &mut Event, life: &Life) {
    let Some(attempt) = life.attempts.last() else { return };
    if attempt.ended.as_ref().is_some_and(|ended| ended.at < life.updated_at) {
        return;
    }
    event.agent_id = Some(attempt.agent.clone());
    event.generation = Some(attempt.lease);
    event.detail = attempt.ended.as_ref().and_then(|ended| {
        let clip = |error: &str| error.chars().take(EVENT_TEXT_MAX).collect();
        let error = ended.error.as_deref().map(clip);
        Json::of(&EndedDetail { outcome: ended.outcome, error }).ok()
    });
}
