//! This file takes commands in that say how much may be spent.

use alloc::collections::BTreeMap;

use super::super::tx::Tx;
use crate::command::{Rejected, Reply};
use crate::endpoint::Endpoint;
use crate::id::TaskId;
use crate::ledger::{Cap, Who};
use crate::money::Micros;
use crate::name::ModelName;
use crate::price::{self, Price};

/// The most caps and the most prices that can be set.
const SETTINGS_MAX: usize = 10_000;

pub(super) fn cap(tx: &mut Tx<'_>, cap: Cap, limit: Option<Micros>) -> Result<Reply, Rejected> {
    let settings = tx.state.settings();
    let endpoints = settings.routing.endpoints.values();
    if limit.is_some()
        && let Some(model) = unpriced(&settings.prices, endpoints, [&cap])
    {
        return Err(Rejected::NoPrice(model));
    }
    if limit.is_some() && settings.caps.len() >= SETTINGS_MAX && !settings.caps.contains_key(&cap) {
        return Err(Rejected::TooManyCaps { max: SETTINGS_MAX });
    }
    tx.change_settings("hub.capped", |settings| match limit {
        Some(limit) => _ = settings.caps.insert(cap, limit),
        None => _ = settings.caps.remove(&cap),
    });
    tx.reconsider_calls();
    Ok(Reply::Done)
}

pub(super) fn price(
    tx: &mut Tx<'_>,
    model: ModelName,
    price: Option<Price>,
) -> Result<Reply, Rejected> {
    let settings = tx.state.settings();
    let is_new = !settings.prices.contains_key(&model);
    if price.is_some() && is_new && settings.prices.len() >= SETTINGS_MAX {
        return Err(Rejected::TooManyCaps { max: SETTINGS_MAX });
    }
    let mut prices = settings.prices.clone();
    match price {
        Some(price) => _ = prices.insert(model.clone(), price),
        None => _ = prices.remove(&model),
    }
    let endpoints = settings.routing.endpoints.values();
    if unpriced(&prices, endpoints, settings.caps.keys()).is_some() {
        return Err(Rejected::PriceInUse(model));
    }
    tx.change_settings("hub.priced", |settings| settings.prices = prices);
    tx.reconsider_calls();
    Ok(Reply::Done)
}

/// A model of which nobody knows what it costs, so that one of the caps would bound nothing: the one
/// that the cap names, or one that a server is asked for, for money. Programs say themselves what they
/// cost, and what servers have beside is not asked where there are caps.
pub(in crate::hub) fn unpriced<'a>(
    prices: &BTreeMap<ModelName, Price>,
    endpoints: impl Iterator<Item = &'a Endpoint> + Clone,
    caps: impl IntoIterator<Item = &'a Cap>,
) -> Option<ModelName> {
    let is_priced = |model: &str| price::find(prices, model).is_some();
    let paid = endpoints.filter(|it| it.wants_prices());
    caps.into_iter().find_map(|cap| match cap.who() {
        Who::Model(Some(model)) => (!is_priced(model.as_str())).then(|| model.clone()),
        Who::All | Who::Task | Who::Goal(_) | Who::Agent(_) | Who::Repo(_) | Who::Model(None) => {
            let mut asked = paid.clone().flat_map(|endpoint| &endpoint.models);
            let unknown = asked.find(|meant| !is_priced(&meant.model))?;
            ModelName::new(&unknown.model).ok()
        }
    })
}

/// Stops all that spends, and lets nothing start, or lets work go on.
pub(super) fn estop(tx: &mut Tx<'_>, stop: bool) -> Reply {
    tx.change_settings(if stop { "hub.stopped" } else { "hub.unstopped" }, |settings| {
        settings.stopped = stop;
    });
    if stop {
        let spends = |id: &TaskId| {
            let Some(task) = tx.state.task(*id) else { return false };
            let called = task.life.spend.as_ref().map(|spend| spend.lease);
            let asks = tx.state.questions_about(*id).any(|open| open.spend.is_some());
            asks || called == task.life.state.hold().map(|hold| hold.lease)
        };
        let spending: alloc::vec::Vec<TaskId> = tx.state.held().filter(spends).collect();
        spending.into_iter().for_each(|id| tx.stop_spending(id));
    }
    Reply::Done
}
