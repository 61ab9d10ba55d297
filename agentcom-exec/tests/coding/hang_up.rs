//! This file looks from the side of the server what becomes of a call of a model when its task is stopped.

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_exec::coding::{Coding, MessagesModels, OllamaModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::messages::{self, KEY};
use agentcom_exec::stand_in::ollama;
use serde_json::json;

use crate::fixture::Fixture;
use crate::support::eventually;

/// How a task is stopped.
#[derive(Clone, Copy)]
enum Stopped {
    /// It is asked to.
    Asked,
    /// Whoever runs it lets go of it.
    Dropped,
}

/// Stops a task while its model, of whose answers so many are `waited_for`, is asked.
async fn stopped(coding: &Coding, how: Stopped, waited_for: impl Fn() -> usize) {
    let job = assignment(coding, TaskId(1), Json::null());
    let ctx = Asking::default();
    let asked = || eventually("the model is asked", || (waited_for() == 1).then_some(()));
    match how {
        Stopped::Asked => {
            let stopping = async {
                asked().await;
                ctx.stop();
            };
            let (outcome, ()) = tokio::join!(coding.run(&job, &ctx), stopping);
            assert_eq!(outcome, JobOutcome::Stopped);
        }
        Stopped::Dropped => tokio::select! {
            outcome = coding.run(&job, &ctx) => panic!("{outcome:?}"),
            () = asked() => {}
        },
    }
    eventually("the connection is closed", || (waited_for() == 0).then_some(())).await;
}

#[tokio::test]
async fn an_ollama_server_sees_that_whoever_asked_has_hung_up() {
    let begun = json!({ "message": { "role": "assistant", "content": "I" }, "done": false });
    let begun = ollama::Turn::hangs(&format!("{begun}\n"));
    for turn in [begun, ollama::Turn::Never] {
        for how in [Stopped::Asked, Stopped::Dropped] {
            let model = ollama::StandIn::of([turn.clone()]).await;
            let models = OllamaModels {
                url: model.url(),
                model: "m".into(),
                tuning: Tuning::default(),
                patience: Patience::default(),
            };
            let place = Fixture::new().await;
            let coding = Coding::with_ollama(models, place.settings());
            stopped(&coding, how, || model.waited_for()).await;
        }
    }
}

#[tokio::test]
async fn a_server_of_the_messages_api_sees_that_whoever_asked_has_hung_up() {
    let message = json!({ "role": "assistant", "usage": { "input_tokens": 1 } });
    let begun = json!({ "type": "message_start", "message": message }).to_string();
    let begun = messages::Turn::Events { events: vec![begun], hangs: true };
    for turn in [begun, messages::Turn::Never] {
        for how in [Stopped::Asked, Stopped::Dropped] {
            let model = messages::StandIn::of([turn.clone()]).await;
            let models = MessagesModels {
                url: model.url(),
                key: Secret::new(KEY),
                model: "m".into(),
                context_tokens: Messages::CONTEXT_TOKENS,
                patience: Patience::default(),
            };
            let place = Fixture::new().await;
            let coding = Coding::with_messages(models, place.settings());
            stopped(&coding, how, || model.waited_for()).await;
        }
    }
}
