//! This file reads a task as a client writes it, with the original's spellings, into a draft.

use std::collections::BTreeMap;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::money::Micros;
use agentcom_core::name::{AgentId, Capability, GoalId, Key, Kind, Repo, Tag};
use agentcom_core::route::AUTO;
use agentcom_core::sandbox::Level;
use agentcom_core::task::{
    AfterDependency, Coding, Concurrency, Dependency, Draft, FileHint, Group, LeaseLoss, Op,
    Priority, Rate, Retry, Share, Tier, Times, VerificationStep,
};
use agentcom_core::time::{Span, Wall};
use serde::Deserialize;

use crate::dto::text::NumberOrText;
use crate::error::FieldError;
use crate::input::without_position;

/// The most corrective rounds after failed checks; larger numbers count as this one, as ever.
const CORRECTIONS_MAX: u32 = 5;

/// A task as a client writes it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TaskBody {
    #[serde(rename = "ref")]
    pub(crate) reference: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) op: Option<OpBody>,
    pub(crate) shell: Option<String>,
    pub(crate) priority: Option<NumberOrText>,
    #[serde(alias = "needed_capabilities")]
    pub(crate) needs: Option<Vec<String>>,
    pub(crate) sandbox: Option<String>,
    pub(crate) metadata: Option<Json>,
    pub(crate) repo: Option<String>,
    pub(crate) assign_to: Option<String>,
    pub(crate) depends_on: Option<Vec<String>>,
    pub(crate) on_dependency_failure: Option<AfterDependency>,
    pub(crate) on_lease_loss: Option<LeaseLoss>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) run_after: Option<NumberOrText>,
    pub(crate) complete_by: Option<NumberOrText>,
    pub(crate) expires_after_ms: Option<u64>,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) lease_ttl_ms: Option<u64>,
    #[serde(alias = "max_attempts")]
    pub(crate) max_retries: Option<u32>,
    pub(crate) backoff_base_ms: Option<u64>,
    pub(crate) backoff_cap_ms: Option<u64>,
    pub(crate) concurrency: Option<ConcurrencyBody>,
    pub(crate) rates: Option<Vec<RateBody>>,
    pub(crate) fair_key: Option<String>,
    pub(crate) cost: Option<u32>,
    pub(crate) budget_micros: Option<u64>,
    pub(crate) goal_id: Option<String>,
    pub(crate) parent: Option<String>,
    pub(crate) tags: Option<Vec<String>>,
    pub(crate) branch: Option<String>,
    pub(crate) file_hints: Option<Vec<HintBody>>,
    pub(crate) success_criteria: Option<Vec<String>>,
    pub(crate) verification_steps: Option<Vec<StepBody>>,
    pub(crate) complexity_tier: Option<Tier>,
    pub(crate) skip_verification: Option<bool>,
    pub(crate) verification_timeout_ms: Option<u64>,
    pub(crate) max_verification_retries: Option<u32>,
}

/// What to run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpBody {
    kind: String,
    #[serde(default)]
    input: Json,
}

/// A limit on tasks at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConcurrencyBody {
    key: String,
    max: u32,
}

/// A limit on starts over time; `burst` is `limit` unless said otherwise.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RateBody {
    key: String,
    limit: u32,
    per_ms: u64,
    burst: Option<u32>,
}

/// A file that matters.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HintBody {
    path: String,
    reason: Option<String>,
}

/// A check.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StepBody {
    #[serde(rename = "type")]
    kind: String,
    target: String,
    description: Option<String>,
}

/// What the original looks for in the metadata.
#[derive(Debug, Default, Deserialize)]
struct Hints {
    shell_command: Option<String>,
    timeout_ms: Option<u64>,
    target_agent: Option<String>,
    assign_to: Option<String>,
}

/// The positions of the tasks of a batch, by the names that it gives them.
pub(crate) type References = BTreeMap<String, usize>;

/// Reads a draft; `prefix` stands before the names of fields in errors.
pub(crate) fn draft(
    body: TaskBody,
    prefix: &str,
    references: &References,
) -> Result<Draft, Vec<FieldError>> {
    let mut check = Check { prefix, errors: Vec::new() };
    let draft = check.draft(body, references);
    if check.errors.is_empty() { Ok(draft) } else { Err(check.errors) }
}

