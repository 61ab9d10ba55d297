//! This file tests the figures that the first hub was judged by, with a hub and agents that are
//! processes of their own, each in a directory of its own.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Process, Up, agentcom, eventually, json, run};

/// Runs a command until it may go on.
const UNTIL_LET_GO: &str =
    "echo $AGENTCOM_LEASE >> begun; while ! [ -e go ]; do sleep 0.01; done; echo done >> done";

/// Starts an agent that is called as its directory.
fn agent(dir: &Path, up: &Up, name: &str) -> Process {
    std::fs::create_dir(dir.join(name)).unwrap();
    let token = run(dir, &["agent", "add", name], 0);
    let line = ["agent", "run", name, "--url", up.url(), "--workdir", name];
    let said = File::create(dir.join(format!("{name}.log"))).unwrap();
    let mut command = agentcom(dir, &line);
    command.env("AGENTCOM_TOKEN", token.trim()).stdout(Stdio::null()).stderr(said);
    let agent = Process(command.spawn().unwrap());
    eventually("the agent is connected", || {
        let agents = json(dir, &["agents"]);
        let agents = agents["agents"].as_array().unwrap();
        agents.iter().any(|agent| agent["agent_id"] == name && agent["connected"] == true)
    });
    agent
}

fn submit(dir: &Path, task: &Value) -> String {
    let file = dir.join("batch.json");
    std::fs::write(&file, json!([task]).to_string()).unwrap();
    let told = json(dir, &["batch", "batch.json"]);
    told["tasks"][0]["task_id"].as_str().unwrap().to_owned()
}

fn task(dir: &Path, id: &str) -> Value {
    json(dir, &["task", id])
}

fn completed(dir: &Path, id: &str) -> Value {
    let mut found = Value::Null;
    eventually("the task completes", || {
        found = task(dir, id);
        found["state"] == "completed"
    });
    found
}

#[test]
fn ten_of_ten_numbers_are_written_by_two_agents_and_assigned_within_five_seconds() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &["--agents", "0"]);
    let names = ["left", "right"];
    let _agents = names.map(|name| agent(dir, &up, name));
    let numbers = 1..=10_u64;
    let shell = |number: u64| json!({ "shell": format!("echo {number} > {number}") });
    let ids: Vec<_> = numbers.clone().map(|number| submit(dir, &shell(number))).collect();
    for (number, id) in numbers.zip(ids) {
        let task = completed(dir, &id);
        let waited = |task: &Value| {
            task["attempts"][0]["assigned_at"].as_u64()?.checked_sub(task["created_at"].as_u64()?)
        };
        assert!(waited(&task).is_some_and(|ms| ms < 5_000), "{task:#}");
        let by = task["assigned_to"].as_str().unwrap();
        let written: Vec<_> = names
            .into_iter()
            .filter_map(|name| {
                let text = std::fs::read_to_string(dir.join(name).join(number.to_string())).ok()?;
                Some((name, text))
            })
            .collect();
        assert_eq!(written, [(by, format!("{number}\n"))]);
    }
}

#[test]
fn another_agent_finishes_what_a_killed_one_had_begun() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &["--agents", "0"]);
    let mut first = agent(dir, &up, "first");
    let shell = json!({ "shell": UNTIL_LET_GO, "lease_ttl_ms": 5_000, "backoff_base_ms": 1 });
    let id = submit(dir, &shell);
    eventually("the task begins", || dir.join("first/begun").exists());
    let _second = agent(dir, &up, "second");
    std::fs::write(dir.join("second/go"), "").unwrap();
    first.kill();
    let task = completed(dir, &id);
    assert_eq!((&task["assigned_to"], &task["crash_count"]), (&json!("second"), &json!(1)));
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(2), "{task:#}");
    assert!(!dir.join("first/done").exists(), "what a killed agent ran ends with it");
}

#[test]
fn what_a_frozen_agent_says_when_it_thaws_comes_too_late() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &["--agents", "0"]);
    let frozen = agent(dir, &up, "frozen");
    let shell = json!({ "shell": UNTIL_LET_GO, "lease_ttl_ms": 5_000, "backoff_base_ms": 1 });
    let id = submit(dir, &shell);
    eventually("the task begins", || dir.join("frozen/begun").exists());
    frozen.signal(Signal::SIGSTOP);
    std::fs::write(dir.join("frozen/go"), "").unwrap();
    eventually("its work ends without it", || dir.join("frozen/done").exists());
    let _second = agent(dir, &up, "second");
    std::fs::write(dir.join("second/go"), "").unwrap();
    let before = completed(dir, &id);
    assert_eq!((&before["assigned_to"], &before["crash_count"]), (&json!("second"), &json!(1)));

    frozen.signal(Signal::SIGCONT);
    let next = submit(dir, &json!({ "shell": "echo thawed", "assign_to": "frozen" }));
    assert_eq!(completed(dir, &next)["result"]["stdout"], "thawed\n");
    assert_eq!(task(dir, &id), before, "its result is not accepted");
}

