//! This file says of a task what its submitter did not: which repository it is about, what runs it, and
//! with which model. What the task says wins, then what is said of its repository, then what is said
//! of its tier.

use alloc::string::String;

use super::super::tx::Tx;
use crate::change::Settings;
use crate::command::Rejected;
use crate::json::Json;
use crate::name::{AgentId, Kind};
use crate::repo::Registered;
use crate::route::{AUTO, KIND, is_of_models};
use crate::sandbox::Level;
use crate::state::PROBE;
use crate::task::{Complexity, Draft};

/// The kind of an operation that wakes a session.
const WAKE: &str = "wake";

/// Whether nobody said what runs it.
pub(super) fn is_open(draft: &Draft) -> bool {
    draft.op.kind.as_str() == AUTO
}

/// Says that it wakes a session.
pub(super) fn wake(draft: &mut Draft) {
    if let Ok(kind) = Kind::new(WAKE) {
        draft.op.kind = kind;
    }
}

/// Completes a draft.
pub(super) fn settle(tx: &Tx<'_>, draft: &mut Draft) {
    let settings = tx.state.settings();
    let repo = repo_of(settings, draft);
    if let Some(repo) = repo {
        draft.repo = Some(repo.url.clone());
    }
    if !is_open(draft) {
        return;
    }
    let tier = Complexity::of_draft(draft).effective();
    match (repo.and_then(|repo| repo.executor(tier)), settings.routing.executors.get(&tier)) {
        (Some(runs), _) => {
            draft.op.kind = runs.kind.clone();
            // Without endpoints nobody knows whose model that is.
            let is_known = runs.kind.as_str() != KIND || !settings.routing.endpoints.is_empty();
            if let Some(model) = runs.model.as_ref().filter(|_| is_known) {
                name_model(draft, model.as_str());
            }
        }
        (None, Some(kind)) => draft.op.kind = kind.clone(),
        (None, None) => usual(tx, draft),
    }
}

/// Whether tasks of a kind are done at all.
pub(super) fn check_executor(kind: &Kind) -> Result<(), Rejected> {
    if [AUTO, PROBE].contains(&kind.as_str()) {
        return Err(Rejected::BadExecutor(kind.clone()));
    }
    Ok(())
}

/// A task with a description is one for models where there are endpoints that it could be given.
fn usual(tx: &Tx<'_>, draft: &mut Draft) {
    let least = draft.sandbox.unwrap_or(Level::L2);
    let holds = |agent: &AgentId| {
        let report = tx.state.agent(agent).and_then(|agent| agent.sandbox.as_ref());
        report.is_some_and(|report| report.level >= least)
    };
    let mut endpoints = tx.state.settings().routing.endpoints.values();
    let is_for_models =
        endpoints.any(|it| it.announced_by.is_empty() || it.announced_by.iter().any(holds));
    match Kind::new(KIND) {
        Ok(kind) if is_for_models && !draft.description.is_empty() => draft.op.kind = kind,
        _ => wake(draft),
    }
}

/// The registered repository that a task is about: the one that it means, or, if it is for a model or
/// a session and names none, the first one that is not paused. If all are, it waits for the first.
fn repo_of<'a>(settings: &'a Settings, draft: &Draft) -> Option<&'a Registered> {
    if let Some(repo) = &draft.repo {
        return settings.repos.iter().find(|known| known.is_meant(repo));
    }
    let kind = &draft.op.kind;
    if !is_open(draft) && !is_of_models(kind) && kind.as_str() != WAKE {
        return None;
    }
    let active = settings.repos.iter().find(|known| !settings.is_paused(&known.url));
    active.or(settings.repos.first())
}

/// Names the model in the input of an operation, unless that names one.
fn name_model(draft: &mut Draft, model: &str) {
    let input = &draft.op.input;
    let read = if input.is_null() { Ok(serde_json::Map::new()) } else { input.read() };
    let Ok(mut input) = read else { return };
    if input.contains_key("model") {
        return;
    }
    input.insert("model".into(), String::from(model).into());
    if let Ok(named) = Json::of(&input) {
        draft.op.input = named;
    }
}
