//! This file tests what clients of the original are given, and what their words about it mean.

use serde_json::{Value, json};

use crate::client::{Client, id};
use crate::scene::Scene;

/// A task that is tried again at once.
fn eager(shell: &str) -> Value {
    json!({ "shell": shell, "backoff_base_ms": 1, "backoff_cap_ms": 1 })
}

#[tokio::test]
async fn shell_work_comes_with_what_the_original_looks_for() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let task = json!({
        "description": "build it", "shell": "make all", "timeout_ms": 9_000,
        "metadata": { "ticket": 7 }, "repo": "https://host/r", "complexity_tier": "trivial",
    });
    let submitted = scene.submit(task).await;
    let work = client.take().await;
    assert_eq!(work["task_id"], json!(submitted));
    assert_eq!(
        work["metadata"],
        json!({ "ticket": 7, "shell_command": "make all", "timeout_ms": 9_000 })
    );
    assert_eq!(work["routing_decision"]["target_type"], "sidecar");
    assert_eq!(work["routing_decision"]["effective_tier"], "trivial");
    assert_eq!(
        (&work["description"], &work["repo"]),
        (&json!("build it"), &json!("https://host/r"))
    );
    assert!(work["generation"].as_u64() >= Some(1) && work["assigned_at"].is_u64(), "{work:#}");
    assert!(work.to_string().len() < 2_000, "{work:#}");
}

#[tokio::test]
async fn wake_work_is_for_the_session_that_the_client_wakes() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "description": "look at it", "op": { "kind": "wake" } })).await;
    let work = client.take().await;
    let target = work["routing_decision"]["target_type"].as_str();
    assert!(target.is_none_or(|target| target == "wake"), "{work:#}");
    assert_eq!(work["metadata"]["shell_command"], Value::Null);
    client
        .say(json!({ "type": "wake_result", "task_id": id(&work), "status": "success", "attempt": 1 }))
        .await;
    client.hear_nothing().await;
    client.finish(&work).await;
}

#[tokio::test]
async fn work_of_another_kind_is_not_for_clients_of_the_original() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "description": "think", "op": { "kind": "ollama" } })).await;
    client.hear_nothing().await;
    let (_, why) = scene.ask("GET", &format!("/api/tasks/{id}/why"), Value::Null).await;
    assert!(why.to_string().contains("exec:ollama"), "{why:#}");
}

#[tokio::test]
async fn words_that_name_no_assignment_are_about_what_the_speaker_holds() {
    let scene = Scene::set().await;
    let mut holder = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = holder.hear("task_assign").await;
    let mut other = scene.join("a-2").await;
    for kind in ["task_accepted", "task_rejected"] {
        other.tell(kind, &id).await;
        let error = other.hear("error").await;
        assert_eq!((&error["error"], &error["task_id"]), (&json!("task_not_held"), &json!(id)));
    }
    other.tell("task_progress", &id).await;
    other.hear_nothing().await;
    assert_eq!(scene.state(&id).await, "assigned");
    other.complete(&work, json!({ "status": "success" })).await;
    assert_eq!(other.hear("error").await["error"], "task_complete_failed: not_your_task");
    holder.accept(&work).await;
    holder.finish(&work).await;
    assert_eq!(scene.task(&id).await["assigned_to"], "a-1");
}

