//! This file tests requests about tasks: what the hub is asked, and what the client is told.

use agentcom_core::command::{Command, Rejected, Reply, Submitted};
use agentcom_core::driver::CallError;
use agentcom_core::id::TaskId;
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::task::{BadDraft, Draft, Refused, TaskState};
use agentcom_core::time::{Span, Wall};
use agentcom_core::view::{Reason, TaskPage, Why};
use expect_test::{Expect, expect};

use crate::testing::client::{Answer, request, send, task};
use crate::testing::{ADMIN, AGENT, Hub};

pub(super) const TASK: &str = "task-0000000000000001";

pub(super) async fn post(hub: &Hub, path: &str, body: &str) -> Answer {
    send(hub, request("POST", path, ADMIN, body)).await
}

async fn get(hub: &Hub, path: &str) -> Answer {
    send(hub, request("GET", path, ADMIN, "")).await
}

async fn check_refused(rejected: Rejected, expected: Expect) {
    let hub = Hub::answering(Ok(Reply::Rejected(rejected)));
    let answer = post(&hub, "/api/tasks", r#"{"shell":"true"}"#).await;
    expected.assert_eq(&answer.shown());
}

fn submitted(hub: &Hub) -> Draft {
    let command = hub.script(|script| script.heard[0].2.clone());
    let Command::Submit(draft) = command else { panic!("{command:?}") };
    *draft
}

#[tokio::test]
async fn a_submitted_task_is_queued_and_has_a_name() {
    let hub = Hub::default();
    hub.script(|script| script.tasks.insert(TaskId(1), task(1, TaskState::Blocked { on: vec![] })));
    let answer = post(&hub, "/api/tasks", r#"{"shell":"make","priority":"critical"}"#).await;
    expect![[r#"
        201
        {
          "created_at": 1000,
          "existing": false,
          "priority": "urgent",
          "state": "blocked",
          "status": "queued",
          "task_id": "task-0000000000000001"
        }"#]]
    .assert_eq(&answer.shown());
}

#[tokio::test]
async fn a_repeated_submission_is_told_of_the_first_and_its_end() {
    let existing = Submitted { id: TaskId(1), created_at: Wall(1_000), existing: true };
    let hub = Hub::answering(Ok(Reply::Submitted(existing)));
    hub.script(|script| script.tasks.insert(TaskId(1), task(1, TaskState::Completed)));
    let mut again = request("POST", "/api/tasks", AGENT, r#"{"shell":"make"}"#);
    again.headers_mut().insert("idempotency-key", "k-1".parse().unwrap());
    let answer = send(&hub, again).await;
    expect![[r#"
        200
        {
          "created_at": 1000,
          "existing": true,
          "priority": "normal",
          "result": null,
          "state": "completed",
          "status": "completed",
          "task_id": "task-0000000000000001"
        }"#]]
    .assert_eq(&answer.shown());
    assert_eq!(submitted(&hub).idempotency_key.unwrap().as_str(), "k-1");
}

#[tokio::test]
async fn the_hub_hears_who_asks_and_under_which_request_id() {
    let hub = Hub::default();
    let mut asking = request("POST", "/api/tasks", AGENT, "{}");
    asking.headers_mut().insert("x-request-id", "r-7".parse().unwrap());
    let answer = send(&hub, asking).await;
    assert_eq!(answer.headers["x-request-id"], "r-7");
    let (by, cause, _) = hub.script(|script| script.heard[0].clone());
    assert_eq!(by, Principal::Agent(AgentId::new("a-1").unwrap()));
    assert_eq!(cause.as_deref(), Some("r-7"));
}

#[tokio::test]
async fn two_different_keys_for_one_task_are_refused() {
    let hub = Hub::default();
    let mut asking = request("POST", "/api/tasks", ADMIN, r#"{"idempotency_key":"a"}"#);
    asking.headers_mut().insert("idempotency-key", "b".parse().unwrap());
    let answer = send(&hub, asking).await;
    assert_eq!(
        answer.wrong(),
        "422 validation_failed\ninvalid_value idempotency_key: differs from the Idempotency-Key header\n"
    );
}

#[tokio::test]
async fn a_draft_that_breaks_a_rule_names_the_field_as_the_client_wrote_it() {
    let bad = BadDraft { field: "lease_ttl", why: "must be 5 s to 30 min, not 1 s".into() };
    check_refused(
        Rejected::Draft { index: 0, bad },
        expect![[r#"
        422
        {
          "detail": "lease_ttl_ms: must be 5 s to 30 min, not 1 s",
          "error": "validation_failed",
          "errors": [
            {
              "detail": "must be 5 s to 30 min, not 1 s",
              "error": "invalid_value",
              "field": "lease_ttl_ms"
            }
          ],
          "status": 422,
          "title": "validation failed",
          "type": "urn:agentcom:problem:validation_failed"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn a_key_that_was_used_for_something_else_is_a_conflict() {
    check_refused(
        Rejected::KeyConflict { id: TaskId(9) },
        expect![[r#"
        409
        {
          "detail": "the idempotency key was used for task-0000000000000009 with another body",
          "error": "idempotency_conflict",
          "status": 409,
          "task_id": "task-0000000000000009",
          "title": "idempotency conflict",
          "type": "urn:agentcom:problem:idempotency_conflict"
        }"#]],
    )
    .await;
}

#[tokio::test]
async fn a_full_queue_says_when_to_try_again() {
    let full = Rejected::QueueFull { retry_after: Span(1_500) };
    check_refused(
        full.clone(),
        expect![[r#"
        503
        {
          "detail": "the queue is full; try again in 1.5 s",
          "error": "queue_full",
          "retry_after_ms": 1500,
          "status": 503,
          "title": "queue full",
          "type": "urn:agentcom:problem:queue_full"
        }"#]],
    )
    .await;
    let hub = Hub::answering(Ok(Reply::Rejected(full)));
    let answer = post(&hub, "/api/tasks", "{}").await;
    assert_eq!(answer.headers["retry-after"], "2");
}

#[tokio::test]
async fn an_unknown_outcome_is_told_as_unknown() {
    let hub = Hub::answering(Err(CallError::Indeterminate));
    let answer = post(&hub, "/api/tasks", "{}").await;
    expect![[r#"
        504
        {
          "detail": "the outcome is unknown; ask again with the same idempotency key",
          "error": "indeterminate",
          "hint": "send it again with the same Idempotency-Key",
          "status": 504,
          "title": "indeterminate",
          "type": "urn:agentcom:problem:indeterminate"
        }"#]]
    .assert_eq(&answer.shown());
}

#[tokio::test]
async fn a_batch_is_told_by_ref_and_its_refusals_by_position() {
    let body = r#"{"tasks":[{"ref":"a","shell":"true"},{"depends_on":["a"],"priority":3}]}"#;
    let answer = post(&Hub::default(), "/api/tasks/batch", body).await;
    expect![[r#"
        201
        {
          "count": 2,
          "status": "queued",
          "tasks": [
            {
              "created_at": 1000,
              "existing": false,
              "priority": "normal",
              "ref": "a",
              "task_id": "task-0000000000000001"
            },
            {
              "created_at": 1000,
              "existing": false,
              "priority": "low",
              "ref": null,
              "task_id": "task-0000000000000002"
            }
          ]
        }"#]]
    .assert_eq(&answer.shown());

    let unknown = Rejected::UnknownDependency { index: 1, id: TaskId(5) };
    let answer =
        post(&Hub::answering(Ok(Reply::Rejected(unknown))), "/api/tasks/batch", body).await;
    expect![[r#"
        422 invalid_dependencies
        invalid_value tasks[1].depends_on: task 1 depends on task-0000000000000005, which does not exist
    "#]].assert_eq(&answer.wrong());

    let cycle = Reply::Rejected(Rejected::Cycle(vec![0, 1, 0]));
    let answer = post(&Hub::answering(Ok(cycle)), "/api/tasks/batch", body).await;
    assert_eq!(
        (answer.status.as_u16(), answer.json()["cycle"].clone()),
        (422, serde_json::json!([0, 1, 0]))
    );
}

#[tokio::test]
async fn a_list_is_asked_for_in_both_vocabularies() {
    let hub = Hub::default();
    hub.script(|script| {
        let tasks = vec![task(1, TaskState::Completed)];
        script.pages.push_back(Ok(TaskPage { tasks, next: Some("c-2".into()) }));
    });
    let answer = get(&hub, "/api/tasks?status=completed&priority=critical&assigned_to=a-1&goal_id=g&limit=7&cursor=c-1").await;
    let list = answer.json();
    assert_eq!(
        (&list["count"], &list["next_cursor"]),
        (&serde_json::json!(1), &serde_json::json!("c-2"))
    );
    assert_eq!(list["tasks"][0]["id"], TASK);
    let query = hub.script(|script| script.queries[0].clone());
    expect![[r#"
        TaskQuery {
            states: [
                "completed",
                "partial",
            ],
            priority: Some(
                Urgent,
            ),
            agent: Some(
                AgentId(
                    "a-1",
                ),
            ),
            goal: Some(
                GoalId(
                    "g",
                ),
            ),
            submitted_by: None,
            after: Some(
                "c-1",
            ),
            limit: 7,
        }
    "#]]
    .assert_debug_eq(&query);
}

#[tokio::test]
async fn a_list_that_nothing_can_fit_is_empty_without_asking() {
    let hub = Hub::default();
    let answer = get(&hub, "/api/tasks?status=completed&state=ready").await;
    assert_eq!(answer.json(), serde_json::json!({"tasks": [], "count": 0, "next_cursor": null}));
    assert!(hub.script(|script| script.queries.is_empty()));
}

#[tokio::test]
async fn a_wrong_query_names_the_parameter() {
    let hub = Hub::default();
    hub.script(|script| script.pages.push_back(Err(CallError::BadCursor)));
    let mut seen = get(&hub, "/api/tasks?cursor=x").await.wrong();
    for query in
        ["limit=0", "limit=ten", "limit=", "statsu=queued", "status=done&state=idle", "priority=9"]
    {
        seen += &get(&hub, &format!("/api/tasks?{query}")).await.wrong();
    }
    seen += &get(&hub, "/api/tasks/dead-letter?state=ready").await.wrong();
    expect![[r#"
        422 validation_failed
        invalid_value cursor: the cursor is not valid
        422 validation_failed
        invalid_value limit: must be 1 to 200
        422 validation_failed
        invalid_value limit: invalid digit found in string
        422 validation_failed
        invalid_value limit: cannot parse integer from empty string
        422 validation_failed
        unknown_field statsu: unknown field `statsu`, expected one of `status`, `state`, `priority`, `assigned_to`, `goal_id`, `submitted_by`, `cursor`, `limit`
        422 validation_failed
        invalid_value status: `done` is unknown; allowed are queued, assigned, completed, dead_letter, cancelled
        invalid_value state: `idle` is unknown; allowed are blocked, delayed, ready, assigned, working, waiting, completed, partial, dead_letter, cancelled
        422 validation_failed
        invalid_value priority: unknown priority `9`; allowed are urgent (or critical), high, normal, low and 0 to 3
        422 validation_failed
        invalid_value state: is given by the path; leave it out here
    "#]].assert_eq(&seen);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let mut seen = String::new();
    for path in [
        "/api/tasks/task-0000000000000009",
        "/api/tasks/nonsense",
        "/api/tasks/%ff",
        "/api/tasks/task-0000000000000009/why",
        "/api/nothing",
    ] {
        let answer = get(&Hub::default(), path).await;
        let document = answer.json();
        seen +=
            &format!("{} {} {}\n", answer.status.as_u16(), document["error"], document["detail"]);
    }
    expect![[r#"
        404 "not_found" "there is no task task-0000000000000009"
        404 "not_found" "expected `task-` followed by 16 hexadecimal digits"
        404 "not_found" "Invalid URL: Invalid UTF-8 in `id`"
        404 "not_found" "there is no task task-0000000000000009"
        404 "not_found" "there is nothing at /api/nothing"
    "#]]
    .assert_eq(&seen);
}

#[tokio::test]
async fn why_tells_the_predicate() {
    let hub = Hub::default();
    let why = Why {
        task_id: TaskId(1),
        state: "delayed",
        reason: Reason::NotBefore { until: Wall(5) },
        route: None,
    };
    hub.script(|script| script.whys.insert(TaskId(1), why));
    let answer = get(&hub, &format!("/api/tasks/{TASK}/why")).await;
    expect![[r#"
        200
        {
          "reason": {
            "code": "not_before",
            "until": 5
          },
          "state": "delayed",
          "status": "queued",
          "task_id": "task-0000000000000001"
        }"#]]
    .assert_eq(&answer.shown());
}

#[tokio::test]
async fn a_cancelled_task_was_something_before() {
    let answer = post(&Hub::default(), &format!("/api/tasks/{TASK}/cancel"), "").await;
    expect![[r#"
        200
        {
          "previous_state": "working",
          "previous_status": "assigned",
          "state": "cancelled",
          "status": "cancelled",
          "task_id": "task-0000000000000001"
        }"#]]
    .assert_eq(&answer.shown());
    let over = Rejected::Task { id: TaskId(1), refused: Refused::Over };
    let answer =
        post(&Hub::answering(Ok(Reply::Rejected(over))), &format!("/api/tasks/{TASK}/cancel"), "")
            .await;
    assert_eq!(answer.wrong(), "409 task_over\n");
}

#[tokio::test]
async fn a_pushed_task_is_a_task_that_is_pinned() {
    let hub = Hub::default();
    let body = r#"{"agent_id":"a-7","description":"look","metadata":{"x":1}}"#;
    let answer = post(&hub, "/api/admin/push-task", body).await;
    assert_eq!(answer.status.as_u16(), 201);
    let draft = submitted(&hub);
    assert_eq!(draft.assign_to.unwrap().as_str(), "a-7");
    assert_eq!((draft.op.kind.as_str(), draft.metadata.as_str()), ("auto", r#"{"x":1}"#));
}

#[tokio::test]
async fn figures_are_told_in_both_vocabularies() {
    expect![[r#"
        200
        {
          "agents": {
            "idle": 1,
            "offline": 2,
            "working": 3
          },
          "incarnation": "inc-0000000000000007",
          "lag": {
            "max_ms": 33,
            "p50_ms": 1,
            "p99_ms": 20,
            "samples": 9
          },
          "paused": [
            {
              "scope": "all"
            }
          ],
          "questions": 1,
          "quiet_for_ms": 30000,
          "seq": 42,
          "stopped": false,
          "tasks": {
            "by_state": {
              "ready": 3,
              "working": 2
            },
            "by_status": {
              "assigned": 2,
              "completed": 6,
              "dead_letter": 4,
              "queued": 3
            },
            "ended": {
              "completed": 5,
              "dead_letter": 4,
              "partial": 1
            },
            "ready_by_priority": {
              "high": 1,
              "low": 0,
              "normal": 2,
              "urgent": 0
            }
          }
        }"#]]
    .assert_eq(&get(&Hub::default(), "/api/stats").await.shown());
}
