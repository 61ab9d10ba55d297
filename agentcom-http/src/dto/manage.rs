//! This file reads the bodies of the operator's commands.

use agentcom_core::command::Scope;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::name::{Capability, Repo};
use agentcom_core::view::TaskQuery;
use serde::{Deserialize, Serialize};

use crate::dto::query::{ListQuery, task_query};
use crate::dto::task_body::{OpBody, TaskBody};
use crate::dto::text::NumberOrText;
use crate::error::FieldError;

/// The most dead letters that one request retries.
pub(crate) const RETRIES_MAX: usize = 1_000;

/// Registers an agent.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenBody {
    pub(crate) agent_id: String,
}

/// Asks a sidecar to restart itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RestartBody {
    pub(crate) reason: Option<String>,
}

/// Answers a question.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerBody {
    pub(crate) answer: Json,
}

/// Sets a weight.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WeightBody {
    pub(crate) weight: u32,
}

/// Sets how often the oldest task goes first.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OldestFirstBody {
    pub(crate) every: u32,
}

/// Retries dead letters: those named, or those that fit.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryBody {
    pub(crate) task_ids: Option<Vec<String>>,
    pub(crate) all: Option<bool>,
    pub(crate) priority: Option<NumberOrText>,
    pub(crate) assigned_to: Option<String>,
    pub(crate) goal_id: Option<String>,
    pub(crate) limit: Option<usize>,
}

/// Which dead letters to retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Chosen {
    /// These.
    Ids(Vec<TaskId>),
    /// Those that fit, up to a bound.
    Fitting {
        /// What they have to fit.
        query: TaskQuery,
        /// The bound.
        limit: usize,
    },
}

impl RetryBody {
    /// The choice that the body makes.
    pub(crate) fn chosen(self) -> Result<Chosen, Vec<FieldError>> {
        let wrong = |field: &str, why: &str| Err(vec![FieldError::invalid(field, why)]);
        let filtered =
            self.priority.is_some() || self.assigned_to.is_some() || self.goal_id.is_some();
        match (self.task_ids, self.all.unwrap_or(false)) {
            (Some(_), true) => wrong("all", "must be left out beside task_ids"),
            (Some(_), false) if filtered || self.limit.is_some() => {
                wrong("task_ids", "must be left out beside a filter")
            }
            (Some(texts), false) => ids(&texts).map(Chosen::Ids),
            (None, false) => wrong("task_ids", "is missing; name tasks, or say all: true"),
            (None, true) => {
                let limit = self.limit.unwrap_or(RETRIES_MAX);
                if limit == 0 || limit > RETRIES_MAX {
                    return wrong("limit", &format!("must be 1 to {RETRIES_MAX}"));
                }
                let query = task_query(ListQuery {
                    state: Some("dead_letter".into()),
                    priority: self.priority,
                    assigned_to: self.assigned_to,
                    goal_id: self.goal_id,
                    ..ListQuery::default()
                })?;
                let none = Chosen::Ids(Vec::new());
                Ok(query.map_or(none, |query| Chosen::Fitting { query, limit }))
            }
        }
    }
}

fn ids(texts: &[String]) -> Result<Vec<TaskId>, Vec<FieldError>> {
    if texts.is_empty() || texts.len() > RETRIES_MAX {
        let why = format!("must be 1 to {RETRIES_MAX} ids");
        return Err(vec![FieldError::invalid("task_ids", why)]);
    }
    let (mut ids, mut errors) = (Vec::new(), Vec::new());
    for (n, text) in texts.iter().enumerate() {
        match text.parse() {
            Ok(id) if ids.contains(&id) => {}
            Ok(id) => ids.push(id),
            Err(bad) => errors.push(FieldError::invalid(format!("task_ids[{n}]"), bad)),
        }
    }
    if errors.is_empty() { Ok(ids) } else { Err(errors) }
}

/// A task for one agent; what it does not say is as for any task.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PushBody {
    pub(crate) agent_id: String,
    pub(crate) description: Option<String>,
    pub(crate) metadata: Option<Json>,
    pub(crate) priority: Option<NumberOrText>,
    pub(crate) shell: Option<String>,
    pub(crate) op: Option<OpBody>,
    pub(crate) idempotency_key: Option<String>,
}

impl From<PushBody> for TaskBody {
    fn from(body: PushBody) -> Self {
        Self {
            assign_to: Some(body.agent_id),
            description: body.description,
            metadata: body.metadata,
            priority: body.priority,
            shell: body.shell,
            op: body.op,
            idempotency_key: body.idempotency_key,
            ..Self::default()
        }
    }
}

/// A scope as clients write it: `{"scope":"all"}`, `{"repo":"..."}` or `{"capability":"..."}`.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ScopeBody {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) scope: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) repo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) capability: Option<String>,
}

impl ScopeBody {
    /// The scope that is named.
    pub(crate) fn scope(&self) -> Result<Scope, Vec<FieldError>> {
        let wrong =
            |field: &str, why: &dyn ToString| vec![FieldError::invalid(field, why.to_string())];
        match (self.scope.as_deref(), &self.repo, &self.capability) {
            (Some("all"), None, None) => Ok(Scope::All),
            (None, Some(repo), None) => {
                Repo::normalised(repo).map(Scope::Repo).map_err(|bad| wrong("repo", &bad))
            }
            (None, None, Some(name)) => Capability::new(name)
                .map(Scope::Capability)
                .map_err(|bad| wrong("capability", &bad)),
            _ => Err(wrong("scope", &"name exactly one of scope (`all`), repo and capability")),
        }
    }
}

impl From<&Scope> for ScopeBody {
    fn from(scope: &Scope) -> Self {
        match scope {
            Scope::All => Self { scope: Some("all".into()), ..Self::default() },
            Scope::Repo(repo) => Self { repo: Some(repo.to_string()), ..Self::default() },
            Scope::Capability(name) => {
                Self { capability: Some(name.to_string()), ..Self::default() }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Option<Scope> {
        serde_json::from_str::<ScopeBody>(json).unwrap().scope().ok()
    }

    #[test]
    fn a_scope_is_all_or_a_repo_or_a_capability() {
        assert_eq!(read(r#"{"scope":"all"}"#), Some(Scope::All));
        let scopes = [r#"{"repo":"https://host/a"}"#, r#"{"capability":"gpu"}"#];
        for text in scopes {
            let shown = serde_json::to_string(&ScopeBody::from(&read(text).unwrap())).unwrap();
            assert_eq!(shown, text);
        }
        for bad in
            ["{}", r#"{"scope":"some"}"#, r#"{"scope":"all","repo":"r"}"#, r#"{"repo":"a b"}"#]
        {
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