/// Collects what is wrong; values that stand in for wrong ones never leave this file.
struct Check<'a> {
    prefix: &'a str,
    errors: Vec<FieldError>,
}

impl Check<'_> {
    fn refuse(&mut self, field: &str, why: impl ToString) {
        self.errors.push(FieldError::invalid(format!("{}{field}", self.prefix), why));
    }

    fn keep<T, E: ToString>(&mut self, field: &str, read: Result<T, E>) -> Option<T> {
        read.map_err(|why| self.refuse(field, why)).ok()
    }

    fn name<T, E: ToString>(
        &mut self,
        field: &str,
        text: Option<String>,
        read: fn(&str) -> Result<T, E>,
    ) -> Option<T> {
        self.keep(field, read(&text?))
    }

    fn names<T, E: ToString>(
        &mut self,
        field: &str,
        texts: Option<Vec<String>>,
        read: fn(&str) -> Result<T, E>,
    ) -> Vec<T> {
        let texts = texts.unwrap_or_default().into_iter().enumerate();
        texts.filter_map(|(n, text)| self.keep(&format!("{field}[{n}]"), read(&text))).collect()
    }

    fn date(&mut self, field: &str, date: Option<NumberOrText>) -> Option<Wall> {
        self.keep(field, date?.date())
    }

    fn draft(&mut self, body: TaskBody, references: &References) -> Draft {
        let hints = self.hints(body.metadata.as_ref());
        let op = self.op(body.op, body.shell, hints.shell_command);
        let metadata_timeout = hints.timeout_ms.filter(|_| op.kind.as_str() == "shell");
        Draft {
            description: body.description.unwrap_or_default(),
            priority: self.priority(body.priority),
            needs: self.names("needs", body.needs, Capability::new),
            sandbox: self.name("sandbox", body.sandbox, str::parse::<Level>),
            metadata: body.metadata.unwrap_or_default(),
            repo: self.name("repo", body.repo, Repo::normalised),
            assign_to: self.pin(body.assign_to, hints.target_agent, hints.assign_to),
            depends_on: self.dependencies(body.depends_on, references),
            after_dependency: body.on_dependency_failure.unwrap_or_default(),
            on_lease_loss: body.on_lease_loss,
            idempotency_key: self.name("idempotency_key", body.idempotency_key, Key::new),
            times: Times {
                run_after: self.date("run_after", body.run_after),
                complete_by: self.date("complete_by", body.complete_by),
                expires_after: body.expires_after_ms.map(Span),
                timeout: body.timeout_ms.or(metadata_timeout).map(Span),
                lease_ttl: body.lease_ttl_ms.map(Span),
            },
            retry: Retry {
                attempts_max: body.max_retries,
                backoff_base: body.backoff_base_ms.map(Span),
                backoff_cap: body.backoff_cap_ms.map(Span),
            },
            share: Share {
                concurrency: self.concurrency(body.concurrency),
                rates: self.rates(body.rates),
                fair_key: self.name("fair_key", body.fair_key, Key::new),
                cost: body.cost.unwrap_or(1),
                budget: body.budget_micros.map(Micros),
            },
            group: Group {
                goal_id: self.name("goal_id", body.goal_id, GoalId::new),
                parent: self.name("parent", body.parent, str::parse::<TaskId>),
                tags: self.names("tags", body.tags, Tag::new),
                spawn_depth: 0,
            },
            coding: Coding {
                branch: body.branch,
                file_hints: body
                    .file_hints
                    .unwrap_or_default()
                    .into_iter()
                    .map(HintBody::into)
                    .collect(),
                success_criteria: body.success_criteria.unwrap_or_default(),
                verification_steps: body
                    .verification_steps
                    .unwrap_or_default()
                    .into_iter()
                    .map(StepBody::into)
                    .collect(),
                tier: body.complexity_tier,
                skip_verification: body.skip_verification.unwrap_or_default(),
                verification_timeout: body.verification_timeout_ms.map(Span),
                verification_retries_max: body
                    .max_verification_retries
                    .unwrap_or(0)
                    .min(CORRECTIONS_MAX),
            },
            ..Draft::new(op.kind, op.input)
        }
    }

    fn hints(&mut self, metadata: Option<&Json>) -> Hints {
        let Some(metadata) = metadata else { return Hints::default() };
        if !metadata.as_str().starts_with('{') {
            self.refuse("metadata", "must be an object");
            return Hints::default();
        }
        let hints = metadata.read().map_err(|why| without_position(&why.to_string()));
        self.keep("metadata", hints).unwrap_or_default()
    }

    fn op(&mut self, op: Option<OpBody>, shell: Option<String>, original: Option<String>) -> Op {
        if op.is_some() && shell.is_some() {
            self.refuse("shell", "must be left out beside op");
        }
        if let Some(OpBody { kind, input }) = op {
            if let Some(kind) = self.name("op.kind", Some(kind), Kind::new) {
                return Op { kind, input };
            }
        } else if let Some(command) = shell.or(original) {
            if command.trim().is_empty() {
                self.refuse("shell", "must not be empty");
            }
            let input = Json::of(&BTreeMap::from([("command", command)]));
            let input = self.keep("shell", input).unwrap_or_default();
            return Op { kind: kind("shell"), input };
        }
        // What it is depends on whether there are endpoints, which the hub knows.
        Op { kind: kind(AUTO), input: Json::null() }
    }

    fn priority(&mut self, priority: Option<NumberOrText>) -> Priority {
        let Some(NumberOrText(word)) = priority else { return Priority::Normal };
        self.keep("priority", word.parse()).unwrap_or_default()
    }

    fn pin(
        &mut self,
        plain: Option<String>,
        target: Option<String>,
        original: Option<String>,
    ) -> Option<AgentId> {
        let plain = self.name("assign_to", plain, AgentId::new);
        let target = self.name("metadata.target_agent", target, AgentId::new);
        let original = self.name("metadata.assign_to", original, AgentId::new);
        let first = plain.as_ref().or(target.as_ref()).or(original.as_ref()).cloned();
        let named = [&plain, &target, &original];
        if named.into_iter().flatten().any(|agent| Some(agent) != first.as_ref()) {
            self.refuse("assign_to", "must name the same agent as the metadata");
        }
        first
    }

    fn dependencies(
        &mut self,
        texts: Option<Vec<String>>,
        references: &References,
    ) -> Vec<Dependency> {
        let texts = texts.unwrap_or_default().into_iter().enumerate();
        texts
            .filter_map(|(n, text)| {
                if let Some(position) = references.get(&text) {
                    return Some(Dependency::Sibling(*position));
                }
                let read = text.parse().map(Dependency::Known).map_err(|_| {
                    let text: String = text.chars().take(80).collect();
                    match references.is_empty() {
                        true => format!("`{text}` is not a task id"),
                        false => format!("`{text}` is neither a task id nor a ref of this batch"),
                    }
                });
                self.keep(&format!("depends_on[{n}]"), read)
            })
            .collect()
    }

    fn concurrency(&mut self, body: Option<ConcurrencyBody>) -> Option<Concurrency> {
        let ConcurrencyBody { key, max } = body?;
        let key = self.name("concurrency.key", Some(key), Key::new)?;
        Some(Concurrency { key, max })
    }

    fn rates(&mut self, bodies: Option<Vec<RateBody>>) -> Vec<Rate> {
        let bodies = bodies.unwrap_or_default().into_iter().enumerate();
        bodies
            .filter_map(|(n, RateBody { key, limit, per_ms, burst })| {
                let key = self.name(&format!("rates[{n}].key"), Some(key), Key::new)?;
                Some(Rate { key, limit, per: Span(per_ms), burst: burst.unwrap_or(limit) })
            })
            .collect()
    }
}

impl From<HintBody> for FileHint {
    fn from(HintBody { path, reason }: HintBody) -> Self {
        Self { path, reason }
    }
}

impl From<StepBody> for VerificationStep {
    fn from(StepBody { kind, target, description }: StepBody) -> Self {
        Self { kind, target, description }
    }
}

/// One of our own kinds.
fn kind(word: &'static str) -> Kind {
    Kind::new(word).expect("our own kinds are valid")
}

#[cfg(test)]
mod tests;
