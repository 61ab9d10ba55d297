//! This file tests the way of a task from the queue to a pushed branch, in a real clone.

use std::fs;
use std::path::Path;

use agentcom_exec::github::{GitHub, GitHubError, Repository, Visibility};
use agentcom_exec::stand_in::github::{Instead, StandIn, TOKEN};
use serde_json::Value;

use crate::code;
use crate::support::{Up, agentcom, git, json, printed, run};

/// The remote is called as a repository at GitHub is.
const REMOTE: &str = "owner/name";

/// A remote with one file on `main`, and a clone of it.
fn clone(dir: &Path) {
    git(dir, &["init", "--quiet", "--bare", "--initial-branch=main", REMOTE]);
    git(dir, &["clone", "--quiet", REMOTE, "clone"]);
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
    // Without a token it is pushed, and no pull request is opened.
    let line = ["git", "submit", "--dir", "clone", "--commit", "Fix the parser"];
    let said = json(dir, &line);
    assert_eq!((&said["pushed"], &said["pull_request"]), (&true.into(), &Value::Null));
    let message = git(&dir.join(REMOTE), &["log", "-1", "--format=%B", &branch]);
    assert_eq!(message, format!("Fix the parser\n\nAgentcom-Task: {id}\nAgentcom-Attempt: 1"));
}

#[test]
fn a_hub_that_is_started_in_a_clone_is_no_change_of_it() {
    let dir = tempfile::tempdir().unwrap();
    clone(dir.path());
    let clone = dir.path().join("clone");
    let _up = Up::start(&clone, &[]);
    assert!(clone.join("agentcom-data/admin.token").exists());
    assert_eq!(git(&clone, &["status", "--porcelain", "--", "agentcom-data"]), "");
}

#[tokio::test]
async fn only_a_repository_that_is_said_to_be_private_is_private() {
    let stand_in = StandIn::start().await;
    let github = GitHub::at(&stand_in.api(), TOKEN.to_owned()).unwrap();
    let of = |address| Repository::of_remote(address).unwrap();
    let (known, other) = (of("https://host/owner/name"), of("https://host/owner/other"));
    assert_eq!(github.visibility(&known).await, Ok(Visibility::Private));
    stand_in.open_to_all();
    assert_eq!(github.visibility(&known).await, Ok(Visibility::Public));
    assert_eq!(github.visibility(&other).await, Err(GitHubError::NoRepository(other.clone())));
    let silent = Instead { status: 200, headers: vec![], body: "{}".to_owned(), does_it: false };
    stand_in.next([Some(silent)]);
    assert_eq!(github.visibility(&known).await, Ok(Visibility::Public));
}

#[tokio::test]
async fn what_is_submitted_becomes_one_pull_request_with_what_speaks_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    clone(dir);
    let _up = Up::start(dir, &["--agents", "0"]);
    let github = StandIn::start().await;
    let told =
        json(dir, &["submit", "--shell", "true", "-d", "Fix the parser", "--tier", "trivial"]);
    let id = told["task_id"].as_str().unwrap();
    run(dir, &["git", "start-task", id, "--dir", "clone"], 0);
    for (text, existed) in [("two\n", false), ("three\n", true)] {
        fs::write(dir.join("clone/lib.rs"), text).unwrap();
        let line = ["git", "submit", "--dir", "clone", "--commit", "Fix", "--github-api"];
        let mut command = agentcom(dir, &line);
        command.args([&github.api(), "--json"]).env("GITHUB_TOKEN", TOKEN);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let said: Value = serde_json::from_str(&printed(&output, 0)).unwrap();
        assert_eq!(
            (&said["pull_request"]["number"], &said["pull_request"]["existed"]),
            (&1.into(), &existed.into())
        );
        assert_eq!(said["risk"]["tier"], 2, "{said}");
        let body = github.pulls()[0]["body"].as_str().unwrap().to_owned();
        for part in
            [id, said["head"].as_str().unwrap(), "tier 2: no test is named after what it touches"]
        {
            assert!(body.contains(part), "{part} in {body}");
        }
    }
    assert_eq!(github.pulls()[0]["title"], "Fix the parser");
    // How closely to look is judged by rules of one's own, if there are any.
    let line = ["git", "submit", "--dir", "clone", "--no-pr"];
    let risk = |more: &[&str]| json(dir, &[&line[..], more].concat())["risk"].clone();
    let stricter = risk(&["--risk-lines", "2", "--risk-files", "0"]);
    let reasons = stricter["reasons"].to_string();
    assert!(reasons.contains("it changes 2 lines") && reasons.contains("it touches 1 files"));
    assert_eq!(
        (&stricter["tier"], &risk(&["--protect", "lib.rs"])["tier"]),
        (&2.into(), &3.into())
    );
    run(dir, &[&line[..], &["--risk-protect", "src/lib.rs"]].concat(), 64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checks_and_costs_of_a_task_are_told_of_the_commit_that_was_checked_and_of_no_other() {
    let Some(dir) = code::ground() else { return };
    let dir = dir.path();
    code::claude_code(dir);
    let up = ["--claude-code", "./claude", "--claude-code-model", "scripted", "--workdir", "clone"];
    let _up = Up::start_with(dir, &up, &[("ANTHROPIC_API_KEY", "sk-of-a-test")]);
    let line = ["submit", "--code", "--with", "claude-code", "-d", "Mend the sum", "--wait"];
    let told = json(dir, &[&line[..], &["--check", "test_passes sh tests/add.sh"]].concat());
    let github = StandIn::start().await;
    run(dir, &["git", "start-task", told["id"].as_str().unwrap(), "--dir", "clone"], 0);
    let submit = |more: &[&str]| {
        let line = ["git", "submit", "--dir", "clone", "--github-api"];
        let mut command = agentcom(dir, &line);
        command.args([&github.api(), "--json"]).args(more).env("GITHUB_TOKEN", TOKEN);
        let output = tokio::task::block_in_place(|| command.output().unwrap());
        let said: Value = serde_json::from_str(&printed(&output, 0)).unwrap();
        (said, github.pulls()[0]["body"].as_str().unwrap().to_owned())
    };
    let (said, body) = submit(&[]);
    assert_eq!(said["not_checked"], Value::Null, "{said:#}");
    let tree = told["verification_report"]["tree"].as_str().unwrap();
    for part in ["pass: test_passes sh tests/add.sh (exit code 0, ", tree, "| cost | $0.25 |"] {
        assert!(body.contains(part), "{part} in {body}");
    }
    fs::write(dir.join("clone/more.txt"), "more\n").unwrap();
    let (said, body) = submit(&["--commit", "More"]);
    let why = "the report of the task is about another commit";
    assert_eq!(said["not_checked"], why, "{said:#}");
    assert!(body.contains(&format!("Nothing was checked: {why}.")), "{body}");
    assert!(!body.contains("test_passes"), "{body}");
}

#[test]
fn outside_a_clone_it_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    run(dir.path(), &["git", "status"], 64);
    run(dir.path(), &["git", "status", "--dir", "nowhere"], 64);
}
