//! This file tests the client of the Messages API, against a server that misbehaves in all the ways
//! that were seen or can be thought of: each ends in a typed outcome.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

use std::time::Duration;

use agentcom_core::config::Secret;
use agentcom_exec::model::{
    Call, Ending, Format, Heard, Message, Messages, Model, ModelError, Patience, Reply, Request,
    Taken, Usage,
};
use agentcom_exec::stand_in::messages::{KEY, StandIn, Turn};
use agentcom_exec::tool::Spec;
use serde_json::json;

fn model(server: &StandIn) -> Messages {
    Messages::new(&server.url(), Secret::new(KEY), "claude-test").unwrap()
}

async fn ask(model: &Messages) -> Result<Reply, ModelError> {
    let messages = [Message::User("Hello".into())];
    let request = Request { system: "Be brief.", messages: &messages, ..Request::default() };
    model.ask(&request, &mut |_| {}).await
}

async fn answered(turn: Turn) -> Result<Reply, ModelError> {
    ask(&model(&StandIn::of([turn]).await)).await
}

#[tokio::test]
async fn an_answer_is_told_as_it_comes_and_counted_with_what_caches_read() {
    let server = StandIn::of([Turn::says("Hello")]).await;
    let request = Request {
        system: "Be brief.",
        messages: &[Message::User("Hi".into())],
        ..Request::default()
    };
    let mut said = String::new();
    let mut hear = |heard: Heard<'_>| {
        if let Heard::Text(text) = heard {
            said.push_str(text);
        }
    };
    let reply = model(&server).ask(&request, &mut hear).await.unwrap();
    assert_eq!((&*reply.text, &*said, reply.ending), ("Hello", "Hello", Ending::Whole));
    let Usage { input_tokens, output_tokens, cache_read_tokens, cache_write_tokens } = reply.usage;
    assert_eq!((input_tokens, cache_read_tokens, cache_write_tokens), (10, 20, 5));
    assert_eq!(output_tokens, 7);
    let asked = &server.asked()[0];
    assert_eq!(asked["system"][0]["text"], "Be brief.");
    assert_eq!(
        asked["messages"],
        json!([{ "role": "user", "content": [{ "type": "text", "text": "Hi" }] }])
    );
}