#[tokio::test]
async fn an_end_without_the_current_generation_is_stale() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(eager("make")).await;
    let first = client.take().await;
    let mut forgot = first.clone();
    forgot["generation"] = json!(0);
    client.complete(&forgot, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
    fail(&mut client, &forgot, "error", "no").await;
    assert_eq!(client.hear("error").await["error"], "task_failed_failed: stale_generation");
    assert_eq!(scene.state(&id).await, "working");

    fail(&mut client, &first, "error", "no").await;
    assert_eq!(client.hear("task_ack").await["status"], "retried");
    scene.pass_ms(100).await;
    let second = client.take().await;
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    client.complete(&first, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
    client.finish(&second).await;
    client.complete(&second, json!({ "status": "success" })).await;
    assert_eq!(client.hear("error").await["error"], "task_complete_failed: stale_generation");
}

async fn fail(client: &mut Client, work: &Value, word: &str, why: &str) {
    client
        .say(json!({
            "type": "task_failed", "task_id": work["task_id"], "generation": work["generation"],
            word: why, "category": "permanent",
        }))
        .await;
}

#[tokio::test]
async fn every_failure_is_tried_again_whatever_its_words_until_the_task_is_dead() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(eager("make")).await;
    let work = client.take().await;
    fail(&mut client, &work, "error", "in error").await;
    assert_eq!(client.hear("task_ack").await["status"], "retried");
    scene.pass_ms(100).await;
    let work = client.take().await;
    fail(&mut client, &work, "reason", "in reason").await;
    assert_eq!(client.hear("task_ack").await["status"], "retried");
    scene.pass_ms(100).await;
    let work = client.take().await;
    let result =
        json!({ "status": "failed", "error": "in result", "tokens_in": 2, "tokens_out": 3 });
    client.complete(&work, result).await;
    assert_eq!(client.hear("task_ack").await["status"], "dead_letter");

    let task = scene.task(&id).await;
    assert_eq!(task["status"], "dead_letter");
    let attempts = task["attempts"].as_array().unwrap();
    let errors: Vec<_> = attempts.iter().map(|attempt| &attempt["error"]).collect();
    assert_eq!(errors, ["in error", "in reason", "in result"]);
    assert!(attempts.iter().all(|attempt| attempt["category"] == "retryable"), "{attempts:#?}");
    assert_eq!(attempts[2]["tokens_used"], 5);
}

#[tokio::test]
async fn tokens_are_counted_wherever_they_stand() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    for (result, used, expected) in [
        (json!({ "status": "success", "tokens_in": 20, "tokens_out": 22 }), Value::Null, 42),
        (json!({ "status": "success", "tokens_out": 22 }), json!(7), 7),
    ] {
        let id = scene.submit(json!({ "shell": "make" })).await;
        let work = client.take().await;
        client
            .say(json!({
                "type": "task_complete", "task_id": id, "generation": work["generation"],
                "result": result, "tokens_used": used,
            }))
            .await;
        client.hear("task_ack").await;
        let task = scene.task(&id).await;
        assert_eq!((&task["tokens_used"], &task["result"]), (&json!(expected), &result));
        assert_eq!(task["attempts"][0]["tokens_used"], expected, "{task:#}");
        let seen = task["history"].as_array().unwrap().iter();
        assert!(seen.clone().any(|line| line["tokens_used"] == expected), "{task:#}");
    }
}

#[tokio::test]
async fn a_client_that_is_busy_gets_no_work_for_longer_and_longer_and_the_task_is_not_spent() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    for wait in [1, 2, 4, 8, 16, 32, 60, 60] {
        client.hear("task_assign").await;
        client.say(json!({ "type": "task_rejected", "task_id": id, "reason": "busy" })).await;
        client.hear_nothing().await;
        scene.pass_ms(wait * 1_000 - 1).await;
        client.hear_nothing().await;
        scene.pass_ms(1).await;
    }
    let work = client.take().await;
    client.finish(&work).await;
    let task = scene.task(&id).await;
    assert_eq!((&task["retry_count"], &task["crash_count"]), (&json!(0), &json!(0)));
}

#[tokio::test]
async fn a_result_and_a_report_are_kept_as_they_were_sent() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    let result = json!({ "status": "partial_pass", "output": "half", "estimated_cost_usd": 0.25 });
    let report = json!({ "status": "fail", "checks": [{ "type": "git_clean" }] });
    client
        .say(json!({
            "type": "task_complete", "task_id": id, "generation": work["generation"],
            "result": result, "verification_report": report, "verification_history": [report],
        }))
        .await;
    assert_eq!(client.hear("task_ack").await["status"], "complete");
    let task = scene.task(&id).await;
    assert_eq!((&task["status"], &task["state"]), (&json!("completed"), &json!("partial")));
    assert_eq!((&task["result"], &task["verification_report"]), (&result, &report));
}
