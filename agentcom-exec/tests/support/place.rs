//! This file makes a place for coding tasks: a remote, a clone of it, and the settings that name them.

use std::path::Path;
use std::process::Command;

use agentcom_core::id::TaskId;
use agentcom_core::risk::Rules;
use agentcom_exec::coding::{Drafts, Publishing, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::sandbox::Sandbox;
use agentcom_exec::transcripts::Transcripts;

use crate::support::spawner;

/// A remote with one commit, and a clone of it.
pub(crate) fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    git(dir.path(), &["init", "-q", "--bare", "--initial-branch=main", "remote"]);
    git(dir.path(), &["clone", "-q", "remote", "clone"]);
    let clone = dir.path().join("clone");
    std::fs::write(clone.join("a.txt"), "one\n").unwrap();
    std::fs::create_dir(clone.join("tests")).unwrap();
    std::fs::write(clone.join("tests/run.sh"), "grep one a.txt\ntrue\n").unwrap();
    publish(&clone);
    dir
}

/// Commits all that is in a clone, and pushes it to the base of tasks.
pub(crate) fn publish(clone: &Path) {
    git(clone, &["add", "-A"]);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    git(clone, &[&who[..], &["commit", "-q", "-m", "All"]].concat());
    git(clone, &["push", "-q", "origin", "HEAD:main"]);
}

/// Settings of tasks that are done there.
pub(crate) fn settings(dir: &Path, sandbox: &Sandbox) -> Settings {
    Settings {
        spawner: spawner(),
        sandbox: sandbox.clone(),
        environment: Environment::default(),
        repository: dir.join("clone"),
        worktrees: dir.join("worktrees"),
        worktrees_kept: Settings::days(Settings::WORKTREES_KEPT_DAYS),
        transcripts: Transcripts::at(dir.join("transcripts")),
        github: None,
        publishing: Publishing::default(),
        drafts: Drafts::default(),
        risk: Rules::default(),
        mcp: Vec::new(),
        tools: Vec::new(),
    }
}

/// All that is kept of what was said in a task there, and how many drafts there are.
pub(crate) fn said(dir: &Path, task: TaskId) -> (String, usize) {
    let dir = dir.join("transcripts");
    let kept = Transcripts::at(&dir).of(task).unwrap();
    let said = kept.iter().map(|kept| kept.read().unwrap()).collect();
    let names = std::fs::read_dir(dir).into_iter().flatten().flatten();
    (said, names.filter(|entry| entry.path().extension().is_some()).count())
}

#[track_caller]
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
