//! This file tests frames of clients of the original that are large, broken or of no use.

use serde_json::{Value, json};

use crate::client::id;
use crate::scene::Scene;

const MIB: usize = 1 << 20;

#[tokio::test]
async fn frames_of_a_mebibyte_are_taken_and_longer_ones_end_the_connection() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let frame = json!({ "type": "status", "status": "" }).to_string();
    let of_length =
        |bytes: usize| frame.replace("\"\"", &format!("\"{}\"", "x".repeat(bytes - frame.len())));
    client.send(of_length(MIB)).await;
    client.hear("status_updated").await;
    client.send(of_length(MIB + 1)).await;
    assert_eq!(client.closed().await, Some(1009));
}

#[tokio::test]
async fn a_result_that_is_too_long_to_keep_ends_its_task_and_keeps_both_its_ends() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    let output = format!("first{}last", "x\n".repeat(200_000));
    client
        .say(json!({
            "type": "task_progress", "task_id": id(&work),
            "execution_event": { "event_type": "stdout", "text": output },
        }))
        .await;
    let result = json!({ "status": "success", "output": output, "tokens_in": 1, "tokens_out": 2 });
    client.complete(&work, result).await;
    assert_eq!(client.hear("task_ack").await["status"], "complete");
    let task = scene.task(id(&work)).await;
    let kept = task["result"]["output"].as_str().unwrap();
    assert!(kept.starts_with("firstx\n") && kept.ends_with("x\nlast"), "{} bytes", kept.len());
    assert_eq!((&task["tokens_used"], &task["result"]["status"]), (&json!(3), &json!("success")));
}

#[tokio::test]
async fn a_failure_that_is_too_long_to_keep_is_a_failure() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "shell": "make", "max_attempts": 1 })).await;
    let work = client.take().await;
    let result = json!({ "status": "failed", "output": "x".repeat(500_000) });
    client.complete(&work, result).await;
    assert_eq!(client.hear("task_ack").await["status"], "dead_letter");
}

#[tokio::test]
async fn the_messaging_layer_is_answered_and_no_offence() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    for _ in 0..4 {
        for kind in ["message", "channel_subscribe", "channel_publish", "list_channels"] {
            client.say(json!({ "type": kind, "payload": {}, "channel": "c" })).await;
            let error = client.hear("error").await;
            assert_eq!(
                (&error["error"], &error["message_type"]),
                (&json!("not_supported"), &json!(kind))
            );
        }
    }
    scene.submit(json!({ "shell": "make" })).await;
    client.take().await;
}

#[tokio::test]
async fn broken_frames_are_answered_field_by_field_and_the_tenth_ends_the_connection() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    for (frame, error, field) in [
        ("not json", "invalid_json", Value::Null),
        (r#"["type"]"#, "invalid_json", Value::Null),
        (r#"{"type":"task_dance"}"#, "validation_failed", json!("type")),
        (r#"{"type":"task_accepted"}"#, "validation_failed", json!("task_id")),
    ] {
        client.send(frame.into()).await;
        let told = client.hear("error").await;
        assert_eq!(
            (&told["error"], &told["errors"][0]["field"]),
            (&json!(error), &field),
            "{told:#}"
        );
    }
    for _ in 4..10 {
        client.send("{".into()).await;
        client.hear("error").await;
    }
    assert_eq!(client.closed().await, Some(1008));
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    back.finish(&work).await;
}

#[tokio::test]
async fn ten_thousand_bad_frames_in_a_row_disturb_nobody() {
    let scene = Scene::set().await;
    let mut good = scene.join("good").await;
    scene.submit(json!({ "shell": "make" })).await;
    let work = good.take().await;
    let mut bad = scene.join("bad").await;
    for round in 0..1_000 {
        for _ in 0..10 {
            bad.send(r#"{"type":"task_complete","task_id":7}"#.into()).await;
        }
        for _ in 0..10 {
            bad.hear("error").await;
        }
        assert_eq!(bad.closed().await, Some(1008));
        bad = scene.rejoin(&bad).await;
        if round % 100 == 0 {
            good.ping().await;
        }
    }
    good.finish(&work).await;
    assert_eq!(scene.state(id(&work)).await, "completed");
}
