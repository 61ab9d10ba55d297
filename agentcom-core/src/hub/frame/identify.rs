//! This file lets agents in: who they are, what they can do, and what they still hold.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use super::super::announced;
use super::super::tx::Tx;
use super::super::{Effect, assignment};
use super::fail;
use crate::agent::{Agent, Profile, TokenHash};
use crate::change::Change;
use crate::endpoint::Announced;
use crate::guard::Guard;
use crate::id::{Boot, SessionId, TaskId};
use crate::name::{AgentId, Capability, Kind};
use crate::port::transport::CloseReason;
use crate::sandbox::{Level, Report};
use crate::state::Pulse;
use crate::state::{Claimant, Refusals};
use crate::task::TaskState;
use crate::time::Span;
use crate::wire::{Dialect, ErrorFrame, Identified, Identify, ToAgent};

/// The most slots, capabilities, kinds and labels that an agent can have.
const ITEMS_MAX: usize = 256;

pub(super) fn take(
    tx: &mut Tx<'_>,
    id: SessionId,
    known: Option<AgentId>,
    mut frame: Identify,
    token: Option<TokenHash>,
) {
    let claimant = claimant(tx, id, &frame);
    if let Some(wait) = shut_out(tx, &claimant) {
        return too_many(tx, id, wait);
    }
    let Some((agent, proof)) = proven(tx, &frame, token.as_ref()) else {
        let at = tx.now().mono;
        let recent = |earlier: &&Refusals| at - earlier.at < tx.config.refused_for;
        let earlier = tx.state.refusals(&claimant).filter(recent);
        let count = earlier.map_or(0, |earlier| earlier.count) + 1;
        tx.feel(Pulse::Refusals(claimant, Some(Refusals { count, at })));
        let error =
            if someone(tx, token.as_ref()) { "token_agent_mismatch" } else { "invalid_token" };
        return refuse(tx, id, error);
    };
    tx.feel(Pulse::Refusals(claimant, None));
    if known.as_ref().is_some_and(|known| *known != agent) {
        return fail(tx, id, "already_identified");
    }
    let Some(dialect) = tx.state.session(id).map(|session| session.dialect) else { return };
    let models = frame.models.take().filter(|_| dialect == Dialect::V1);
    let (mut profile, sandbox) = match profile(dialect, frame, models.as_ref()) {
        Ok(said) => said,
        Err(error) => return fail(tx, id, &error),
    };
    // One that runs nothing, as whoever looks whether its token is good, has proved nothing either.
    if sandbox.is_some() || !profile.kinds.is_empty() {
        prove(tx, &agent, sandbox);
    }
    replace(tx, id, &agent);
    let held: Vec<TaskId> = tx.state.held_by(&agent).collect();
    let silent_at = tx.silent_at(dialect);
    let report_by = tx.now().mono + tx.config.report_within;
    tx.session(id, |session| {
        session.agent = Some(agent.clone());
        session.token = proof;
        session.identify_by = None;
        session.close_at = None;
        session.silent_at = Some(silent_at);
        session.silent = false;
        if dialect == Dialect::Plain && !held.is_empty() && known.is_none() {
            session.report_by = Some(report_by);
            session.unreported = held.iter().copied().collect();
        }
    });
    let refused = models.map(|models| announced::follow(tx, &agent, models));
    profile.capabilities.extend(announced::capabilities(tx.state.settings(), &agent));
    profile.capabilities.sort();
    tx.feel(Pulse::Profile(id, profile.into()));
    let incarnation = tx.state.head().map(|head| head.incarnation);
    let heartbeat_ms = (dialect == Dialect::V1).then_some(tx.config.heartbeat);
    tx.send(id, ToAgent::Identified(Identified { agent_id: agent, incarnation, heartbeat_ms }));
    if dialect == Dialect::V1 {
        remind(tx, id, &held);
    }
    for (name, rejected) in refused.into_iter().flatten() {
        let hint = alloc::format!("no task is routed to {name}: {rejected}");
        let error = "models_refused".into();
        let error = ErrorFrame { error, hint: Some(hint), ..ErrorFrame::default() };
        tx.send(id, ToAgent::Error(error));
    }
}

fn claimant(tx: &Tx<'_>, id: SessionId, frame: &Identify) -> Claimant {
    let peer = tx.state.session(id).map(|session| session.peer.clone()).unwrap_or_default();
    let name: String = frame.agent_id.chars().take(AgentId::BYTES_MAX).collect();
    (peer, name.into())
}

/// How much longer a claimant is not listened to.
fn shut_out(tx: &Tx<'_>, claimant: &Claimant) -> Option<Span> {
    let refusals = tx.state.refusals(claimant)?;
    let gone = tx.now().mono - refusals.at;
    let out = refusals.count >= tx.config.refusals_max
        && gone < tx.config.refused_for
        && tx.on(Guard::TokenTries);
    out.then(|| Span(tx.config.refused_for.0 - gone.0))
}

fn too_many(tx: &mut Tx<'_>, id: SessionId, wait: Span) {
    let error = ErrorFrame {
        error: "too_many_failures".into(),
        hint: Some("the token was refused again and again".into()),
        retry_after_ms: Some(wait),
        ..ErrorFrame::default()
    };
    tx.send(id, ToAgent::Error(error));
    close_later(tx, id);
}

