//! This file makes a remote, a clone of it, and an executor whose agent is the stand-in.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::acp::Acp;
use agentcom_exec::blobs::Blobs;
use agentcom_exec::coding::{Coding, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::sandbox::{self, Level, Sandbox};
use agentcom_exec::stand_in::acp::ARG;
use async_trait::async_trait;
use serde_json::json;

use crate::support::{self, CLAN_SIZE, marked, spawner};

/// The stand-in.
const AGENT: &str = env!("CARGO_BIN_EXE_agentcom-acp-stand-in");

/// A remote, a clone, and an agent.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) acp: Acp,
    pub(crate) sandbox: Sandbox,
    mark: String,
}

impl Fixture {
    /// One whose agent goes `way`.
    pub(crate) fn going(way: &str) -> Self {
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
        let thread = std::thread::current();
        let mark = format!("{}-{}", support::mark("acp"), thread.name().unwrap());
        let level = sandbox::prove(&spawner(), &Sandbox::new(Level::L2)).level;
        let mut sandbox = Sandbox::new(level.max(Level::L2));
        sandbox.read.push(AGENT.into());
        Self { dir, acp: Acp::new(Self::command(way)), sandbox, mark }
    }

    /// The command line of an agent that goes `way`.
    pub(crate) fn command(way: &str) -> Vec<String> {
        [AGENT, ARG, way].map(str::to_owned).into()
    }

    fn mark_of(&self, task: TaskId) -> String {
        format!("{}-{task}.", self.mark)
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            spawner: spawner(),
            sandbox: self.sandbox.clone(),
            environment: Environment::default(),
            repository: self.dir.path().join("clone"),
            worktrees: self.dir.path().join("worktrees"),
            transcripts: Blobs::at(self.dir.path().join("transcripts")),
            github: None,
            mcp: Vec::new(),
        }
    }

    /// What the remote has of `branch` in `path`.
    pub(crate) fn pushed(&self, branch: &str, path: &str) -> String {
        git(&self.dir.path().join("remote"), &["show", &format!("{branch}:{path}")])
    }
}

/// The input of a task whose agent goes another way than its own.
pub(crate) fn going(way: &str) -> Json {
    Json::of(&json!({ "model": way })).unwrap()
}

#[track_caller]
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(Coding::with_acp(self.acp.clone(), self.settings()))
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        going(&format!("runs-on {}", self.mark_of(task)))
    }

    fn print_much(&self) -> Json {
        going("prints-much")
    }

    async fn is_up(&self, task: TaskId) -> bool {
        marked(&self.mark_of(task)).len() == CLAN_SIZE
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        !marked(&self.mark_of(task)).is_empty()
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}
