//! This file asks for the model of a task that starts, where there are endpoints of models.

use alloc::vec::Vec;

use crate::hub::tx::Tx;
use crate::name::{Capability, EndpointId};
use crate::route::{Chosen, Decision, Wanted, is_routed};
use crate::state::{Gate, Queued, Requirements};
use crate::task::{Category, Outcome, Task};

/// The gate in front of a ready task that no endpoint takes.
pub(super) fn closed(tx: &Tx<'_>, queued: &Queued) -> Option<Gate> {
    let (wanted, requirements) = wanted(tx, queued)?;
    let decision = tx.state.route(&wanted, requirements, None)?;
    decision.chosen.is_none().then_some(Gate::Route(wanted))
}

/// The model for a task that starts; none if whoever runs it sees to it.
pub(super) fn of(tx: &Tx<'_>, queued: &Queued) -> Option<Decision> {
    let (wanted, requirements) = wanted(tx, queued)?;
    let task = tx.state.task(tx.state.id_of(queued.spot.number))?;
    tx.state.route(&wanted, requirements, failed_at(task))
}

/// What an agent has to be able to do to have the model asked.
pub(super) fn needs(tx: &Tx<'_>, chosen: &Chosen) -> Vec<Capability> {
    tx.state.endpoint(&chosen.endpoint).into_iter().flat_map(|endpoint| endpoint.needs()).collect()
}

/// The endpoint of the model that failed at a task last.
fn failed_at(task: &Task) -> Option<&EndpointId> {
    let judged = task.life.attempts.iter().rev().find(|attempt| {
        let outcome = attempt.ended.as_ref().map(|ended| ended.outcome);
        outcome.is_some_and(|outcome| match outcome {
            Outcome::Partial
            | Outcome::TimedOut
            | Outcome::Failed(Category::Retryable | Category::Permanent) => true,
            Outcome::Completed
            | Outcome::Failed(Category::Quota | Category::Crash)
            | Outcome::NotAccepted
            | Outcome::LeaseLost
            | Outcome::Released
            | Outcome::CalledOff => false,
        })
    })?;
    let chosen = judged.route.as_ref()?.chosen.as_ref()?;
    Some(&chosen.endpoint)
}

fn wanted<'a>(tx: &'a Tx<'_>, queued: &Queued) -> Option<(Wanted, &'a Requirements)> {
    if tx.state.settings().routing.endpoints.is_empty() {
        return None;
    }
    let class = tx.state.ready().class(queued.class)?;
    if !is_routed(&class.requirements.kind) {
        return None;
    }
    let task = tx.state.task(tx.state.id_of(queued.spot.number))?;
    Some((Wanted::of(&task.spec)?, &class.requirements))
}
