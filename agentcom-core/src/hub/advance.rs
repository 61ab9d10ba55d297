//! This file lets what has ended move on what waits for it.

use super::tx::Tx;
use crate::change::Change;
use crate::guard::Guard;
use crate::id::TaskId;
use crate::task::{Delay, FailedDependency, TaskEvent, TaskState};

/// Unblocks, or ends, the tasks that wait for those that ended in this step; and those that wait
/// for them, until there are no more. Questions about ended tasks fall away.
pub(super) fn run(tx: &mut Tx<'_>) {
    while let Some(over) = tx.over.pop() {
        let questions: alloc::vec::Vec<_> =
            tx.state.questions_about(over).map(|question| question.id).collect();
        for question in questions {
            tx.record_as("question.closed", Change::QuestionClosed(question));
        }
        for dependent in tx.state.dependents(over) {
            dependency_ended(tx, dependent, over);
        }
    }
}

fn dependency_ended(tx: &mut Tx<'_>, id: TaskId, over: TaskId) {
    let (Some(task), Some(dependency)) = (tx.state.task(id), tx.state.just_ended(over)) else {
        return;
    };
    let short = task.spec.after_dependency.forbids(&dependency.life.state);
    let event = if let Some(ended) = short.filter(|_| tx.on(Guard::DependencyDeath)) {
        TaskEvent::FailDependency(FailedDependency { id: over, ended })
    } else {
        let run_after = task.spec.times.as_ref().and_then(|times| times.run_after);
        let then = match run_after.filter(|at| *at > tx.now().wall) {
            Some(at) => TaskState::Delayed(Delay::Until(at)),
            None => tx.ready(task),
        };
        TaskEvent::Unblock(over, then)
    };
    // A dependent is blocked, and a blocked task admits both events.
    let _ = tx.transition(id, event);
}
