//! This file hands ready tasks to agents with room, and is the only one that does.
//!
//! It looks only at what changed: agents that have room, and classes with a task that may start.
//! Before a step nothing that could run waits for an agent that could run it, so nothing else can
//! have become possible.

#[cfg(feature = "testing")]
pub mod alone;
mod choose;
mod gate;
mod policy;
mod why;

pub use policy::{AgentFacts, FairPolicy, Policy, TaskFacts};
pub use why::{why, why_ended};

use super::assignment;
use super::tx::Tx;
use crate::state::{AgentNo, Entry, Gate, Pending, Pulse, Queued};
use crate::task::{Hold, TaskEvent};
use crate::wire::ToAgent;

/// The most tasks that one step hands out; the rest follow in steps of their own.
const ASSIGNED_MAX: usize = 1_024;
/// The most tasks that one step finds nobody for: each may have been offered to many agents.
const UNFIT_MAX: usize = 64;

/// What becomes of the task that comes first.
enum Decision {
    /// It is given to an agent.
    Given(Entry, AgentNo),
    /// A limit holds it back.
    Limited(Gate),
    /// Nobody with room suits it.
    Unfit,
}

/// Hands out what can be handed out.
pub(super) fn run(tx: &mut Tx<'_>) {
    let mut pending = tx.state.take_pending();
    let mut unfit = 0;
    for _ in 0..ASSIGNED_MAX {
        if unfit == UNFIT_MAX {
            break;
        }
        let Some((queued, decision)) = decide(tx, &mut pending) else { return };
        match decision {
            Decision::Given(entry, agent) => assign(tx, &entry, agent),
            Decision::Limited(gate) => tx.state.park(queued, gate),
            Decision::Unfit => {
                unfit += 1;
                hold_back(tx, queued);
            }
        }
        pending.merge(tx.state.take_pending());
    }
    tx.state.put_back(pending);
}

/// Picks the task that comes first among what changed, and whom it is for.
fn decide(tx: &mut Tx<'_>, pending: &mut Pending) -> Option<(Queued, Decision)> {
    let queued = choose::next(tx, pending)?;
    let entry = *tx.state.ready().entry(&queued)?;
    let decision = match gate::closed(tx, entry.limits) {
        Some(gate) => Decision::Limited(gate),
        None => match choose::agent(tx, &queued) {
            Some(agent) => Decision::Given(entry, agent),
            None => Decision::Unfit,
        },
    };
    Some((queued, decision))
}

fn assign(tx: &mut Tx<'_>, entry: &Entry, agent: AgentNo) {
    let id = tx.state.id_of(entry.spot.number);
    let (Some(task), Some(member)) = (tx.state.task(id), tx.state.fleet().member(agent)) else {
        return;
    };
    let (agent, lease) = (member.id.clone(), task.life.lease.next());
    let hold = Hold { agent, lease, since: tx.now().wall };
    gate::draw(tx, entry.limits);
    if tx.transition(id, TaskEvent::Assign(hold.clone())).is_err() {
        return;
    }
    tx.grant(id);
    let session = tx.state.session_of(&hold.agent).map(|session| (session.id, session.dialect));
    if let (Some((session, dialect)), Some(task)) = (session, tx.state.task(id)) {
        let frame = assignment::of(tx.state, tx.config, task, &hold, dialect);
        tx.send(session, ToAgent::TaskAssign(frame.into()));
    }
}

/// Nobody with room suits the task by the policy; it tries again when somebody else has room, or
/// when it need no longer wait for the agent that has its repository at hand.
fn hold_back(tx: &mut Tx<'_>, queued: Queued) {
    let id = tx.state.id_of(queued.spot.number);
    if let Some(until) = choose::affinity_ends(tx, id) {
        tx.feel(Pulse::AffinityEnds(id, until));
    }
    tx.state.park(queued, Gate::Fit);
}
