//! This file hands ready tasks to agents with room, and is the only one that does.
//!
//! It looks only at what changed: agents that have room, and classes with a task that may start.
//! Before a step nothing that could run waits for an agent that could run it, so nothing else can
//! have become possible.

mod choose;
mod gate;
mod policy;
mod why;

pub use policy::{AgentFacts, FairPolicy, Policy, TaskFacts};
pub use why::{why, why_ended};

use choose::Choice;

use super::assignment;
use super::tx::Tx;
use crate::id::TaskId;
use crate::name::AgentId;
use crate::state::Pulse;
use crate::state::{Gate, Pending};
use crate::task::{Hold, TaskEvent};
use crate::wire::ToAgent;

/// The most tasks that one step hands out; the rest follow in steps of their own.
const ASSIGNED_MAX: usize = 1_024;
/// The most tasks that one step finds nobody for: each may have been offered to many agents.
const UNFIT_MAX: usize = 64;

/// Hands out what can be handed out.
pub(super) fn run(tx: &mut Tx<'_>) {
    let mut pending = tx.state.take_pending();
    let mut unfit = 0;
    for _ in 0..ASSIGNED_MAX {
        if unfit == UNFIT_MAX {
            break;
        }
        let choices = choose::next(tx.state, &mut pending);
        let Some(choice) = choices[0] else { return };
        if park_closed(tx, &choices) {
            // Others may come first, if what is parked stood in front of them.
        } else if let Some(agent) = choose::agent(tx, &choice) {
            assign(tx, choice.task, &agent);
        } else {
            unfit += 1;
            hold_back(tx, choice.task);
        }
        merge(&mut pending, tx.state.take_pending());
    }
    tx.state.put_back(pending);
}

/// Takes the tasks out of the way that a limit keeps from starting; whether there were any.
fn park_closed(tx: &mut Tx<'_>, choices: &[Option<Choice>]) -> bool {
    let mut parked = false;
    for choice in choices.iter().flatten() {
        if let Some(gate) = gate::closed(tx, choice.task) {
            tx.state.park(choice.task, gate);
            parked = true;
        }
    }
    parked
}

fn merge(pending: &mut Pending, more: Pending) {
    pending.classes.extend(more.classes);
    pending.agents.extend(more.agents);
}

fn assign(tx: &mut Tx<'_>, id: TaskId, agent: &AgentId) {
    let Some(task) = tx.state.task(id) else { return };
    let floor = tx.state.head().map(|head| head.lease_floor).unwrap_or_default();
    let lease = task.life.lease.max(floor).next();
    let hold = Hold { agent: agent.clone(), lease, since: tx.now().wall };
    gate::draw(tx, id);
    if tx.transition(id, TaskEvent::Assign(hold.clone())).is_err() {
        return;
    }
    tx.grant(id);
    let session = tx.state.session_of(agent).map(|session| (session.id, session.dialect));
    if let (Some((session, dialect)), Some(task)) = (session, tx.state.task(id)) {
        let frame = assignment::of(tx.state, tx.config, task, &hold, dialect);
        tx.send(session, ToAgent::TaskAssign(frame.into()));
    }
}

/// Nobody with room suits the task by the policy; it tries again when somebody else has room, or
/// when it need no longer wait for the agent that has its repository at hand.
fn hold_back(tx: &mut Tx<'_>, id: TaskId) {
    if let Some(until) = choose::affinity_ends(tx, id) {
        tx.feel(Pulse::AffinityEnds(id, until));
    }
    tx.state.park(id, Gate::Fit);
}
