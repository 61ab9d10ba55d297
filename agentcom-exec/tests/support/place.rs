//! This file makes a place for coding tasks: a remote, a clone of it, and the settings that name them.

use std::path::Path;
use std::process::Command;

use agentcom_exec::blobs::Blobs;
use agentcom_exec::coding::Settings;
use agentcom_exec::environment::Environment;
use agentcom_exec::sandbox::Sandbox;

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
    git(&clone, &["add", "-A"]);
    let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
    git(&clone, &[&who[..], &["commit", "-q", "-m", "Begin"]].concat());
    git(&clone, &["push", "-q", "origin", "HEAD:main"]);
    dir
}

/// Settings of tasks that are done there.
pub(crate) fn settings(dir: &Path, sandbox: &Sandbox) -> Settings {
    Settings {
        spawner: spawner(),
        sandbox: sandbox.clone(),
        environment: Environment::default(),
        repository: dir.join("clone"),
        worktrees: dir.join("worktrees"),
        transcripts: Blobs::at(dir.join("transcripts")),
        github: None,
        mcp: Vec::new(),
    }
}

#[track_caller]
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
