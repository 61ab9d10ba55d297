//! This file makes a remote, a clone of it, and an executor of coding tasks with a scripted model.

#[path = "../support/place.rs"]
mod place;

use std::sync::Arc;
use std::time::Duration;

use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::risk::Rules;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::coding::{Coding, OllamaModels, Publishing, Settings};
use agentcom_exec::github::GitHub;
use agentcom_exec::mcp::Server;
use agentcom_exec::model::Patience;
use agentcom_exec::sandbox::{Level, Sandbox};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use agentcom_exec::tool::Tool;
use async_trait::async_trait;
use serde_json::{Value, json};

pub(crate) use place::{git, publish, said};

use crate::support::{CLAN, CLAN_SIZE, Clans, level_here};

/// A remote, a clone, and a model that does what its name says.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    model: StandIn,
    pub(crate) sandbox: Sandbox,
    pub(crate) mcp: Vec<Server>,
    pub(crate) tools: Vec<Arc<dyn Tool>>,
    pub(crate) worktrees_kept: Duration,
    pub(crate) github: Option<GitHub>,
    pub(crate) publishing: Publishing,
    pub(crate) risk: Rules,
    clans: Clans,
}

impl Fixture {
    /// One whose model does what its name says: `succeed`, `print`, or `run MARK`.
    pub(crate) async fn new() -> Self {
        Self::of(StandIn::that(Box::new(|asked, _| turn(asked))).await)
    }

    /// One with another model.
    pub(crate) fn of(model: StandIn) -> Self {
        let dir = place::made();
        // The shell itself was started before it had the mark.
        let clans = Clans::of("coding", CLAN_SIZE - 1);
        let level = level_here();
        let sandbox = Sandbox::new(level.max(Level::L2));
        let worktrees_kept = Settings::days(Settings::WORKTREES_KEPT_DAYS);
        let (mcp, tools, risk) = (Vec::new(), Vec::new(), Rules::default());
        let (github, publishing) = (None, Publishing::default());
        Self { dir, model, sandbox, mcp, tools, worktrees_kept, github, publishing, risk, clans }
    }

    pub(crate) fn models(&self) -> OllamaModels {
        OllamaModels {
            url: self.model.url(),
            model: "succeed".into(),
            tuning: Tuning::default(),
            patience: Patience::default(),
        }
    }

    fn coding(&self) -> Coding {
        Coding::with_ollama(self.models(), self.settings())
    }

    pub(crate) fn settings(&self) -> Settings {
        Settings {
            mcp: self.mcp.clone(),
            tools: self.tools.clone(),
            worktrees_kept: self.worktrees_kept,
            github: self.github.clone(),
            publishing: self.publishing.clone(),
            risk: self.risk.clone(),
            ..place::settings(self.dir.path(), &self.sandbox)
        }
    }
}

fn turn(asked: &Value) -> Turn {
    match said_to(asked) {
        Said::Calls(name, input) => Turn::calls(name, input),
        Said::Says(text) => Turn::says(&text),
    }
}

/// What a model says that does what its name says, whatever it is spoken to by.
pub(crate) enum Said {
    Calls(&'static str, Value),
    Says(String),
}

/// What it says to what it is `asked`.
pub(crate) fn said_to(asked: &Value) -> Said {
    let name = asked["model"].as_str().unwrap();
    let mut messages = asked["messages"].as_array().unwrap().iter();
    let first = messages.all(|message| message["role"] != "assistant");
    match name.split_once(' ') {
        Some((_, mark)) => {
            let command = format!("trap '' TERM; export MARK={mark}; {CLAN}; {CLAN}");
            Said::Calls("run_command", json!({ "command": command, "timeout_ms": 600_000 }))
        }
        None if first => Said::Calls("write_file", json!({ "path": "b.txt", "content": "two" })),
        None if name == "print" => Said::Says("word ".repeat(50_000)),
        None => Said::Says("Done.".to_owned()),
    }
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
        Json::of(&json!({ "model": format!("run {}", self.clans.mark(task)) })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(&json!({ "model": "print" })).unwrap()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        self.clans.is_up(task)
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        self.clans.is_alive(task)
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}
