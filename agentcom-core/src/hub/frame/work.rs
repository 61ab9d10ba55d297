//! This file takes in what agents say about tasks, each word checked for assignment and owner.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use serde::Deserialize;

use super::super::tx::Tx;
use super::super::{clipped, endpoints};
use super::{From, fail_about, holds};
use crate::change::Change;
use crate::command::Facts;
use crate::endpoint::Fault;
use crate::guard::Guard;
use crate::id::{Incarnation, Lease, QuestionId, TaskId};
use crate::json::Json;
use crate::ledger::NotGranted;
use crate::question::{Choices, Question};
use crate::task::{
    Category, Ended, Fence, Finish, LeaseLoss, Outcome, Refused, TaskEvent, TaskState, Traces, Wait,
};
use crate::time::Span;
use crate::view::ProgressView;
use crate::wire::{
    Accepted, Acked, Asked, Complete, Dialect, Failed, Ping, Progress, Rejection, Released,
    SpendAnswered, SpendCall, TaskAck, ToAgent, Withdrawn,
};

/// The longest error text that is kept, in characters.
const ERROR_CHARS_MAX: usize = 2_000;
/// The longest question, in characters, and the longest that it may stay open.
const QUESTION_CHARS_MAX: usize = 4_000;
const QUESTION_MAX: Span = Span::from_mins(7 * 24 * 60);
/// The longest time for which an agent can put off the next attempt at a task.
const RETRY_AFTER_MAX: Span = Span::from_mins(7 * 24 * 60);
/// The first and the longest time for which an agent without room is left alone.
const BUSY_BASE: Span = Span::from_secs(1);
const BUSY_CAP: Span = Span::from_secs(60);

pub(super) fn ping(tx: &mut Tx<'_>, from: &From, ping: Ping) {
    let held: Vec<TaskId> = tx.state.held_by(&from.agent).collect();
    let mut lost = Vec::new();
    match from.dialect {
        Dialect::Plain => held.iter().for_each(|id| renew(tx, from.dialect, *id)),
        Dialect::V1 => {
            let claimed = ping.held.unwrap_or_default();
            for claim in &claimed {
                if holds(tx, &from.agent, claim.task_id, claim.generation) {
                    renew(tx, from.dialect, claim.task_id);
                } else {
                    lost.push(*claim);
                }
            }
            let claimed: BTreeSet<TaskId> = claimed.iter().map(|claim| claim.task_id).collect();
            for id in held.into_iter().filter(|id| !claimed.contains(id)) {
                missing(tx, id);
            }
        }
    }
    let timestamp = tx.now().wall;
    tx.send(from.session, ToAgent::Pong { timestamp, nonce: ping.nonce, lost });
}

/// Grants the lease of a held task anew, in full.
pub(super) fn renew(tx: &mut Tx<'_>, dialect: Dialect, id: TaskId) {
    let Some(task) = tx.state.task(id) else { return };
    let lease = tx.lease_end(&task.spec, dialect);
    tx.clocks(id, |clocks| {
        clocks.lease = lease;
        clocks.missing = 0;
    });
}

/// A task that is missing from two heartbeats in a row is lost, unless its agent was told of it so
/// lately that it may not have heard.
fn missing(tx: &mut Tx<'_>, id: TaskId) {
    let Some(clocks) = tx.state.clocks(id) else { return };
    if tx.now().mono - clocks.told < tx.config.heartbeat.times(2) {
        return;
    }
    let missing = clocks.missing + 1;
    if missing >= 2 && tx.on(Guard::MissingTwice) {
        tx.lose(id, Outcome::LeaseLost, "missing from two heartbeats");
    } else {
        tx.clocks(id, |clocks| clocks.missing = missing);
    }
}

pub(super) fn accepted(tx: &mut Tx<'_>, from: &From, frame: &Accepted) {
    let id = frame.task_id;
    let Some(fence) = fence(tx, from, id, frame.generation) else { return };
    match tx.transition(id, TaskEvent::Accept(fence.clone())) {
        Ok(()) => {
            tx.clocks(id, |clocks| clocks.accept = None);
            tx.trust(&from.agent, crate::agent::TrustEvent::Accepted);
            if tx.state.session(from.session).is_some_and(|session| session.busy_count > 0) {
                tx.session(from.session, |session| session.busy_count = 0);
            }
            heard(tx, id);
            ack(tx, from, id, Acked::Accepted, fence.lease);
        }
        Err(refused) => refuse(tx, from, id, fence.lease, refused, "task_accepted"),
    }
}

