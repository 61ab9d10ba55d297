//! This file takes commands about servers of models in.

use super::super::endpoints;
use super::super::tx::Tx;
use super::money;
use super::settings::change;
use super::settle;
use crate::command::{EndpointCommand, Parking, Rejected, Reply};
use crate::endpoint::Endpoint;
use crate::name::{Credential, EndpointId};

pub(super) fn take(tx: &mut Tx<'_>, command: EndpointCommand) -> Result<Reply, Rejected> {
    match command {
        EndpointCommand::Set(id, endpoint) => set(tx, id, *endpoint),
        EndpointCommand::Remove(id) => {
            account(tx, &id)?;
            Ok(change(tx, "endpoint.removed", |settings| {
                settings.routing.endpoints.remove(&id);
            }))
        }
        EndpointCommand::Park(id, wait) => {
            let account = account(tx, &id)?;
            endpoints::park(tx, account, wait);
            Ok(Reply::Done)
        }
        EndpointCommand::Unpark(id) => {
            let account = account(tx, &id)?;
            Ok(change(tx, "credential.unparked", |settings| {
                settings.routing.parked.remove(&account);
            }))
        }
        EndpointCommand::Chain(tier, mut classes) => Ok(change(tx, "hub.chain", |settings| {
            let mut seen = alloc::collections::BTreeSet::new();
            classes.retain(|class| seen.insert(*class));
            if classes.is_empty() {
                settings.routing.chains.remove(&tier);
            } else {
                settings.routing.chains.insert(tier, classes);
            }
        })),
        EndpointCommand::Executor(tier, kind) => {
            kind.as_ref().map_or(Ok(()), settle::check_executor)?;
            Ok(change(tx, "hub.executor", |settings| {
                let executors = &mut settings.routing.executors;
                _ = match kind {
                    Some(kind) => executors.insert(tier, kind),
                    None => executors.remove(&tier),
                };
            }))
        }
        EndpointCommand::Parking(parking) => Ok(change(tx, "hub.parking", |settings| {
            settings.routing.parking_off = parking == Parking::Off;
            if parking == Parking::Off {
                settings.routing.parked.clear();
            }
        })),
    }
}

fn set(tx: &mut Tx<'_>, id: EndpointId, endpoint: Endpoint) -> Result<Reply, Rejected> {
    endpoint.check().map_err(Rejected::BadEndpoint)?;
    let (known, max) = (&tx.state.settings().routing.endpoints, Endpoint::COUNT_MAX);
    if known.len() >= max && !known.contains_key(&id) {
        return Err(Rejected::TooManyEndpoints { max });
    }
    let settings = tx.state.settings();
    let (one, caps) = (core::iter::once(&endpoint), settings.caps.keys());
    if let Some(model) = money::unpriced(&settings.prices, one, caps) {
        return Err(Rejected::NoPrice(model));
    }
    Ok(change(tx, "endpoint.set", |settings| {
        settings.routing.endpoints.insert(id, endpoint);
    }))
}

/// The key that an endpoint is used with.
fn account(tx: &Tx<'_>, id: &EndpointId) -> Result<Credential, Rejected> {
    let endpoint = tx.state.endpoint(id).ok_or_else(|| Rejected::UnknownEndpoint(id.clone()))?;
    Ok(endpoint.account(id))
}
