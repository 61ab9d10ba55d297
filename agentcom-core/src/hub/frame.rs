//! This file takes in what happens on connections, and sorts frames by what they are about.

mod identify;
mod plain;
mod work;

use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;

use super::Effect;
use super::tx::Tx;
use crate::agent::TokenHash;
use crate::command::{Facts, Needs};
use crate::guard::Guard;
use crate::id::{Lease, SessionId, TaskId};
use crate::name::AgentId;
use crate::port::transport::CloseReason;
use crate::state::Pulse;
use crate::state::{Session, State};
use crate::wire::{BadFrame, Dialect, ErrorFrame, PeerAgent, ToAgent, ToHub};

/// What `frame` has to know of what is not in memory: the task that it speaks of, if it ended.
#[must_use]
pub fn needs(state: &State, frame: &ToHub) -> Needs {
    let of_call = if let ToHub::SpendUsed(frame) = frame { Some(frame.task_id) } else { None };
    let reported = frame.reports().map(|(id, _)| id);
    let Some(id) = reported.or(of_call) else { return Needs::default() };
    let known = state.task(id).is_some() || state.just_ended(id).is_some();
    Needs { tasks: if known { Vec::new() } else { Vec::from([id]) }, keys: Vec::new() }
}

pub(super) fn opened(tx: &mut Tx<'_>, id: SessionId, dialect: Dialect, peer: Box<str>) {
    let now = tx.now();
    let identify_by = now.mono + tx.config.identify_within;
    let session = Session::opened(id, dialect, peer, now, identify_by);
    tx.feel(Pulse::Session(session.into()));
}

/// The connection is gone; what its agent holds it keeps for the rest of the lease.
pub(super) fn closed(tx: &mut Tx<'_>, id: SessionId) {
    tx.feel(Pulse::SessionGone(id));
}

pub(super) fn take(
    tx: &mut Tx<'_>,
    id: SessionId,
    frame: Result<ToHub, BadFrame>,
    token: Option<TokenHash>,
    facts: &Facts,
) {
    let Some(session) = tx.state.session(id) else { return };
    let (agent, dialect) = (session.agent.clone(), session.dialect);
    match (frame, agent) {
        (Err(bad), _) => violation(tx, id, &bad),
        (Ok(ToHub::Identify(frame)), agent) => identify::take(tx, id, agent, frame, token),
        (Ok(_), None) => fail(tx, id, "not_identified"),
        (Ok(frame), Some(agent)) => {
            let from = From { session: id, agent, dialect };
            seen(tx, &from);
            identified(tx, &from, frame, facts);
        }
    }
}

/// Who a frame is from.
pub(super) struct From {
    session: SessionId,
    agent: AgentId,
    dialect: Dialect,
}

fn identified(tx: &mut Tx<'_>, from: &From, frame: ToHub, facts: &Facts) {
    match frame {
        // It was taken in before the sender was looked up.
        ToHub::Identify(_) => {}
        ToHub::Ping(ping) => work::ping(tx, from, ping),
        ToHub::TaskAccepted(frame) => work::accepted(tx, from, &frame),
        ToHub::TaskProgress(frame) => work::progress(tx, from, frame),
        ToHub::TaskComplete(frame) => work::complete(tx, from, frame, facts),
        ToHub::TaskFailed(frame) => work::failed(tx, from, frame, facts),
        ToHub::TaskRejected(frame) => work::rejected(tx, from, &frame),
        ToHub::TaskReleased(frame) => work::released(tx, from, &frame, facts),
        ToHub::TaskWithdrawn(frame) => work::withdrawn(tx, from, &frame, facts),
        ToHub::TaskQuestion(frame) => work::question(tx, from, frame),
        ToHub::SpendReserve(frame) => work::reserve(tx, from, frame),
        ToHub::SpendUsed(frame) => work::used(tx, from, frame, facts),
        ToHub::TaskRecovering(frame) => plain::recovering(tx, from, &frame),
        ToHub::StateReport(frame) => plain::report(tx, from, &frame),
        ToHub::WakeResult(frame) => plain::wake_result(tx, from, &frame),
        ToHub::AgentRestarting { .. } | ToHub::AgentDraining {} => {
            let drains = tx.on(Guard::Leaving);
            tx.session(from.session, |session| session.drains = drains);
        }
        ToHub::Status { status } => {
            let status = super::clipped(&status, 256);
            tx.session(from.session, |session| session.status = Some(status));
            tx.send(from.session, ToAgent::StatusUpdated {});
        }
        ToHub::ListAgents {} => {
            let agents = peers(tx);
            tx.send(from.session, ToAgent::Agents { agents });
        }
        ToHub::ResourceReport { figures } => {
            tx.session(from.session, |session| session.resources = Some(figures));
        }
        ToHub::OllamaReport { .. } => {
            tx.send(from.session, ToAgent::OllamaReportAck { status: "registered".into() });
        }
        ToHub::Messaging { message_type } => {
            let error = ErrorFrame {
                error: "not_supported".into(),
                message_type: Some(message_type),
                hint: Some("this hub does not serve messages and channels".into()),
                ..ErrorFrame::default()
            };
            tx.send(from.session, ToAgent::Error(error));
        }
    }
}

