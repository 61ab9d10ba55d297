//! This file holds defects of the original's protocol, played by a client of the original over real
//! sockets.

use serde_json::{Value, json};

use crate::client::{Client, id};
use crate::scene::Scene;

/// A hub and a client that works on a task.
async fn at_work(task: Value) -> (Scene, Client, Value) {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(task).await;
    let work = client.take().await;
    (scene, client, work)
}

#[tokio::test]
async fn b04_continue_after_a_reconnect_is_not_followed_by_a_reclaim() {
    let (mut scene, mut client, work) = at_work(json!({ "shell": "make" })).await;
    for restarts in [false, true] {
        if restarts {
            scene.restart().await;
        }
        let mut back = scene.rejoin(&client).await;
        assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
        // The original took it away after 60 s; it may now work on for as long as it tells of it.
        for _ in 0..16 {
            scene.pass(30).await;
            back.ping().await;
            let news = json!({ "type": "task_progress", "task_id": id(&work), "progress": 50 });
            back.say(news).await;
        }
        back.hear_nothing().await;
        let task = scene.task(id(&work)).await;
        assert_eq!((&task["state"], &task["crash_count"]), (&json!("working"), &json!(0)));
        client = back;
    }
    client.finish(&work).await;
    assert_eq!(scene.state(id(&work)).await, "completed");
}

#[tokio::test]
async fn b01_a_flood_of_news_does_not_push_the_result_of_a_plain_client_out() {
    let (scene, mut client, work) = at_work(json!({ "shell": "make" })).await;
    for n in 0..500 {
        let event = json!({ "event_type": "token", "text": format!("word {n}") });
        client
            .say(json!({ "type": "task_progress", "task_id": id(&work), "execution_event": event }))
            .await;
    }
    client.finish(&work).await;
    assert_eq!(scene.state(id(&work)).await, "completed");
    scene.submit(json!({ "shell": "make" })).await;
    client.take().await;
}

#[tokio::test]
async fn b03_a_result_of_a_plain_client_that_says_failed_is_a_failure() {
    let task = json!({ "shell": "make", "max_retries": 1 });
    let (scene, mut client, work) = at_work(task).await;
    client.complete(&work, json!({ "status": "failed", "error": "exit code 2" })).await;
    client.hear("task_ack").await;
    let task = scene.task(id(&work)).await;
    assert_eq!(task["status"], "dead_letter");
    assert!(task.to_string().contains("exit code 2"), "{task:#}");
}

#[tokio::test]
async fn b08_the_frames_that_the_original_forgot_are_no_offences() {
    let (scene, mut client, _) = at_work(json!({ "shell": "make" })).await;
    for _ in 0..30 {
        client.say(json!({ "type": "agent_restarting", "reason": "update" })).await;
        client.hear_nothing().await;
    }
    assert_eq!(scene.agent("a-1").await["connected"], true);
}

#[tokio::test]
async fn b10_late_words_about_called_off_work_leave_the_next_task_alone() {
    let (scene, mut client, work) = at_work(json!({ "shell": "make", "timeout_ms": 5_000 })).await;
    let path = format!("/api/tasks/{}/cancel", id(&work));
    assert_eq!(scene.ask("POST", &path, Value::Null).await.0, 200);
    client.hear("task_cancelled").await;
    let next = scene.submit(json!({ "shell": "make" })).await;
    scene.pass(6).await;
    let given = client.take().await;
    assert_eq!(id(&given), next);
    // The original's client does not stop what it runs, and then speaks of it with number 0.
    let mut late = work.clone();
    late["generation"] = json!(0);
    client.complete(&late, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["type"], "error");
    assert_eq!(scene.state(&next).await, "working");
    assert_eq!(scene.state(id(&work)).await, "cancelled");
    client.finish(&given).await;
}

#[tokio::test]
async fn b17_no_rounds_of_correction_are_asked_for_unless_somebody_does() {
    let (_scene, _client, work) = at_work(json!({ "shell": "make" })).await;
    let rounds = &work["max_verification_retries"];
    assert!(rounds.is_null() || *rounds == 0, "{work:#}");
}

#[tokio::test]
async fn b32_a_file_hint_arrives_as_it_was_given() {
    let hints = json!([{ "path": "src/a.rs", "reason": "it is there" }, { "path": "b" }]);
    let task = json!({ "shell": "make", "file_hints": hints });
    let (_scene, _client, work) = at_work(task).await;
    assert_eq!(work["file_hints"], hints);
}

#[tokio::test]
async fn a23_no_field_gets_lost_on_the_way_to_the_agent() {
    let given = json!({
        "description": "do it", "op": { "kind": "wake", "input": { "any": 1 } },
        "repo": "https://host/r", "branch": "main", "metadata": { "ticket": 7 },
        "file_hints": [{ "path": "a" }], "success_criteria": ["it works"],
        "verification_steps": [{ "type": "file_exists", "target": "a" }],
        "skip_verification": true, "verification_timeout_ms": 9_000,
        "max_verification_retries": 2, "timeout_ms": 60_000, "lease_ttl_ms": 100_000,
        "on_lease_loss": "continue",
    });
    let (scene, _client, work) = at_work(given.clone()).await;
    for field in given.as_object().unwrap().keys().filter(|field| *field != "metadata") {
        assert_eq!(work[field], given[field], "{field} in {work:#}");
    }
    assert_eq!(work["metadata"]["ticket"], 7);
    let shown = scene.task(id(&work)).await;
    for field in given.as_object().unwrap().keys() {
        assert_eq!(shown[field], given[field], "{field} in {shown:#}");
    }
}

#[tokio::test]
async fn b51_a_target_is_heeded_however_it_is_written() {
    let scene = Scene::set().await;
    let mut other = scene.join("a-1").await;
    let mut target = scene.join("a-2").await;
    for body in [
        json!({ "shell": "make", "assign_to": "a-2" }),
        json!({ "shell": "make", "metadata": { "target_agent": "a-2" } }),
        json!({ "shell": "make", "metadata": { "assign_to": "a-2" } }),
    ] {
        scene.submit(body).await;
        let work = target.take().await;
        target.finish(&work).await;
    }
    other.hear_nothing().await;
}
