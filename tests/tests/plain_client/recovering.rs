//! This file tests clients of the original that restarted and found a task they had not finished.

use serde_json::{Value, json};

use crate::client::{Client, id};
use crate::scene::Scene;

async fn at_work(task: Value) -> (Scene, Client, Value) {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(task).await;
    let work = client.take().await;
    (scene, client, work)
}

fn eager(kind: &str) -> Value {
    let input = if kind == "shell" { json!({ "command": "make" }) } else { json!({}) };
    json!({
        "description": "work", "op": { "kind": kind, "input": input },
        "backoff_base_ms": 1, "backoff_cap_ms": 1,
    })
}

#[tokio::test]
async fn shell_work_of_a_client_that_restarted_is_given_out_again_and_counts_as_a_crash() {
    let (scene, mut client, mut work) = at_work(eager("shell")).await;
    let task = id(&work).to_owned();
    for crashes in 1..=2 {
        client = scene.rejoin(&client).await;
        client.recover(&task, "working").await;
        assert_eq!(client.hear("task_reassign").await["task_id"], json!(task));
        assert_eq!(scene.task(&task).await["crash_count"], crashes);
        scene.pass_ms(100).await;
        let again = client.take().await;
        assert!(again["generation"].as_u64() > work["generation"].as_u64());
        work = again;
    }
    client = scene.rejoin(&client).await;
    client.recover(&task, "working").await;
    client.hear("task_reassign").await;
    let dead = scene.task(&task).await;
    assert_eq!((&dead["state"], &dead["crash_count"]), (&json!("dead_letter"), &json!(3)));
    client.complete(&work, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
}

#[tokio::test]
async fn a_woken_session_goes_on_when_its_client_restarted() {
    for status in ["working", "waking_confirmation"] {
        let (scene, client, work) = at_work(eager("wake")).await;
        let mut back = scene.rejoin(&client).await;
        back.recover(id(&work), status).await;
        let told = back.hear("task_continue").await;
        assert_eq!(
            (&told["task_id"], &told["generation"]),
            (&work["task_id"], &work["generation"])
        );
        scene.pass(6).await;
        back.hear_nothing().await;
        back.finish(&work).await;
        assert_eq!(scene.task(id(&work)).await["crash_count"], 0);
    }
}

#[tokio::test]
async fn a_session_that_was_not_woken_yet_is_woken_again() {
    for status in ["accepted", "waking"] {
        let (scene, client, work) = at_work(eager("wake")).await;
        let mut back = scene.rejoin(&client).await;
        back.recover(id(&work), status).await;
        back.hear("task_reassign").await;
        scene.pass_ms(100).await;
        back.take().await;
    }
}

#[tokio::test]
async fn a_task_that_is_not_the_clients_any_more_is_to_be_forgotten() {
    let (scene, client, work) = at_work(eager("shell")).await;
    let mut other = scene.join("a-2").await;
    other.recover(id(&work), "working").await;
    other.hear("task_reassign").await;
    other.recover("task-0123456789abcdef", "working").await;
    other.hear("task_reassign").await;
    let task = scene.task(id(&work)).await;
    assert_eq!((&task["state"], &task["assigned_to"]), (&json!("working"), &json!("a-1")));
    drop(client);
}

#[tokio::test]
async fn a_client_and_its_hub_may_restart_at_once() {
    let (mut scene, client, work) = at_work(eager("wake")).await;
    scene.restart().await;
    let mut back = scene.rejoin(&client).await;
    back.recover(id(&work), "working").await;
    let told = back.hear("task_continue").await;
    assert_eq!(told["generation"], work["generation"]);
    back.finish(&work).await;

    let task = scene.submit(eager("shell")).await;
    back.take().await;
    scene.restart().await;
    let mut back = scene.rejoin(&client).await;
    back.recover(&task, "working").await;
    back.hear("task_reassign").await;
    scene.pass_ms(100).await;
    let again = back.take().await;
    back.finish(&again).await;
    assert_eq!(scene.task(&task).await["crash_count"], 1);
}
