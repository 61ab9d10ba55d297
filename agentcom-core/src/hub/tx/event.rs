//! This file says what the feed tells of each change, and which rows the change concerns.

use alloc::string::String;

use serde::Serialize;

use super::{EVENT_TEXT_MAX, Tx};
use crate::change::Change;
use crate::json::Json;
use crate::name::Kind;
use crate::state::Dirty;
use crate::task::{Life, Outcome, Priority, Task, TaskState};
use crate::view::Event;

/// What an event says of a task that was added.
#[derive(Serialize)]
struct SubmittedDetail<'a> {
    state: &'static str,
    priority: Priority,
    op: &'a Kind,
    description: String,
}

impl<'a> SubmittedDetail<'a> {
    fn of(task: &'a Task) -> Self {
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
fn describe(event: &mut Event, life: &Life) {
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

impl Tx<'_> {
    /// Says what a change is about, and which rows it concerns.
    pub(super) fn touch(&mut self, event: &mut Event, change: &Change) {
        match change {
            Change::AgentSet(agent) => {
                event.agent_id = Some(agent.id.clone());
                self.dirty(Dirty::Agent(agent.id.clone()));
            }
            Change::AgentRemoved(id) => {
                event.agent_id = Some(id.clone());
                self.dirty(Dirty::Agent(id.clone()));
            }
            Change::OperatorSet(operator) => {
                event.operator = Some(operator.id.clone());
                self.dirty(Dirty::Operator(operator.id.clone()));
            }
            Change::OperatorRemoved(id) => {
                event.operator = Some(id.clone());
                self.dirty(Dirty::Operator(id.clone()));
            }
            Change::QuestionAsked(question) => {
                event.task_id = Some(question.task);
                event.agent_id = Some(question.asked_by.clone());
                event.detail = Json::of(&**question).ok();
                self.dirty(Dirty::Question(question.id));
            }
            Change::QuestionClosed(id) => {
                event.detail = Json::of(id).ok();
                self.dirty(Dirty::Question(*id));
            }
            Change::Settings(settings) => {
                event.detail = Json::of(&**settings).ok();
                self.dirty(Dirty::Settings);
            }
            Change::BucketFull(key) => {
                event.detail = Json::of(key).ok();
                self.dirty(Dirty::Bucket(key.clone()));
            }
            Change::Trimmed { keys, events, .. } => {
                let keys = keys.iter().map(|(key, until)| Dirty::KeyOver(key.clone(), *until));
                let events = events.iter().map(|first| Dirty::EventsOver(*first));
                self.step.dirty.extend(keys.chain(events));
            }
            Change::TaskAdded(task) | Change::TaskRevived(task) => {
                describe(event, &task.life);
                event.task_id = Some(task.id);
                event.detail = Json::of(&SubmittedDetail::of(task)).ok();
                self.dirty(Dirty::Spec(task.id));
                self.dirty(Dirty::Life(task.id));
            }
            Change::TaskMoved { id, life } => {
                describe(event, life);
                event.task_id = Some(*id);
                self.dirty(Dirty::Life(*id));
            }
            Change::TaskEnded { id, life } => {
                describe(event, life);
                event.task_id = Some(*id);
                self.dirty(Dirty::Ended(*id));
            }
            Change::TaskSettled(task) => {
                describe(event, &task.life);
                event.task_id = Some(task.id);
                self.dirty(Dirty::Settled(task.id));
            }
            Change::Head(_) | Change::KeyUsed(..) | Change::Drawn(..) | Change::Account(..) => {}
        }
    }
}
