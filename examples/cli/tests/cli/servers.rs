//! This file tests what people are told of Ollama servers that are away, or lack what is wanted of them.

use std::fs;
use std::path::Path;

use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};

use crate::code::ground;
use crate::support::{Up, agentcom, eventually, run};

/// Where nobody listens.
const NOBODY: &str = "http://127.0.0.1:1";

fn said(dir: &Path) -> String {
    fs::read_to_string(dir.join("up.log")).unwrap_or_default()
}

#[test]
fn who_starts_an_agent_for_a_server_that_is_away_is_told_and_so_is_who_asks() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let _up = Up::start(dir, &["--ollama", NOBODY, "--workdir", "clone"]);
    eventually("it is said that the server is away", || {
        said(dir).contains("ollama: nothing answers at http://127.0.0.1:1")
    });
    assert!(said(dir).contains("`ollama serve`"), "{}", said(dir));
    // It is the server of the agent that is looked at, and not the usual one.
    let told = run(dir, &["doctor"], 0);
    assert!(told.contains("nothing answers at http://127.0.0.1:1: "), "{told}");
    assert!(!told.contains("11434"), "{told}");
    let named = run(dir, &["doctor", "--ollama", "http://127.0.0.1:2"], 0);
    assert!(named.contains("http://127.0.0.1:2: ") && !named.contains(NOBODY), "{named}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_a_model_is_not_there_it_is_said_which_ones_are() {
    let Some(dir) = ground() else { return };
    let ollama = Ollama::of([Turn::says("It is not asked.")]).await;
    let url = ollama.url();
    let asked = tokio::task::spawn_blocking(move || {
        let dir = dir.path();
        let flags = ["--ollama", &url, "--model", "absent:7b", "--workdir", "clone"];
        let _up = Up::start(dir, &flags);
        eventually("it is said that the model is not there", || {
            let said = said(dir);
            said.contains("models for tools: scripted (8.2B)")
                && said.contains("`absent:7b` is not there")
                && said.contains("`ollama pull absent:7b`")
        });
        let told = run(dir, &["doctor"], 0);
        assert!(told.contains("models for tools: scripted (8.2B)"), "{told}");
        assert!(told.contains("`ollama pull absent:7b`"), "{told}");
        let line = ["submit", "--code", "-d", "Mend it", "--wait", "--timeout-wait", "8s"];
        let waited = agentcom(dir, &line).output().unwrap();
        let waited = String::from_utf8(waited.stderr).unwrap();
        assert!(waited.contains("absent:7b at") && waited.contains(" has scripted"), "{waited}");
        let id = waited.split_whitespace().find(|word| word.starts_with("task-")).unwrap();
        let why = run(dir, &["why", id], 0);
        assert!(why.contains("absent:7b at") && why.contains(" has scripted"), "{why}");
    });
    asked.await.unwrap();
    assert!(ollama.asked().is_empty());
}
