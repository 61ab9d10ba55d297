//! This file makes a remote, a clone of it, and an executor of coding tasks with a scripted model.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::blobs::Blobs;
use agentcom_exec::coding::{Coding, OllamaModels, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::mcp::Server;
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::{self, Level, Sandbox};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::support::{self, CLAN, CLAN_SIZE, marked, spawner};

/// A remote, a clone, and a model that does what its name says.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    model: StandIn,
    pub(crate) sandbox: Sandbox,
    pub(crate) mcp: Vec<Server>,
    mark: String,
}

impl Fixture {
    /// One whose model does what its name says: `succeed`, `print`, or `run MARK`.
    pub(crate) async fn new() -> Self {
        Self::of(StandIn::that(Box::new(|asked, _| turn(asked))).await)
    }

    /// One with another model.
    pub(crate) fn of(model: StandIn) -> Self {
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
        let mark = format!("{}-{}", support::mark("coding"), thread.name().unwrap());
        let level = sandbox::prove(&spawner(), &Sandbox::new(Level::L3)).level;
        let sandbox = Sandbox::new(level.max(Level::L2));
        Self { dir, model, sandbox, mcp: Vec::new(), mark }
    }

    fn mark_of(&self, task: TaskId) -> String {
        format!("{}-{task}.", self.mark)
    }

    fn coding(&self) -> Coding {
        let models = OllamaModels {
            url: self.model.url(),
            model: "succeed".into(),
            context_tokens: Ollama::CONTEXT_TOKENS,
        };
        Coding::with_ollama(models, self.settings())
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
            mcp: self.mcp.clone(),
        }
    }
}

fn turn(asked: &Value) -> Turn {
    let name = asked["model"].as_str().unwrap();
    let first = asked["messages"].as_array().unwrap().len() == 2;
    match name.split_once(' ') {
        Some((_, mark)) => {
            let command = format!("trap '' TERM; export MARK={mark}; {CLAN}; {CLAN}");
            Turn::calls("run_command", json!({ "command": command, "timeout_ms": 600_000 }))
        }
        None if first => Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" })),
        None if name == "print" => Turn::says(&"word ".repeat(50_000)),
        None => Turn::says("Done."),
    }
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
        Box::new(self.coding())
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        Json::of(&json!({ "model": format!("run {}", self.mark_of(task)) })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(&json!({ "model": "print" })).unwrap()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        // The shell itself was started before it had the mark.
        marked(&self.mark_of(task)).len() == CLAN_SIZE - 1
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        !marked(&self.mark_of(task)).is_empty()
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}
