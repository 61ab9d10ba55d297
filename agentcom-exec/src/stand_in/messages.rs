//! This file stands in for servers that speak the Messages API: `POST /v1/messages`, with a model that
//! follows a script, or goes one of the [`WAYS`].

mod ways;

use std::collections::BTreeSet;
use std::convert::Infallible;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};

use super::scripted::{self, Act, Open, Scripted};
use super::wire::Wire;

pub use ways::WAYS;

/// The key that it knows.
pub const KEY: &str = "key-of-the-stand-in";

/// What the server does when it is asked.
#[derive(Clone, Debug)]
pub enum Turn {
    /// The model says something, calls tools, or both, and stops for a reason.
    Reply {
        /// What it says.
        says: String,
        /// What it calls: names and inputs, as the JSON that is sent.
        calls: Vec<(String, String)>,
        /// Why it stops.
        stops: String,
    },
    /// The server answers with a status, `retry-after` in seconds, and a message.
    Status(u16, Option<u64>, String),
    /// The server sends these events, by their data, and closes or says nothing more.
    Events {
        /// Their data.
        events: Vec<String>,
        /// Whether the connection stays open after them for ever.
        hangs: bool,
    },
    /// The server answers so, byte for byte.
    Wire(Wire),
    /// The server does not answer.
    Never,
}

impl Turn {
    /// It says `text`.
    #[must_use]
    pub fn says(text: &str) -> Self {
        Self::Reply { says: text.to_owned(), calls: Vec::new(), stops: "end_turn".to_owned() }
    }

    /// It calls a tool.
    #[must_use]
    pub fn calls(name: &str, input: &Value) -> Self {
        let calls = vec![(name.to_owned(), input.to_string())];
        Self::Reply { says: String::new(), calls, stops: "tool_use".to_owned() }
    }

    /// It stops for another reason.
    #[must_use]
    pub fn stopping(mut self, reason: &str) -> Self {
        if let Self::Reply { stops, .. } = &mut self {
            reason.clone_into(stops);
        }
        self
    }
}

impl Act for Turn {
    const WAYS: &'static [(&'static str, &'static str)] = &WAYS;

    fn says(text: &str) -> Self {
        Self::says(text)
    }

    fn calls(name: &str, input: Value) -> Self {
        Self::calls(name, &input)
    }

    fn on(way: &str, asked: &Value, number: usize) -> Self {
        ways::turn(way, asked, number)
    }

    fn router(model: Scripted<Self>) -> Router {
        let router = Router::new().route("/v1/messages", post(messages));
        router.route("/v1/models", get(models)).with_state(model)
    }
}

/// A server that ends when this is dropped.
pub type StandIn = scripted::StandIn<Turn>;

/// How the server decides.
pub type Script = scripted::Script<Turn>;

/// The one model that it has, for whoever has the key.
async fn models(headers: HeaderMap) -> Response {
    if headers.get("x-api-key").is_none_or(|key| key != KEY) {
        return error(401, None, "invalid x-api-key");
    }
    json!({ "data": [{ "type": "model", "id": "scripted" }] }).to_string().into_response()
}

async fn messages(
    State(model): State<Scripted<Turn>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let has = |name: &str, value: &str| headers.get(name).is_some_and(|found| found == value);
    if !has("x-api-key", KEY) {
        return error(401, None, "invalid x-api-key");
    }
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return error(400, None, "the body is no JSON");
    };
    if !has("anthropic-version", "2023-06-01") || !asked["max_tokens"].is_u64() {
        return error(400, None, "a header or a field is missing");
    }
    if has_same_ids(&asked) {
        return error(400, None, "`tool_use` ids must be unique");
    }
    if ends_in_space(&asked) {
        return error(400, None, "final assistant content cannot end with trailing whitespace");
    }
    match model.ask(asked) {
        Turn::Reply { says, calls, stops } => sse(events(&says, &calls, &stops), None),
        Turn::Status(status, after, message) => error(status, after, &message),
        Turn::Events { events, hangs } => sse(events, hangs.then(|| model.open())),
        Turn::Wire(wire) => wire.into_response(),
        Turn::Never => model.open().for_ever().await,
    }
}

/// Whether two calls of one turn have the same id, which the API refuses.
fn has_same_ids(asked: &Value) -> bool {
    asked["messages"].as_array().into_iter().flatten().any(|message| {
        let blocks = message["content"].as_array().into_iter().flatten();
        let mut ids = blocks.filter_map(|block| block["id"].as_str());
        let mut seen = BTreeSet::new();
        !ids.all(|id| seen.insert(id))
    })
}

/// Whether the model is to go on with an answer that ends in white space, which the API refuses.
fn ends_in_space(asked: &Value) -> bool {
    let last = asked["messages"].as_array().and_then(|messages| messages.last());
    let last = last.filter(|message| message["role"] == "assistant");
    let text = last.and_then(|message| message["content"].as_array()?.last()?["text"].as_str());
    text.is_some_and(|text| text.ends_with(char::is_whitespace))
}

fn error(status: u16, after: Option<u64>, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({ "type": "error", "error": { "type": "some_error", "message": message } });
    let mut response = (status, body.to_string()).into_response();
    if let Some(after) = after {
        response.headers_mut().insert("retry-after", after.into());
    }
    response
}

/// Events, and then nothing more for as long as the answer is `open`; none are the end of it.
fn sse(events: Vec<String>, open: Option<Open>) -> Response {
    let pieces = events.into_iter().map(|data| {
        let kind = serde_json::from_str::<Value>(&data).unwrap_or_default()["type"].clone();
        let kind = kind.as_str().unwrap_or("message").to_owned();
        Ok::<_, Infallible>(format!("event: {kind}\ndata: {data}\n\n"))
    });
    let pieces = stream::iter(pieces.collect::<Vec<_>>());
    let body = match open {
        Some(open) => Body::from_stream(pieces.chain(stream::once(open.for_ever()))),
        None => Body::from_stream(pieces),
    };
    ([("content-type", "text/event-stream")], body).into_response()
}

/// The events of an answer, as the API reference shows them; inputs come in two pieces.
fn events(says: &str, calls: &[(String, String)], stops: &str) -> Vec<String> {
    let usage = json!({
        "input_tokens": 10, "cache_read_input_tokens": 20, "cache_creation_input_tokens": 5,
        "output_tokens": 1,
    });
    let mut events = vec![
        json!({ "type": "message_start", "message": { "role": "assistant", "usage": usage } }),
        json!({ "type": "ping" }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": says } }),
        json!({ "type": "content_block_stop", "index": 0 }),
    ];
    for (number, (name, input)) in calls.iter().enumerate() {
        let index = number + 1;
        let block = json!({ "type": "tool_use", "id": format!("toolu_{number}"), "name": name, "input": {} });
        events
            .push(json!({ "type": "content_block_start", "index": index, "content_block": block }));
        let (begin, end) = input.split_at(input.floor_char_boundary(input.len() / 2));
        for part in [begin, end] {
            let delta = json!({ "type": "input_json_delta", "partial_json": part });
            events.push(json!({ "type": "content_block_delta", "index": index, "delta": delta }));
        }
        events.push(json!({ "type": "content_block_stop", "index": index }));
    }
    events.push(json!({
        "type": "message_delta", "delta": { "stop_reason": stops }, "usage": { "output_tokens": 7 },
    }));
    events.push(json!({ "type": "message_stop" }));
    events.iter().map(Value::to_string).collect()
}
