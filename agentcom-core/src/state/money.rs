//! This file keeps what is reserved in step with the calls that are under way.

use super::State;
use crate::ledger::{Ledger, Payer, Reserved};
use crate::name::{AgentId, ModelName};
use crate::task::{Life, Spec};

impl State {
    /// The books.
    #[must_use]
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The life of a task moved on, with the call that was or is under way.
    pub(super) fn note_calls(&mut self, spec: &Spec, before: Option<&Life>, after: Option<&Life>) {
        let (before, after) = (before.and_then(under_way), after.and_then(under_way));
        if before == after {
            return;
        }
        if let Some((agent, call)) = before {
            self.ledger.release(&payer(spec, agent, Some(&call.model)), call.micros);
        }
        if let Some((agent, call)) = after {
            self.ledger.reserve(&payer(spec, agent, Some(&call.model)), call.micros);
        }
    }

    /// The books as they follow from the tasks, as far as calls are under way.
    pub(super) fn reckon_calls(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for task in self.tasks() {
            if let Some((agent, call)) = under_way(&task.life) {
                ledger.reserve(&payer(&task.spec, agent, Some(&call.model)), call.micros);
            }
        }
        ledger
    }
}

/// On whose accounts a call of a task is booked.
pub(crate) fn payer<'a>(
    spec: &'a Spec,
    agent: &'a AgentId,
    model: Option<&'a ModelName>,
) -> Payer<'a> {
    Payer { agent, model, repo: spec.repo.as_ref(), goal: spec.goal_id() }
}

/// The call that is under way, and who makes it.
fn under_way(life: &Life) -> Option<(&AgentId, &Reserved)> {
    let call = life.spend.as_ref()?.open.as_ref()?;
    Some((&life.attempts.last()?.agent, call))
}
