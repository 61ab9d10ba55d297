//! This file has models do coding tasks with tools of whoever embeds the library: they are called like
//! any other, within what one task may bring together.

use std::sync::{Arc, Mutex};

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{JobContext, JobOutcome};
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_exec::coding::{Chain, MessagesModels, OllamaModels, Programs};
use agentcom_exec::keys::Keys;
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::messages::{self, KEY};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use agentcom_exec::tool::{Spec, Tool, ToolError, ToolErrorKind, Toolbox};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// A tool that says what it was given, and remembers it.
#[derive(Debug)]
struct Own {
    name: &'static str,
    reach: Reach,
    calls: Mutex<Vec<Value>>,
}

impl Own {
    fn new(name: &'static str, reach: Reach) -> Arc<Self> {
        Arc::new(Self { name, reach, calls: Mutex::default() })
    }

    fn calls(&self) -> Vec<Value> {
        self.calls.lock().unwrap().clone()
    }
}

#[async_trait]
impl Tool for Own {
    fn spec(&self) -> Spec {
        let input = json!({ "type": "object", "properties": { "at": { "type": "string" } } });
        Spec { name: self.name.into(), description: "Says it again.".into(), input }
    }

    fn reach(&self) -> Reach {
        self.reach
    }

    async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
        self.calls.lock().unwrap().push(input.clone());
        match input["at"].as_str() {
            Some("much") => Ok(json!({ "seen": "x".repeat(Toolbox::ANSWER_BYTES_MAX) })),
            Some(at) => Ok(json!({ "seen": at })),
            None => Err(ToolError::new(ToolErrorKind::BadInput, "say `at`")),
        }
    }
}

const PRIVATE: Reach = Reach { untrusted: false, private: true, outward: false };
const OUTWARD: Reach = Reach { untrusted: false, private: false, outward: true };

/// What the calls of a model that takes these turns are answered, in order, and which tools it was
/// told of at first.
async fn told(tools: Vec<Arc<dyn Tool>>, turns: Vec<Turn>) -> (Vec<Value>, Vec<String>) {
    let heard = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let hearing = Arc::clone(&heard);
    let mut turns = turns.into_iter();
    let model = StandIn::that(Box::new(move |asked: &Value, _| {
        let mut hearing = hearing.lock().unwrap();
        let tools = asked["tools"].as_array().unwrap().iter();
        hearing.1 = tools.map(|tool| tool["function"]["name"].as_str().unwrap().into()).collect();
        let last = asked["messages"].as_array().unwrap().last().unwrap();
        if last["role"] == "tool" {
            hearing.0.push(serde_json::from_str(last["content"].as_str().unwrap()).unwrap());
        }
        turns.next().unwrap_or_else(|| Turn::says("Done."))
    }));
    let mut fixture = Fixture::of(model.await);
    fixture.tools = tools;
    let executor = fixture.executor();
    let job = assignment(&*executor, TaskId(1), Json::null());
    let outcome = executor.run(&job, &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let heard = heard.lock().unwrap();
    heard.clone()
}

fn write() -> Turn {
    Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" }))
}

#[tokio::test]
async fn a_model_calls_a_tool_of_whoever_embeds_the_library() {
    let own = Own::new("owner_of", Reach::default());
    let turns = vec![
        Turn::calls("owner_of", json!({ "at": "docs" })),
        Turn::calls("owner_of", json!({})),
        write(),
    ];
    let (heard, tools) = told(vec![own.clone()], turns).await;
    assert!(tools.contains(&"owner_of".into()) && tools.contains(&"read_file".into()), "{tools:?}");
    assert_eq!(heard[0], json!({ "ok": true, "seen": "docs", "sandbox": "outside" }));
    assert_eq!(
        (&heard[1]["error"], &heard[1]["message"]),
        (&"bad_input".into(), &"say `at`".into())
    );
    assert_eq!(own.calls(), [json!({ "at": "docs" }), json!({})]);
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_not_passed_on() {
    let turns = vec![Turn::calls("owner_of", json!({ "at": "much" })), write()];
    let (heard, _) = told(vec![Own::new("owner_of", Reach::default())], turns).await;
    assert_eq!(heard[0]["error"], "too_large", "{}", heard[0]);
    assert!(heard[0]["message"].as_str().unwrap().ends_with("ask `owner_of` for less"));
}

#[tokio::test]
async fn a_tool_with_the_name_of_another_takes_its_place() {
    let own = Own::new("list_directory", Reach::default());
    let turns = vec![Turn::calls("list_directory", json!({ "at": "here" })), write()];
    let (heard, tools) = told(vec![own.clone()], turns).await;
    assert_eq!(tools.iter().filter(|name| *name == "list_directory").count(), 1);
    assert_eq!((&heard[0]["seen"], own.calls().len()), (&"here".into(), 1));
}

#[tokio::test]
async fn a_tool_of_ones_own_is_refused_that_would_bring_all_three_together() {
    let (secret, send) = (Own::new("secret", PRIVATE), Own::new("send", OUTWARD));
    let at = || json!({ "at": "this" });
    let turns = vec![
        Turn::calls("read_file", json!({ "path": "a.txt" })),
        Turn::calls("secret", at()),
        Turn::calls("send", at()),
        write(),
    ];
    let (heard, _) = told(vec![secret.clone(), send.clone()], turns).await;
    let went: Vec<&Value> = heard.iter().map(|told| &told["ok"]).collect();
    assert_eq!(went, [true, true, false, true]);
    assert_eq!(heard[2]["error"], "refused");
    assert_eq!((secret.calls().len(), send.calls().len()), (1, 0));
}

#[tokio::test]
async fn models_of_each_kind_have_the_tools_of_ones_own() {
    let own = Own::new("owner_of", Reach::default());
    let (called, mut wrote) = ("owner_of", [false; 2]);
    let local = StandIn::that(Box::new(move |_, _| match std::mem::replace(&mut wrote[0], true) {
        false => Turn::calls(called, json!({ "at": "local" })),
        true if !std::mem::replace(&mut wrote[1], true) => write(),
        true => Turn::says("Done."),
    }));
    let mut asked = 0;
    let cloud = messages::StandIn::that(Box::new(move |_, _| {
        asked += 1;
        match asked {
            1 => messages::Turn::calls(called, &json!({ "at": "cloud" })),
            2 => {
                let input = json!({ "path": "c.txt", "content": "three" });
                messages::Turn::calls("write_file", &input)
            }
            _ => messages::Turn::says("Done."),
        }
    }));
    let (local, cloud) = (local.await, cloud.await);
    let patience = Patience::default();
    let mut place = Fixture::new().await;
    place.tools = vec![own.clone()];
    let chain = Chain {
        local: Some(OllamaModels {
            url: local.url(),
            model: "m".into(),
            tuning: Tuning::default(),
            patience,
        }),
        cloud: Some(MessagesModels {
            url: cloud.url(),
            key: Secret::new(KEY),
            model: "m".into(),
            context_tokens: Messages::CONTEXT_TOKENS,
            patience,
        }),
        programs: Programs::default(),
    };
    let executors = chain.executors(&place.settings(), Keys::default(), Tuning::default());
    for (id, kind) in [OllamaModels::KIND, MessagesModels::KIND].into_iter().enumerate() {
        let executor = executors.iter().find(|it| it.kind().as_str() == kind).unwrap();
        let job = assignment(&**executor, TaskId(id as u64 + 1), Json::null());
        let outcome = executor.run(&job, &Asking::default()).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    }
    assert_eq!(own.calls(), [json!({ "at": "local" }), json!({ "at": "cloud" })]);
}
