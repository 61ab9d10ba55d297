//! This file asks for the model of a task that starts, where there are endpoints of models.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::hub::tx::Tx;
use crate::name::Capability;
use crate::route::{Decision, Wanted, is_routed};
use crate::state::{Gate, Queued, Requirements};

/// The gate in front of a ready task that no endpoint takes.
pub(super) fn closed(tx: &Tx<'_>, queued: &Queued) -> Option<Gate> {
    let (wanted, requirements) = wanted(tx, queued)?;
    let decision = tx.state.route(&wanted, requirements)?;
    decision.chosen.is_none().then_some(Gate::Route(wanted))
}

/// The model for a task that starts; none if whoever runs it sees to it.
pub(super) fn of(tx: &Tx<'_>, queued: &Queued) -> Option<Box<Decision>> {
    let (wanted, requirements) = wanted(tx, queued)?;
    tx.state.route(&wanted, requirements).map(Box::new)
}

/// What an agent has to be able to do to have the model asked.
pub(super) fn needs(tx: &Tx<'_>, route: Option<&Decision>) -> Vec<Capability> {
    let chosen = route.and_then(|route| route.chosen.as_ref());
    let endpoint = chosen.and_then(|chosen| tx.state.endpoint(&chosen.endpoint));
    endpoint.into_iter().flat_map(|endpoint| endpoint.needs()).collect()
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
