//! This file tests that each refusal has its status and its word.

use agentcom_core::command::Rejected;
use agentcom_core::driver::CallError;
use agentcom_core::id::{QuestionId, TaskId};
use agentcom_core::name::{AgentId, Key, OperatorId, Principal};
use agentcom_core::port::store::StoreErrorKind;
use agentcom_core::task::{BadDraft, Refused, Shortfall};
use agentcom_core::time::Span;
use expect_test::expect;

use super::Problem;

fn store(kind: StoreErrorKind) -> CallError {
    CallError::Store { kind, message: "row 7 of tasks".into() }
}

/// Why a call may fail.
fn failures() -> [CallError; 8] {
    [
        CallError::Busy { retry_after: Span(1) },
        CallError::Stopped,
        CallError::Indeterminate,
        CallError::Internal,
        CallError::Gone { oldest: 7 },
        CallError::BadCursor,
        store(StoreErrorKind::Corrupt),
        store(StoreErrorKind::Unavailable),
    ]
}

#[test]
fn golden_refusals() {
    let (id, agent) = (TaskId(1), AgentId::new("a").unwrap());
    let rejections = [
        Rejected::Draft { index: 0, bad: BadDraft { field: "timeout", why: "is bad".into() } },
        Rejected::BatchSize { found: 0, max: 9 },
        Rejected::UnknownDependency { index: 0, id },
        Rejected::UnknownSibling { index: 0, sibling: 3 },
        Rejected::Cycle(vec![0, 1, 0]),
        Rejected::DeadDependency { index: 0, id, ended: Shortfall::Partial },
        Rejected::KeyConflict { id },
        Rejected::RateConflict { key: Key::new("k").unwrap() },
        Rejected::QueueFull { retry_after: Span(2_000) },
        Rejected::UnknownTask(id),
        Rejected::Task { id, refused: Refused::Stale },
        Rejected::Task { id, refused: Refused::NotHolder },
        Rejected::Task { id, refused: Refused::Over },
        Rejected::Task { id, refused: Refused::OutOfTurn },
        Rejected::UnknownAgent(agent.clone()),
        Rejected::AgentExists(agent.clone()),
        Rejected::TooManyAgents { max: 9 },
        Rejected::UnknownOperator(OperatorId::new("ci").unwrap()),
        Rejected::OperatorExists(OperatorId::new("ci").unwrap()),
        Rejected::TooManyOperators { max: 9 },
        Rejected::NotConnected(agent),
        Rejected::UnknownQuestion(QuestionId(1)),
        Rejected::UnclearAnswer { id: QuestionId(1), takes: vec!["yes".into(), "no".into()] },
        Rejected::BadWeight(0),
        Rejected::NotAllowed(Principal::Admin),
    ];
    let problems = rejections.map(Problem::from).into_iter().chain(failures().map(Problem::from));
    let line = |problem: Problem| {
        format!("{} {}: {}\n", problem.status().as_u16(), problem.error(), problem.0.detail)
    };
    let table: String = problems.map(line).collect();
    expect![[r#"
        422 validation_failed: timeout_ms: is bad
        422 validation_failed: tasks: a batch holds 1 to 9 tasks, not 0
        422 invalid_dependencies: task 0 depends on task-0000000000000001, which does not exist
        422 invalid_dependencies: task 0 depends on task 3 of the batch, which does not exist
        422 dependency_cycle: the tasks wait for each other: 0 -> 1 -> 0
        409 dead_dependency: task 0 depends on task-0000000000000001, which is done only in part
        409 idempotency_conflict: the idempotency key was used for task-0000000000000001 with another body
        409 rate_conflict: rate `k` is in use with other figures
        503 queue_full: the queue is full; try again in 2 s
        404 not_found: there is no task task-0000000000000001
        409 stale_generation: task-0000000000000001: the lease is stale
        409 not_holder: task-0000000000000001: the task is held by another agent
        409 task_over: task-0000000000000001: the task has ended
        409 invalid_state: task-0000000000000001: this does not fit the state of the task
        404 agent_not_found: there is no agent `a`
        409 agent_exists: agent `a` is registered
        409 too_many_agents: at most 9 agents can be registered
        404 token_not_found: there is no token `ci`
        409 token_exists: there is a token `ci`
        409 too_many_tokens: at most 9 tokens can be given names
        404 agent_not_connected: agent `a` is not connected
        404 question_not_found: question-0000000000000001 is not open
        422 unclear_answer: this is no answer to question-0000000000000001, which stays open; it takes yes, no
        422 validation_failed: weight: a weight must be 1 to 10000, not 0
        403 forbidden: admin may not do this
        503 busy: the hub is busy; try again in 1 ms
        503 stopped: the hub has stopped
        504 indeterminate: the outcome is unknown; ask again with the same idempotency key
        500 internal: something went wrong; the log of the hub says more under this request id
        410 gone: events up to 7 are gone
        422 validation_failed: cursor: the cursor is not valid
        500 store_corrupt: the store cannot be read; the log of the hub says more under this request id
        503 store_unavailable: the store cannot be read; the log of the hub says more under this request id
    "#]].assert_eq(&table);
}
