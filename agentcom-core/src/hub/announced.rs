//! This file keeps the endpoints that agents announce: the models that they were started with.
//!
//! They are kept like those that operators set, so that a task means the same whether an agent is
//! connected at the moment or not. What an operator sets under such a name counts instead.

use alloc::string::String;
use alloc::vec::Vec;

use super::command::unpriced;
use super::tx::Tx;
use crate::change::Settings;
use crate::command::Rejected;
use crate::endpoint::{Announced, BadEndpoint, Endpoint};
use crate::name::{AgentId, Capability, EndpointId};

/// What is wrong with what an agent announces, if anything is.
pub(super) fn check(announced: &Announced) -> Result<(), String> {
    if announced.len() > Endpoint::ANNOUNCED_MAX {
        return Err("too_many_models".into());
    }
    let all = announced.values().try_for_each(Endpoint::check);
    all.map_err(|bad| alloc::format!("bad_models: {bad}"))
}

/// What an agent can do that announced what the hub has taken: an agent cannot claim that by itself.
pub(super) fn capabilities(settings: &Settings, agent: &AgentId) -> Vec<Capability> {
    let endpoints = settings.routing.endpoints.iter();
    let own = endpoints.filter(|(_, endpoint)| endpoint.announced_by.contains(agent));
    own.map(|(id, _)| Capability::of_endpoint(id)).collect()
}

/// Follows what an agent announces, and no longer does. Returns what cannot be had.
pub(super) fn follow(
    tx: &mut Tx<'_>,
    agent: &AgentId,
    announced: Announced,
) -> Vec<(EndpointId, Rejected)> {
    let mut refused = Vec::new();
    let is_of = |known: &Endpoint| known.announced_by.contains(agent);
    if announced.is_empty() && !tx.state.settings().routing.endpoints.values().any(is_of) {
        return refused;
    }
    tx.change_settings("endpoint.announced", |settings| {
        forget(settings, agent, |id| !announced.contains_key(id));
        for (id, endpoint) in announced {
            if let Err(rejected) = set(settings, agent, &id, endpoint) {
                // What it announced before by this name is not what it has now.
                forget(settings, agent, |known| *known == id);
                refused.push((id, rejected));
            }
        }
    });
    refused
}

/// An agent is gone for good, and nobody uses what it alone announced.
pub(super) fn gone(tx: &mut Tx<'_>, agent: &AgentId) {
    follow(tx, agent, Announced::new());
}

/// An agent does not announce these any more.
fn forget(settings: &mut Settings, agent: &AgentId, these: impl Fn(&EndpointId) -> bool) {
    settings.routing.endpoints.retain(|id, known| {
        let was_last =
            these(id) && known.announced_by.remove(agent) && known.announced_by.is_empty();
        !was_last
    });
}

fn set(
    settings: &mut Settings,
    agent: &AgentId,
    id: &EndpointId,
    mut endpoint: Endpoint,
) -> Result<(), Rejected> {
    let (endpoints, max) = (&mut settings.routing.endpoints, Endpoint::COUNT_MAX);
    let known = endpoints.get(id);
    if known.is_some_and(|known| known.announced_by.is_empty()) {
        return Ok(());
    }
    if known.is_none() && endpoints.len() >= max {
        return Err(Rejected::TooManyEndpoints { max });
    }
    if let Some(known) = known {
        // A name stands for one server, and for one key: what others have under it is not for this one.
        let is_shared = known.announced_by.iter().any(|other| other != agent);
        let is_same = (known.api, &known.url, &known.credential)
            == (endpoint.api, &endpoint.url, &endpoint.credential);
        if is_shared && !is_same {
            let why = "and key are others than another agent announces by this name".into();
            return Err(Rejected::BadEndpoint(BadEndpoint { field: "url", why }));
        }
    }
    endpoint.announced_by = known.map(|known| known.announced_by.clone()).unwrap_or_default();
    endpoint.announced_by.insert(agent.clone());
    endpoint.needs.push(Capability::of_endpoint(id));
    let (one, caps) = (core::iter::once(&endpoint), settings.caps.keys());
    if let Some(model) = unpriced(&settings.prices, one, caps) {
        return Err(Rejected::NoPrice(model));
    }
    settings.routing.endpoints.insert(id.clone(), endpoint);
    Ok(())
}