/// Any frame of a connection is a sign of life.
fn seen(tx: &mut Tx<'_>, from: &From) {
    let silent_at = tx.silent_at(from.dialect);
    let seen = tx.now().mono;
    let session = tx.state.session(from.session);
    if session.is_some_and(|session| session.was_seen(seen, silent_at)) {
        return;
    }
    tx.session(from.session, |session| {
        session.seen = seen;
        session.silent = false;
        session.silent_at = Some(silent_at);
    });
}

/// Says what is wrong with a frame; too many such frames end the connection.
fn violation(tx: &mut Tx<'_>, id: SessionId, bad: &BadFrame) {
    let (window, max, now) = (tx.config.violation_window, tx.config.violations_max, tx.now().mono);
    tx.session(id, |session| {
        if now - session.violations_since > window {
            session.violations = 0;
            session.violations_since = now;
        }
        session.violations += 1;
    });
    let (error, message_type) = match bad {
        BadFrame::NotJson(_) => ("invalid_json", None),
        BadFrame::UnknownType(found) => ("validation_failed", Some(found.clone())),
        BadFrame::Fields { message_type, .. } => ("validation_failed", Some(message_type.clone())),
    };
    let hint = Some(bad.to_string());
    let errors = bad.errors();
    let error =
        ErrorFrame { error: error.into(), message_type, errors, hint, ..ErrorFrame::default() };
    tx.send(id, ToAgent::Error(error));
    if tx.state.session(id).is_some_and(|session| session.violations >= max)
        && tx.on(Guard::Violations)
    {
        tx.effect(Effect::Close(id, CloseReason::Violation));
        tx.feel(Pulse::SessionGone(id));
    }
}

fn fail(tx: &mut Tx<'_>, id: SessionId, error: &str) {
    tx.send(id, ToAgent::Error(ErrorFrame { error: error.into(), ..ErrorFrame::default() }));
}

fn fail_about(tx: &mut Tx<'_>, id: SessionId, error: &str, task: TaskId) {
    let task_id = Some(task);
    tx.send(
        id,
        ToAgent::Error(ErrorFrame { error: error.into(), task_id, ..ErrorFrame::default() }),
    );
}

fn peers(tx: &Tx<'_>) -> Vec<PeerAgent> {
    let peer = |session: &Session| {
        let agent_id = session.agent.clone()?;
        let profile = tx.state.profile(&agent_id)?;
        Some(PeerAgent {
            name: profile.name.as_deref().map(Into::into),
            status: session.status.as_deref().map(Into::into),
            capabilities: profile.capabilities.iter().map(ToString::to_string).collect(),
            connected_at: session.opened_at,
            agent_id,
        })
    };
    tx.state.sessions().filter_map(peer).take(1_000).collect()
}

/// Whether an agent holds a task under a lease.
fn holds(tx: &Tx<'_>, agent: &AgentId, id: TaskId, lease: Lease) -> bool {
    let hold = tx.state.task(id).and_then(|task| task.life.state.hold());
    hold.is_some_and(|hold| {
        (hold.agent == *agent || !tx.on(Guard::Owner))
            && (hold.lease == lease || !tx.on(Guard::Lease))
    })
}
