//! This file tests the way of a task from the queue to a pushed branch, in a real clone.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::{Up, json, run};

#[track_caller]
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// A remote with one file on `main`, and a clone of it.
fn clone(dir: &Path) {
    git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", "remote"]);
    git(dir, &["clone", "--quiet", "remote", "clone"]);
    let clone = dir.join("clone");
    git(&clone, &["config", "user.name", "A"]);
    git(&clone, &["config", "user.email", "a@example.org"]);
    fs::write(clone.join("lib.rs"), "one\n").unwrap();
    git(&clone, &["add", "lib.rs"]);
    git(&clone, &["commit", "--quiet", "-m", "Begin"]);
    git(&clone, &["push", "--quiet", "origin", "HEAD:main"]);
}

#[test]
fn a_task_goes_from_the_queue_to_a_pushed_branch_that_names_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clone(dir);
    let _up = Up::start(dir, &["--agents", "0"]);
    let told = json(dir, &["submit", "--shell", "true", "-d", "Fix the parser"]);
    let id = told["task_id"].as_str().unwrap();
    let end = &id[id.len() - 8..];

    let started = json(dir, &["git", "start-task", end, "--dir", "clone"]);
    let branch = format!("agentcom/{id}-fix-the-parser");
    assert_eq!(
        (started["branch"].as_str(), started["base"].as_str()),
        (Some(&*branch), Some("main"))
    );
    // Exit code 6: it does not fit the state of things.
    run(dir, &["git", "submit", "--dir", "clone"], 6);
    fs::write(dir.join("clone/lib.rs"), "two\n").unwrap();
    let status = json(dir, &["git", "status", "--dir", "clone"]);
    assert_eq!((&status["ahead"], &status["uncommitted"][0]), (&0.into(), &" M lib.rs".into()));
    let line = ["git", "submit", "--dir", "clone", "--commit", "Fix the parser"];
    assert_eq!(json(dir, &line)["pushed"], true);
    let message = git(&dir.join("remote"), &["log", "-1", "--format=%B", &branch]);
    assert_eq!(message, format!("Fix the parser\n\nAgentcom-Task: {id}\nAgentcom-Attempt: 1"));
}

#[test]
fn outside_a_clone_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["git", "status"], 64);
    run(dir.path(), &["git", "status", "--dir", "nowhere"], 64);
}