pub(super) fn progress(tx: &mut Tx<'_>, from: &From, frame: Progress) {
    let id = frame.task_id;
    let Some(fence) = tx.fence(id, &from.agent, frame.generation) else { return };
    if !holds(tx, &from.agent, id, fence.lease) {
        return;
    }
    heard(tx, id);
    let agent_id = from.agent.clone();
    let percent = frame.progress.map(|percent| percent.min(100));
    tx.progress(ProgressView { task_id: id, agent_id, percent, event: frame.execution_event });
}

/// The parts of a result that clients of the original use for what has frames of its own.
#[derive(Default, Deserialize)]
struct OldResult {
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    error: Option<Json>,
    #[serde(default)]
    output: Option<Json>,
    #[serde(default)]
    tokens_in: Option<u64>,
    #[serde(default)]
    tokens_out: Option<u64>,
}

pub(super) fn complete(tx: &mut Tx<'_>, from: &From, frame: Complete, facts: &Facts) {
    let (id, lease) = (frame.task_id, frame.generation);
    if foreign(tx, frame.incarnation) {
        return ack(tx, from, id, Acked::Superseded, lease);
    }
    let result = frame.result.unwrap_or_default();
    let old: OldResult = match from.dialect {
        Dialect::Plain => result.read().unwrap_or_default(),
        Dialect::V1 => OldResult::default(),
    };
    let tokens = frame.tokens_used.or(match (old.tokens_in, old.tokens_out) {
        (None, None) => None,
        (used_in, used_out) => Some(used_in.unwrap_or(0).saturating_add(used_out.unwrap_or(0))),
    });
    if old.status.as_deref() == Some("failed") {
        let error = old.error.or(old.output).map(|said| text_of(&said));
        let category = Category::Retryable;
        let left = frame.left.unwrap_or_default();
        let failure = Failure { category, error, fault: None, retry_after: None, tokens, left };
        return fail_task(tx, from, id, lease, failure, facts);
    }
    let partial = frame.partial.unwrap_or(false) || old.status.as_deref() == Some("partial_pass");
    let outcome = if partial { Outcome::Partial } else { Outcome::Completed };
    let verification = frame.verification_report.unwrap_or_default();
    let left = frame.left.unwrap_or_default();
    let finish = Box::new(Finish { result, tokens, verification, left });
    let fence = Fence { agent: from.agent.clone(), lease };
    let event = match tx.state.task(id) {
        Some(task)
            if task.life.state.hold().is_none()
                && (task.spec.on_lease_loss == LeaseLoss::Continue
                    || !tx.on(Guard::LateResult)) =>
        {
            TaskEvent::FinishLate(fence, outcome, finish)
        }
        _ => TaskEvent::Finish(fence, outcome, finish),
    };
    match tx.transition(id, event) {
        Ok(()) => ack(tx, from, id, Acked::Complete, lease),
        Err(refused) => settled(tx, from, id, lease, refused, facts, "task_complete"),
    }
}

/// A failure, in whichever words it came.
struct Failure {
    category: Category,
    error: Option<Box<str>>,
    fault: Option<Fault>,
    retry_after: Option<Span>,
    tokens: Option<u64>,
    left: Traces,
}

pub(super) fn failed(tx: &mut Tx<'_>, from: &From, frame: Failed, facts: &Facts) {
    let (id, lease) = (frame.task_id, frame.generation);
    if foreign(tx, frame.incarnation) {
        return ack(tx, from, id, Acked::Superseded, lease);
    }
    let category = match from.dialect {
        Dialect::V1 => frame.category.unwrap_or(Category::Retryable),
        Dialect::Plain => Category::Retryable,
    };
    let error =
        frame.error.or(frame.reason).as_deref().map(|error| clipped(error, ERROR_CHARS_MAX));
    let retry_after = frame.retry_after_ms.map(|span| span.min(RETRY_AFTER_MAX));
    let (fault, tokens, left) = (frame.fault, frame.tokens_used, frame.left.unwrap_or_default());
    let failure = Failure { category, error, fault, retry_after, tokens, left };
    fail_task(tx, from, id, lease, failure, facts);
}

fn fail_task(
    tx: &mut Tx<'_>,
    from: &From,
    id: TaskId,
    lease: Lease,
    failure: Failure,
    facts: &Facts,
) {
    let Failure { category, error, fault, retry_after, tokens, left } = failure;
    let fence = Fence { agent: from.agent.clone(), lease };
    let unserved = fault.and_then(|fault| endpoints::unserved(tx, id, fault));
    let ended = tx.state.task(id).map(|task| match &unserved {
        Some(unserved) => unserved.end_of(tx, task, error.clone()),
        None => tx.end_of(task, Outcome::Failed(category), error.clone(), retry_after),
    });
    let moved = match ended {
        Some((ended, then)) => {
            let ended = Ended { tokens, left, ..ended };
            tx.transition(id, TaskEvent::End(fence, ended, then))
        }
        None => Err(Refused::Over),
    };
    match moved {
        Ok(()) => {
            if let Some(unserved) = unserved {
                unserved.heard(tx, error.as_deref(), retry_after);
            }
            let dead = tx.state.task(id).is_none();
            ack(tx, from, id, if dead { Acked::DeadLetter } else { Acked::Retried }, lease);
        }
        Err(refused) => settled(tx, from, id, lease, refused, facts, "task_failed"),
    }
}

