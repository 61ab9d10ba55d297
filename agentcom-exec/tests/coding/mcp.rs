//! This file has models do coding tasks with tools of MCP servers: they are called like any other, within
//! what one task may bring together, and no task begins without them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::{Category, VerificationStep};
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_exec::mcp::{Reaches, Server, Way};
use agentcom_exec::stand_in::mcp::{Manner, StandIn};
use agentcom_exec::stand_in::ollama::{self, Turn};
use serde_json::{Value, json};

use crate::fixture::Fixture;
use crate::support::{mark, marked};

const PRIVATE: Reach = Reach { untrusted: false, private: true, outward: false };
const OUTWARD: Reach = Reach { untrusted: false, private: false, outward: true };

/// A server whose tool `look` reads what is private, and whose tool `send` has an effect outside.
fn server(way: Way) -> Server {
    let reach = Reaches::default().with("look", PRIVATE).with("send", OUTWARD);
    Server {
        name: "one".into(),
        way,
        tools: None,
        reach,
        within: Duration::from_secs(30),
        secrets: Vec::new(),
    }
}

fn service(stand_in: &StandIn) -> Server {
    server(Way::Http { url: Secret::new(&stand_in.url()), headers: Default::default() })
}

fn look() -> Turn {
    Turn::calls("one__look", json!({ "at": "this" }))
}

fn read() -> Turn {
    Turn::calls("read_file", json!({ "path": "a.txt" }))
}

fn write() -> Turn {
    Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" }))
}

fn send() -> Turn {
    Turn::calls("one__send", json!({}))
}

/// How a task ends in which a model takes these turns, with one correction if checks ask for it; and
/// what its calls were answered, in order.
async fn ended(server: Server, turns: Vec<Turn>, checks: &[&str]) -> (JobOutcome, Vec<Value>) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hearing = Arc::clone(&heard);
    let mut turns = turns.into_iter();
    let model = ollama::StandIn::that(Box::new(move |asked: &Value, _| {
        let last = asked["messages"].as_array().unwrap().last().unwrap();
        if last["role"] == "tool" {
            let told = serde_json::from_str(last["content"].as_str().unwrap()).unwrap();
            hearing.lock().unwrap().push(told);
        }
        turns.next().unwrap_or_else(|| Turn::says("Done."))
    }));
    let mut fixture = Fixture::of(model.await);
    fixture.mcp = vec![server];
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), Json::null());
    job.max_verification_retries = 1;
    let step = |target: &&str| VerificationStep {
        kind: "file_exists".into(),
        target: (*target).to_owned(),
        description: None,
    };
    job.verification_steps = checks.iter().map(step).collect();
    let outcome = executor.run(&job, &Asking::default()).await;
    let heard = heard.lock().unwrap().clone();
    (outcome, heard)
}

fn called(stand_in: &StandIn) -> Vec<Value> {
    let asked = stand_in.asked().into_iter();
    let calls = asked.filter(|message| message["method"] == "tools/call");
    calls.map(|call| call["params"]["name"].clone()).collect()
}

#[tokio::test]
async fn a_model_works_with_tools_of_a_program_that_ends_with_the_task() {
    let mark = mark("mcp-task");
    let program = server(Way::Program {
        command: env!("CARGO_BIN_EXE_agentcom-mcp-stand-in").to_owned(),
        args: vec![Secret::new("good")],
        env: [("MARK".to_owned(), Secret::new(&mark))].into(),
        cwd: ".".into(),
    });
    let (outcome, heard) = ended(program, vec![look(), write()], &[]).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(heard[0], json!({ "ok": true, "text": "seen this", "sandbox": "outside" }));
    assert_eq!(marked(&mark), [""; 0]);
}

#[tokio::test]
async fn two_of_three_things_come_together_and_the_third_does_not() {
    let stand_in = StandIn::of(Manner::Good).await;
    let turns = vec![read(), look(), send(), write()];
    let (outcome, heard) = ended(service(&stand_in), turns, &[]).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let went: Vec<&Value> = heard.iter().map(|told| &told["ok"]).collect();
    assert_eq!(went, [true, true, false, true]);
    assert_eq!(heard[2]["error"], "refused");
    assert_eq!(called(&stand_in), ["look"]);
    // Without what is private, the rest may.
    let stand_in = StandIn::of(Manner::Good).await;
    let (_, heard) = ended(service(&stand_in), vec![read(), send(), look()], &[]).await;
    let went: Vec<&Value> = heard.iter().map(|told| &told["ok"]).collect();
    assert_eq!(went, [true, true, false]);
    assert_eq!(called(&stand_in), ["send"]);
}

#[tokio::test]
async fn what_came_together_is_not_forgotten_from_round_to_round() {
    let stand_in = StandIn::of(Manner::Good).await;
    let done = || Turn::says("Done.");
    let turns = vec![read(), look(), done(), send(), write()];
    let (outcome, heard) = ended(service(&stand_in), turns, &["b.txt"]).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert_eq!(heard[2]["error"], "refused");
    assert_eq!(called(&stand_in), ["look"]);
}

#[tokio::test]
async fn a_tool_of_which_nobody_said_what_it_reaches_is_refused() {
    let stand_in = StandIn::of(Manner::Good).await;
    let silent = Server { reach: Reaches::default(), ..service(&stand_in) };
    let (_, heard) = ended(silent, vec![look(), write()], &[]).await;
    assert_eq!(heard[0]["error"], "refused");
    assert_eq!(called(&stand_in), [""; 0]);
}

#[tokio::test]
async fn no_task_begins_without_the_tools_that_it_is_to_have() {
    let stand_in = StandIn::of(Manner::Breaks).await;
    let (outcome, heard) = ended(service(&stand_in), vec![write()], &[]).await;
    let JobOutcome::Failed { category: Category::Retryable, error, retry_after, .. } = &outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(
        error.starts_with("the MCP server `one` cannot be used") && error.contains("502"),
        "{error}"
    );
    assert!(retry_after.is_some() && heard.is_empty());
}

#[tokio::test]
async fn no_task_is_tried_again_with_a_server_that_is_not_there() {
    let program = server(Way::Program {
        command: "no-such-server".into(),
        args: Vec::new(),
        env: Default::default(),
        cwd: ".".into(),
    });
    let (outcome, heard) = ended(program, vec![write()], &[]).await;
    let JobOutcome::Failed { category: Category::Permanent, error, retry_after: None, .. } =
        &outcome
    else {
        panic!("{outcome:?}")
    };
    assert!(error.contains("cannot be started") && error.contains("no-such-server"), "{error}");
    assert!(heard.is_empty());
}
