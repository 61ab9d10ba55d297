//! This file tests the command with a hub and agents of its own, as a newcomer meets them.

use std::fs::File;
use std::path::Path;

use agentcom_core::driver::token::Token;
use nix::sys::signal::Signal;

use crate::support::{Process, Up, agentcom, eventually, json, printed, processes_in, run};

#[test]
fn a_command_is_run_by_an_agent_and_its_output_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    let hello = ["submit", "--shell", "echo hello", "--wait", "--timeout-wait", "20s"];
    assert_eq!(run(dir.path(), &hello, 0), "hello\n");
    let agents = json(dir.path(), &["agents"]);
    assert_eq!(agents["agents"][0]["agent_id"], "local-1");
    assert!(run(dir.path(), &["tasks"], 0).contains("completed"));
    assert!(run(dir.path(), &["stats"], 0).contains("1 completed"));
}

#[test]
fn an_agent_tells_how_busy_its_machine_is() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    eventually("the machine was measured", || {
        let agents = json(dir.path(), &["agents"]);
        let figures = &agents["agents"][0]["resources"];
        let used = figures["ram_used_bytes"].as_u64();
        used.zip(figures["ram_total_bytes"].as_u64()).is_some_and(|(used, total)| used <= total)
    });
    let shown = run(dir.path(), &["agents"], 0);
    assert!(shown.contains("CPU ") && shown.contains(" GiB"), "{shown}");
}

#[test]
fn a_task_that_fails_ends_the_wait_with_its_own_code() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    let line = ["submit", "--shell", "echo oh >&2; exit 3", "--max-attempts", "1", "--wait"];
    run(dir.path(), &line, 3);
    let dead = json(dir.path(), &["tasks", "--dead"]);
    let id = dead["tasks"][0]["id"].as_str().unwrap();
    assert!(run(dir.path(), &["why", &id[13..]], 0).contains("it died (exhausted): exit code 3"));
    assert_eq!(json(dir.path(), &["retry", "--all"])["count"], 1);
}

#[test]
fn a_task_that_nobody_can_run_says_so_and_can_be_called_off() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    let id = run(dir.path(), &["submit", "--shell", "true", "--needs", "gpu", "--quiet"], 0);
    let end = &id.trim()[13..];
    let why = run(dir.path(), &["why", end], 0);
    assert!(why.contains("local-1 comes nearest and lacks gpu"), "{why}");
    let waited = ["submit", "--shell", "true", "--after", end, "--wait", "--timeout-wait", "100ms"];
    run(dir.path(), &waited, 75);
    run(dir.path(), &["cancel", end], 0);
    assert!(run(dir.path(), &["task", end], 0).contains("cancelled"));
    run(dir.path(), &["cancel", end], 6);
}

#[test]
fn a_batch_runs_in_the_order_of_its_dependencies() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &["--agents", "2"]);
    let batch = r#"[{"ref": "second", "shell": "cat made", "depends_on": ["first"]},
                    {"ref": "first", "shell": "sleep 0.2; echo made > made"}]"#;
    std::fs::write(dir.path().join("batch.json"), batch).unwrap();
    let queued = json(dir.path(), &["batch", "batch.json"]);
    let second = queued["tasks"][0]["task_id"].as_str().unwrap();
    eventually("the second task completes", || {
        json(dir.path(), &["task", second])["state"] == "completed"
    });
    assert_eq!(json(dir.path(), &["task", second])["result"]["stdout"], "made\n");
}

#[test]
fn work_waits_while_it_is_paused() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    run(dir.path(), &["pause"], 0);
    let id = run(dir.path(), &["submit", "--shell", "true", "--quiet"], 0);
    assert!(run(dir.path(), &["why", id.trim()], 0).contains("all work is paused"));
    run(dir.path(), &["unpause"], 0);
    eventually("the task completes", || {
        json(dir.path(), &["task", id.trim()])["state"] == "completed"
    });
}

#[test]
fn tokens_and_names_that_are_not_known_are_refused_with_their_codes() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &["--agents", "0"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let bare = |token: Option<&str>| {
        let mut command = agentcom(elsewhere.path(), &["tasks", "--url", up.url()]);
        command.envs(token.map(|token| ("AGENTCOM_TOKEN", token))).output().unwrap()
    };
    printed(&bare(None), 4);
    printed(&bare(Some("0123456789abcdef")), 77);
    run(dir.path(), &["task", "task-0123456789abcdef"], 5);
    run(dir.path(), &["task", "89abcdef"], 5);
    run(dir.path(), &["agent", "drain", "nobody"], 5);
    run(dir.path(), &["submit", "--shell", "true", "--priority", "asap"], 64);
    let first = run(dir.path(), &["agent", "add", "a-1"], 0);
    run(dir.path(), &["agent", "add", "a-1"], 6);
    let second = run(dir.path(), &["agent", "token", "a-1"], 0);
    assert!(second.trim().len() > 20 && first != second);
    run(dir.path(), &["agent", "token", "nobody"], 5);
    run(dir.path(), &["agent", "remove", "a-1"], 0);
}