/// The agent has no room: the task goes back unspent, and the agent is left alone for a while.
pub(super) fn rejected(tx: &mut Tx<'_>, from: &From, frame: &Rejection) {
    let Some(fence) = fence(tx, from, frame.task_id, frame.generation) else { return };
    if !give_back(tx, frame.task_id, fence) || !tx.on(Guard::Rest) {
        return;
    }
    let count = tx.state.session(from.session).map_or(0, |session| session.busy_count);
    let wait = Span(BUSY_BASE.0 << count.min(6)).min(BUSY_CAP);
    let until = tx.now().mono + wait;
    tx.session(from.session, |session| {
        session.busy_until = Some(until);
        session.busy_count = count.saturating_add(1);
    });
}

pub(super) fn released(tx: &mut Tx<'_>, from: &From, frame: &Released, facts: &Facts) {
    let (id, lease) = (frame.task_id, frame.generation);
    let fence = Fence { agent: from.agent.clone(), lease };
    if give_back(tx, id, fence) {
        ack(tx, from, id, Acked::Released, lease);
    } else {
        settled(tx, from, id, lease, Refused::Stale, facts, "task_released");
    }
}

fn give_back(tx: &mut Tx<'_>, id: TaskId, fence: Fence) -> bool {
    let Some(task) = tx.state.task(id) else { return false };
    let (ended, then) = tx.end_of(task, Outcome::Released, None, None);
    tx.transition(id, TaskEvent::End(fence, ended, then)).is_ok()
}

pub(super) fn withdrawn(tx: &mut Tx<'_>, from: &From, frame: &Withdrawn, facts: &Facts) {
    let (id, lease) = (frame.task_id, frame.generation);
    let error = frame.reason.as_deref().map(|reason| clipped(reason, ERROR_CHARS_MAX));
    let ended = Ended { error, ..Ended::new(tx.now().wall, Outcome::CalledOff) };
    let fence = Fence { agent: from.agent.clone(), lease };
    if tx.transition(id, TaskEvent::End(fence, ended, TaskState::Cancelled)).is_ok() {
        ack(tx, from, id, Acked::Complete, lease);
    } else {
        settled(tx, from, id, lease, Refused::Stale, facts, "task_withdrawn");
    }
}

pub(super) fn question(tx: &mut Tx<'_>, from: &From, frame: Asked) {
    let (id, lease) = (frame.task_id, frame.generation);
    if !holds(tx, &from.agent, id, lease) {
        return ack(tx, from, id, Acked::Superseded, lease);
    }
    let text = clipped(&frame.question, QUESTION_CHARS_MAX);
    // An agent that came back asks again what it does not know to have been heard.
    if tx.state.questions_about(id).any(|open| open.lease == lease && open.text == text) {
        return;
    }
    let now = tx.now().wall;
    let (_, public) = tx.draw_number(|head| &mut head.next_question);
    let question = Question {
        id: QuestionId(public),
        task: id,
        lease,
        asked_by: from.agent.clone(),
        text,
        asked_at: now,
        deadline: now + frame.timeout_ms.min(QUESTION_MAX),
        default: frame.default.unwrap_or_default(),
        // Where there are more options than are kept, everything is an answer.
        choices: frame.choices.filter(Choices::fit),
        spend: None,
    };
    let (question_id, until) = (question.id, question.deadline);
    tx.record_as("question.asked", Change::QuestionAsked(question.into()));
    heard(tx, id);
    if frame.park == Some(true)
        && let Some(task) = tx.state.task(id)
    {
        let (ended, _) = tx.end_of(task, Outcome::Released, None, None);
        let then = TaskState::Waiting { on: Wait::Question(question_id), until };
        let fence = Fence { agent: from.agent.clone(), lease };
        // Whether it holds the task was asked above.
        let _ = tx.transition(id, TaskEvent::End(fence, ended, then));
    }
}

/// The holder of a task asks leave to make a call.
pub(super) fn reserve(tx: &mut Tx<'_>, from: &From, frame: SpendCall) {
    let SpendCall { task_id, generation, call } = frame;
    match holds(tx, &from.agent, task_id, generation) {
        true => tx.ask_to_spend(task_id, call),
        false => too_late(tx, from, (task_id, generation), call.number),
    }
}