#[test]
fn twenty_tasks_are_spread_over_four_agents_and_every_lane_gets_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &["--agents", "0"]);
    run(dir, &["pause"], 0);
    let names = ["a-1", "a-2", "a-3", "a-4"];
    let _agents = names.map(|name| agent(dir, &up, name));
    let lanes = ["low", "normal", "high", "urgent"];
    let shell = "while ! [ -e ../go-$AGENTCOM_TASK_ID ]; do sleep 0.01; done";
    let one = |lane: &&str| submit(dir, &json!({ "shell": shell, "priority": lane }));
    let ids: Vec<_> = lanes.iter().cycle().take(20).map(one).collect();
    run(dir, &["unpause"], 0);
    for _ in 0..5 {
        let mut working = Vec::new();
        eventually("all four agents are at work", || {
            let page = json(dir, &["tasks", "--state", "working", "--limit", "100"]);
            working = page["tasks"].as_array().unwrap().clone();
            working.len() == 4
        });
        for held in &working {
            let go = format!("go-{}", held["id"].as_str().unwrap());
            std::fs::write(dir.join(go), "").unwrap();
        }
        eventually("the round is over", || {
            let over = |of: &Value| task(dir, of["id"].as_str().unwrap())["state"] == "completed";
            working.iter().all(over)
        });
    }
    let tasks: Vec<_> = ids.iter().map(|id| completed(dir, id)).collect();
    for name in names {
        let share = tasks.iter().filter(|task| task["assigned_to"] == name).count();
        assert!((4..=6).contains(&share), "{name} got {share} of 20");
    }
    let assigned = |lane: &str| {
        let lane: Vec<_> = tasks.iter().filter(|task| task["priority"] == lane).collect();
        assert_eq!(lane.len(), 5);
        let at = |task: &&Value| task["attempts"][0]["assigned_at"].as_u64().unwrap();
        let mut at: Vec<_> = lane.iter().map(at).collect();
        at.sort_unstable();
        (at[0], at[4])
    };
    assert!(assigned("urgent").1 <= assigned("low").0, "urgent work goes first");
}

#[test]
fn work_in_flight_goes_on_once_when_the_hub_is_killed_and_started_again() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut up = Up::start(dir, &["--agents", "0"]);
    let listen = up.listen().to_owned();
    let _agent = agent(dir, &up, "a-1");
    let id = submit(dir, &json!({ "shell": UNTIL_LET_GO }));
    let next = submit(dir, &json!({ "shell": "echo next" }));
    eventually("the task begins", || dir.join("a-1/begun").exists());
    up.process.kill();
    std::fs::write(dir.join("a-1/go"), "").unwrap();
    eventually("it ends while the hub is away", || dir.join("a-1/done").exists());
    let _up = Up::start(dir, &["--agents", "0", "--listen", &listen]);
    let task = completed(dir, &id);
    assert_eq!(task["attempts"].as_array().map(Vec::len), Some(1), "{task:#}");
    assert_eq!(std::fs::read_to_string(dir.join("a-1/begun")).unwrap(), "1\n");
    assert_eq!(completed(dir, &next)["result"]["stdout"], "next\n");
}

#[test]
fn a_task_that_always_fails_ends_as_a_dead_letter_that_can_be_retried() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let up = Up::start(dir, &["--agents", "0"]);
    let _agent = agent(dir, &up, "a-1");
    let shell = "echo try >> tries; [ -e ok ]";
    let task = json!({ "shell": shell, "backoff_base_ms": 1, "backoff_cap_ms": 5 });
    let id = submit(dir, &task);
    eventually("the task is dead", || self::task(dir, &id)["state"] == "dead_letter");
    let dead = json(dir, &["tasks", "--dead"]);
    assert_eq!((&dead["tasks"][0]["id"], &dead["count"]), (&json!(id), &json!(1)));
    let tries = || std::fs::read_to_string(dir.join("a-1/tries")).unwrap().lines().count();
    assert_eq!((tries(), &dead["tasks"][0]["retry_count"]), (3, &json!(3)));
    std::fs::write(dir.join("a-1/ok"), "").unwrap();
    run(dir, &["retry", &id], 0);
    completed(dir, &id);
    assert_eq!(tries(), 4);
}
