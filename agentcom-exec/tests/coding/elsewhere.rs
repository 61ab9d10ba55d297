//! This file proves that models which are asked by the Messages API do coding tasks as every executor
//! does its work.

use agentcom_core::config::Secret;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::Executor;
use agentcom_core::testing::executor_suite::ExecutorFixture;
use agentcom_core::time::Span;
use agentcom_exec::coding::{Coding, MessagesModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::messages::{KEY, StandIn, Turn};
use async_trait::async_trait;

use crate::fixture::{Fixture, Said, said_to};

/// A place for tasks, and a model elsewhere that does what its name says.
#[derive(Debug)]
struct Elsewhere {
    place: Fixture,
    model: StandIn,
}

impl Elsewhere {
    async fn new() -> Self {
        let script = |asked: &serde_json::Value| match said_to(asked) {
            Said::Calls(name, input) => Turn::calls(name, &input),
            Said::Says(text) => Turn::says(&text),
        };
        let model = StandIn::that(Box::new(move |asked, _| script(asked))).await;
        Self { place: Fixture::new().await, model }
    }
}

#[async_trait]
impl ExecutorFixture for Elsewhere {
    fn executor(&self) -> Box<dyn Executor> {
        let models = MessagesModels {
            url: self.model.url(),
            key: Secret::new(KEY),
            model: "succeed".into(),
            context_tokens: Messages::CONTEXT_TOKENS,
            patience: Patience::default(),
        };
        Box::new(Coding::with_messages(models, self.place.settings()))
    }

    fn succeed(&self) -> Json {
        self.place.succeed()
    }

    fn run_on(&self, task: TaskId) -> Json {
        self.place.run_on(task)
    }

    fn print_much(&self) -> Json {
        self.place.print_much()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        self.place.is_up(task).await
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        self.place.is_alive(task).await
    }

    async fn wait(&self, span: Span) {
        self.place.wait(span).await;
    }
}

agentcom_core::executor_conformance!(
    #[tokio::test]
    Elsewhere::new().await
);
