//! This file tests that what a model said can be read, whoever or whatever stopped it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::{Value, json};

use crate::code::{MENDED, ground};
use crate::support::{Up, agentcom, eventually, json as read, run};

/// Where the agent of `agentcom up` keeps what was said.
const KEPT: &str = "agentcom-data/agents/local-1/transcripts";

/// A model that begins, and says nothing more unless it is let go on.
async fn model(goes_on: Arc<AtomicBool>) -> Ollama {
    let script = move |asked: &Value, _| {
        let first = asked["messages"].as_array().unwrap().len() == 2;
        match (first, goes_on.load(Ordering::SeqCst)) {
            (true, _) => {
                let write = json!({ "path": "add.sh", "content": MENDED });
                Turn::calls("write_file", write).saying("I begin.")
            }
            (false, true) => Turn::says("It adds now."),
            (false, false) => Turn::hangs(""),
        }
    };
    Ollama::that(Box::new(script)).await
}

/// Submits a task; its id.
fn submitted(dir: &Path, more: &[&str]) -> String {
    let task = read(dir, &[&["submit", "--code", "-d", "Mend the sum"], more].concat());
    task["id"].as_str().or(task["task_id"].as_str()).unwrap().to_owned()
}

fn state(dir: &Path, id: &str) -> Value {
    read(dir, &["task", id])["state"].clone()
}

/// What is kept of a task, once its model has called a tool.
fn said(dir: &Path, id: &str) -> String {
    let mut said = String::new();
    eventually("the model is at work", || {
        let output = agentcom(dir, &["transcript", id]).output().unwrap();
        said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.contains("write_file\n")
    });
    said
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_model_said_can_be_read_whoever_or_whatever_stopped_it() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let goes_on = Arc::new(AtomicBool::new(false));
    let model = model(goes_on.clone()).await;
    let url = model.url();
    let up = ["--ollama", &url, "--model", "scripted", "--workdir", "clone"];
    let mut hub = Up::start(dir, &up);
    let late = submitted(dir, &["--timeout", "10s", "--max-attempts", "1"]);
    // What it did in its time is checked and reported.
    eventually("its time is over", || state(dir, &late) == "partial");
    assert!(run(dir, &["task", &late], 0).contains("stopped: time"));
    let cancelled = submitted(dir, &[]);
    said(dir, &cancelled);
    run(dir, &["cancel", &cancelled], 0);
    for id in [&late, &cancelled] {
        let said = said(dir, id);
        assert!(said.contains("attempt 1, round 1") && said.contains("I begin."), "{said}");
    }
    // Of a process that is killed all is there that had been said.
    let killed = submitted(dir, &[]);
    let before = said(dir, &killed);
    hub.process.kill();
    drop(hub);
    goes_on.store(true, Ordering::SeqCst);
    let _hub = Up::start(dir, &up);
    eventually("another attempt is made", || state(dir, &killed) == "completed");
    let last = run(dir, &["transcript", &killed], 0);
    assert!(last.contains("attempt 2, round 1") && last.contains("It adds now."), "{last}");
    assert_eq!(run(dir, &["transcript", &killed, "--attempt", "1"], 0), before);
    run(dir, &["transcript", &killed, "--attempt", "3"], 5);
    let kept = std::fs::read_dir(dir.join(KEPT)).unwrap();
    assert!(kept.flatten().all(|entry| entry.path().extension().is_none()), "no draft is left");
}
