//! This file takes commands about single tasks in: calling off, reviving, answering questions.

use alloc::vec::Vec;

use super::super::tx::Tx;
use crate::change::Change;
use crate::command::{Facts, Rejected, Reply};
use crate::id::{QuestionId, TaskId};
use crate::json::Json;
use crate::task::{Answer, Refused, Task, TaskEvent};

pub(super) fn cancel(tx: &mut Tx<'_>, id: TaskId, facts: &Facts) -> Result<Reply, Rejected> {
    let Some(task) = tx.state.task(id) else {
        let known = ended(tx, id, facts).is_some();
        let refused = if known {
            Rejected::Task { id, refused: Refused::Over }
        } else {
            Rejected::UnknownTask(id)
        };
        return Err(refused);
    };
    let previous = task.life.state.as_str();
    tx.take_away(id, TaskEvent::Cancel, "cancelled")
        .map_err(|refused| Rejected::Task { id, refused })?;
    Ok(Reply::Cancelled { previous })
}

pub(super) fn revive(tx: &mut Tx<'_>, ids: &[TaskId], facts: &Facts) -> Reply {
    let (mut revived, mut skipped) = (Vec::new(), Vec::new());
    for &id in ids {
        match revive_one(tx, id, facts) {
            Ok(()) => revived.push(id),
            Err(why) => skipped.push((id, why)),
        }
    }
    Reply::Revived { revived, skipped }
}

fn revive_one(tx: &mut Tx<'_>, id: TaskId, facts: &Facts) -> Result<(), Rejected> {
    if tx.state.task(id).is_some() {
        return Err(Rejected::Task { id, refused: Refused::OutOfTurn });
    }
    let mut task = ended(tx, id, facts).cloned().ok_or(Rejected::UnknownTask(id))?;
    forget_deadline(tx, &mut task);
    tx.revive(&task).map_err(|refused| Rejected::Task { id, refused })
}

/// A deadline that has passed would kill the task at once; who revives it wants it to run.
fn forget_deadline(tx: &Tx<'_>, task: &mut Task) {
    let now = tx.now().wall;
    if let Some(times) = &mut task.spec.times
        && times.complete_by.is_some_and(|by| by <= now)
    {
        times.complete_by = None;
    }
}

fn ended<'a>(tx: &'a Tx<'_>, id: TaskId, facts: &'a Facts) -> Option<&'a Task> {
    tx.state.just_ended(id).or_else(|| facts.tasks.get(&id))
}

pub(super) fn answer(tx: &mut Tx<'_>, id: QuestionId, answer: Json) -> Result<Reply, Rejected> {
    let question = tx.state.question(id).cloned().ok_or(Rejected::UnknownQuestion(id))?;
    if !question.is_answered_by(&answer) {
        let takes = question.takes().unwrap_or_default();
        return Err(Rejected::UnclearAnswer { id, takes });
    }
    tx.record_as("question.answered", Change::QuestionClosed(id));
    if let Some(ask) = question.spend {
        tx.raise_answered(question.task, *ask, &answer);
        return Ok(Reply::Done);
    }
    tx.tell_who_asked(&question, &answer, false);
    let (task, question) = (question.task, question.text);
    let answer = Answer { question, answer, defaulted: false };
    tx.go_on_with(task, id, answer).map_err(|refused| Rejected::Task { id: task, refused })?;
    Ok(Reply::Done)
}
