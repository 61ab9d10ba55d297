//! This file asks for the model of a task that starts, where there are endpoints of models.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::hub::tx::Tx;
use crate::name::Capability;
use crate::route::{Chosen, Decision, Wanted, is_routed};
use crate::state::{Gate, Queued};

/// The model for a task that starts; none if whoever runs it sees to it.
///
/// # Errors
///
/// The gate in front of the task if no endpoint takes it.
pub(super) fn of(tx: &Tx<'_>, queued: &Queued) -> Result<Option<Box<Decision>>, Gate> {
    if tx.state.settings().routing.endpoints.is_empty() {
        return Ok(None);
    }
    let Some((wanted, decision)) = decided(tx, queued) else { return Ok(None) };
    if decision.chosen.is_none() {
        return Err(Gate::Route(wanted));
    }
    Ok(Some(Box::new(decision)))
}

/// What an agent has to be able to do to have the model asked.
pub(super) fn needs(tx: &Tx<'_>, chosen: &Chosen) -> Vec<Capability> {
    tx.state.endpoint(&chosen.endpoint).into_iter().flat_map(|endpoint| endpoint.needs()).collect()
}

/// What a task wants, and what it gets; nothing if it is not routed.
fn decided(tx: &Tx<'_>, queued: &Queued) -> Option<(Wanted, Decision)> {
    let requirements = &tx.state.ready().class(queued.class)?.requirements;
    if !is_routed(&requirements.kind) {
        return None;
    }
    let task = tx.state.task(tx.state.id_of(queued.spot.number))?;
    let wanted = Wanted::of(task)?;
    let failed: Vec<&Chosen> = task.life.failed_with().collect();
    let decision = tx.state.route(&wanted, requirements, &failed)?;
    Some((wanted, decision))
}
