//! This file makes a remote, a clone of it, and an executor whose agent is the stand-in.

#[path = "../support/place.rs"]
mod place;

use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::acp::Acp;
use agentcom_exec::coding::{Coding, Settings};
use agentcom_exec::sandbox::{Level, Sandbox};
use agentcom_exec::stand_in::acp::ARG;
use async_trait::async_trait;
use serde_json::json;

pub(crate) use place::{git, publish, said};

use crate::support::{CLAN_SIZE, Clans, level_here};

/// The stand-in.
const AGENT: &str = env!("CARGO_BIN_EXE_agentcom-acp-stand-in");

/// A remote, a clone, and an agent.
#[derive(Debug)]
pub(crate) struct Fixture {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) acp: Acp,
    pub(crate) sandbox: Sandbox,
    clans: Clans,
}

impl Fixture {
    /// One whose agent goes `way`.
    pub(crate) fn going(way: &str) -> Self {
        let dir = place::made();
        let clans = Clans::of("acp", CLAN_SIZE);
        let level = level_here().min(Level::L2);
        let mut sandbox = Sandbox::new(level.max(Level::L2));
        sandbox.read.push(AGENT.into());
        let acp = Acp { files: true, ..Acp::new(Self::command(way)) };
        Self { dir, acp, sandbox, clans }
    }

    /// The command line of an agent that goes `way`.
    pub(crate) fn command(way: &str) -> Vec<String> {
        [AGENT, ARG, way].map(str::to_owned).into()
    }

    pub(crate) fn settings(&self) -> Settings {
        place::settings(self.dir.path(), &self.sandbox)
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

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(Coding::with_acp(self.acp.clone(), self.settings()))
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        going(&format!("runs-on {}", self.clans.mark(task)))
    }

    fn print_much(&self) -> Json {
        going("prints-much")
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
