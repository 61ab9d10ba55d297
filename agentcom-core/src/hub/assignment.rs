//! This file writes the frame that hands a task to an agent.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use serde_json::{Map, Value};

use crate::config::HubConfig;
use crate::id::Incarnation;
use crate::json::Json;
use crate::route::is_routed;
use crate::sandbox::Level;
use crate::state::{State, probed_by};
use crate::task::{Complexity, Hold, Spec, Task};
use crate::time::Span;
use crate::wire::{AssignedComplexity, Assignment, Dialect, InferredTier, Route, RoutingDecision};

/// The frame for a task that an agent holds.
#[must_use]
pub(super) fn of(
    state: &State,
    config: &HubConfig,
    task: &Task,
    hold: &Hold,
    dialect: Dialect,
) -> Assignment {
    let spec = &task.spec;
    let (times, coding) = (spec.times(), spec.coding.as_deref().cloned().unwrap_or_default());
    let plain = dialect == Dialect::Plain;
    let is_told = plain || spec.coding.is_some() || is_routed(&spec.op.kind);
    let complexity = is_told.then(|| Complexity::of(spec));
    Assignment {
        task_id: task.id,
        generation: hold.lease,
        assigned_at: hold.since,
        description: spec.description.clone(),
        metadata: if plain { plain_metadata(task) } else { spec.metadata.clone() },
        op: spec.op.clone(),
        attempt: task.life.failures + 1,
        incarnation: state.head().map_or(Incarnation(0), |head| head.incarnation),
        lease_ttl_ms: lease_ttl(config, spec, dialect),
        timeout_ms: times.timeout,
        on_lease_loss: spec.on_lease_loss,
        sandbox: Some(spec.least_sandbox()).filter(|least| *least > Level::L0 && !plain),
        repo: spec.repo.clone(),
        branch: coding.branch,
        file_hints: coding.file_hints,
        success_criteria: coding.success_criteria,
        verification_steps: coding.verification_steps,
        complexity: complexity.as_ref().map(told),
        routing_decision: complexity.filter(|_| plain).map(|complexity| RoutingDecision {
            target_type: if spec.op.kind.as_str() == "shell" { "sidecar" } else { "wake" }.into(),
            effective_tier: complexity.effective(),
        }),
        route: route(state, task).filter(|_| !plain).map(Box::new),
        answers: task.life.answers.clone(),
        skip_verification: coding.skip_verification,
        verification_timeout_ms: coding.verification_timeout,
        max_verification_retries: coding.verification_retries_max,
        revivals: task.life.revivals,
    }
}

/// The model that was chosen for a task that is held, or the endpoint that it looks at, and how to
/// ask it.
fn route(state: &State, task: &Task) -> Option<Route> {
    let (id, model) = match probed_by(&task.spec) {
        // Where to look is said here and not in what is to be done, which anybody may write.
        Some(id) => (id, String::new()),
        None => {
            let chosen = task.life.chosen()?;
            (chosen.endpoint.clone(), chosen.model.clone().into())
        }
    };
    let endpoint = state.endpoint(&id)?;
    Some(Route {
        endpoint: id,
        api: endpoint.api,
        url: endpoint.url.clone().into(),
        credential: endpoint.credential.clone(),
        options: endpoint.tuning.of(&model),
        model,
    })
}

/// How demanding a task is, in the words of the wire.
fn told(complexity: &Complexity) -> AssignedComplexity {
    let inferred = complexity.inferred;
    AssignedComplexity {
        effective_tier: complexity.effective(),
        explicit_tier: complexity.explicit,
        source: complexity.source().into(),
        inferred: InferredTier { tier: inferred.tier, confidence_percent: inferred.confidence },
    }
}

/// How long an agent keeps a task without renewing: what it is told is what is held against it.
pub(super) fn lease_ttl(config: &HubConfig, spec: &Spec, dialect: Dialect) -> Span {
    let said = spec.times.as_ref().and_then(|times| times.lease_ttl);
    let ttl = said.unwrap_or(config.lease_ttl);
    match dialect {
        Dialect::V1 => ttl,
        Dialect::Plain => ttl.max(config.return_within),
    }
}

/// The metadata of a task with what the original sidecar looks for in them: the shell command and
/// its timeout.
fn plain_metadata(task: &Task) -> Json {
    let spec = &task.spec;
    let mut metadata: Map<String, Value> = spec.metadata.read().unwrap_or_default();
    if let Some(command) =
        shell_command(&spec.op.input).filter(|_| spec.op.kind.as_str() == "shell")
    {
        metadata.insert("shell_command".into(), Value::String(command));
    }
    if let Some(timeout) = spec.times().timeout {
        metadata.insert("timeout_ms".into(), Value::from(timeout.as_millis()));
    }
    Json::of(&metadata).unwrap_or_else(|_| spec.metadata.clone())
}

/// The command line of a shell operation; a list of arguments is quoted.
fn shell_command(input: &Json) -> Option<String> {
    let input: Map<String, Value> = input.read().ok()?;
    if let Some(command) = input.get("command").and_then(Value::as_str) {
        return Some(command.into());
    }
    let argv = input.get("argv")?.as_array()?;
    let quoted = argv.iter().filter_map(Value::as_str).map(quote);
    Some(quoted.collect::<alloc::vec::Vec<_>>().join(" "))
}

/// `word` as one word of a POSIX shell.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./=:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_string();
    }
    alloc::format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_reach_a_shell_as_they_are() {
        let command = |text: &str| shell_command(&Json::parse(text).unwrap());
        assert_eq!(command(r#"{"command":"echo $HOME"}"#).unwrap(), "echo $HOME");
        assert_eq!(
            command(r#"{"argv":["echo","a b","it's","$x",""]}"#).unwrap(),
            r"echo 'a b' 'it'\''s' '$x' ''"
        );
        assert_eq!(command("null"), None);
    }
}
