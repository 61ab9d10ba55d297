//! This file takes commands in that change how the hub runs: pauses, weights, oldest first.

use super::super::tx::Tx;
use crate::change::Settings;
use crate::command::{Rejected, Reply, Scope};
use crate::name::Key;
use crate::state::WEIGHT_USUAL;

pub(super) fn pause(tx: &mut Tx<'_>, mut scope: Scope) -> Reply {
    settle_scope(tx.state.settings(), &mut scope);
    change(tx, "hub.paused", |settings| {
        settings.paused.insert(scope);
    })
}

pub(super) fn unpause(tx: &mut Tx<'_>, mut scope: Scope) -> Reply {
    settle_scope(tx.state.settings(), &mut scope);
    change(tx, "hub.unpaused", |settings| {
        if let Scope::Repo(repo) = &scope {
            settings.unpause(repo);
        } else {
            settings.paused.remove(&scope);
        }
    })
}

/// A registered repository has one address, as it has for tasks.
fn settle_scope(settings: &Settings, scope: &mut Scope) {
    if let Scope::Repo(repo) = scope
        && let Some(known) = settings.repos.iter().find(|known| known.is_meant(repo))
    {
        *repo = known.url.clone();
    }
}

pub(super) fn weigh(tx: &mut Tx<'_>, key: Key, weight: u32) -> Result<Reply, Rejected> {
    if weight == 0 || weight > 10_000 {
        return Err(Rejected::BadWeight(weight));
    }
    Ok(change(tx, "hub.weighed", |settings| {
        if weight == WEIGHT_USUAL {
            settings.weights.remove(&key);
        } else {
            settings.weights.insert(key, weight);
        }
    }))
}

pub(super) fn oldest_first(tx: &mut Tx<'_>, every: u32) -> Reply {
    change(tx, "hub.oldest_first", |settings| settings.oldest_first = every)
}

pub(super) fn change(tx: &mut Tx<'_>, kind: &str, change: impl FnOnce(&mut Settings)) -> Reply {
    tx.change_settings(kind, change);
    Reply::Done
}