#[test]
fn a_token_with_rights_permits_what_it_says_and_nothing_after_it_was_removed() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &["--agents", "0"]);
    let elsewhere = tempfile::tempdir().unwrap();
    let with = |token: &str, line: &[&str], code: i32| {
        let mut command = agentcom(elsewhere.path(), &[line, &["--url", up.url()]].concat());
        let output = command.env("AGENTCOM_TOKEN", token.trim()).output().unwrap();
        printed(&output, code);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let add = ["token", "add", "ci", "--right", "task:submit,task:read", "--expires", "30d"];
    let first = run(dir.path(), &add, 0);
    run(dir.path(), &add, 6);
    run(dir.path(), &["token", "add", "x", "--right", "root"], 64);
    run(dir.path(), &["token", "add", "x", "--expires", "4000d"], 64);
    let listed = run(dir.path(), &["token", "list"], 0);
    assert!(listed.contains("task:read, task:submit  in 30 d"), "{listed}");
    with(&first, &["submit", "--shell", "true"], 0);
    with(&first, &["tasks"], 0);
    let refused = with(&first, &["pause"], 4);
    assert!(refused.contains("operator:ci may not pause"), "{refused}");
    assert!(refused.contains("a token with the right admin:write"), "{refused}");
    with(&first, &["token", "add", "more"], 4);
    let second = run(dir.path(), &["token", "rotate", "ci"], 0);
    assert!(Token::parse(second.trim()).is_ok() && first != second);
    for token in [&first, &second] {
        with(token, &["tasks"], 0);
    }
    let tasks = json(dir.path(), &["tasks", "--submitted-by", "operator:ci"]);
    assert_eq!(tasks["count"], 1);
    run(dir.path(), &["token", "remove", "ci"], 0);
    for token in [&first, &second] {
        with(token, &["tasks"], 77);
    }
    run(dir.path(), &["token", "rotate", "ci"], 5);
}

#[test]
fn a_token_that_has_expired_is_named_with_the_command_that_makes_another() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &["--agents", "0"]);
    let token = run(dir.path(), &["token", "add", "ci", "--expires", "1s"], 0);
    let mut said = String::new();
    eventually("the token expires", || {
        let mut command = agentcom(dir.path(), &["tasks", "--url", up.url()]);
        let output = command.env("AGENTCOM_TOKEN", token.trim()).output().unwrap();
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.code() == Some(77)
    });
    assert!(said.contains("the token `ci` expired on "), "{said}");
    assert!(said.contains("`agentcom token rotate ci`"), "{said}");
    assert!(run(dir.path(), &["token", "list"], 0).contains(" ago"));
}

#[test]
fn a_hub_says_helpfully_why_it_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let up = Up::start(dir.path(), &["--agents", "0"]);
    let said = |line: &[&str], code: i32| {
        let output = agentcom(dir.path(), line).output().unwrap();
        printed(&output, code);
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let in_use = said(&["up", "--listen", "127.0.0.1:0"], 74);
    assert!(in_use.contains(&format!("in use by the hub on {}", up.url())), "{in_use}");
    let port = said(&["up", "--data", "other", "--listen", up.listen()], 69);
    assert!(port.contains("is in use by another program"), "{port}");
    let exposed = said(&["up", "--data", "other", "--listen", "0.0.0.0:0"], 64);
    assert!(exposed.contains("--trusted-network"), "{exposed}");
    std::fs::write(dir.path().join("file"), "").unwrap();
    said(&["up", "--data", "file", "--listen", "127.0.0.1:0"], 74);
}

#[test]
fn an_interrupted_hub_lets_work_finish_and_goes_on_where_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path(), &[]);
    let done = run(dir.path(), &["submit", "--shell", "sleep 0.5; echo done", "--quiet"], 0);
    let later = run(dir.path(), &["submit", "--shell", "true", "--needs", "gpu", "--quiet"], 0);
    eventually("the first task runs", || {
        json(dir.path(), &["task", done.trim()])["state"] == "working"
    });
    up.process.signal(Signal::SIGINT);
    assert_eq!(up.process.ended(), Some(0));
    assert!(!dir.path().join("agentcom-data/hub.json").exists());
    run(dir.path(), &["tasks", "--url", up.url()], 69);
    let _up = Up::start(dir.path(), &["--agents", "0"]);
    assert_eq!(json(dir.path(), &["task", done.trim()])["result"]["stdout"], "done\n");
    assert_eq!(json(dir.path(), &["task", later.trim()])["state"], "ready");
}

