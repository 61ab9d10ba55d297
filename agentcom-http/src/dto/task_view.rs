//! This file shows a task to clients: the original's fields, and ours beside them.

use agentcom_core::id::{Lease, QuestionId, TaskId};
use agentcom_core::json::Json;
use agentcom_core::ledger::Tally;
use agentcom_core::money::Micros;
use agentcom_core::name::{AgentId, BlobId, Capability, GoalId, Key, Principal, Repo, Tag};
use agentcom_core::route::Decision;
use agentcom_core::sandbox::Level;
use agentcom_core::task::{
    AfterDependency, Attempt, Category, Coding, Complexity, Concurrency, Delay, FileHint,
    LeaseLoss, Op, Outcome, Priority, Retry, Task, TaskState, Tier, VerificationStep, Wait,
};
use agentcom_core::time::{Span, Wall};
use serde::Serialize;

use crate::dto::status::status_of;

/// A task, as clients see it.
#[derive(Debug, Serialize)]
pub(crate) struct TaskView {
    id: TaskId,
    status: &'static str,
    state: &'static str,
    state_detail: StateView,
    description: Box<str>,
    op: Op,
    priority: Priority,
    lane: usize,
    needed_capabilities: Box<[Capability]>,
    /// The least sandbox that it is given to, whether it said so or not.
    sandbox: Level,
    metadata: Metadata,
    repo: Option<Repo>,
    assign_to: Option<AgentId>,
    assigned_to: Option<AgentId>,
    assigned_at: Option<Wall>,
    generation: Lease,
    depends_on: Box<[TaskId]>,
    on_dependency_failure: AfterDependency,
    on_lease_loss: LeaseLoss,
    submitted_by: Principal,
    idempotency_key: Option<Key>,
    created_at: Wall,
    updated_at: Wall,
    retry_count: u32,
    crash_count: u32,
    #[serde(flatten)]
    limits: LimitsView,
    #[serde(flatten)]
    group: GroupView,
    complexity: ComplexityView,
    #[serde(flatten)]
    coding: CodingView,
    result: Option<Json>,
    tokens_used: Option<u64>,
    /// What its calls of models came to, in all attempts.
    spent: Option<Tally>,
    verification_report: Option<Json>,
    last_error: Option<String>,
    attempts: Vec<AttemptView>,
    history: Vec<HistoryView>,
}

/// An object, since the original's metadata is always one.
#[derive(Debug)]
struct Metadata(Json);

impl Serialize for Metadata {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_null() {
            serializer.collect_map([("", ""); 0])
        } else {
            self.0.serialize(serializer)
        }
    }
}

/// What a state says beyond its word.
#[derive(Debug, Default, Serialize)]
struct StateView {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blocked_on: Vec<TaskId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<Wall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    backoff_ms: Option<Span>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ready_since: Option<Wall>,
    #[serde(skip_serializing_if = "Option::is_none")]
    waits_for: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    question_id: Option<QuestionId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    death: Option<String>,
}

#[derive(Debug, Serialize)]
struct LimitsView {
    run_after: Option<Wall>,
    complete_by: Option<Wall>,
    expires_after_ms: Option<Span>,
    timeout_ms: Option<Span>,
    lease_ttl_ms: Option<Span>,
    max_retries: Option<u32>,
    backoff_base_ms: Option<Span>,
    backoff_cap_ms: Option<Span>,
    concurrency: Option<Concurrency>,
    rates: Vec<RateView>,
    fair_key: Option<Key>,
    cost: u32,
    budget_micros: Option<Micros>,
}

#[derive(Debug, Serialize)]
struct RateView {
    key: Key,
    limit: u32,
    per_ms: Span,
    burst: u32,
}

#[derive(Debug, Serialize)]
struct GroupView {
    goal_id: Option<GoalId>,
    parent: Option<TaskId>,
    tags: Vec<Tag>,
    spawn_depth: u32,
}

#[derive(Debug, Serialize)]
struct CodingView {
    branch: Option<String>,
    file_hints: Vec<FileHint>,
    success_criteria: Vec<String>,
    verification_steps: Vec<VerificationStep>,
    skip_verification: bool,
    verification_timeout_ms: Option<Span>,
    max_verification_retries: u32,
}

#[derive(Debug, Serialize)]
struct ComplexityView {
    effective_tier: Tier,
    explicit_tier: Option<Tier>,
    source: &'static str,
    inferred: InferredView,
}

/// What the task looks like, and what that follows from.
#[derive(Debug, Serialize)]
struct InferredView {
    tier: Tier,
    confidence_percent: u32,
    words: u32,
    file_hints: u32,
    verification_steps: u32,
    keyword: Option<&'static str>,
}

