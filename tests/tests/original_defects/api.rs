//! This file holds defects of the HTTP API: doors that stand open, input that breaks it, lists that
//! mislead.

use std::fs;
use std::path::PathBuf;

use agentcom_core::driver::token::Token;
use serde_json::{Value, json};

use crate::scene::Scene;

#[tokio::test]
async fn a09_the_hub_knows_what_is_done_whatever_agents_say_of_themselves() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    client.say(json!({ "type": "status", "status": "busy with seven things" })).await;
    client.hear("status_updated").await;
    assert_eq!(scene.agent("a-1").await["fsm_state"], "idle");
    let id = scene.submit(json!({ "shell": "make" })).await;
    let work = client.take().await;
    let agent = scene.agent("a-1").await;
    assert_eq!(agent["fsm_state"], "working", "{agent:#}");
    assert!(agent.to_string().contains(&id), "{agent:#}");
    client.finish(&work).await;
    assert_eq!(scene.agent("a-1").await["fsm_state"], "idle");
}

#[tokio::test]
async fn a22_the_length_of_the_queue_does_not_count_what_is_over() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    for _ in 0..3 {
        scene.submit(json!({ "shell": "make" })).await;
        let work = client.take().await;
        client.finish(&work).await;
    }
    scene.submit(json!({ "shell": "make", "assign_to": "a-2" })).await;
    let (_, stats) = scene.ask("GET", "/api/stats", Value::Null).await;
    let living: u64 = stats["tasks"]["by_state"]
        .as_object()
        .unwrap()
        .values()
        .map(|count| count.as_u64().unwrap())
        .sum();
    assert_eq!(living, 1, "{stats:#}");
    assert_eq!(stats["tasks"]["ended"]["completed"], 3);
}