#[test]
fn a_second_interrupt_ends_everything_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path(), &[]);
    let id = run(dir.path(), &["submit", "--shell", "touch begun; sleep 600", "--quiet"], 0);
    eventually("the task runs", || dir.path().join("begun").exists());
    up.process.signal(Signal::SIGINT);
    eventually("the agent drains", || {
        std::fs::read_to_string(dir.path().join("up.log")).unwrap().contains("again")
    });
    up.process.signal(Signal::SIGINT);
    assert_eq!(up.process.ended(), Some(130));
    eventually("what ran is gone", || processes_in(dir.path()).is_empty());
    let _up = Up::start(dir.path(), &["--agents", "0"]);
    assert!(json(dir.path(), &["task", id.trim()])["state"].is_string());
}

#[test]
fn an_agent_that_is_asked_to_start_again_comes_back() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    let boot = || json(dir.path(), &["agents"])["agents"][0]["boot"].clone();
    let before = boot();
    run(dir.path(), &["agent", "restart", "local-1"], 0);
    eventually("another run of the agent connects", || !boot().is_null() && boot() != before);
    run(dir.path(), &["submit", "--shell", "true", "--wait"], 0);
}

#[test]
fn who_waits_for_a_task_or_watches_gets_over_a_hub_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut up = Up::start(dir.path(), &[]);
    let listen = up.listen().to_owned();
    let mut watch = agentcom(dir.path(), &["watch", "--after", "0"]);
    let mut watch = Process(watch.stdout(log(dir.path(), "watch.out")).spawn().unwrap());
    let line = ["submit", "--shell", "while ! [ -e go ]; do sleep 0.01; done; echo went", "--wait"];
    let mut wait = agentcom(dir.path(), &line);
    let mut wait = Process(
        wait.stdout(log(dir.path(), "wait.out"))
            .stderr(log(dir.path(), "wait.err"))
            .spawn()
            .unwrap(),
    );
    let holds = |file: &str, word: &str| {
        std::fs::read_to_string(dir.path().join(file)).unwrap().contains(word)
    };
    eventually("the task is acknowledged", || holds("wait.err", "waiting for task-"));
    eventually("the task runs", || holds("watch.out", "task.working"));
    up.process.kill();
    let back = "waiting for it to come back";
    eventually("it is said that nobody answers", || holds("wait.err", back));
    let _up = Up::start(dir.path(), &["--listen", &listen]);
    std::fs::write(dir.path().join("go"), "").unwrap();
    assert_eq!(wait.ended(), Some(0));
    assert_eq!(std::fs::read_to_string(dir.path().join("wait.out")).unwrap(), "went\n");
    eventually("the end is seen", || holds("watch.out", "task.completed"));
    watch.signal(Signal::SIGINT);
    assert_eq!(watch.ended(), Some(130));
    let seen = std::fs::read_to_string(dir.path().join("watch.out")).unwrap();
    assert_eq!(seen.matches("hub.founded").count(), 1, "nothing is told twice: {seen}");
}

#[test]
fn a_token_of_an_agent_that_cannot_be_written_is_named() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("agentcom-data/agents/local-1/token")).unwrap();
    let output = agentcom(dir.path(), &["up", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(74));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("agents/local-1/token"), "{said}");
}

fn log(dir: &Path, name: &str) -> File {
    File::create(dir.join(name)).unwrap()
}

#[test]
fn a_journal_tells_what_it_holds_while_its_agent_works() {
    let dir = tempfile::tempdir().unwrap();
    let _up = Up::start(dir.path(), &[]);
    let path = "agentcom-data/agents/local-1/journal";
    let id =
        run(dir.path(), &["submit", "--shell", "while ! [ -e go ]; do sleep 0.01; done", "-q"], 0);
    eventually("the agent has it", || {
        run(dir.path(), &["journal", "show", path], 0).contains(id.trim())
    });
    std::fs::write(dir.path().join("go"), "").unwrap();
    eventually("it is reported", || {
        json(dir.path(), &["journal", "show", path])["jobs"].as_array().unwrap().is_empty()
    });
    run(dir.path(), &["journal", "show", "nowhere"], 5);
    run(dir.path(), &["journal", "show", "agentcom-data/admin.token"], 74);
}

#[test]
fn the_demonstration_needs_nothing_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let output = agentcom(dir.path(), &["demo"]).output().unwrap();
    let summary = printed(&output, 0);
    assert_eq!(summary.matches("completed").count(), 11, "{summary}");
    assert_eq!(summary.matches("dead_letter").count(), 1, "{summary}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}
