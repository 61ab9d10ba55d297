//! This file tests coding tasks that a foreign agent does for a real hub, and the questions that it asks.

use std::net::TcpListener;
use std::path::Path;

use agentcom_core::sandbox::Level;
use agentcom_exec::stand_in::INSTRUCTIONS;
use agentcom_exec::stand_in::acp::ARG;
use serde_json::{Value, json};

use crate::code::ground;
use crate::support::{Up, eventually, git, has_sandbox, json, run};

/// A hub, and an agent that goes `way` and gives people `within` to answer.
fn up(dir: &Path, way: &str, within: &str) -> Up {
    let program = env!("CARGO_BIN_EXE_agentcom");
    let agent = ["--acp", program, ARG, way, ";", "--acp-ask-within", within];
    let place = ["--workdir", "clone", "--sandbox-read", program];
    Up::start(dir, &[&agent[..], &place].concat())
}

const TASK: [&str; 6] = ["submit", "--code", "--with", "acp", "-d", "Fetch it"];

/// What the agent was told when it asked for permission.
fn told(dir: &Path, task: &Value) -> String {
    let branch = task["result"]["branch"].as_str().unwrap();
    git(&dir.join("owner/name"), &["show", &format!("{branch}:b.txt")])
}

#[test]
fn an_agent_asks_for_permission_and_a_person_answers() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let _up = up(dir, "asks", "10m");
    let id = run(dir, &[&TASK[..], &["--quiet"]].concat(), 0);
    let id = id.trim();
    let open = || json(dir, &["questions"])["questions"].as_array().unwrap().clone();
    eventually("it asks", || !open().is_empty());
    let question = &open()[0];
    assert_eq!((&question["task_id"], &question["default"]), (&json!(id), &json!("reject")));
    let text = question["question"].as_str().unwrap();
    assert!(text.contains("May it fetch: Fetch https://example.org?"), "{text}");
    // Whoever looks at the task, at why it waits or at all questions sees it, and how to answer.
    let name = &question["question_id"].as_str().unwrap()[17..];
    for line in [&["questions"][..], &["task", id], &["why", id]] {
        let shown = run(dir, line, 0);
        assert!(shown.contains("May it fetch") && shown.contains(name), "{line:?}: {shown}");
    }
    run(dir, &["answer", "ffffffff", "allow"], 5);
    assert!(run(dir, &["answer", name, "allow_always"], 0).contains("is answered"));
    eventually("it is done", || json(dir, &["task", id])["state"] == "completed");
    let task = json(dir, &["task", id]);
    assert_eq!(told(dir, &task), "always");
    assert!(open().is_empty());
}

#[test]
fn what_nobody_answers_counts_as_a_no_at_its_deadline() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let _up = up(dir, "asks", "1s");
    let task = json(dir, &[&TASK[..], &["--wait", "--timeout-wait", "60s"]].concat());
    assert_eq!(task["state"], "completed", "{task:#}");
    assert_eq!(told(dir, &task), "no");
    let all = run(dir, &["transcript", task["id"].as_str().unwrap()], 0);
    assert!(all.contains("Fetch it"), "{all}");
}

#[test]
fn a_task_may_name_a_model_of_the_agent_and_only_one_that_it_has() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let _up = up(dir, "refuses", "1s");
    let line = [&TASK[..], &["--model", "works", "--wait", "--timeout-wait", "60s"]].concat();
    let task = json(dir, &line);
    assert_eq!((&task["state"], &task["result"]["model"]), (&json!("completed"), &json!("works")));
    let branch = task["result"]["branch"].as_str().unwrap();
    let written = git(&dir.join("owner/name"), &["show", &format!("{branch}:b.txt")]);
    assert!(written.ends_with("two"), "{written}");
    run(dir, &[&TASK[..], &["--wait", "--timeout-wait", "60s"]].concat(), 3);
    let dead = json(dir, &["tasks", "--dead"]);
    assert!(dead["tasks"][0]["last_error"].as_str().unwrap().contains("declines"), "{dead:#}");
}

#[test]
fn an_agent_reaches_the_hosts_that_are_granted_to_it_and_no_others() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    if !has_sandbox(dir, Level::L3) {
        return;
    }
    let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    let [granted, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    // It is asked something and says nothing.
    let [service, thief] = listeners;
    thief.set_nonblocking(true).unwrap();
    let serving = std::thread::spawn(move || service.accept().map(drop));
    let clone = dir.join("clone");
    std::fs::write(clone.join(INSTRUCTIONS), format!("ask {granted}\ncarry {other}\n")).unwrap();
    git(&clone, &["add", "-A"]);
    git(&clone, &["-c", "user.name=A", "-c", "user.email=a@x", "commit", "-q", "-m", "Instruct"]);
    git(&clone, &["push", "-q", "origin", "HEAD"]);
    let (program, host) = (env!("CARGO_BIN_EXE_agentcom"), granted.to_string());
    let agent = ["--acp", program, ARG, "obeys", ";", "--acp-host", &host];
    let place = ["--workdir", "clone", "--sandbox-read", program];
    let _up = Up::start(dir, &[&agent[..], &place].concat());
    let task = json(dir, &[&TASK[..], &["--wait", "--timeout-wait", "60s"]].concat());
    assert_eq!(task["state"], "completed", "{task:#}");
    let steps = task["result"]["steps"].to_string();
    assert!(steps.contains(&format!("network reached {granted}")), "{steps}");
    assert!(steps.contains(&format!("network refused {other}: it is not granted")), "{steps}");
    assert!(thief.accept().is_err());
    serving.join().unwrap().unwrap();
}