/// The agent that both the name and the token belong to, and the token, if it does.
fn proven(
    tx: &Tx<'_>,
    frame: &Identify,
    token: Option<&TokenHash>,
) -> Option<(AgentId, Option<TokenHash>)> {
    let agent = tx.state.agent(&AgentId::new(&frame.agent_id).ok()?)?;
    let token = token?;
    // Every token is compared, so that time tells nothing about which one fits.
    let fits = agent.tokens.iter().fold(false, |fits, known| known.matches(token) | fits);
    (fits || !tx.on(Guard::Token)).then(|| (agent.id.clone(), fits.then_some(*token)))
}

fn someone(tx: &Tx<'_>, token: Option<&TokenHash>) -> bool {
    let Some(token) = token else { return false };
    tx.state
        .agents()
        .flat_map(|agent| &agent.tokens)
        .fold(false, |fits, known| known.matches(token) | fits)
}

/// Answers, and leaves the connection open for a while, so that a client that reconnects at once
/// does not do so in a loop.
fn refuse(tx: &mut Tx<'_>, id: SessionId, error: &str) {
    fail(tx, id, error);
    close_later(tx, id);
}

fn close_later(tx: &mut Tx<'_>, id: SessionId) {
    let close_at = tx.now().mono + tx.config.refused_close_after;
    tx.session(id, |session| {
        session.identify_by = None;
        session.close_at.get_or_insert(close_at);
    });
}

/// One agent has one connection: the latest.
fn replace(tx: &mut Tx<'_>, id: SessionId, agent: &AgentId) {
    let Some(old) = tx.state.session_of(agent).map(|session| session.id) else { return };
    if old != id && tx.on(Guard::Takeover) {
        tx.effect(Effect::Close(old, CloseReason::Replaced));
        tx.feel(Pulse::SessionGone(old));
    }
}

/// Says again what was assigned and not accepted, since the first word may have been lost. Whoever
/// hears it counts the lease from now on.
fn remind(tx: &mut Tx<'_>, id: SessionId, held: &[TaskId]) {
    for task in held {
        let Some(task) = tx.state.task(*task) else { continue };
        if let TaskState::Assigned(hold) = &task.life.state {
            let frame = assignment::of(tx.state, tx.config, task, hold, Dialect::V1);
            let lease = tx.lease_end(&task.spec, Dialect::V1);
            let (task, told) = (task.id, tx.now().mono);
            tx.send(id, ToAgent::TaskAssign(frame.into()));
            tx.clocks(task, |clocks| (clocks.lease, clocks.told) = (lease, told));
        }
    }
}

/// Remembers what an agent has proved of its sandbox, also for when it is away.
fn prove(tx: &mut Tx<'_>, agent: &AgentId, sandbox: Option<Box<Report>>) {
    let Some(known) = tx.state.agent(agent).filter(|known| known.sandbox != sandbox) else {
        return;
    };
    let agent = Agent { sandbox, ..known.clone() };
    tx.record_as("agent.sandbox", Change::AgentSet(agent.into()));
}

type Said = (Profile, Option<Box<Report>>);

fn profile(dialect: Dialect, frame: Identify, models: Option<&Announced>) -> Result<Said, String> {
    let said = frame.capabilities.unwrap_or_default();
    let mut capabilities = names(&said, "capabilities", Capability::new)?;
    capabilities.retain(|claimed| !claimed.is_of_endpoint());
    if let Some(report) = &frame.sandbox {
        report.check().map_err(|long| alloc::format!("bad_sandbox: {long}"))?;
        // What is proved counts, and not what is claimed beside.
        capabilities.retain(|claimed| Level::of_capability(claimed).is_none());
        capabilities.extend(report.capabilities());
    }
    if let Some(models) = models {
        announced::check(models)?;
    }
    let mut kinds = match dialect {
        Dialect::V1 => names(&frame.executors.unwrap_or_default(), "executors", Kind::new)?,
        Dialect::Plain => names(&["shell".into(), "wake".into()], "executors", Kind::new)?,
    };
    capabilities.sort();
    capabilities.dedup();
    kinds.sort();
    kinds.dedup();
    let labels = frame.labels.unwrap_or_default();
    if labels.len() > ITEMS_MAX {
        return Err("too_many_labels".into());
    }
    let text = |text: Option<String>| text.map(|text| super::super::clipped(&text, 256));
    let profile = Profile {
        name: text(frame.name),
        capabilities,
        kinds,
        slots: match dialect {
            Dialect::V1 => frame.slots.unwrap_or(1).clamp(1, 10_000),
            Dialect::Plain => 1,
        },
        labels: labels.into_iter().map(|(key, value)| (Box::from(key), Box::from(value))).collect(),
        version: text(frame.version),
        boot: frame.boot.unwrap_or(Boot(0)),
    };
    Ok((profile, frame.sandbox))
}

fn names<T, E: core::fmt::Display>(
    texts: &[String],
    field: &str,
    read: impl Fn(&str) -> Result<T, E>,
) -> Result<Vec<T>, String> {
    if texts.len() > ITEMS_MAX {
        return Err(alloc::format!("too_many_{field}"));
    }
    texts
        .iter()
        .map(|text| read(text).map_err(|bad| alloc::format!("bad_{field}: {bad}")))
        .collect()
}
