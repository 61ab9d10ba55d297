//! This file lets what has ended move on what waits for it.

use super::tx::Tx;
use crate::change::Change;
use crate::guard::Guard;
use crate::id::TaskId;
use crate::task::{AfterDependency, Death, Delay, TaskEvent, TaskState};

/// Unblocks, or ends, the tasks that wait for those that ended in this step; and those that wait
/// for them, until there are no more. Questions about ended tasks fall away.
pub(super) fn run(tx: &mut Tx<'_>) {
    while let Some(over) = tx.over.pop() {
        let questions: alloc::vec::Vec<_> =
            tx.state.questions_about(over).map(|question| question.id).collect();
        for question in questions {
            tx.record_as("question.closed", Change::QuestionClosed(question));
        }
        let completed = tx.state.just_ended(over).is_some_and(|task| {
            matches!(task.life.state, TaskState::Completed | TaskState::Partial)
        });
        for dependent in tx.state.dependents(over) {
            dependency_ended(tx, dependent, over, completed);
        }
    }
}

fn dependency_ended(tx: &mut Tx<'_>, id: TaskId, over: TaskId, completed: bool) {
    let Some(task) = tx.state.task(id) else { return };
    let goes_on = completed
        || task.spec.after_dependency == AfterDependency::Continue
        || !tx.on(Guard::DependencyDeath);
    let event = if goes_on {
        let run_after = task.spec.times.as_ref().and_then(|times| times.run_after);
        let then = match run_after.filter(|at| *at > tx.now().wall) {
            Some(at) => TaskState::Delayed(Delay::Until(at)),
            None => tx.ready(task),
        };
        TaskEvent::Unblock(over, then)
    } else {
        TaskEvent::Kill(Death::Dependency)
    };
    // A dependent is blocked, and a blocked task admits both events.
    let _ = tx.transition(id, event);
}
