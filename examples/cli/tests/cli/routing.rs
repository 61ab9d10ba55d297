//! This file tests how tasks come to models that the hub knows of, from the command line.

use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::{Value, json};

use crate::code::{MENDED, ground, writes};
use crate::support::{Up, agentcom, eventually, json, run};

/// A model that mends the sum whenever it is asked to.
async fn willing() -> Ollama {
    Ollama::that(Box::new(|asked, _| {
        let messages = asked["messages"].as_array().map_or(0, Vec::len);
        if messages <= 2 { writes("add.sh", MENDED) } else { Turn::says("It adds now.") }
    }))
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn b25_the_hub_chooses_the_model_and_says_why_and_what_nobody_serves_waits_until_somebody_does()
 {
    let Some(dir) = ground() else { return };
    let ollama = willing().await;
    let url = ollama.url();
    let asked = tokio::task::spawn_blocking(move || {
        let dir = dir.path();
        let _up = Up::start(dir, &["--code", "--workdir", "clone", "--slots", "2"]);
        chosen(dir, &url);
        passed_over(dir, &url);
    });
    asked.await.unwrap();
    let all = ollama.asked();
    assert!(all.iter().all(|asked| asked["model"] == "scripted"));
    let how = |asked: &Value| (asked["options"]["num_ctx"].clone(), asked["think"].clone());
    assert_eq!(how(&all[0]), (json!(8192), json!("low")), "as its endpoint says");
}

/// The models of an endpoint are found out by looking, and one of them does the task.
fn chosen(dir: &std::path::Path, url: &str) {
    let tuned = ["--context", "8192", "--think", "scripted=low"];
    run(dir, &[&["endpoint", "add", "near", "--ollama", url][..], &tuned].concat(), 0);
    let line = ["submit", "--code", "-d", "Mend the sum", "--wait", "--json"];
    let output = agentcom(dir, &line).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["state"], &told["result"]["model"]),
        (&json!("completed"), &json!("scripted")),
        "{told:#}"
    );
    let id = told["id"].as_str().unwrap();
    assert!(run(dir, &["why", id], 0).contains("scripted at near was chosen"));
    assert!(run(dir, &["task", id], 0).contains("scripted at near, completed"));
    let listed = json(dir, &["endpoint", "list"]);
    let near = &listed["endpoints"][0];
    assert_eq!(
        (&near["breaker"], &near["served"][0]["model"], &near["served"][0]["warm"]),
        (&json!("closed"), &json!("scripted"), &json!(true)),
        "{listed:#}"
    );
}

/// An endpoint that does not answer is left alone, and its task is done elsewhere.
fn passed_over(dir: &std::path::Path, url: &str) {
    run(dir, &["endpoint", "remove", "near"], 0);
    run(
        dir,
        &["endpoint", "add", "gone", "--ollama", "http://127.0.0.1:1", "--model", "scripted"],
        0,
    );
    // Of this task nobody said that it is one for models.
    std::fs::write(dir.join("batch.json"), r#"[{"description":"Mend the sum once more"}]"#)
        .unwrap();
    let told = json(dir, &["batch", "batch.json"]);
    let id = told["tasks"][0]["task_id"].as_str().unwrap();
    eventually("the endpoint that does not answer is left alone", || {
        run(dir, &["why", id], 0).contains("scripted at gone fails and is left alone until")
    });
    run(dir, &["pause"], 0);
    run(dir, &["endpoint", "add", "near", "--ollama", url], 0);
    run(dir, &["endpoint", "park", "near", "--for", "1h"], 0);
    run(dir, &["unpause"], 0);
    assert!(run(dir, &["endpoint", "list"], 0).contains("parked until"));
    eventually("the parked endpoint is looked at", || {
        run(dir, &["why", id], 0).contains("scripted at near is parked with the key near until")
    });
    run(dir, &["endpoint", "unpark", "near"], 0);
    eventually("the task is done", || json(dir, &["task", id])["state"] == "completed");
    let told = json(dir, &["task", id]);
    assert_eq!((&told["op"]["kind"], &told["failure_count"]), (&json!("code"), &Value::Null));
    let attempts = told["attempts"].as_array().unwrap();
    assert!(attempts[0]["outcome"] == "released" && attempts.len() >= 2, "{told:#}");
}
