//! This file takes commands about agents in.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::super::Effect;
use super::super::announced;
use super::super::tx::Tx;
use crate::agent::{Agent, TokenHash, Trust, TrustEvent};
use crate::change::Change;
use crate::command::{Rejected, Reply};
use crate::guard::Guard;
use crate::id::{SessionId, TaskId};
use crate::name::AgentId;
use crate::port::transport::CloseReason;
use crate::state::Pulse;
use crate::task::Outcome;
use crate::wire::ToAgent;

pub(super) fn add(tx: &mut Tx<'_>, id: AgentId, token: TokenHash) -> Result<Reply, Rejected> {
    if tx.state.agent(&id).is_some() {
        return Err(Rejected::AgentExists(id));
    }
    let max = tx.config.agents_max;
    if tx.state.agents().len() >= max && tx.on(Guard::AgentsMax) {
        return Err(Rejected::TooManyAgents { max });
    }
    let registered_at = tx.now().wall;
    let (tokens, trust) = (vec![token], Trust::Good);
    let agent = Agent { id, tokens, registered_at, draining: false, trust, sandbox: None };
    tx.record_as("agent.added", Change::AgentSet(agent.into()));
    Ok(Reply::Done)
}

pub(super) fn rotate(tx: &mut Tx<'_>, id: &AgentId, token: TokenHash) -> Result<Reply, Rejected> {
    let mut agent = known(tx, id)?;
    // Two live tokens let the agent change over; the oldest goes.
    agent.tokens.insert(0, token);
    agent.tokens.truncate(2);
    let is_over = |token: &TokenHash| !agent.tokens.contains(token);
    let over =
        tx.state.session_of(id).filter(|session| session.token.as_ref().is_some_and(is_over));
    if let Some(session) = over.map(|session| session.id) {
        // As of any connection that breaks, what its agent holds it keeps for the rest of the lease.
        close(tx, session);
    }
    tx.record_as("agent.token", Change::AgentSet(agent.into()));
    Ok(Reply::Done)
}

pub(super) fn remove(tx: &mut Tx<'_>, id: &AgentId) -> Result<Reply, Rejected> {
    known(tx, id)?;
    let held: Vec<TaskId> = tx.state.held_by(id).collect();
    for task in held {
        tx.lose(task, Outcome::Released, "the agent was removed");
    }
    if let Some(session) = tx.state.session_of(id).map(|session| session.id) {
        close(tx, session);
    }
    announced::gone(tx, id);
    tx.record_as("agent.removed", Change::AgentRemoved(id.clone()));
    Ok(Reply::Done)
}

/// Closes the connection of an agent whose token is over.
fn close(tx: &mut Tx<'_>, session: SessionId) {
    tx.effect(Effect::Close(session, CloseReason::Unauthorised));
    tx.feel(Pulse::SessionGone(session));
}

pub(super) fn drain(tx: &mut Tx<'_>, id: &AgentId) -> Result<Reply, Rejected> {
    let agent = known(tx, id)?;
    if !agent.draining {
        let agent = Agent { draining: true, ..agent };
        tx.record_as("agent.drained", Change::AgentSet(agent.into()));
    }
    Ok(Reply::Done)
}

pub(super) fn resume(tx: &mut Tx<'_>, id: &AgentId) -> Result<Reply, Rejected> {
    let agent = known(tx, id)?;
    let trust = agent.trust.on(TrustEvent::Pardoned);
    if agent.draining || trust != agent.trust {
        let agent = Agent { draining: false, trust, ..agent };
        tx.record_as("agent.resumed", Change::AgentSet(agent.into()));
    }
    Ok(Reply::Done)
}

pub(super) fn restart(tx: &mut Tx<'_>, id: AgentId, reason: String) -> Result<Reply, Rejected> {
    known(tx, &id)?;
    let session = tx.state.session_of(&id).map(|session| session.id);
    let session = session.ok_or(Rejected::NotConnected(id))?;
    tx.send(session, ToAgent::RestartSidecar { reason });
    Ok(Reply::Done)
}

fn known(tx: &Tx<'_>, id: &AgentId) -> Result<Agent, Rejected> {
    tx.state.agent(id).cloned().ok_or_else(|| Rejected::UnknownAgent(id.clone()))
}
