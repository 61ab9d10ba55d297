//! This file stands in for servers that speak the Messages API: `POST /v1/messages`, with a model that
//! follows a script, or goes one of the [`WAYS`].

mod ways;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};

use super::Server;
use super::wire::{self, Wire};

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

/// How the server decides: by what it is asked, and how often it was asked before.
pub type Script = Box<dyn FnMut(&Value, usize) -> Turn + Send>;

struct Model {
    script: Script,
    asked: Vec<Value>,
}

/// A server that ends when this is dropped.
pub struct StandIn {
    server: Server,
    model: Arc<Mutex<Model>>,
}

impl std::fmt::Debug for StandIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StandIn").field("server", &self.server).finish_non_exhaustive()
    }
}

fn lock(model: &Mutex<Model>) -> MutexGuard<'_, Model> {
    model.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StandIn {
    /// A model that does these things one after the other, and then says that it is done.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn of(turns: impl IntoIterator<Item = Turn>) -> Self {
        let mut turns = turns.into_iter().collect::<Vec<_>>().into_iter();
        Self::that(Box::new(move |_, _| turns.next().unwrap_or_else(|| Turn::says("Done.")))).await
    }

    /// A model that goes one of the [`WAYS`]. A model with the name of one goes that way.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn going(way: &str) -> Self {
        let way = way.to_owned();
        Self::that(Box::new(move |asked, number| {
            ways::turn(super::way_of(&WAYS, asked, &way), asked, number)
        }))
        .await
    }

    /// A model that decides by what it is asked.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn that(script: Script) -> Self {
        let model = Arc::new(Mutex::new(Model { script, asked: Vec::new() }));
        let router = Router::new().route("/v1/messages", post(messages));
        let router = router.route("/v1/models", get(models)).with_state(model.clone());
        Self { server: Server::start(router).await, model }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// All that it was asked, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        lock(&self.model).asked.clone()
    }
}

/// The one model that it has, for whoever has the key.
async fn models(headers: HeaderMap) -> Response {
    if headers.get("x-api-key").is_none_or(|key| key != KEY) {
        return error(401, None, "invalid x-api-key");
    }
    json!({ "data": [{ "type": "model", "id": "scripted" }] }).to_string().into_response()
}

async fn messages(
    State(model): State<Arc<Mutex<Model>>>,
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
    let turn = {
        let mut model = lock(&model);
        let number = model.asked.len();
        let turn = (model.script)(&asked, number);
        model.asked.push(asked);
        turn
    };
    match turn {
        Turn::Reply { says, calls, stops } => sse(events(&says, &calls, &stops), false),
        Turn::Status(status, after, message) => error(status, after, &message),
        Turn::Events { events, hangs } => sse(events, hangs),
        Turn::Wire(wire) => wire.into_response(),
        Turn::Never => wire::never().await,
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

fn sse(events: Vec<String>, hangs: bool) -> Response {
    let pieces = events.into_iter().map(|data| {
        let kind = serde_json::from_str::<Value>(&data).unwrap_or_default()["type"].clone();
        let kind = kind.as_str().unwrap_or("message").to_owned();
        Ok::<_, Infallible>(format!("event: {kind}\ndata: {data}\n\n"))
    });
    let pieces = stream::iter(pieces.collect::<Vec<_>>());
    let body = if hangs {
        Body::from_stream(pieces.chain(stream::pending()))
    } else {
        Body::from_stream(pieces)
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
