//! This file follows the rules for clients of the original that v1 clients do not need.

use super::super::tx::Tx;
use super::{From, holds};
use crate::id::{Lease, TaskId};
use crate::task::{Outcome, TaskEvent, TaskState};
use crate::wire::{Recovering, Report, ReportAction, ToAgent, WakeResult};

/// A client came back while it works: the hold goes on if it is the current one.
pub(super) fn report(tx: &mut Tx<'_>, from: &From, frame: &Report) {
    let id = frame.task_id;
    let lease = frame.generation.unwrap_or(Lease(0));
    let action = if holds(tx, &from.agent, id, lease) {
        go_on(tx, from, id);
        ReportAction::Continue
    } else {
        ReportAction::Abort
    };
    reported(tx, from, id);
    tx.send(from.session, ToAgent::StateReportAck { task_id: id, action });
}

/// A client restarted while it worked. It never runs a task again by itself, so continuing makes
/// sense only where the work goes on outside of it: in a session that was woken.
pub(super) fn recovering(tx: &mut Tx<'_>, from: &From, frame: &Recovering) {
    let id = frame.task_id;
    let fence = tx.fence(id, &from.agent, None);
    let wakes = tx.state.task(id).is_some_and(|task| task.spec.op.kind.as_str() == "wake");
    let awake = matches!(frame.last_status.as_deref(), Some("working" | "waking_confirmation"));
    match fence {
        Some(fence) if wakes && awake => {
            go_on(tx, from, id);
            tx.send(from.session, ToAgent::TaskContinue { task_id: id, generation: fence.lease });
        }
        Some(_) => {
            let task = tx.state.task(id);
            let ended = task.map(|task| {
                tx.end_of(
                    task,
                    Outcome::LeaseLost,
                    Some("the sidecar restarted while it worked".into()),
                    None,
                )
            });
            if let (Some(fence), Some((ended, then))) = (fence, ended) {
                // The client speaks of it itself, so it is not told, and it is free.
                let _ = tx.transition(id, TaskEvent::End(fence, ended, then));
            }
            tx.send(from.session, ToAgent::TaskReassign { task_id: id });
        }
        None => tx.send(from.session, ToAgent::TaskReassign { task_id: id }),
    }
    reported(tx, from, id);
}

/// News about waking a session count as news about the task.
pub(super) fn wake_result(tx: &mut Tx<'_>, from: &From, frame: &WakeResult) {
    if tx.fence(frame.task_id, &from.agent, None).is_some() {
        let stuck = tx.now().mono + tx.config.stuck_after;
        tx.clocks(frame.task_id, |clocks| clocks.stuck = clocks.stuck.map(|_| stuck));
    }
}

/// The hold is at work, with its lease in full and no acceptance to wait for.
fn go_on(tx: &mut Tx<'_>, from: &From, id: TaskId) {
    if let Some(fence) = tx.fence(id, &from.agent, None) {
        if matches!(tx.state.life(id).map(|life| &life.state), Some(TaskState::Assigned(_))) {
            // The fence was made from the hold itself.
            let _ = tx.transition(id, TaskEvent::Accept(fence));
        }
        super::work::renew(tx, from.dialect, id);
        let stuck = tx.now().mono + tx.config.stuck_after;
        tx.clocks(id, |clocks| {
            clocks.accept = None;
            clocks.stuck = Some(stuck);
        });
    }
}

fn reported(tx: &mut Tx<'_>, from: &From, id: TaskId) {
    tx.session(from.session, |session| {
        session.unreported.remove(&id);
        if session.unreported.is_empty() {
            session.report_by = None;
        }
    });
}
