//! This file takes commands in that say how much may be spent.

use super::super::tx::Tx;
use crate::command::{Rejected, Reply};
use crate::id::TaskId;
use crate::ledger::{Cap, Who};
use crate::money::Micros;
use crate::name::ModelName;
use crate::price::{self, Price};

/// The most caps and the most prices that can be set.
const SETTINGS_MAX: usize = 10_000;

pub(super) fn cap(tx: &mut Tx<'_>, cap: Cap, limit: Option<Micros>) -> Result<Reply, Rejected> {
    let settings = tx.state.settings();
    if let Some(_) = limit
        && let Who::Model(Some(model)) = cap.who()
        && price::find(&settings.prices, model.as_str()).is_none()
    {
        return Err(Rejected::NoPrice(model.clone()));
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
    let bounds_nothing = |cap: &Cap| matches!(cap.who(), Who::Model(Some(of)) if price::find(&prices, of.as_str()).is_none());
    if settings.caps.keys().any(bounds_nothing) {
        return Err(Rejected::PriceInUse(model));
    }
    tx.change_settings("hub.priced", |settings| settings.prices = prices);
    tx.reconsider_calls();
    Ok(Reply::Done)
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
