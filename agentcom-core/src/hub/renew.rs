//! This file begins another life of a data set that is the past: one that was restored.
//!
//! What was given out after the backup is out there and not known here: leases, tasks and
//! questions, and the numbers of events that readers of the feed have seen.
//!
//! **Invariant:** no number is given out twice, and no agent holds a task across lives.

use alloc::vec::Vec;

use super::tx::Tx;
use crate::change::Change;
use crate::id::{Incarnation, Lease, TaskId};
use crate::task::{Death, Fence, Outcome, TaskEvent, TaskState};

/// How far numbers are moved on: more than one life can give out. There is room for two million
/// lives below 2^53.
const JUMP: u64 = 1 << 32;

pub(super) fn run(tx: &mut Tx<'_>, incarnation: Incarnation) {
    let Some(mut head) = tx.state.head().cloned() else { return };
    head.incarnation = incarnation;
    head.lease_floor = Lease(head.lease_floor.0 + JUMP);
    head.next_task += JUMP;
    head.next_question += JUMP;
    head.seq += JUMP;
    tx.record_as("hub.restored", Change::Head(head.into()));
    for (id, fence) in held(tx) {
        let Some(task) = tx.state.task(id) else { continue };
        let why = "its hub was restored from a backup";
        let (ended, then) = tx.end_of(task, Outcome::Released, Some(why.into()), None);
        // The hold was read in this step, so the fence fits.
        let _ = tx.transition(id, TaskEvent::End(fence, ended, then));
    }
    for id in stranded(tx) {
        // A blocked task admits it.
        let _ = tx.transition(id, TaskEvent::Kill(Death::Dependency));
    }
}

/// Tasks that wait for one that is lost. Of a good backup there are none; of data that was saved
/// from damage there may be.
fn stranded(tx: &Tx<'_>) -> Vec<TaskId> {
    let is_lost = |on: &TaskId| tx.state.task(*on).is_none();
    let waits_for_lost =
        |state: &TaskState| matches!(state, TaskState::Blocked { on } if on.iter().any(is_lost));
    let stranded = tx.state.tasks().filter(|task| waits_for_lost(&task.life.state));
    stranded.map(|task| task.id).collect()
}

fn held(tx: &Tx<'_>) -> Vec<(TaskId, Fence)> {
    let held = tx.state.tasks().filter_map(|task| Some((task.id, task.life.state.hold()?.fence())));
    held.collect()
}