/// One try.
#[derive(Debug, Serialize)]
struct AttemptView {
    generation: Lease,
    agent_id: AgentId,
    assigned_at: Wall,
    accepted_at: Option<Wall>,
    ended_at: Option<Wall>,
    outcome: Option<&'static str>,
    category: Option<Category>,
    error: Option<Box<str>>,
    tokens_used: Option<u64>,
    transcripts: Vec<BlobId>,
    survivors: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    route: Option<Box<Decision>>,
}

/// One line of the original's history.
#[derive(Debug, Serialize)]
struct HistoryView {
    event: &'static str,
    at: Wall,
    #[serde(skip_serializing_if = "Option::is_none")]
    agent_id: Option<AgentId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<Box<str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tokens_used: Option<u64>,
}

impl From<Task> for TaskView {
    fn from(Task { id, spec, life }: Task) -> Self {
        let (state, hold) = (life.state.as_str(), life.state.hold());
        let last_error = life.why_failed();
        let retry = spec.retry.as_deref().cloned().unwrap_or_default();
        let sandbox = spec.least_sandbox();
        let last_agent = life.last_attempt().filter(|_| life.finish.is_some());
        Self {
            id,
            status: status_of(state),
            state,
            state_detail: StateView::from(&life.state),
            lane: spec.priority.lane(),
            priority: spec.priority,
            assigned_to: hold
                .map(|hold| &hold.agent)
                .or(last_agent.map(|last| &last.agent))
                .cloned(),
            assigned_at: hold.map(|hold| hold.since),
            generation: life.lease,
            created_at: life.created_at,
            updated_at: life.updated_at,
            retry_count: life.failures,
            crash_count: life.crashes,
            limits: LimitsView::of(&spec, retry),
            group: GroupView::of(spec.group.as_deref().cloned().unwrap_or_default()),
            complexity: ComplexityView::of(Complexity::of(&spec)),
            coding: CodingView::of(spec.coding.as_deref().cloned().unwrap_or_default()),
            tokens_used: life.finish.as_ref().and_then(|finish| finish.tokens),
            spent: life.spend.as_ref().map(|spend| spend.total),
            result: life.finish.as_ref().map(|finish| finish.result.clone()),
            verification_report: life.finish.as_ref().map(|finish| finish.verification.clone()),
            last_error: last_error.or_else(|| death(&life.state)),
            history: history(life.created_at, &life.attempts),
            attempts: life.attempts.into_iter().map(AttemptView::from).collect(),
            description: spec.description,
            op: spec.op,
            sandbox,
            needed_capabilities: spec.needs,
            metadata: Metadata(spec.metadata),
            repo: spec.repo,
            assign_to: spec.assign_to,
            depends_on: spec.depends_on,
            on_dependency_failure: spec.after_dependency,
            on_lease_loss: spec.on_lease_loss,
            submitted_by: spec.submitted_by,
            idempotency_key: spec.idempotency_key,
        }
    }
}

impl TaskView {
    /// The original's word for the state.
    pub(crate) const fn status(&self) -> &'static str {
        self.status
    }

    /// The word for the state.
    pub(crate) const fn state(&self) -> &'static str {
        self.state
    }

    /// What it ended with, if it ended with something.
    pub(crate) const fn result(&self) -> Option<&Json> {
        self.result.as_ref()
    }
}

impl From<&TaskState> for StateView {
    fn from(state: &TaskState) -> Self {
        let none = Self::default();
        match state {
            TaskState::Blocked { on } => Self { blocked_on: on.clone(), ..none },
            TaskState::Delayed(Delay::Until(date)) => Self { until: Some(*date), ..none },
            TaskState::Delayed(Delay::Backoff(span)) => Self { backoff_ms: Some(*span), ..none },
            TaskState::Ready { since, .. } => Self { ready_since: Some(*since), ..none },
            TaskState::Waiting { on, until } => {
                let (waits_for, question_id) = match on {
                    Wait::Quota => ("quota", None),
                    Wait::Question(id) => ("question", Some(*id)),
                };
                Self { until: Some(*until), waits_for: Some(waits_for), question_id, ..none }
            }
            TaskState::Dead(_) => Self { death: death(state), ..none },
            TaskState::Assigned(_)
            | TaskState::Working(_)
            | TaskState::Completed
            | TaskState::Partial
            | TaskState::Cancelled => none,
        }
    }
}

fn death(state: &TaskState) -> Option<String> {
    match state {
        TaskState::Dead(death) => Some(death.to_string()),
        TaskState::Blocked { .. }
        | TaskState::Delayed(_)
        | TaskState::Ready { .. }
        | TaskState::Assigned(_)
        | TaskState::Working(_)
        | TaskState::Waiting { .. }
        | TaskState::Completed
        | TaskState::Partial
        | TaskState::Cancelled => None,
    }
}