#[tokio::test]
async fn an_answer_of_a_format_is_the_input_of_a_call_that_has_to_be_made() {
    let schema = json!({ "type": "object", "properties": { "name": { "type": "string" } } });
    let tools = [Spec { name: "read_file".into(), description: String::new(), input: json!({}) }];
    let messages = [Message::User("Who?".into())];
    for (format, input) in
        [(Format::Schema(schema.clone()), schema), (Format::Json, json!({ "type": "object" }))]
    {
        let server = StandIn::of([Turn::calls("answer", &json!({ "name": "me" }))]).await;
        let format = Some(&format);
        let request = Request { messages: &messages, tools: &tools, format, ..Request::default() };
        let reply = model(&server).ask(&request, &mut |_| {}).await.unwrap();
        assert_eq!((&*reply.text, &*reply.calls), (r#"{"name":"me"}"#, &[][..]));
        let asked = &server.asked()[0];
        assert_eq!(asked["tool_choice"], json!({ "type": "tool", "name": "answer" }));
        let tools: Vec<_> = asked["tools"].as_array().unwrap().iter().collect();
        assert_eq!((tools.len(), &tools[0]["input_schema"]), (1, &input));
    }
}

#[tokio::test]
async fn calls_come_in_pieces_and_keep_their_names() {
    let input = json!({ "path": "a.txt", "content": "é{}\"\n" });
    let reply = answered(Turn::calls("write_file", &input)).await.unwrap();
    let call = Call { id: Some("toolu_0".into()), name: "write_file".into(), input };
    assert_eq!(reply.calls, [call]);
    let broken = Turn::Reply {
        says: String::new(),
        calls: vec![("write_file".into(), "{\"path\": \"a".into())],
        stops: "tool_use".into(),
    };
    // It is left to be mended.
    assert_eq!(answered(broken).await.unwrap().calls[0].input, json!("{\"path\": \"a"));
}

#[tokio::test]
async fn each_reason_to_stop_is_heeded() {
    for (reason, ending) in [
        ("end_turn", Ending::Whole),
        ("stop_sequence", Ending::Whole),
        ("tool_use", Ending::Whole),
        ("one that is new", Ending::Whole),
        ("max_tokens", Ending::Cut),
        ("model_context_window_exceeded", Ending::Full),
        ("pause_turn", Ending::Paused),
    ] {
        let reply = answered(Turn::says("Hm").stopping(reason)).await.unwrap();
        assert_eq!((reply.ending, reply.usage.output_tokens), (ending, 7), "{reason}");
    }
    let declined = answered(Turn::says("I would rather not").stopping("refusal")).await;
    let Err(ModelError::Counted { taken: Taken::All(usage), error }) = declined else {
        panic!("{declined:?}")
    };
    assert_eq!(*error, ModelError::Declined("I would rather not".into()));
    assert_eq!((usage.read(), usage.output_tokens), (35, 7));
}

#[tokio::test]
async fn only_what_may_pass_is_worth_another_try() {
    for (status, message, passing) in [
        (400, "messages: text content blocks must be non-empty", false),
        (400, "prompt is too long: 250000 tokens > 200000 maximum", false),
        (401, "invalid x-api-key", false),
        (403, "not allowed", false),
        (404, "model: claude-test", false),
        (413, "too large", false),
        (429, "rate limited", true),
        (500, "internal", true),
        (529, "overloaded", true),
    ] {
        let error = answered(Turn::Status(status, None, message.into())).await.unwrap_err();
        assert_eq!(error.is_passing(), passing, "{status}: {error:?}");
        assert!(error.to_string().contains(message) || status == 404, "{error}");
    }
    let error = answered(Turn::Status(429, Some(17), "rate limited".into())).await.unwrap_err();
    assert_eq!(error.retry_after(), Some(Duration::from_secs(17)));
    let stranger = Messages::new(&StandIn::of([]).await.url(), Secret::new("x"), "m").unwrap();
    assert!(matches!(ask(&stranger).await, Err(ModelError::Unreachable { .. })));
    let server = StandIn::of([]).await;
    let stranger = Messages::new(&server.url(), Secret::new("x"), "m").unwrap();
    assert!(matches!(ask(&stranger).await, Err(ModelError::Refused { status: 401, .. })));
    assert!(!format!("{stranger:?}").contains("Secret(\"x\")"));
}

#[tokio::test]
async fn a_stream_that_breaks_off_or_makes_no_sense_is_no_answer() {
    let start = json!({ "type": "message_start", "message": {} }).to_string();
    let delta = |index: u64| {
        let delta = json!({ "type": "input_json_delta", "partial_json": "{" });
        json!({ "type": "content_block_delta", "index": index, "delta": delta }).to_string()
    };
    let error = |kind: &str| {
        json!({ "type": "error", "error": { "type": kind, "message": "no" } }).to_string()
    };
    for (what, events, passing) in [
        ("it is empty", vec![], true),
        ("it ends before it is done", vec![start.clone()], true),
        ("no JSON", vec!["{".to_owned()], true),
        ("no type", vec!["{}".to_owned()], true),
        ("input of no call", vec![start.clone(), delta(3)], true),
        ("overloaded", vec![start.clone(), error("overloaded_error")], true),
        ("of nobody knows what kind", vec![start.clone(), error("new_error")], true),
        ("too often", vec![start.clone(), error("rate_limit_error")], true),
        ("invalid", vec![start.clone(), error("invalid_request_error")], false),
        ("not known", vec![start.clone(), error("authentication_error")], false),
        ("not paid", vec![start.clone(), error("billing_error")], false),
        ("not allowed", vec![start.clone(), error("permission_error")], false),
        ("not there", vec![start.clone(), error("not_found_error")], false),
        ("too large", vec![start.clone(), error("request_too_large")], false),
    ] {
        let error = answered(Turn::Events { events, hangs: false }).await.unwrap_err();
        assert_eq!(error.is_passing(), passing, "{what}: {error:?}");
    }
    // What it took until then is known where the server told.
    let usage = json!({ "input_tokens": 900, "cache_read_input_tokens": 90, "output_tokens": 1 });
    let told = json!({ "type": "message_start", "message": { "usage": usage } }).to_string();
    for (last, hangs) in [("", false), (&*error("overloaded_error"), false), ("", true)] {
        let last = Some(last.to_owned()).filter(|last| !last.is_empty());
        let events = std::iter::once(told.clone()).chain(last.clone()).collect();
        let server = StandIn::of([Turn::Events { events, hangs }]).await;
        let whole = Duration::from_millis(500);
        let patience = Patience { whole, ..Patience::default() };
        let error = ask(&model(&server).with_patience(patience)).await.unwrap_err();
        let ModelError::Counted { taken: Taken::AtLeast(usage), .. } = error else {
            panic!("{last:?}: {error:?}")
        };
        assert_eq!((usage.read(), usage.output_tokens), (990, 1), "{last:?}");
        assert!(error.is_passing() && !error.is_free(), "{last:?}");
    }
    let endless: Vec<String> = std::iter::once(start.clone())
        .chain((0..40).map(|_| {
            let delta = json!({ "type": "text_delta", "text": "x".repeat(500_000) });
            json!({ "type": "content_block_delta", "index": 0, "delta": delta }).to_string()
        }))
        .collect();
    let error = answered(Turn::Events { events: endless, hangs: false }).await.unwrap_err();
    assert!(matches!(&error, ModelError::Broken(seen) if seen.contains("longer")), "{error:?}");
    let impatient = Patience {
        first: Duration::from_millis(500),
        next: Duration::from_millis(100),
        whole: Duration::from_secs(2),
    };
    for events in [vec![], vec![start]] {
        let server = StandIn::of([Turn::Events { events, hangs: true }]).await;
        let error = ask(&model(&server).with_patience(impatient)).await.unwrap_err();
        assert!(matches!(error, ModelError::Silent(_)), "{error:?}");
    }
}
