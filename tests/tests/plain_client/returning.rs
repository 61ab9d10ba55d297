//! This file tests clients of the original that come back while they work: after a dropped socket,
//! and after a restart of the hub.

use serde_json::{Value, json};

use crate::client::{Client, id};
use crate::scene::Scene;

/// A hub and a client that works on a task.
async fn at_work() -> (Scene, Client, Value) {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "shell": "make", "backoff_base_ms": 1, "backoff_cap_ms": 1 })).await;
    let work = client.take().await;
    (scene, client, work)
}

#[tokio::test]
async fn a_client_that_reports_the_current_assignment_goes_on() {
    let (scene, client, work) = at_work().await;
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    scene.pass(6).await;
    back.hear_nothing().await;
    assert_eq!(scene.state(id(&work)).await, "working");
    back.finish(&work).await;
    assert_eq!(scene.task(id(&work)).await["crash_count"], 0);
}

#[tokio::test]
async fn a_client_goes_on_after_the_hub_was_started_again() {
    let (mut scene, client, work) = at_work().await;
    scene.restart().await;
    scene.pass(40).await;
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    for _ in 0..3 {
        scene.pass(30).await;
        back.ping().await;
    }
    back.finish(&work).await;
    let task = scene.task(id(&work)).await;
    assert_eq!((&task["state"], &task["crash_count"]), (&json!("completed"), &json!(0)));
}

#[tokio::test]
async fn a_report_counts_as_acceptance() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = client.hear("task_assign").await;
    // Its acceptance got lost with the connection.
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(&id, &work["generation"]).await, "continue");
    assert_eq!(scene.state(&id).await, "working");
    for _ in 0..4 {
        scene.pass(30).await;
        back.ping().await;
    }
    assert_eq!(scene.state(&id).await, "working", "no acceptance timer runs");
    back.finish(&work).await;
}

#[tokio::test]
async fn a_client_that_reports_what_it_does_not_hold_is_to_forget_it() {
    let (scene, client, work) = at_work().await;
    let mut other = scene.join("a-2").await;
    assert_eq!(other.report(id(&work), &work["generation"]).await, "abort");
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &json!(0)).await, "abort");
    assert_eq!(back.report("task-0123456789abcdef", &json!(1)).await, "abort");
    assert_eq!(scene.state(id(&work)).await, "working");
}

#[tokio::test]
async fn what_a_client_does_not_report_in_five_seconds_is_lost_and_it_gets_nothing_before() {
    let (scene, client, work) = at_work().await;
    let next = scene.submit(json!({ "shell": "make" })).await;
    let mut back = scene.rejoin(&client).await;
    back.hear_nothing().await;
    scene.pass_ms(4_999).await;
    back.hear_nothing().await;
    assert_eq!(scene.state(id(&work)).await, "working");
    scene.pass_ms(1).await;
    assert_eq!(back.hear("task_cancelled").await["task_id"], work["task_id"]);
    let task = scene.task(id(&work)).await;
    assert_eq!(
        (&task["crash_count"], &task["attempts"][0]["outcome"]),
        (&json!(1), &json!("lease_lost"))
    );

    // What it does not report it does not run, so it is free at once.
    let given = back.take().await;
    assert_eq!(id(&given), next);
    back.finish(&given).await;
    scene.pass_ms(100).await;
    let again = back.take().await;
    assert_eq!((id(&again), &again["generation"]), (id(&work), &json!(2)));
}

#[tokio::test]
async fn a_reported_task_lets_the_rest_come_at_once() {
    let (scene, client, work) = at_work().await;
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    back.finish(&work).await;
    scene.submit(json!({ "shell": "make" })).await;
    back.take().await;
}

#[tokio::test]
async fn an_end_that_was_reached_after_the_task_was_given_to_another_is_stale() {
    let (scene, client, work) = at_work().await;
    let mut back = scene.rejoin(&client).await;
    let mut other = scene.join("a-2").await;
    scene.pass(5).await;
    back.hear("task_cancelled").await;
    scene.pass_ms(100).await;
    let again = other.take().await;
    back.complete(&work, json!({ "status": "success" })).await;
    let error = back.hear("error").await;
    assert!(error["error"].as_str().unwrap().starts_with("task_complete_failed: "), "{error}");
    assert_eq!(scene.state(id(&work)).await, "working");
    other.finish(&again).await;
    assert_eq!(scene.task(id(&work)).await["assigned_to"], "a-2");
}