impl LimitsView {
    fn of(spec: &agentcom_core::task::Spec, retry: Retry) -> Self {
        let times = spec.times();
        Self {
            run_after: times.run_after,
            complete_by: times.complete_by,
            expires_after_ms: times.expires_after,
            timeout_ms: times.timeout,
            lease_ttl_ms: times.lease_ttl,
            max_retries: retry.attempts_max,
            backoff_base_ms: retry.backoff_base,
            backoff_cap_ms: retry.backoff_cap,
            concurrency: spec.concurrency().cloned(),
            rates: spec.rates().iter().map(RateView::from).collect(),
            fair_key: spec.fair_key().cloned(),
            cost: spec.cost(),
            budget_micros: spec.budget(),
        }
    }
}

impl From<&agentcom_core::task::Rate> for RateView {
    fn from(rate: &agentcom_core::task::Rate) -> Self {
        Self { key: rate.key.clone(), limit: rate.limit, per_ms: rate.per, burst: rate.burst }
    }
}

impl GroupView {
    fn of(group: agentcom_core::task::Group) -> Self {
        let agentcom_core::task::Group { goal_id, parent, tags, spawn_depth } = group;
        Self { goal_id, parent, tags, spawn_depth }
    }
}

impl ComplexityView {
    fn of(complexity: Complexity) -> Self {
        let Complexity { explicit, inferred } = complexity;
        Self {
            effective_tier: complexity.effective(),
            explicit_tier: explicit,
            source: complexity.source(),
            inferred: InferredView {
                tier: inferred.tier,
                confidence_percent: inferred.confidence,
                words: inferred.signals.words,
                file_hints: inferred.signals.file_hints,
                verification_steps: inferred.signals.verification_steps,
                keyword: inferred.signals.keyword.map(|(_, word)| word),
            },
        }
    }
}

impl CodingView {
    fn of(coding: Coding) -> Self {
        Self {
            branch: coding.branch,
            file_hints: coding.file_hints,
            success_criteria: coding.success_criteria,
            verification_steps: coding.verification_steps,
            skip_verification: coding.skip_verification,
            verification_timeout_ms: coding.verification_timeout,
            max_verification_retries: coding.verification_retries_max,
        }
    }
}

impl From<Attempt> for AttemptView {
    fn from(Attempt { lease, agent, assigned_at, accepted_at, route, ended }: Attempt) -> Self {
        let outcome = ended.as_ref().map(|ended| words(ended.outcome));
        let left = ended.as_ref().map(|ended| ended.left.clone()).unwrap_or_default();
        Self {
            transcripts: left.transcripts,
            survivors: left.survivors,
            generation: lease,
            agent_id: agent,
            assigned_at,
            accepted_at,
            ended_at: ended.as_ref().map(|ended| ended.at),
            outcome: outcome.map(|(word, _)| word),
            category: outcome.and_then(|(_, category)| category),
            tokens_used: ended.as_ref().and_then(|ended| ended.tokens),
            error: ended.and_then(|ended| ended.error),
            route,
        }
    }
}

/// The word for an outcome, and the category of a failure.
pub(crate) const fn words(outcome: Outcome) -> (&'static str, Option<Category>) {
    match outcome {
        Outcome::Completed => ("completed", None),
        Outcome::Partial => ("partial", None),
        Outcome::Failed(category) => ("failed", Some(category)),
        Outcome::TimedOut => ("timed_out", None),
        Outcome::NotAccepted => ("not_accepted", None),
        Outcome::LeaseLost => ("lease_lost", None),
        Outcome::Released => ("released", None),
        Outcome::CalledOff => ("called_off", None),
    }
}

/// The original's history, the latest first, as far as the attempts tell it.
fn history(created_at: Wall, attempts: &[Attempt]) -> Vec<HistoryView> {
    let line =
        |event, at| HistoryView { event, at, agent_id: None, detail: None, tokens_used: None };
    let mut lines = vec![line("submitted", created_at)];
    for attempt in attempts {
        let agent_id = Some(attempt.agent.clone());
        lines.push(HistoryView {
            agent_id: agent_id.clone(),
            ..line("assigned", attempt.assigned_at)
        });
        if let Some(at) = attempt.accepted_at {
            lines.push(HistoryView { agent_id: agent_id.clone(), ..line("accepted", at) });
        }
        if let Some(ended) = &attempt.ended {
            let (detail, tokens_used) = (ended.error.clone(), ended.tokens);
            lines.push(HistoryView {
                agent_id,
                detail,
                tokens_used,
                ..line(words(ended.outcome).0, ended.at)
            });
        }
    }
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests;
