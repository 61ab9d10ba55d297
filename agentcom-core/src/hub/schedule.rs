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
mod route;
mod why;

pub use policy::{AgentFacts, FairPolicy, Policy, TaskFacts};
pub use why::{why, why_ended};

use alloc::boxed::Box;
use choose::Choice;

use super::assignment;
use super::tx::Tx;
use crate::route::Decision as Decided;
use crate::state::{AgentNo, Gate, Pending, Pulse, Queued};
use crate::task::{Hold, TaskEvent};
use crate::wire::ToAgent;

/// The most tasks that one step hands out; the rest follow in steps of their own.
const ASSIGNED_MAX: usize = 1_024;
/// The most offers that one step makes for tasks which suit nobody, the last task's not counted.
pub(super) const OFFERS_MAX: usize = 1_024;
/// What such a task counts as, if it was offered to fewer agents.
const OFFERS_MIN: usize = 16;

/// What becomes of the tasks that come first.
enum Decision {
    /// The first is given to an agent.
    Given(Choice, AgentNo, Option<Box<Decided>>),
    /// Limits hold some of them back. Others may come first, if those stood in front of them.
    Limited,
    /// Nobody with room suits the first, of so many that it was offered to.
    Unfit(Queued, usize),
}

/// Hands out what can be handed out.
pub(super) fn run(tx: &mut Tx<'_>) {
    let mut pending = Pending::default();
    tx.state.hand_over(&mut pending);
    let mut offers = 0;
    for _ in 0..ASSIGNED_MAX {
        if offers >= OFFERS_MAX {
            break;
        }
        let Some(decision) = decide(tx, &mut pending) else { return };
        match decision {
            Decision::Given(choice, agent, route) => assign(tx, &choice, agent, route),
            Decision::Limited => {}
            Decision::Unfit(queued, offered) => {
                offers += offered.max(OFFERS_MIN);
                hold_back(tx, queued);
            }
        }
        tx.state.hand_over(&mut pending);
    }
    tx.state.put_back(pending);
}

/// Picks the task that comes first among what changed, and whom it is for.
fn decide(tx: &mut Tx<'_>, pending: &mut Pending) -> Option<Decision> {
    let choices = choose::next(tx, pending);
    let first = choose::first(tx.state, &choices)?;
    let Some(route) = park_closed(tx, &choices, first) else { return Some(Decision::Limited) };
    Some(match route {
        Some(route) => routed(tx, first, route),
        None => match choose::agent(tx, &first.queued, &[]) {
            Ok(agent) => Decision::Given(*first, agent, None),
            Err(offered) => Decision::Unfit(first.queued, offered),
        },
    })
}

/// Whom a task is for that is done with a model: the best model is passed over if nobody with room can
/// have it asked.
fn routed(tx: &Tx<'_>, first: &Choice, mut route: Box<Decided>) -> Decision {
    let mut offers = 0;
    while let Some(chosen) = &route.chosen {
        match choose::agent(tx, &first.queued, &route::needs(tx, chosen)) {
            Ok(agent) => {
                route.shorten();
                return Decision::Given(*first, agent, Some(route));
            }
            Err(offered) => offers += offered,
        }
        route.pass_over();
    }
    Decision::Unfit(first.queued, offers)
}

/// Takes the tasks out of the way that a limit keeps from starting, or that no endpoint takes. One that
/// is not the first may hide an older one of its lane, which is. If there were none, the model for the
/// first, if it is done with one.
fn park_closed(
    tx: &mut Tx<'_>,
    choices: &[Option<Choice>],
    first: &Choice,
) -> Option<Option<Box<Decided>>> {
    let (mut parked, mut chosen) = (false, None);
    for choice in choices.iter().flatten() {
        let limited = gate::closed(tx, choice.limits);
        match limited.map_or_else(|| route::of(tx, &choice.queued), Err) {
            Err(gate) => {
                tx.state.park(choice.queued, gate);
                parked = true;
            }
            Ok(route) if choice.queued.spot.number == first.queued.spot.number => chosen = route,
            Ok(_) => {}
        }
    }
    (!parked).then_some(chosen)
}

fn assign(tx: &mut Tx<'_>, choice: &Choice, agent: AgentNo, route: Option<Box<Decided>>) {
    let id = tx.state.id_of(choice.queued.spot.number);
    let (Some(task), Some(member)) = (tx.state.task(id), tx.state.fleet().member(agent)) else {
        return;
    };
    let floor = tx.state.head().map(|head| head.lease_floor).unwrap_or_default();
    let (agent, lease) = (member.id.clone(), task.life.lease.max(floor).next());
    let hold = Hold { agent, lease, since: tx.now().wall };
    gate::draw(tx, choice.limits);
    if tx.transition(id, TaskEvent::Assign(hold.clone(), route)).is_err() {
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
