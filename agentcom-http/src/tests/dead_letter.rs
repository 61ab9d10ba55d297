//! This file tests requests about dead letters: one by one and many at once.

use agentcom_core::command::{Command, Rejected, Reply};
use agentcom_core::id::TaskId;
use agentcom_core::task::{Refused, TaskState};
use agentcom_core::view::TaskPage;
use expect_test::expect;

use super::tasks::{TASK, post};
use crate::testing::Hub;
use crate::testing::client::task;

#[tokio::test]
async fn a_retry_of_what_is_not_dead_is_refused() {
    let path = format!("/api/tasks/{TASK}/retry");
    let answer = post(&Hub::default(), &path, "").await;
    assert_eq!(answer.json(), serde_json::json!({"status": "queued", "task_id": TASK}));
    let skipped = vec![(TaskId(1), Rejected::UnknownTask(TaskId(1)))];
    let answer =
        post(&Hub::answering(Ok(Reply::Revived { revived: vec![], skipped })), &path, "").await;
    assert_eq!(answer.wrong(), "404 not_found\n");
}

#[tokio::test]
async fn dead_letters_are_retried_by_name() {
    let other = TaskId(2);
    let skipped = vec![(other, Rejected::Task { id: other, refused: Refused::OutOfTurn })];
    let hub = Hub::answering(Ok(Reply::Revived { revived: vec![TaskId(1)], skipped }));
    let body = format!(r#"{{"task_ids":["{TASK}","{other}","{TASK}"]}}"#);
    let answer = post(&hub, "/api/tasks/dead-letter/retry", &body).await;
    expect![[r#"
        200
        {
          "count": 1,
          "more": false,
          "skipped": [
            {
              "detail": "task-0000000000000002: this does not fit the state of the task",
              "error": "invalid_state",
              "task_id": "task-0000000000000002"
            }
          ],
          "status": "queued",
          "task_ids": [
            "task-0000000000000001"
          ]
        }"#]]
    .assert_eq(&answer.shown());
    assert_eq!(
        hub.script(|script| script.heard[0].2.clone()),
        Command::Revive(vec![TaskId(1), other])
    );
}

#[tokio::test]
async fn dead_letters_are_retried_by_filter_up_to_a_bound() {
    let hub = Hub::default();
    let page = |ids: &[u64], next: Option<&str>| {
        let tasks = ids.iter().map(|id| task(*id, TaskState::Cancelled)).collect();
        Ok(TaskPage { tasks, next: next.map(Into::into) })
    };
    hub.script(|script| script.pages.extend([page(&[1, 2], Some("c")), page(&[3], Some("d"))]));
    let body = r#"{"all":true,"priority":"low","limit":3}"#;
    let answer = post(&hub, "/api/tasks/dead-letter/retry", body).await;
    assert_eq!((&answer.json()["count"], &answer.json()["more"]), (&3.into(), &true.into()));
    let asked = hub.script(|script| {
        script.queries.iter().map(|query| (query.limit, query.after.clone())).collect::<Vec<_>>()
    });
    assert_eq!(asked, [(3, None), (1, Some("c".to_owned()))]);
    assert_eq!(
        hub.script(|script| script.heard[0].2.clone()),
        Command::Revive(vec![TaskId(1), TaskId(2), TaskId(3)])
    );
}

#[tokio::test]
async fn a_retry_of_everything_has_to_be_said() {
    let mut seen = String::new();
    for body in [
        "{}",
        r#"{"task_ids":[]}"#,
        r#"{"task_ids":["x"]}"#,
        r#"{"all":true,"limit":1001}"#,
        r#"{"all":true,"task_ids":[]}"#,
        r#"{"task_ids":[],"limit":1}"#,
    ] {
        seen += &post(&Hub::default(), "/api/tasks/dead-letter/retry", body).await.wrong();
    }
    expect![[r#"
        422 validation_failed
        invalid_value task_ids: is missing; name tasks, or say all: true
        422 validation_failed
        invalid_value task_ids: must be 1 to 1000 ids
        422 validation_failed
        invalid_value task_ids[0]: expected `task-` followed by 16 hexadecimal digits
        422 validation_failed
        invalid_value limit: must be 1 to 1000
        422 validation_failed
        invalid_value all: must be left out beside task_ids
        422 validation_failed
        invalid_value task_ids: must be left out beside a filter
    "#]]
    .assert_eq(&seen);
}
