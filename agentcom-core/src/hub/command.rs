//! This file takes commands in: who may ask for what, and which family answers.

mod agent;
mod batch;
mod endpoint;
mod money;
mod operator;
mod repo;
mod settings;
mod settle;
mod task;

pub(super) use money::unpriced;

use super::tx::Tx;
use super::{Effect, operators};
use crate::command::{Command, Facts, Needs, Rejected, Reply};
use crate::guard::Guard;
use crate::id::CallId;
use crate::name::Principal;
use crate::state::State;
use crate::task::{Dependency, Draft};

/// What `command` has to know of what is not in memory.
#[must_use]
pub fn needs(state: &State, command: &Command) -> Needs {
    let mut needs = Needs::default();
    match command {
        Command::Submit(draft) => draft_needs(state, draft, &mut needs),
        Command::SubmitBatch(drafts) => {
            drafts.iter().for_each(|draft| draft_needs(state, draft, &mut needs));
        }
        Command::Cancel(id) => task_needs(state, *id, &mut needs),
        Command::Revive(ids) => ids.iter().for_each(|id| task_needs(state, *id, &mut needs)),
        Command::AddAgent { .. }
        | Command::RotateToken { .. }
        | Command::RemoveAgent(_)
        | Command::Drain(_)
        | Command::Resume(_)
        | Command::Restart { .. }
        | Command::Pause(_)
        | Command::Unpause(_)
        | Command::SetWeight { .. }
        | Command::SetOldestFirst { .. }
        | Command::SetCap { .. }
        | Command::SetPrice { .. }
        | Command::Estop { .. }
        | Command::Operator(_)
        | Command::Endpoint(_)
        | Command::Repo(_)
        | Command::Answer { .. } => {}
    }
    needs
}

fn draft_needs(state: &State, draft: &Draft, needs: &mut Needs) {
    if let Some(key) = &draft.idempotency_key
        && state.just_used(key).is_none()
    {
        needs.keys.push(key.clone());
    }
    for dependency in &draft.depends_on {
        if let Dependency::Known(id) = dependency {
            task_needs(state, *id, needs);
        }
    }
}

fn task_needs(state: &State, id: crate::id::TaskId, needs: &mut Needs) {
    if state.task(id).is_none() && state.just_ended(id).is_none() {
        needs.tasks.push(id);
    }
}

/// Answers a call.
pub(super) fn take(tx: &mut Tx<'_>, call: CallId, command: Command, facts: &Facts) {
    let reply = if may(tx, &command) {
        answer(tx, command, facts).unwrap_or_else(Reply::Rejected)
    } else {
        Reply::Rejected(Rejected::NotAllowed(tx.by.clone()))
    };
    tx.effect(Effect::Reply(call, reply));
}

/// Agents may submit tasks, and operators what their rights say; everything else is for whoever
/// administers the hub.
fn may(tx: &Tx<'_>, command: &Command) -> bool {
    match &tx.by {
        Principal::System | Principal::Admin => true,
        Principal::Agent(_) => {
            matches!(command, Command::Submit(_) | Command::SubmitBatch(_))
                || !tx.on(Guard::Permission)
        }
        Principal::Operator(id) => operators::may(tx, id, command) || !tx.on(Guard::Rights),
    }
}

fn answer(tx: &mut Tx<'_>, command: Command, facts: &Facts) -> Result<Reply, Rejected> {
    match command {
        Command::Submit(draft) => batch::submit(tx, *draft, facts),
        Command::SubmitBatch(drafts) => batch::submit_batch(tx, drafts, facts),
        Command::Cancel(id) => task::cancel(tx, id, facts),
        Command::Revive(ids) => Ok(task::revive(tx, &ids, facts)),
        Command::AddAgent { id, token } => agent::add(tx, id, token),
        Command::RotateToken { id, token } => agent::rotate(tx, &id, token),
        Command::RemoveAgent(id) => agent::remove(tx, &id),
        Command::Drain(id) => agent::drain(tx, &id),
        Command::Resume(id) => agent::resume(tx, &id),
        Command::Restart { id, reason } => agent::restart(tx, id, reason),
        Command::Pause(scope) => Ok(settings::pause(tx, scope)),
        Command::Unpause(scope) => Ok(settings::unpause(tx, scope)),
        Command::SetWeight { key, weight } => settings::weigh(tx, key, weight),
        Command::SetOldestFirst { every } => Ok(settings::oldest_first(tx, every)),
        Command::SetCap { cap, limit } => money::cap(tx, cap, limit),
        Command::SetPrice { model, price } => money::price(tx, model, price),
        Command::Estop { stop } => Ok(money::estop(tx, stop)),
        Command::Operator(command) => operator::take(tx, command),
        Command::Endpoint(command) => endpoint::take(tx, command),
        Command::Repo(command) => repo::take(tx, command),
        Command::Answer { id, answer } => task::answer(tx, id, answer),
    }
}
