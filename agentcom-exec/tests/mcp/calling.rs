//! This file calls tools of servers that behave, and of servers that do not.

use agentcom_exec::tool::ToolErrorKind;

use super::*;
use crate::support::eventually;

/// How long servers get that are expected not to answer a call, but to connect on a busy machine.
const IMPATIENCE: Duration = Duration::from_secs(3);

#[tokio::test]
async fn a_tool_answers_with_text_with_fields_or_with_a_failure() {
    let stand_in = StandIn::of(Manner::Good).await;
    for server in [program(Manner::Good), service(&stand_in.url())] {
        let connection = open(&server).await.unwrap();
        let seen = call(&connection, "look", json!({ "at": "this" })).await;
        assert_eq!(seen.unwrap(), json!({ "text": "seen this" }));
        assert_eq!(call(&connection, "send", Value::Null).await.unwrap()["text"], "sent");
        let fields = call(&connection, "fields", json!({})).await;
        assert_eq!(fields.unwrap(), json!({ "structured": { "count": 7 } }));
        let failed = call(&connection, "fail", json!({})).await.unwrap_err();
        assert_eq!((failed.kind, &*failed.message), (ToolErrorKind::Failed, "it went wrong"));
        let bad = call(&connection, "look", json!("this")).await.unwrap_err();
        assert_eq!(bad.kind, ToolErrorKind::BadInput);
        connection.close().await;
    }
}

#[tokio::test]
async fn what_else_a_server_says_does_not_matter() {
    for manner in [Manner::Chats, Manner::AsksBack] {
        for answer in looks(manner, PATIENCE).await {
            assert_eq!(answer.unwrap()["text"], "seen this", "{manner}");
        }
    }
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_not_heard_without_end() {
    let dir = tempfile::tempdir().unwrap();
    let log = dir.path().join("log");
    let mut server = program(Manner::AsksOn);
    let Way::Program { args, .. } = &mut server.way else { unreachable!() };
    args.push(Secret::new(log.to_str().unwrap()));
    let stand_in = StandIn::of(Manner::AsksOn).await;
    for server in [server, service(&stand_in.url())] {
        let connection = open(&Server { within: IMPATIENCE, ..server }).await.unwrap();
        let error = call(&connection, "look", json!({ "at": "this" })).await.unwrap_err();
        assert!(error.message.contains("did not answer"), "{error:?}");
        connection.close().await;
    }
    // What it has asked, and what of that waits for an answer, is in two pipes and a short queue.
    let asked = std::fs::read_to_string(&log).unwrap();
    assert!(asked.matches("asked").count() < 50, "{}", asked.matches("asked").count());
}

#[tokio::test]
async fn a_session_that_a_service_forgets_is_begun_anew() {
    let stand_in = StandIn::of(Manner::Forgets).await;
    let connection = open(&service(&stand_in.url())).await.unwrap();
    for _ in 0..2 {
        let seen = call(&connection, "look", json!({ "at": "this" })).await;
        assert_eq!(seen.unwrap(), json!({ "text": "seen this" }));
    }
    connection.close().await;
    let greetings = stand_in.asked().into_iter().filter(|asked| asked["method"] == "initialize");
    assert_eq!(greetings.count(), 2);
}

#[tokio::test]
async fn a_call_with_a_token_that_is_over_says_what_is_needed() {
    let stand_in = StandIn::of(Manner::Expires).await;
    let connection = open(&service(&stand_in.url())).await.unwrap();
    let error = call(&connection, "look", json!({ "at": "this" })).await.unwrap_err();
    let told = &error.message;
    assert!(told.starts_with("the MCP server `one` does not let us in; its entry needs"), "{told}");
    assert!(told.contains("scope=\"read\""), "{told}");
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends_and_the_server_is_told() {
    for answer in looks(Manner::MuteCall, IMPATIENCE).await {
        let error = answer.unwrap_err();
        let told = "the MCP server `one` did not answer within 3000 ms";
        assert_eq!((error.kind, &*error.message), (ToolErrorKind::Failed, told));
    }
    let stand_in = StandIn::of(Manner::MuteCall).await;
    let connection = open(&service(&stand_in.url())).await.unwrap();
    let asked = |method: &str| {
        let asked = stand_in.asked();
        asked.into_iter().find(|message| message["method"] == method)
    };
    // Whoever stops waiting for a call says so.
    let id = tokio::select! {
        _ = call(&connection, "look", json!({ "at": "this" })) => unreachable!(),
        id = eventually_asked(&asked, "tools/call") => id["id"].clone(),
    };
    let told = eventually_asked(&asked, "notifications/cancelled").await;
    assert_eq!(told["params"]["requestId"], id);
}

async fn eventually_asked(asked: &impl Fn(&str) -> Option<Value>, method: &str) -> Value {
    eventually(method, || asked(method)).await
}

#[tokio::test]
async fn a_server_that_ends_in_a_call_is_told_with_its_last_words() {
    let connection = open(&program(Manner::EndsInCall)).await.unwrap();
    let error = call(&connection, "look", json!({ "at": "this" })).await.unwrap_err();
    let told = "the MCP server `one` has ended: exit code 3: stand-in, ends-in-call";
    assert_eq!((error.kind, &*error.message), (ToolErrorKind::Failed, told));
    // It is not there for later calls either, and nobody waits for it.
    call(&connection, "look", json!({ "at": "this" })).await.unwrap_err();
    let stand_in = StandIn::of(Manner::EndsInCall).await;
    let connection = open(&service(&stand_in.url())).await.unwrap();
    call(&connection, "look", json!({ "at": "this" })).await.unwrap_err();
}

#[tokio::test]
async fn a_long_answer_is_cut_and_one_without_measure_is_none() {
    for answer in looks(Manner::TalksMuch, PATIENCE).await {
        let told = answer.unwrap();
        assert_eq!(told["truncated"], true);
        assert!(told.to_string().len() < 20_000);
    }
    for answer in looks(Manner::Floods, IMPATIENCE).await {
        assert_eq!(answer.unwrap_err().kind, ToolErrorKind::Failed);
    }
}

#[tokio::test]
async fn a_refused_call_is_told_with_the_reason() {
    for answer in looks(Manner::Refuses, PATIENCE).await {
        assert_eq!(answer.unwrap_err().message, "the MCP server `one` refused: not today");
    }
}
