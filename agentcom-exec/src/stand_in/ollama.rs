//! This file stands in for Ollama: `POST /api/chat`, and `GET` of `/api/tags`, `/api/ps` and `/api/version`, with a model that follows a script, and
//! misbehaves where the script says so, or in one of the [`WAYS`]. It goes by two names: as `untrained` it was not made to call tools, and
//! where its answers are held to a schema, it writes what it calls as that.

mod ways;

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use futures_util::StreamExt as _;
use futures_util::stream;
use serde_json::{Value, json};

use super::scripted::{self, Act, Scripted};
use super::wire::Wire;

pub use ways::WAYS;

/// What the model does when it is asked.
#[derive(Clone, Debug)]
pub enum Turn {
    /// It says something, calls tools, or both.
    Reply {
        /// What it says, in pieces.
        says: Vec<String>,
        /// What it calls: names and inputs.
        calls: Vec<(String, Value)>,
        /// How many tokens it claims to have read and written.
        tokens: (u64, u64),
        /// How long it thinks.
        after: Duration,
    },
    /// The server answers with a status and a text.
    Status(u16, String),
    /// The server sends these bytes, and closes or says nothing more.
    Bytes {
        /// Pieces of an answer.
        pieces: Vec<Vec<u8>>,
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
        Self::reply(vec![text.to_owned()], Vec::new())
    }

    /// It calls a tool.
    #[must_use]
    pub fn calls(name: &str, input: Value) -> Self {
        Self::reply(Vec::new(), vec![(name.to_owned(), input)])
    }

    fn reply(says: Vec<String>, calls: Vec<(String, Value)>) -> Self {
        Self::Reply { says, calls, tokens: (0, 0), after: Duration::ZERO }
    }

    /// It thinks so long first.
    #[must_use]
    pub fn after(mut self, span: Duration) -> Self {
        if let Self::Reply { after, .. } = &mut self {
            *after = span;
        }
        self
    }

    /// It says `text` before it calls anything.
    #[must_use]
    pub fn saying(mut self, text: &str) -> Self {
        if let Self::Reply { says, .. } = &mut self {
            says.push(text.to_owned());
        }
        self
    }

    /// It calls one tool more.
    #[must_use]
    pub fn and_calls(mut self, name: &str, input: Value) -> Self {
        if let Self::Reply { calls, .. } = &mut self {
            calls.push((name.to_owned(), input));
        }
        self
    }

    /// It claims to have read and written so many tokens.
    #[must_use]
    pub fn counting(mut self, read: u64, written: u64) -> Self {
        if let Self::Reply { tokens, .. } = &mut self {
            *tokens = (read, written);
        }
        self
    }

    /// The server sends a text and closes.
    #[must_use]
    pub fn sends(text: &str) -> Self {
        Self::Bytes { pieces: vec![text.as_bytes().to_vec()], hangs: false }
    }

    /// The server sends a text and then nothing more, for ever.
    #[must_use]
    pub fn hangs(text: &str) -> Self {
        Self::Bytes { pieces: vec![text.as_bytes().to_vec()], hangs: true }
    }
}

impl Act for Turn {
    const WAYS: &'static [(&'static str, &'static str)] = &WAYS;

    fn says(text: &str) -> Self {
        Self::says(text)
    }

    fn calls(name: &str, input: Value) -> Self {
        Self::calls(name, input)
    }

    fn on(way: &str, asked: &Value, number: usize) -> Self {
        ways::turn(way, asked, number)
    }

    fn router(model: Scripted<Self>) -> Router {
        let router = Router::new().route("/api/chat", post(chat)).route("/api/tags", get(tags));
        let router = router.route("/api/ps", get(loaded)).route("/api/version", get(version));
        router.with_state(model)
    }
}

/// A server that ends when this is dropped.
pub type StandIn = scripted::StandIn<Turn>;

/// How the model decides.
pub type Script = scripted::Script<Turn>;

/// What the model is called that was not made to call tools.
const UNTRAINED: &str = "untrained";

/// The models that it has.
async fn tags() -> Response {
    let model = |name: &str, capabilities: &[&str]| {
        json!({
            "name": name, "model": name, "details": { "parameter_size": "8.2B" },
            "capabilities": capabilities,
        })
    };
    let models = [model("scripted", &["completion", "tools"]), model(UNTRAINED, &["completion"])];
    json!({ "models": models }).to_string().into_response()
}

/// It is loaded, always.
async fn loaded() -> Response {
    let model = json!({ "name": "scripted", "model": "scripted", "context_length": 16_384 });
    json!({ "models": [model] }).to_string().into_response()
}

async fn version() -> Response {
    json!({ "version": "0.0.0" }).to_string().into_response()
}

async fn chat(State(model): State<Scripted<Turn>>, body: Bytes) -> Response {
    let Ok(asked) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let is_untrained = asked["model"] == UNTRAINED;
    if is_untrained && asked["tools"].as_array().is_some_and(|all| !all.is_empty()) {
        let text = json!({ "error": format!("{UNTRAINED} does not support tools") }).to_string();
        return (StatusCode::BAD_REQUEST, text).into_response();
    }
    match model.ask(asked.clone()) {
        Turn::Reply { says, calls, tokens, after } => {
            tokio::time::sleep(after).await;
            let (says, calls) = if is_untrained && asked["format"].is_object() {
                (vec![in_format(&says.concat(), &calls)], Vec::new())
            } else {
                (says, calls)
            };
            let lines = lines(&asked["model"], &says, &calls, tokens);
            ndjson(stream::iter(lines.into_iter().map(|line| format!("{line}\n").into_bytes())))
        }
        Turn::Status(status, text) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            (status, json!({ "error": text }).to_string()).into_response()
        }
        Turn::Bytes { pieces, hangs: false } => ndjson(stream::iter(pieces)),
        Turn::Bytes { pieces, hangs: true } => {
            ndjson(stream::iter(pieces).chain(stream::once(model.open().for_ever())))
        }
        Turn::Wire(wire) => wire.into_response(),
        Turn::Never => model.open().for_ever().await,
    }
}

fn ndjson(pieces: impl futures_util::Stream<Item = Vec<u8>> + Send + 'static) -> Response {
    let body = Body::from_stream(pieces.map(Ok::<_, Infallible>));
    ([("content-type", "application/x-ndjson")], body).into_response()
}

/// What is called, or else said, as one that fits the schema.
fn in_format(says: &str, calls: &[(String, Value)]) -> String {
    let call = calls.first();
    let call = call.map(|(name, input)| json!({ "function": name, "parameters": input }));
    call.unwrap_or_else(|| json!({ "answer": says })).to_string()
}

/// The lines of an answer, as `docs/api.md` of Ollama shows them.
fn lines(
    model: &Value,
    says: &[String],
    calls: &[(String, Value)],
    tokens: (u64, u64),
) -> Vec<Value> {
    let line = |message: Value| json!({ "model": model, "message": message, "done": false });
    let said = says.iter().map(|text| line(json!({ "role": "assistant", "content": text })));
    let called = calls.iter().enumerate().map(|(number, (name, input))| {
        line(json!({
            "role": "assistant", "content": "",
            "tool_calls": [{
                "id": format!("call_{number:08}"),
                "function": { "index": number, "name": name, "arguments": input },
            }],
        }))
    });
    let last = json!({
        "model": model, "message": { "role": "assistant", "content": "" },
        "done": true, "done_reason": "stop",
        "prompt_eval_count": tokens.0, "eval_count": tokens.1,
    });
    said.chain(called).chain([last]).collect()
}
