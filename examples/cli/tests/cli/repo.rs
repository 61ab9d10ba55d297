//! This file tests that tasks come to who has their repository, from the command line.

use agentcom_exec::stand_in::ollama::{StandIn as Ollama, Turn};
use serde_json::{Value, json};

use crate::code::{MENDED, ground, writes};
use crate::support::{Up, agentcom, eventually, json, run};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_is_about_the_first_active_repository_and_done_by_who_has_it() {
    let Some(dir) = ground() else { return };
    let ollama = Ollama::of(vec![writes("add.sh", MENDED), Turn::says("It adds now.")]).await;
    let url = ollama.url();
    let work = tokio::task::spawn_blocking(move || {
        let dir = dir.path();
        let up = ["--ollama", &url, "--model", "scripted", "--workdir", "clone"];
        let _up = Up::start(dir, &up);
        registered(dir);
        done(dir);
        waits_for_who_has_it(dir);
    });
    work.await.unwrap();
    assert_eq!(ollama.asked()[0]["model"], "scripted");
}

fn remote(dir: &std::path::Path) -> String {
    dir.canonicalize().unwrap().join("owner/name").to_str().unwrap().to_owned()
}

/// The agent said which repository it has, by the address of its clone.
fn registered(dir: &std::path::Path) {
    assert!(run(dir, &["repo", "list"], 0).contains("no repositories"));
    let other = ["repo", "add", "https://host.invalid/own/other.git"];
    assert!(run(dir, &other, 0).contains("other is registered"));
    let line = ["repo", "add", &remote(dir), "--name", "sum", "--executor", "ollama=standard"];
    run(dir, &line, 0);
    run(dir, &["repo", "add", &remote(dir), "--name", "again"], 6);
    run(dir, &["repo", "remove", "unknown"], 5);
    run(dir, &["repo", "move", "sum", "1"], 0);
    let listed = json(dir, &["repo", "list"]);
    let agents = [&listed["repos"][0], &listed["repos"][1]].map(|it| (&it["name"], &it["agents"]));
    assert_eq!(agents, [(&json!("sum"), &json!(1)), (&json!("other"), &json!(0))], "{listed:#}");
}

/// A task that names neither a repository nor what does it.
fn done(dir: &std::path::Path) {
    let line = ["submit", "--code", "--with", "auto", "-d", "Mend the sum", "--wait", "--json"];
    let output = agentcom(dir, &line).output().unwrap();
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&told["state"], &told["repo"], &told["op"]["kind"]),
        (&json!("completed"), &json!(remote(dir)), &json!("ollama")),
        "{told:#}"
    );
}

/// A task about a repository that no agent has is given to nobody, and says so.
fn waits_for_who_has_it(dir: &std::path::Path) {
    run(dir, &["repo", "pause", "sum"], 0);
    let told = json(dir, &["submit", "--code", "-d", "Mend the other"]);
    let id = told["task_id"].as_str().unwrap().to_owned();
    eventually("nobody has the other repository", || {
        run(dir, &["why", &id], 0).contains("repo:host.invalid/own/other")
    });
    let told = json(dir, &["submit", "--code", "--repo", "sum", "-d", "Mend the sum"]);
    let id = told["task_id"].as_str().unwrap().to_owned();
    assert!(run(dir, &["why", &id], 0).contains("paused"));
    run(dir, &["cancel", &id], 0);
}
