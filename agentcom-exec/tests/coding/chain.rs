//! This file tests which model a task of the kind `code` goes to, and what happens if it cannot be
//! asked.

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::task::{Category, Tier};
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_core::wire::{AssignedComplexity, InferredTier};
use agentcom_exec::coding::{Chain, Coding, MessagesModels, OllamaModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::{messages, ollama};
use serde_json::{Value, json};

use crate::fixture::Fixture;

/// How a task of `tier` ends with a local model that answers so, and one elsewhere.
async fn ended(
    tier: Tier,
    local: Vec<ollama::Turn>,
    cloud: Vec<messages::Turn>,
) -> (JobOutcome, usize, usize) {
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let (local, cloud) = (ollama::StandIn::of(local).await, messages::StandIn::of(cloud).await);
    let chain = Chain {
        local: Some(OllamaModels {
            url: local.url(),
            model: "near".into(),
            tuning: Tuning::default(),
            patience: Patience::default(),
        }),
        cloud: Some(MessagesModels {
            url: cloud.url(),
            key: Secret::new(messages::KEY),
            model: "far".into(),
            context_tokens: Messages::CONTEXT_TOKENS,
            patience: Patience::default(),
        }),
        ..Chain::default()
    };
    let executor = Coding::with_chain(chain, fixture.settings());
    let mut job = assignment(&executor, TaskId(1), Json::null());
    job.complexity = Some(AssignedComplexity {
        effective_tier: tier,
        explicit_tier: Some(tier),
        source: "explicit".into(),
        inferred: InferredTier { tier, confidence_percent: 100 },
    });
    let outcome = executor.run(&job, &Asking::default()).await;
    (outcome, local.asked().len(), cloud.asked().len())
}

fn result(outcome: &JobOutcome) -> Value {
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read().unwrap()
}

fn near() -> Vec<ollama::Turn> {
    vec![
        ollama::Turn::calls("write_file", json!({ "path": "b.txt", "content": "near" })),
        ollama::Turn::says("Done."),
    ]
}

fn far() -> Vec<messages::Turn> {
    vec![
        messages::Turn::calls("write_file", &json!({ "path": "b.txt", "content": "far" })),
        messages::Turn::says("Done."),
    ]
}

#[tokio::test]
async fn only_what_is_complex_goes_elsewhere_first() {
    for (tier, model, asked) in [
        (Tier::Standard, "near", (2, 0)),
        (Tier::Trivial, "near", (2, 0)),
        (Tier::Complex, "far", (0, 2)),
    ] {
        let (outcome, local, cloud) = ended(tier, near(), far()).await;
        assert_eq!((local, cloud), asked, "{tier:?}");
        let result = result(&outcome);
        assert_eq!((&result["model"], &result["passed_over"]), (&json!(model), &Value::Null));
    }
}

#[tokio::test]
async fn a_model_that_cannot_be_asked_is_passed_over_with_the_reason() {
    let gone = vec![ollama::Turn::Status(404, "model 'near' not found".into())];
    let (outcome, local, cloud) = ended(Tier::Standard, gone, far()).await;
    assert_eq!((local, cloud), (1, 2));
    let found = result(&outcome);
    assert_eq!(found["model"], "far");
    assert_eq!(found["passed_over"][0]["model"], "near");
    let why = found["passed_over"][0]["why"].as_str().unwrap();
    assert!(why.contains("no model `near`"), "{why}");
    // What was said to each is kept.
    assert_eq!(found["transcripts"].as_array().unwrap().len(), 2);
    // One that fails halfway is passed over as well, and what it did stays.
    let halfway = vec![
        ollama::Turn::calls("write_file", json!({ "path": "c.txt", "content": "near" })),
        ollama::Turn::Status(400, "no".into()),
    ];
    let (outcome, local, cloud) = ended(Tier::Standard, halfway, far()).await;
    assert_eq!((local, cloud, &result(&outcome)["files_changed"]), (2, 2, &json!(2)));
}

#[tokio::test]
async fn a_server_that_gave_up_waiting_is_asked_again() {
    let slow = vec![ollama::Turn::Status(408, "request timeout".into())];
    let turns = slow.into_iter().chain(near()).collect();
    let (outcome, local, cloud) = ended(Tier::Standard, turns, far()).await;
    assert_eq!((local, cloud, &result(&outcome)["model"]), (3, 0, &json!("near")));
    let slow = vec![messages::Turn::Status(408, None, "request timeout".into())];
    let turns = slow.into_iter().chain(far()).collect();
    let (outcome, local, cloud) = ended(Tier::Complex, near(), turns).await;
    assert_eq!((local, cloud, &result(&outcome)["model"]), (0, 3, &json!("far")));
}

#[tokio::test]
async fn if_none_can_be_asked_the_last_says_why() {
    let gone = vec![ollama::Turn::Status(404, "model 'near' not found".into())];
    let refused = vec![messages::Turn::Status(403, None, "the account is closed".into())];
    let (outcome, ..) = ended(Tier::Standard, gone, refused).await;
    let JobOutcome::Failed { category: Category::Permanent, error, .. } = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("the account is closed"), "{error}");
}
