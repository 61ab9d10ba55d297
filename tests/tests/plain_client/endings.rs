//! This file tests that a client of the original whose hold has ended is told so, and is left alone
//! until what it still runs must be over.

use serde_json::{Value, json};

use crate::scene::Scene;

async fn cancel(scene: &Scene, id: &str) {
    let (status, told) = scene.ask("POST", &format!("/api/tasks/{id}/cancel"), Value::Null).await;
    assert_eq!(status, 200, "{told:#}");
}

#[tokio::test]
async fn a_cancelled_task_is_told_and_its_client_gets_work_after_it_reconnects() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    cancel(&scene, &id).await;
    let told = client.hear("task_cancelled").await;
    assert_eq!((&told["task_id"], told["timestamp"].is_u64()), (&json!(id), true), "{told}");
    let next = scene.submit(json!({ "shell": "make" })).await;
    client.hear_nothing().await;
    client.complete(&work, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
    assert_eq!(scene.state(&id).await, "cancelled");
    client.hear_nothing().await;

    let mut client = scene.rejoin(&client).await;
    assert_eq!(client.take().await["task_id"], json!(next));
}

#[tokio::test]
async fn a_client_whose_task_was_called_off_gets_work_when_the_tasks_timeout_has_passed() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make", "timeout_ms": 20_000 })).await;
    client.take().await;
    scene.pass(5).await;
    cancel(&scene, &id).await;
    client.hear("task_cancelled").await;
    let next = scene.submit(json!({ "shell": "make" })).await;
    scene.pass_ms(14_999).await;
    client.hear_nothing().await;
    scene.pass_ms(1).await;
    assert_eq!(client.take().await["task_id"], json!(next));
}

#[tokio::test]
async fn a_task_that_took_too_long_is_not_offered_again_to_the_client_that_still_runs_it() {
    let scene = Scene::set().await;
    let mut slow = scene.join("slow").await;
    let task = json!({
        "shell": "make", "timeout_ms": 20_000, "backoff_base_ms": 1, "backoff_cap_ms": 1,
    });
    let id = scene.submit(task).await;
    slow.take().await;
    scene.pass(20).await;
    assert_eq!(slow.hear("task_cancelled").await["task_id"], json!(id));
    scene.pass(1).await;
    assert_eq!(scene.state(&id).await, "ready");
    slow.hear_nothing().await;
    let other = scene.submit(json!({ "shell": "make" })).await;
    assert_eq!(slow.take().await["task_id"], json!(other));

    let mut fresh = scene.join("fresh").await;
    let work = fresh.take().await;
    assert_eq!((&work["task_id"], &work["generation"]), (&json!(id), &json!(2)));
    fresh.finish(&work).await;
}

#[tokio::test]
async fn a_client_that_does_not_accept_in_a_minute_loses_the_task_and_is_flagged_until_it_does() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let task = json!({ "shell": "make", "backoff_base_ms": 1, "backoff_cap_ms": 1 });
    let id = scene.submit(task).await;
    client.hear("task_assign").await;
    scene.pass(30).await;
    client.ping().await;
    scene.pass_ms(29_999).await;
    client.hear_nothing().await;
    scene.pass_ms(1).await;
    client.hear("task_cancelled").await;
    assert_eq!(scene.task(&id).await["attempts"][0]["outcome"], "not_accepted");
    let trust = |agent: Value| agent["trust"]["level"].as_str().unwrap().to_owned();
    let flagged = trust(scene.agent("a-1").await);
    assert_ne!(flagged, "full");
    scene.pass_ms(100).await;

    let mut client = scene.rejoin(&client).await;
    client.take().await;
    assert_ne!(trust(scene.agent("a-1").await), flagged, "the next accept clears it");
}

#[tokio::test]
async fn a_deadline_ends_the_task_and_tells_the_client() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let by = 1_800_000_000_000_u64 + 1_000 + 10_000;
    let id = scene.submit(json!({ "shell": "make", "complete_by": by })).await;
    let work = client.take().await;
    scene.pass(10).await;
    client.hear("task_cancelled").await;
    assert_eq!(scene.task(&id).await["state_detail"]["death"], "deadline");
    client.complete(&work, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
}
