//! This file tests how long a client of the original may be silent, and how long it keeps a task.

use serde_json::{Value, json};

use crate::client::{Client, id};
use crate::scene::Scene;

async fn at_work() -> (Scene, Client, Value) {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    (scene, client, work)
}

#[tokio::test]
async fn a_client_is_closed_when_it_was_silent_for_a_minute() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    scene.pass_ms(59_999).await;
    client.hear_nothing().await;
    scene.pass_ms(59_999).await;
    assert_eq!(scene.agent("a-1").await["connected"], true);
    scene.pass_ms(1).await;
    client.closed().await;
    assert_eq!(scene.agent("a-1").await["connected"], false);
}

#[tokio::test]
async fn pings_keep_what_a_client_holds_and_without_them_it_is_lost() {
    let (scene, mut client, work) = at_work().await;
    for _ in 0..5 {
        scene.pass(30).await;
        client.ping().await;
    }
    drop(client);
    // Until the hub has noticed, it would also wait for the silence of the client.
    while scene.agent("a-1").await["connected"] == true {}
    scene.pass_ms(74_999).await;
    assert_eq!(scene.state(id(&work)).await, "working");
    scene.pass_ms(1).await;
    let task = scene.task(id(&work)).await;
    assert_eq!(
        (&task["crash_count"], &task["attempts"][0]["outcome"]),
        (&json!(1), &json!("lease_lost"))
    );
}

#[tokio::test]
async fn a_started_hub_leaves_75_seconds_to_come_back_in() {
    let (mut scene, client, work) = at_work().await;
    scene.pass(70).await;
    scene.restart().await;
    scene.pass_ms(74_999).await;
    assert_eq!(scene.state(id(&work)).await, "working");
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    drop(back);

    scene.restart().await;
    scene.pass(75).await;
    assert_eq!(scene.task(id(&work)).await["crash_count"], 1);
}

#[tokio::test]
async fn a_task_without_a_word_about_it_for_five_minutes_is_taken_back() {
    let (scene, mut client, work) = at_work().await;
    let word = json!({ "type": "task_progress", "task_id": id(&work), "progress": 10 });
    for _ in 0..9 {
        scene.pass(30).await;
        client.ping().await;
    }
    client.say(word).await;
    client.hear_nothing().await;
    for _ in 0..9 {
        scene.pass(30).await;
        client.ping().await;
    }
    scene.pass_ms(29_999).await;
    assert_eq!(scene.state(id(&work)).await, "working");
    scene.pass_ms(1).await;
    client.hear("task_cancelled").await;
    let attempt = &scene.task(id(&work)).await["attempts"][0];
    assert_eq!(
        (&attempt["outcome"], &attempt["error"]),
        (&json!("lease_lost"), &json!("no news for too long"))
    );
}

#[tokio::test]
async fn a_client_that_came_back_may_again_be_quiet_about_its_task_for_five_minutes() {
    let (mut scene, client, work) = at_work().await;
    scene.restart().await;
    let mut back = scene.rejoin(&client).await;
    assert_eq!(back.report(id(&work), &work["generation"]).await, "continue");
    for _ in 0..9 {
        scene.pass(30).await;
        back.ping().await;
    }
    scene.pass_ms(29_999).await;
    assert_eq!(scene.state(id(&work)).await, "working");
    scene.pass_ms(1).await;
    back.hear("task_cancelled").await;
}
