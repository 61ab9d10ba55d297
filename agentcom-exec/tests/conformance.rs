//! This file proves that the shell keeps the contract of executors.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

mod support;

use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::shell::Shell;
use async_trait::async_trait;
use serde_json::json;
use support::{CLAN, CLAN_SIZE, marked, spawner};

#[derive(Debug)]
struct Fixture {
    mark: String,
}

impl Fixture {
    fn new() -> Self {
        Self { mark: support::mark_of_thread("suite") }
    }

    fn mark_of(&self, task: TaskId) -> String {
        format!("{}-{task}.", self.mark)
    }
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(Shell::new(spawner()))
    }

    fn succeed(&self) -> Json {
        Json::of(&json!({ "command": "echo done" })).unwrap()
    }

    fn run_on(&self, task: TaskId) -> Json {
        let command = format!("trap '' TERM; {CLAN}; {CLAN}");
        Json::of(&json!({ "command": command, "env": { "MARK": self.mark_of(task) } })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(
            &json!({ "command": "head -c 1000000 /dev/urandom; head -c 9999999 /dev/zero >&2" }),
        )
        .unwrap()
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

agentcom_core::executor_conformance!(
    #[tokio::test]
    Fixture::new()
);
