//! This file tests that models are paid for: leave before each call, and the bill after.

use std::sync::{Arc, Mutex};

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::ledger::{Breach, Granted, NotGranted, Payment, Spending};
use agentcom_core::money::{Micros, Usage};
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome, News};
use agentcom_core::price;
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_core::time::Wall;
use agentcom_exec::coding::{Chain, Coding, MessagesModels, OllamaModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::{messages, ollama};
use async_trait::async_trait;
use serde_json::{Value, json};

use crate::fixture::Fixture;

const MODEL: &str = "claude-sonnet-4-5";

/// Grants calls as long as there is money, at the listed price, and notes what it is told.
#[derive(Debug, Default)]
struct Paying {
    asking: Asking,
    money: u64,
    /// What was reserved (`true`) and spent, in order.
    calls: Mutex<Vec<(bool, Spending)>>,
    news: Mutex<Vec<Value>>,
}

#[async_trait]
impl JobContext for Paying {
    fn report(&self, news: News) {
        self.news.lock().unwrap().extend(news.event.map(|event| event.read().unwrap()));
    }

    async fn cancelled(&self) {
        self.asking.cancelled().await;
    }

    async fn pay(&self, payment: Payment) -> Result<Granted, NotGranted> {
        let at_most = match payment {
            Payment::CameTo(came_to) => {
                self.calls.lock().unwrap().push((false, came_to));
                return Ok(Granted::default());
            }
            Payment::AtMost(at_most) => at_most,
        };
        let price = price::find(&Default::default(), at_most.model.as_str()).unwrap();
        let (wanted, limit) = (price.at_most(at_most.usage), Micros(self.money));
        self.calls.lock().unwrap().push((true, at_most));
        if wanted > limit {
            let (cap, taken) = ("day".parse().unwrap(), Micros(0));
            return Err(NotGranted::Cap(Breach { cap, limit, taken, wanted }.into()));
        }
        Ok(Granted { micros: wanted, price: Some(price) })
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

async fn ended(
    money: u64,
    cloud: Vec<messages::Turn>,
    local: Option<Vec<ollama::Turn>>,
) -> (JobOutcome, Paying) {
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let cloud = messages::StandIn::of(cloud).await;
    let near = match local {
        Some(turns) => Some(ollama::StandIn::of(turns).await),
        None => None,
    };
    let chain = Chain {
        local: near.as_ref().map(|near| OllamaModels {
            url: near.url(),
            model: "near".into(),
            tuning: Tuning::default(),
            patience: Patience::default(),
        }),
        cloud: Some(MessagesModels {
            url: cloud.url(),
            key: Secret::new(messages::KEY),
            model: MODEL.into(),
            context_tokens: Messages::CONTEXT_TOKENS,
            patience: Patience::default(),
        }),
        ..Chain::default()
    };
    let executor: Arc<dyn Executor> = Arc::new(Coding::with_chain(chain, fixture.settings()));
    let mut job = assignment(&*executor, TaskId(1), Json::null());
    job.description = "Write b.txt".into();
    job.complexity = Some(agentcom_core::wire::AssignedComplexity {
        effective_tier: agentcom_core::task::Tier::Complex,
        explicit_tier: None,
        source: "inferred".into(),
        inferred: agentcom_core::wire::InferredTier {
            tier: agentcom_core::task::Tier::Complex,
            confidence_percent: 90,
        },
    });
    let paying = Paying { money, ..Paying::default() };
    let outcome = executor.run(&job, &paying).await;
    (outcome, paying)
}

fn far() -> Vec<messages::Turn> {
    vec![
        messages::Turn::calls("write_file", &json!({ "path": "b.txt", "content": "far" })),
        messages::Turn::says("Done."),
    ]
}

fn near() -> Vec<ollama::Turn> {
    vec![
        ollama::Turn::calls("write_file", json!({ "path": "b.txt", "content": "near" })),
        ollama::Turn::says("Done."),
    ]
}

fn result(outcome: &JobOutcome) -> Value {
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    result.read().unwrap()
}

#[tokio::test]
async fn each_call_has_leave_before_it_and_a_bill_after_it() {
    let (outcome, paying) = ended(10_000_000, far(), None).await;
    let calls = paying.calls.lock().unwrap().clone();
    assert_eq!(calls.iter().map(|(asks, _)| *asks).collect::<Vec<_>>(), [true, false, true, false]);
    let price = price::find(&Default::default(), MODEL).unwrap();
    for pair in calls.chunks(2) {
        let ((_, at_most), (_, came_to)) = (&pair[0], &pair[1]);
        assert_eq!((at_most.model.as_str(), came_to.model.as_str()), (MODEL, MODEL));
        assert!(at_most.usage.input_tokens >= came_to.usage.read(), "{at_most:?} {came_to:?}");
        assert!(price.at_most(at_most.usage) >= price.of(came_to.usage));
        assert_eq!((came_to.usage.cache_read_tokens, came_to.usage.cache_write_tokens), (20, 5));
    }
    let cost: u64 = calls.iter().filter(|(asks, _)| !asks).map(|(_, s)| price.of(s.usage).0).sum();
    assert_eq!(result(&outcome)["cost_micros"], cost);
    let told = paying.news.lock().unwrap();
    let told = told.iter().rev().find(|event| event["event_type"] == "token").unwrap();
    assert!(told["cost_micros_so_far"].as_u64().is_some_and(|micros| micros > 0), "{told}");
}

#[tokio::test]
async fn what_the_server_told_of_the_call_before_is_reserved_and_only_what_is_new_at_its_worst() {
    let reserved = async |turns| {
        let (_, paying) = ended(10_000_000, turns, None).await;
        let calls = paying.calls.lock().unwrap().clone();
        let at_most = calls.iter().filter(|(asks, _)| *asks);
        at_most.map(|(_, spending)| spending.usage.input_tokens).collect::<Vec<_>>()
    };
    let input = json!({ "path": "b.txt", "content": "far" }).to_string();
    let block = json!({ "type": "tool_use", "id": "toolu_0", "name": "write_file", "input": {} });
    let delta = json!({ "type": "input_json_delta", "partial_json": input });
    let telling = |tokens: u64| {
        let usage = json!({ "input_tokens": tokens, "output_tokens": 1 });
        let events = [
            json!({ "type": "message_start", "message": { "role": "assistant", "usage": usage } }),
            json!({ "type": "content_block_start", "index": 0, "content_block": block }),
            json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
            json!({ "type": "content_block_stop", "index": 0 }),
            json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" }, "usage": {} }),
            json!({ "type": "message_stop" }),
        ];
        let events = events.iter().map(Value::to_string).collect();
        vec![messages::Turn::Events { events, hangs: false }, messages::Turn::says("Done.")]
    };
    let [first, second] = reserved(telling(2_000)).await[..] else { panic!() };
    let [as_before, all] = reserved(telling(1)).await[..] else { panic!() };
    assert!(first == as_before && all > first, "{first} {as_before}, {all}");
    // A count that cannot be one of all of it is not believed.
    let added = all - first;
    assert_eq!(second, 2_000 + added);
}

#[tokio::test]
async fn without_money_a_model_that_is_free_goes_on() {
    let (outcome, paying) = ended(1, far(), Some(near())).await;
    let result = result(&outcome);
    assert_eq!(
        (&result["model"], &result["passed_over"][0]["model"]),
        (&json!("near"), &json!(MODEL))
    );
    let why = result["passed_over"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("no money for a call that may cost"), "{why}");
    let calls = paying.calls.lock().unwrap();
    let told: Vec<_> = calls.iter().map(|(asks, call)| (*asks, call.model.as_str())).collect();
    // What is free is counted, and needs no leave.
    assert_eq!(told, [(true, MODEL), (false, "near"), (false, "near")]);
}

#[tokio::test]
async fn without_money_and_without_another_model_the_task_says_so() {
    let (outcome, _) = ended(1, far(), None).await;
    let JobOutcome::Failed { error, .. } = &outcome else { panic!("{outcome:?}") };
    assert!(error.contains("no money for a call") && error.contains("of `day`"), "{error}");
}

#[tokio::test]
async fn what_was_refused_costs_nothing_and_what_broke_off_costs_the_longest_answer() {
    let refused = vec![messages::Turn::Status(403, None, "the account is closed".into())];
    let (_, paying) = ended(10_000_000, refused, None).await;
    let calls = paying.calls.lock().unwrap().clone();
    assert_eq!((calls.len(), calls[1].0, calls[1].1.usage.total()), (2, false, 0));
    let event = json!({ "type": "message_start", "message": {} });
    // What was read is known where the server tells, and what was written is not.
    let usage = json!({ "usage": { "input_tokens": 900, "output_tokens": 1 } });
    let counted = json!({ "type": "message_start", "message": usage });
    for (event, told, tokens) in [(event, 0, 0), (counted, 3, 3 * 901)] {
        let broken = || messages::Turn::Events { events: vec![event.to_string()], hangs: false };
        let (outcome, paying) = ended(10_000_000, vec![broken(), broken(), broken()], None).await;
        let calls = paying.calls.lock().unwrap();
        let (leave, bills): (Vec<_>, Vec<_>) = calls.iter().partition(|(asks, _)| *asks);
        assert_eq!(leave.len(), 3, "each has leave");
        assert_eq!(bills.len(), told, "what nobody knows counts at its worst: {calls:?}");
        for ((_, at_most), (_, came_to)) in leave.iter().zip(bills) {
            let longest = Usage { input_tokens: 900, ..at_most.usage };
            let price = price::find(&Default::default(), MODEL).unwrap();
            assert_eq!((came_to.usage.total(), came_to.micros), (901, Some(price.of(longest))));
            assert!(price.of(longest) < price.at_most(at_most.usage));
        }
        let JobOutcome::Failed { tokens: took, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(took, Some(tokens));
    }
    let declined = messages::Turn::says("I would rather not").stopping("refusal");
    let (_, paying) = ended(10_000_000, vec![declined], None).await;
    let calls = paying.calls.lock().unwrap();
    assert_eq!((calls.len(), calls[1].0, calls[1].1.usage.total()), (2, false, 42));
}

#[tokio::test]
async fn a_call_that_fails_is_told_with_why_and_with_what_is_known_of_it() {
    let event = json!({ "type": "message_start", "message": {} }).to_string();
    let turns = vec![
        messages::Turn::Events { events: vec![event], hangs: false },
        messages::Turn::Status(403, None, "the account is closed".into()),
    ];
    let (_, paying) = ended(10_000_000, turns, None).await;
    let told = paying.news.lock().unwrap();
    let calls: Vec<_> =
        told.iter().filter(|event| event["event_type"] == "model_call").cloned().collect();
    let [broken, refused] = &calls[..] else { panic!("each call is told: {calls:?}") };
    for (call, why) in [(broken, "the answer is broken"), (refused, "the account is closed")] {
        assert!(call["error"].as_str().is_some_and(|error| error.contains(why)), "{call}");
        assert!(call["text"].as_str().is_some_and(|text| text.contains(why)), "{call}");
        assert!(call["duration_ms"].is_u64() && call["iteration"] == 1, "{call}");
    }
    let known =
        |call: &Value| ["tokens_in", "tokens_out", "cost_micros"].map(|it| call[it].as_u64());
    assert_eq!(known(refused), [Some(0); 3], "nothing was read");
    assert_eq!(known(broken), [None; 3], "nobody knows what was");
}
