//! This file shows an agent to clients.

use std::collections::BTreeMap;

use agentcom_core::agent::{Phase, Trust};
use agentcom_core::id::{Boot, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Capability, Kind};
use agentcom_core::sandbox::Report;
use agentcom_core::task::Category;
use agentcom_core::time::{Span, Wall};
use agentcom_core::view::AgentView as Seen;
use agentcom_core::wire::{Dialect, Held, PROTOCOL};
use serde::Serialize;

use crate::dto::task_view::words;

/// An agent, as clients see it. `fsm_state` and `current_task_id` are the original's words.
#[derive(Debug, Serialize)]
pub(crate) struct AgentView {
    agent_id: AgentId,
    name: Option<Box<str>>,
    status: Option<Box<str>>,
    fsm_state: Phase,
    connected: bool,
    connected_at: Option<Wall>,
    registered_at: Wall,
    draining: bool,
    trust: TrustView,
    flags: Vec<&'static str>,
    capabilities: Vec<Capability>,
    executors: Vec<Kind>,
    slots: Option<u32>,
    labels: BTreeMap<Box<str>, Box<str>>,
    version: Option<Box<str>>,
    /// What it last proved of its sandbox.
    sandbox: Option<Box<Report>>,
    boot: Option<Boot>,
    protocol: Option<&'static str>,
    silent_for_ms: Option<Span>,
    resources: Option<Json>,
    current_task_id: Option<TaskId>,
    held: Vec<Held>,
    last_outcome: Option<LastOutcomeView>,
}

#[derive(Debug, Serialize)]
struct TrustView {
    level: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    crashes: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Wall>,
}

#[derive(Debug, Serialize)]
struct LastOutcomeView {
    task_id: TaskId,
    outcome: &'static str,
    category: Option<Category>,
    at: Wall,
}

impl From<Seen> for AgentView {
    fn from(seen: Seen) -> Self {
        let Seen {
            agent,
            phase,
            profile,
            dialect,
            connected_at,
            silent_for,
            status,
            resources,
            last_outcome,
            held,
        } = seen;
        let trust = TrustView::from(agent.trust);
        let last_outcome = last_outcome.map(|last| {
            let (outcome, category) = words(last.outcome);
            LastOutcomeView { task_id: last.task, outcome, category, at: last.at }
        });
        let shown = Self {
            agent_id: agent.id,
            name: None,
            status,
            fsm_state: phase,
            connected: profile.is_some(),
            connected_at,
            registered_at: agent.registered_at,
            draining: agent.draining,
            flags: flags(agent.trust),
            trust,
            capabilities: Vec::new(),
            executors: Vec::new(),
            slots: None,
            labels: BTreeMap::new(),
            version: None,
            sandbox: agent.sandbox,
            boot: None,
            protocol: dialect.map(|dialect| match dialect {
                Dialect::V1 => PROTOCOL,
                Dialect::Plain => "plain",
            }),
            silent_for_ms: silent_for,
            resources,
            current_task_id: held.first().map(|held| held.task_id),
            held,
            last_outcome,
        };
        let Some(profile) = profile else { return shown };
        Self {
            name: profile.name,
            capabilities: profile.capabilities,
            executors: profile.kinds,
            slots: Some(profile.slots),
            labels: profile.labels,
            version: profile.version,
            boot: Some(profile.boot),
            ..shown
        }
    }
}

impl AgentView {
    /// The same for lists: without what was tried in its sandbox.
    pub(crate) fn brief(mut self) -> Self {
        if let Some(report) = &mut self.sandbox {
            report.attempts.clear();
        }
        self
    }
}

impl From<Trust> for TrustView {
    fn from(trust: Trust) -> Self {
        let level = |level| Self { level, crashes: None, until: None };
        match trust {
            Trust::Good => level("good"),
            Trust::Flagged => level("flagged"),
            Trust::Shaken { crashes } => Self { crashes: Some(crashes), ..level("shaken") },
            Trust::Quarantined { until, .. } => Self { until: Some(until), ..level("quarantined") },
            Trust::Probing => level("probing"),
        }
    }
}

/// The original's flags.
fn flags(trust: Trust) -> Vec<&'static str> {
    match trust {
        Trust::Flagged => vec!["unresponsive"],
        Trust::Quarantined { .. } => vec!["quarantined"],
        Trust::Good | Trust::Shaken { .. } | Trust::Probing => Vec::new(),
    }
}