#[tokio::test]
async fn a31_pages_show_each_task_once_and_leave_none_out() {
    let scene = Scene::set().await;
    let mut client = scene.join("a-1").await;
    let mut all = Vec::new();
    for n in 0..23 {
        all.push(scene.submit(json!({ "shell": "make", "priority": n % 4 })).await);
        if n % 2 == 0 {
            let work = client.take().await;
            client.finish(&work).await;
        }
        // What the client is given next it finishes with the next round.
        if n % 2 == 1 {
            let work = client.take().await;
            client.finish(&work).await;
        }
        if n == 15 {
            scene.submit(json!({ "shell": "make", "assign_to": "a-2" })).await;
        }
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/api/tasks?limit=5{after}");
        let (status, page) = scene.ask("GET", &path, Value::Null).await;
        assert_eq!(status, 200, "{page:#}");
        let tasks = page["tasks"].as_array().unwrap();
        assert!(tasks.len() <= 5);
        seen.extend(tasks.iter().map(|task| task["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next_cursor"].as_str() else { break };
        after = format!("&cursor={next}");
    }
    let (count, mut sorted) = (seen.len(), seen);
    sorted.sort();
    sorted.dedup();
    assert_eq!((count, sorted.len()), (24, 24));
    assert!(all.iter().all(|id| sorted.contains(id)));
}

#[tokio::test]
async fn b43_agents_that_are_away_are_counted() {
    let scene = Scene::set().await;
    scene.register("a-1").await;
    drop(scene.join("a-2").await);
    scene.pass(120).await;
    let (_, stats) = scene.ask("GET", "/api/stats", Value::Null).await;
    assert_eq!(stats["agents"]["offline"], 2, "{stats:#}");
    let (_, health) = scene.ask("GET", "/health", Value::Null).await;
    assert_eq!(health["agents_connected"], 0);
}

#[tokio::test]
async fn b45_what_nobody_can_understand_is_refused_and_not_stumbled_over() {
    let scene = Scene::set().await;
    for (method, path, body) in [
        ("POST", "/api/tasks", json!({ "shell": "x", "depends_on": "not a list" })),
        ("POST", "/api/tasks", json!({ "shell": "x", "depends_on": [7, null] })),
        ("POST", "/api/tasks", json!({ "shell": "x", "depends_on": ["task-zz"] })),
        ("POST", "/api/tasks", json!({ "shell": "x", "depends_on": ["task-0000000000000001"] })),
        ("POST", "/api/tasks", json!(["no", "object"])),
        ("GET", "/api/tasks?limit=many", Value::Null),
        ("GET", "/api/tasks?limit=-1", Value::Null),
        ("GET", "/api/tasks?limit=99999999999999999999", Value::Null),
        ("GET", "/api/tasks?priority=%FF", Value::Null),
        ("GET", "/api/events?after=yesterday&format=json", Value::Null),
        ("GET", "/api/tasks/nothing", Value::Null),
        ("GET", "/api/tasks/%00", Value::Null),
        ("GET", "/api/agents/no%20name/state", Value::Null),
        ("PUT", "/api/admin/weights/k", json!({ "weight": "heavy" })),
    ] {
        let (status, told) = scene.ask(method, path, body.clone()).await;
        assert!((400..500).contains(&status), "{method} {path} {body}: {status} {told:#}");
        assert!(told["error"].is_string(), "{method} {path} {body}: {told:#}");
    }
}

#[tokio::test]
async fn b46_words_of_strangers_leave_nothing_behind() {
    let scene = Scene::set().await;
    let (_, before) = scene.ask("GET", "/api/stats", Value::Null).await;
    for n in 0..200 {
        let path = format!("/api/tasks?state=word{n}");
        let (status, told) = scene.ask("GET", &path, Value::Null).await;
        assert!((400..500).contains(&status), "{status} {told:#}");
        let body = json!({ "shell": "x", "priority": format!("word{n}") });
        assert!((400..500).contains(&scene.ask("POST", "/api/tasks", body).await.0));
    }
    let (_, after) = scene.ask("GET", "/api/stats", Value::Null).await;
    assert_eq!(before["seq"], after["seq"], "nothing was stored");
}

/// The routes as the documentation of the crate lists them: method, path, who may use it.
fn routes() -> Vec<(String, String, String)> {
    let page = fs::read_to_string(root().join("agentcom-http/src/routes.md")).unwrap();
    let rows = page.lines().filter(|line| line.contains("| `/"));
    rows.map(|row| {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        (cells[1].into(), cells[2].trim_matches('`').into(), cells[3].into())
    })
    .collect()
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[tokio::test]
async fn b47_without_a_token_nothing_can_be_read_or_changed() {
    let scene = Scene::set().await;
    let id = scene.submit(json!({ "shell": "make" })).await;
    let mut closed = 0;
    for (method, path, needs) in routes() {
        let path = path.replace("{id}", &id).replace("{agent}", "a-1").replace("{key}", "k");
        let (status, told) = scene.ask_as("", &method, &path, Value::Null).await;
        if needs == "nothing" {
            assert_eq!(status, 200, "{method} {path}");
        } else {
            assert_eq!(status, 401, "{method} {path}: {told:#}");
            closed += 1;
        }
    }
    assert!(closed > 25, "{closed} routes are read");
}

/// Text files of the repository, by path.
fn texts(folder: &std::path::Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.starts_with('.') || name == "target" || name == "agentcom-data" {
            continue;
        }
        if path.is_dir() {
            texts(&path, found);
        } else if let Ok(text) = fs::read_to_string(&path) {
            found.push((path, text));
        }
    }
}

#[test]
fn a27_no_token_and_no_private_address_is_in_the_repository() {
    let mut found = Vec::new();
    texts(&root(), &mut found);
    assert!(found.len() > 200, "{} files", found.len());
    let foreign = |c: char| !(c.is_ascii_alphanumeric() || "_-.".contains(c));
    for (path, text) in &found {
        for word in text.split(foreign).filter(|word| word.len() > 20) {
            // The one in the tests of tokens is made up.
            let made_up = path.ends_with("agentcom-core/src/driver/token.rs");
            assert!(made_up || Token::parse(word).is_err(), "{}: a token", path.display());
        }
        // The network of tailnets, 100.64.0.0/10.
        for word in text.split(foreign).filter(|word| word.starts_with("100.")) {
            let parts: Option<Vec<u8>> = word.split('.').map(|part| part.parse().ok()).collect();
            // Addresses that start with 100.64.0 stand for any in tests.
            let inside = parts.is_some_and(|parts| {
                parts.len() == 4 && (64..128).contains(&parts[1]) && parts[1..3] != [64, 0]
            });
            assert!(!inside, "{}: {word}", path.display());
        }
    }
    let token = Token::generate().unwrap();
    let leaked = format!("TOKEN='{}'", token.reveal());
    assert!(leaked.split(foreign).any(|word| Token::parse(word).is_ok()), "one would be found");
}
