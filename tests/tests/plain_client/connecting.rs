//! This file tests how clients of the original get in, and how they are kept out.

use serde_json::{Value, json};

use crate::client::Client;
use crate::scene::Scene;

#[tokio::test]
async fn a_client_without_a_sub_protocol_counts_as_able_to_run_and_to_wake() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let agent = scene.agent("a-1").await;
    assert_eq!(agent["executors"], json!(["shell", "wake"]), "{agent:#}");
    assert_eq!((&agent["slots"], &agent["capabilities"]), (&json!(1), &json!(["code"])));
    assert_eq!(agent["protocol"], "plain");
    client.say(json!({ "type": "list_agents" })).await;
    assert_eq!(client.hear("agents").await["agents"][0]["agent_id"], "a-1");
}

#[tokio::test]
async fn a_client_that_connects_gets_what_waits() {
    let scene = Scene::set().await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let mut client = scene.join("a-1").await;
    let work = client.take().await;
    assert_eq!(work["task_id"], json!(id));
    client.finish(&work).await;
    assert_eq!(scene.state(&id).await, "completed");
}

#[tokio::test]
async fn optional_fields_may_be_null() {
    let scene = Scene::set().await;
    let token = scene.register("a-1").await;
    let mut client = Client::dial(scene.address(), "a-1", &token).await;
    client
        .say(json!({
            "type": "identify", "agent_id": "a-1", "token": token, "name": null, "status": null,
            "capabilities": null, "ollama_url": null, "pm2_info": null, "client_type": null,
        }))
        .await;
    client.hear("identified").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    client
        .say(json!({
            "type": "task_progress", "task_id": id, "progress": null,
            "execution_event": { "event_type": "stdout", "text": "x", "tokens_so_far": null },
        }))
        .await;
    client
        .say(json!({ "type": "resource_report", "cpu_percent": 3.5, "vram_total_bytes": null }))
        .await;
    client.complete(&work, json!({ "status": "success", "tokens_in": null, "error": null })).await;
    client.hear("task_ack").await;
    assert_eq!(scene.state(&id).await, "completed");
}

#[tokio::test]
async fn a_refused_token_is_answered_and_then_closed_after_half_a_minute() {
    let scene = Scene::set().await;
    scene.register("a-1").await;
    let others = scene.register("a-2").await;
    for (token, error) in [("0123456789", "invalid_token"), (&*others, "token_agent_mismatch")] {
        let mut client = Client::dial(scene.address(), "a-1", token).await;
        client.identify().await;
        assert_eq!(client.hear("error").await["error"], error);
        scene.pass_ms(29_999).await;
        client.say(json!({ "type": "ping" })).await;
        assert_eq!(client.hear("error").await["error"], "not_identified");
        scene.pass_ms(1).await;
        assert_eq!(client.closed().await, Some(4001));
    }
}

/// Tries to get in as `bad`, and returns what is wrong.
async fn refused(scene: &Scene, token: &str) -> Value {
    let mut client = Client::dial(scene.address(), "bad", token).await;
    client.identify().await;
    client.hear("error").await
}

#[tokio::test]
async fn a_sidecar_that_is_refused_again_and_again_is_locked_out_and_its_host_is_not() {
    let scene = Scene::set().await;
    let right = scene.register("bad").await;
    for _ in 0..10 {
        assert_eq!(refused(&scene, "no such token").await["error"], "invalid_token");
    }
    scene.pass(10).await;
    let told = refused(&scene, &right).await;
    assert_eq!(
        (&told["error"], &told["retry_after_ms"]),
        (&json!("too_many_failures"), &json!(50_000))
    );
    let id = scene.submit(json!({ "shell": "make" })).await;
    let mut good = scene.join("good").await;
    let work = good.take().await;
    assert_eq!(work["task_id"], json!(id));

    scene.pass(50).await;
    Client::join(scene.address(), "bad", &right).await;
}

#[tokio::test]
async fn failures_a_minute_apart_do_not_add_up() {
    let scene = Scene::set().await;
    let right = scene.register("bad").await;
    for _ in 0..12 {
        assert_eq!(refused(&scene, "no such token").await["error"], "invalid_token");
        scene.pass(60).await;
    }
    assert_eq!(refused(&scene, "no such token").await["error"], "invalid_token");
    Client::join(scene.address(), "bad", &right).await;
}

#[tokio::test]
async fn who_does_not_say_who_it_is_gets_nothing_and_is_closed_after_five_seconds() {
    let scene = Scene::set().await;
    scene.submit(json!({ "shell": "make" })).await;
    let mut client = Client::dial(scene.address(), "a-1", "").await;
    client.say(json!({ "type": "task_accepted", "task_id": "task-0000000000000001" })).await;
    assert_eq!(client.hear("error").await["error"], "not_identified");
    scene.pass_ms(4_999).await;
    client.say(json!({ "type": "ping" })).await;
    assert_eq!(client.hear("error").await["error"], "not_identified");
    scene.pass_ms(1).await;
    assert_eq!(client.closed().await, Some(4001));
}

#[tokio::test]
async fn a_second_connection_of_an_agent_takes_the_place_of_the_first() {
    let scene = Scene::set().await;
    let mut first = scene.join("a-1").await;
    let mut second = scene.rejoin(&first).await;
    first.closed().await;
    scene.submit(json!({ "shell": "make" })).await;
    second.take().await;
}
