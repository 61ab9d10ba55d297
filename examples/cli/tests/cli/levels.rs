//! This file tests agents whose sandbox holds less than commands of models need, and the tasks that allow
//! it.

use std::path::Path;

use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::{Value, json};

use crate::code::{MENDED, repository, writes};
use crate::support::{Up, agentcom, eventually, json, run};

/// A model that runs a command that looks around, mends the sum, and says that it is done.
async fn curious(command: &'static str) -> Ollama {
    let look = move || Turn::calls("run_command", json!({ "command": command }));
    Ollama::that(Box::new(move |asked, _| match asked["messages"].as_array().map_or(0, Vec::len) {
        0..=2 => look(),
        3..=4 => writes("add.sh", MENDED),
        _ => Turn::says("It adds now."),
    }))
    .await
}

const TASK: [&str; 6] = ["submit", "--code", "-d", "Mend the sum", "--with", "ollama"];

/// What a hub with one agent, started with `flags`, does with a task that allows `allowed`, while one
/// that says nothing waits; and what `look` finds while the hub runs.
async fn at_work(
    command: &'static str,
    flags: &'static [&'static str],
    allowed: &'static str,
    look: fn(&Path, &Up),
) -> (Value, Ollama) {
    let dir = tempfile::tempdir().unwrap();
    repository(dir.path());
    let ollama = curious(command).await;
    let url = ollama.url();
    let told = tokio::task::spawn_blocking(move || {
        let dir = dir.path();
        let at = ["--ollama", &url, "--model", "scripted", "--workdir", "clone"];
        let up = Up::start(dir, &[&at[..], flags].concat());
        let id = run(dir, &[&TASK[..], &["--quiet"]].concat(), 0);
        let why = || run(dir, &["why", id.trim()], 0);
        eventually("it waits for a sandbox", || why().contains("lacks a sandbox of L2"));
        let checks = ["--check", "file_exists add.sh", "--check", "test_passes sh tests/add.sh"];
        let line = [&TASK[..], &["--sandbox", allowed, "--wait", "--json"], &checks].concat();
        let output = agentcom(dir, &line).output().unwrap();
        look(dir, &up);
        assert_eq!(json(dir, &["task", id.trim()])["state"], "ready");
        serde_json::from_slice(&output.stdout).unwrap()
    });
    (told.await.unwrap(), ollama)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_for_files_only_gets_what_allows_it_and_runs_nothing() {
    let (told, ollama) = at_work("cat add.sh", &["--sandbox", "l1"], "l1", |dir, up| {
        let sandbox = up.told["sandbox"].as_str().unwrap();
        assert!(sandbox.starts_with("L1, for files only"), "{sandbox}");
        let shell = run(dir, &["submit", "--shell", "true", "--quiet"], 0);
        let why = run(dir, &["why", shell.trim()], 0);
        assert!(why.contains("lacks exec:shell"), "{why}");
        let agent = run(dir, &["agents", "local-1"], 0);
        assert!(agent.contains("L1, for files only") && agent.contains("not L2"), "{agent}");
        assert!(agent.contains("read it through a link in the workspace"), "{agent}");
        assert_eq!(json(dir, &["agents", "local-1"])["sandbox"]["level"], "L1");
        run(dir, &["agents", "nobody"], 5);
    })
    .await;
    assert_eq!(
        (&told["state"], &told["sandbox"], &told["result"]["sandbox"]),
        (&json!("partial"), &json!("L1"), &json!("L1")),
        "{told:#}"
    );
    let checks = told["verification_report"]["checks"].as_array().unwrap();
    let status: Vec<_> = checks.iter().map(|check| check["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["pass", "unverifiable"], "{told:#}");
    let asked = ollama.asked();
    assert!(!asked[0].to_string().contains("run_command"), "{}", asked[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_without_a_sandbox_works_where_that_is_accepted_and_on_what_allows_it() {
    let command = "cat ../../token";
    let flags = &["--i-accept-no-sandbox"];
    let (told, ollama) = at_work(command, flags, "l0", |dir, up| {
        let sandbox = up.told["sandbox"].as_str().unwrap();
        assert!(sandbox.starts_with("none, which was accepted"), "{sandbox}");
        let agents = run(dir, &["agents"], 0);
        assert!(agents.contains("SANDBOX") && agents.contains("L0"), "{agents}");
        let doctor = run(dir, &["doctor"], 0);
        assert!(doctor.contains("local-1: its sandbox is none"), "{doctor}");
    })
    .await;
    assert_eq!(
        (&told["state"], &told["sandbox"], &told["result"]["sandbox"]),
        (&json!("completed"), &json!("L0"), &json!("L0")),
        "{told:#}"
    );
    // It ran as it was, with all that this user may read.
    let seen = ollama.asked()[1]["messages"].as_array().unwrap().last().unwrap().clone();
    let seen: Value = serde_json::from_str(seen["content"].as_str().unwrap()).unwrap();
    assert_eq!((&seen["sandbox"], &seen["exit_code"]), (&json!("L0"), &json!(0)), "{seen:#}");
}

#[test]
fn nothing_works_without_a_sandbox_unless_it_is_said_in_so_many_words() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    repository(dir);
    let refused = |flags: &[&str], code: i32| {
        let line = [&["up", "--listen", "127.0.0.1:0", "--workdir", "clone"], flags].concat();
        let output = agentcom(dir, &line).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{flags:?}: {said}");
        said
    };
    let said = refused(&["--ollama", "--sandbox", "l0"], 64);
    assert!(said.contains("--i-accept-no-sandbox"), "{said}");
    refused(&["--ollama", "--sandbox", "l2", "--i-accept-no-sandbox"], 64);
    let said = refused(&["--acp", "sh", ";", "--sandbox", "l1"], 1);
    assert!(said.contains("--acp: no commands are run here"), "{said}");
    assert!(said.contains("agentcom doctor"), "{said}");
}