/// An agent says what a call came to, which was booked at its worst if the attempt has ended.
pub(super) fn used(tx: &mut Tx<'_>, from: &From, frame: SpendCall, facts: &Facts) {
    let SpendCall { task_id, generation, call } = frame;
    if holds(tx, &from.agent, task_id, generation) {
        return tx.call_was_made(task_id, call);
    }
    let (of, number, stored) = ((task_id, generation), call.number, facts.tasks.get(&task_id));
    if !tx.call_is_told_late(of, &from.agent, call, stored) {
        too_late(tx, from, of, number);
    }
}

/// Nothing that is said of a call counts any more.
fn too_late(tx: &mut Tx<'_>, from: &From, (task_id, generation): (TaskId, Lease), call: u32) {
    let refused = Some(NotGranted::Superseded);
    let answer = SpendAnswered { task_id, generation, call, granted: None, refused };
    tx.send(from.session, ToAgent::SpendAnswered(answer));
}

/// A word about a task puts off the moment at which it counts as stuck.
fn heard(tx: &mut Tx<'_>, id: TaskId) {
    if tx.state.clocks(id).is_some_and(|clocks| clocks.stuck.is_some()) {
        let stuck = tx.now().mono + tx.config.stuck_after;
        tx.clocks(id, |clocks| clocks.stuck = Some(stuck));
    }
}

/// What a frame has to match; v1 clients always name the assignment. A frame that matches nothing
/// is answered.
fn fence(tx: &mut Tx<'_>, from: &From, id: TaskId, lease: Option<Lease>) -> Option<Fence> {
    let lease = match from.dialect {
        Dialect::V1 => Some(lease.unwrap_or_default()),
        Dialect::Plain => lease,
    };
    let fence = tx.fence(id, &from.agent, lease);
    if fence.is_none() {
        fail_about(tx, from.session, "task_not_held", id);
    }
    fence
}

/// Whether a result belongs to an older life of the data set.
fn foreign(tx: &Tx<'_>, incarnation: Option<Incarnation>) -> bool {
    let ours = tx.state.head().map(|head| head.incarnation);
    incarnation.is_some_and(|theirs| Some(theirs) != ours) && tx.on(Guard::Incarnation)
}

/// Answers a terminal frame that moved nothing. A result that was taken in before is acknowledged
/// again, for the first word may have been lost; everything else is superseded.
fn settled(
    tx: &mut Tx<'_>,
    from: &From,
    id: TaskId,
    lease: Lease,
    refused: Refused,
    facts: &Facts,
    frame: &str,
) {
    if !tx.on(Guard::Settled) {
        return;
    }
    let ended = tx.state.just_ended(id).or_else(|| facts.tasks.get(&id));
    let task = tx.state.task(id).or(ended);
    let attempt = task.and_then(|task| {
        task.life
            .attempts
            .iter()
            .rev()
            .find(|attempt| attempt.lease == lease && attempt.agent == from.agent)
    });
    let status =
        attempt.and_then(|attempt| attempt.ended.as_ref()).map(|ended| match ended.outcome {
            Outcome::Completed | Outcome::Partial => Acked::Complete,
            Outcome::Failed(_) => Acked::Retried,
            Outcome::Released => Acked::Released,
            Outcome::TimedOut | Outcome::NotAccepted | Outcome::LeaseLost | Outcome::CalledOff => {
                Acked::Superseded
            }
        });
    match status {
        Some(status) if from.dialect == Dialect::V1 => ack(tx, from, id, status, lease),
        _ => refuse(tx, from, id, lease, refused, frame),
    }
}

fn refuse(tx: &mut Tx<'_>, from: &From, id: TaskId, lease: Lease, refused: Refused, frame: &str) {
    match (from.dialect, refused) {
        (Dialect::V1, Refused::NotHolder) => fail_about(tx, from.session, "not_your_task", id),
        (Dialect::V1, Refused::Stale | Refused::Over | Refused::OutOfTurn) => {
            ack(tx, from, id, Acked::Superseded, lease);
        }
        (Dialect::Plain, refused) => {
            let reason = match refused {
                Refused::Stale | Refused::Over => "stale_generation",
                Refused::NotHolder => "not_your_task",
                Refused::OutOfTurn => "invalid_state",
            };
            fail_about(tx, from.session, &alloc::format!("{frame}_failed: {reason}"), id);
        }
    }
}

fn ack(tx: &mut Tx<'_>, from: &From, id: TaskId, status: Acked, lease: Lease) {
    let frame = TaskAck { task_id: id, status, generation: Some(lease) };
    tx.send(from.session, ToAgent::TaskAck(frame));
}

/// What a JSON value says: its text if it is one.
fn text_of(said: &Json) -> Box<str> {
    let text = said.read::<String>().unwrap_or_else(|_| said.as_str().into());
    clipped(&text, ERROR_CHARS_MAX)
}
