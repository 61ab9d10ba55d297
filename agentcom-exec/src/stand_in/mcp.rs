//! This file stands in for MCP servers, as a program and over streamable HTTP: it has a few tools, and
//! misbehaves in the manner that it is told to.

#![expect(clippy::wildcard_enum_match_arm, reason = "in most things most manners are alike")]

use std::fmt;
use std::io::{self, BufRead, Write};
use std::path::Path;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::post;
use futures_util::stream;
use serde_json::{Value, json};

use super::Server;

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Well: it lists `look`, `send`, `fail`, `fields` and `variables`, on two pages.
    Good,
    /// It never answers anything.
    Mute,
    /// It never says which tools it has.
    MuteList,
    /// It never answers a call.
    MuteCall,
    /// It ends as soon as it is spoken to.
    EndsAtOnce,
    /// It ends when it is asked for its tools.
    EndsInList,
    /// It ends when a tool is called.
    EndsInCall,
    /// It answers with numbers that nobody asked with.
    WrongIds,
    /// It answers a call with 50 MB.
    Floods,
    /// It answers a call with 1 MB.
    TalksMuch,
    /// It lists a tool twice.
    SameNames,
    /// It lists a tool whose input is a text.
    BadSchema,
    /// It lists a tool with a schema that is no object.
    NoSchema,
    /// It lists 10,000 tools.
    ManyTools,
    /// Its list has a next page, always.
    EndlessPages,
    /// Its list has a next page without tools, always.
    EmptyPages,
    /// It has no tools.
    NoTools,
    /// It says things that are no messages, and messages that nobody asked for.
    Chats,
    /// It refuses each call.
    Refuses,
    /// It asks for the model and for a person before it answers a call.
    AsksBack,
    /// It asks without end before it answers a call, and takes in no answer.
    AsksOn,
    /// It ends when it is asked anything before it is greeted.
    Strict,
    /// It says nothing to what it does not know.
    Deaf,
    /// It speaks the version of the protocol of 2026-07-28, in which nobody is greeted, and no older one.
    Modern,
    /// It speaks the first version of the protocol.
    Old,
    /// It speaks a version that nobody knows.
    Stranger,
    /// It answers what is no JSON.
    Babbles,
    /// It does not know who asks. Over HTTP only.
    Forbids,
    /// It knows who asks, and does not say what they would have to show. Over HTTP only.
    Locks,
    /// It knows who asks until a tool is called. Over HTTP only.
    Expires,
    /// It answers nobody without a session and the version of the protocol, and forgets the first session
    /// when a tool is called. Over HTTP only.
    Forgets,
    /// It is at another path, and says so. Over HTTP only.
    Moves,
    /// It sends whoever asks to another server. Over HTTP only.
    SendsAway,
    /// It is broken. Over HTTP only.
    Breaks,
}

/// Each manner by its word.
pub const MANNERS: [(&str, Manner); 34] = [
    ("good", Manner::Good),
    ("mute", Manner::Mute),
    ("mute-list", Manner::MuteList),
    ("mute-call", Manner::MuteCall),
    ("ends-at-once", Manner::EndsAtOnce),
    ("ends-in-list", Manner::EndsInList),
    ("ends-in-call", Manner::EndsInCall),
    ("wrong-ids", Manner::WrongIds),
    ("floods", Manner::Floods),
    ("talks-much", Manner::TalksMuch),
    ("same-names", Manner::SameNames),
    ("bad-schema", Manner::BadSchema),
    ("no-schema", Manner::NoSchema),
    ("many-tools", Manner::ManyTools),
    ("endless-pages", Manner::EndlessPages),
    ("empty-pages", Manner::EmptyPages),
    ("no-tools", Manner::NoTools),
    ("chats", Manner::Chats),
    ("refuses", Manner::Refuses),
    ("asks-back", Manner::AsksBack),
    ("asks-on", Manner::AsksOn),
    ("strict", Manner::Strict),
    ("deaf", Manner::Deaf),
    ("modern", Manner::Modern),
    ("old", Manner::Old),
    ("stranger", Manner::Stranger),
    ("babbles", Manner::Babbles),
    ("forbids", Manner::Forbids),
    ("locks", Manner::Locks),
    ("expires", Manner::Expires),
    ("forgets", Manner::Forgets),
    ("moves", Manner::Moves),
    ("sends-away", Manner::SendsAway),
    ("breaks", Manner::Breaks),
];

impl FromStr for Manner {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = MANNERS.into_iter().find(|(word, _)| *word == text);
        known.map(|(_, manner)| manner).ok_or_else(|| format!("there is no manner `{text}`"))
    }
}

impl fmt::Display for Manner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = MANNERS.into_iter().find(|(_, manner)| manner == self);
        f.write_str(word.map_or("", |(word, _)| word))
    }
}

/// What a server does with a message.
enum Act {
    /// It says this, a message on each line.
    Says(Vec<String>),
    /// It does not say anything, now or later.
    Waits,
    /// It asks without end.
    AsksOn,
    /// It ends.
    Ends,
}

impl Manner {
    fn act(self, message: &Value) -> Act {
        let id = &message["id"];
        let method = message["method"].as_str().unwrap_or_default();
        if self == Self::EndsAtOnce {
            return Act::Ends;
        }
        if id.is_null() || self == Self::Mute {
            return Act::Waits;
        }
        match (method, self) {
            ("server/discover", Self::Modern) => says(self.answer(id, discovered())),
            ("initialize", Self::Modern) => says(refusal(id, -32601, "no such method")),
            ("server/discover", Self::Strict) => Act::Ends,
            ("server/discover", Self::Deaf) => Act::Waits,
            ("server/discover", _) => says(refusal(id, -32601, "no such method")),
            ("tools/list", Self::MuteList) | ("tools/call", Self::MuteCall) => Act::Waits,
            ("tools/list", Self::EndsInList) | ("tools/call", Self::EndsInCall) => Act::Ends,
            ("tools/call", Self::AsksOn) => Act::AsksOn,
            ("tools/call", Self::Refuses) => says(refusal(id, -32603, "not today")),
            ("initialize", _) => says(self.answer(id, self.greeting(&message["params"]))),
            ("tools/list", _) => says(self.answer(id, self.list(&message["params"]["cursor"]))),
            ("tools/call", Self::AsksBack) => Act::Says(vec![
                request("sampling/createMessage", json!({ "messages": [], "maxTokens": 1 })),
                request("elicitation/create", json!({ "message": "?", "requestedSchema": {} })),
                self.answer(id, self.call(&message["params"])),
            ]),
            ("tools/call", _) => says(self.answer(id, self.call(&message["params"]))),
            // It has asked something, and does not care about the answer.
            ("", _) => Act::Waits,
            _ => says(refusal(id, -32601, "no such method")),
        }
    }

    fn answer(self, id: &Value, result: Value) -> String {
        let id = match self {
            Self::WrongIds => json!(id.as_u64().unwrap_or_default() + 1_000_000),
            _ => id.clone(),
        };
        let message = json!({ "jsonrpc": "2.0", "id": id, "result": result }).to_string();
        match self {
            Self::Babbles => "<html>".to_owned(),
            Self::Chats => {
                let news =
                    json!({ "jsonrpc": "2.0", "method": "notifications/tools/list_changed" });
                format!("listening…\n{{\"half\": \n\n{news}\n{message}")
            }
            _ => message,
        }
    }

    fn greeting(self, params: &Value) -> Value {
        let version = match self {
            Self::Old => json!("2024-11-05"),
            Self::Stranger => json!("1999-12-31"),
            _ => params["protocolVersion"].clone(),
        };
        json!({
            "protocolVersion": version, "capabilities": { "tools": { "listChanged": true } },
            "serverInfo": { "name": "stand-in", "version": "1" },
        })
    }

    fn list(self, cursor: &Value) -> Value {
        let tool = |name: &str| json!({ "name": name, "inputSchema": { "type": "object" } });
        match self {
            Self::SameNames => json!({ "tools": [tool("a.b"), tool("a/b")] }),
            Self::BadSchema => {
                json!({ "tools": [{ "name": "bad", "inputSchema": { "type": "string" } }] })
            }
            Self::NoSchema => json!({ "tools": [{ "name": "bad", "inputSchema": "object" }] }),
            Self::ManyTools => {
                let tools: Vec<Value> = (0..10_000).map(|n| tool(&format!("tool{n}"))).collect();
                json!({ "tools": tools })
            }
            Self::EndlessPages => {
                let page = cursor.as_str().and_then(|page| page.parse().ok()).unwrap_or(0_u64);
                let name = format!("tool{page}");
                json!({ "tools": [tool(&name)], "nextCursor": (page + 1).to_string() })
            }
            Self::EmptyPages => json!({ "tools": [], "nextCursor": "more" }),
            Self::NoTools => json!({ "tools": [] }),
            _ if cursor.is_null() => json!({ "tools": [look()], "nextCursor": "2" }),
            _ => {
                let rest = ["send", "fail", "fields", "variables"].map(tool);
                json!({ "tools": rest })
            }
        }
    }

    fn call(self, params: &Value) -> Value {
        let text = |text: &str| json!({ "content": [{ "type": "text", "text": text }] });
        match (params["name"].as_str(), self) {
            (_, Self::Floods) => text(&"flood ".repeat(50_000_000 / 6)),
            (_, Self::TalksMuch) => text(&"much ".repeat(1_000_000 / 5)),
            (Some("look"), _) => {
                text(&format!("seen {}", params["arguments"]["at"].as_str().unwrap_or("nothing")))
            }
            (Some("send"), _) => text("sent"),
            (Some("fields"), _) => json!({ "content": [], "structuredContent": { "count": 7 } }),
            (Some("variables"), _) => {
                let names = std::env::vars().map(|(name, _)| name);
                text(&names.collect::<Vec<_>>().join(" "))
            }
            _ => {
                let said = [json!({ "type": "text", "text": "it went wrong" })];
                json!({ "content": said, "isError": true })
            }
        }
    }
}

fn discovered() -> Value {
    json!({
        "resultType": "complete", "supportedVersions": ["2026-07-28"],
        "capabilities": { "tools": {} }, "ttlMs": 0, "cacheScope": "private",
    })
}

fn look() -> Value {
    json!({
        "name": "look", "description": "Looks at something.", "annotations": { "readOnlyHint": true },
        "inputSchema": {
            "type": "object", "properties": { "at": { "type": "string" } }, "required": ["at"],
        },
    })
}

fn says(message: String) -> Act {
    Act::Says(vec![message])
}

fn refusal(id: &Value, code: i64, message: &str) -> String {
    let error = json!({ "code": code, "message": message });
    json!({ "jsonrpc": "2.0", "id": id, "error": error }).to_string()
}

fn request(method: &str, params: Value) -> String {
    json!({ "jsonrpc": "2.0", "id": method, "method": method, "params": params }).to_string()
}

fn ping(number: u64) -> String {
    json!({ "jsonrpc": "2.0", "id": number, "method": "ping" }).to_string()
}

/// Is a server on the standard input and output of this process, until its input ends. Each line that it
/// is sent goes to the file at `log` as well, and one for each thousand questions of one that asks on.
///
/// # Errors
///
/// If it cannot write.
pub fn serve(manner: Manner, log: Option<&Path>) -> io::Result<()> {
    let mut log = log.map(|path| std::fs::File::options().create(true).append(true).open(path));
    let mut out = io::stdout().lock();
    io::stderr().write_all(format!("stand-in, {manner}\n").as_bytes())?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        if let Some(Ok(file)) = &mut log {
            file.write_all(format!("{line}\n").as_bytes())?;
        }
        match manner.act(&serde_json::from_str(&line).unwrap_or_default()) {
            Act::Says(messages) => {
                for message in messages {
                    out.write_all(message.as_bytes())?;
                    out.write_all(b"\n")?;
                }
                out.flush()?;
            }
            Act::Waits => {}
            Act::AsksOn => {
                for number in 0.. {
                    writeln!(out, "{}", ping(number))?;
                    if let Some(Ok(file)) = log.as_mut().filter(|_| number % 1000 == 999) {
                        file.write_all(b"asked\n")?;
                    }
                }
            }
            Act::Ends => std::process::exit(3),
        }
    }
    Ok(())
}

/// A server over streamable HTTP that ends when this is dropped.
#[derive(Debug)]
pub struct StandIn {
    server: Server,
    talk: Arc<Talk>,
}

#[derive(Debug)]
struct Talk {
    manner: Manner,
    asked: Mutex<Vec<Value>>,
    /// How many sessions there have been, of which the last is known.
    sessions: AtomicU64,
}

impl StandIn {
    /// A server that behaves in this manner.
    ///
    /// # Panics
    ///
    /// If nothing can listen on loopback.
    pub async fn of(manner: Manner) -> Self {
        let talk = Arc::new(Talk { manner, asked: Mutex::default(), sessions: AtomicU64::new(0) });
        let router = Router::new().route("/mcp", post(message)).route("/moved", post(message));
        let router = router.with_state(Arc::clone(&talk));
        Self { server: Server::start(router).await, talk }
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/mcp", self.server.url())
    }

    /// All messages that it was sent, in order.
    #[must_use]
    pub fn asked(&self) -> Vec<Value> {
        self.talk.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Talk {
    /// What somebody is told who does not have what a message needs, and the session that they have.
    fn session(&self, message: &Value, headers: &HeaderMap) -> Result<String, StatusCode> {
        if message["method"] == "initialize" {
            let before = self.sessions.fetch_add(1, Ordering::Relaxed);
            return Ok((before + 1).to_string());
        }
        let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let session = said("mcp-session-id").ok_or(StatusCode::BAD_REQUEST)?;
        if said("mcp-protocol-version") != Some("2025-11-25") {
            return Err(StatusCode::BAD_REQUEST);
        }
        let is_forgotten = message["method"] == "tools/call" && session == "1";
        let is_known = session == self.sessions.load(Ordering::Relaxed).to_string();
        if is_known && !is_forgotten { Ok(session.to_owned()) } else { Err(StatusCode::NOT_FOUND) }
    }
}

/// Where a server sends on whoever asks at `path` of `host`, if it does.
fn elsewhere(manner: Manner, host: &str, path: &str) -> Option<String> {
    match manner {
        Manner::Moves => (path == "/mcp").then(|| "/moved".to_owned()),
        // It is the same one, by another name.
        Manner::SendsAway => {
            host.strip_prefix("127.0.0.1").map(|port| format!("http://localhost{port}/moved"))
        }
        _ => None,
    }
}

async fn message(
    State(talk): State<Arc<Talk>>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let host = headers.get("host").and_then(|host| host.to_str().ok()).unwrap_or_default();
    if let Some(place) = elsewhere(talk.manner, host, uri.path()) {
        return Redirect::temporary(&place).into_response();
    }
    match talk.manner {
        Manner::Locks => return (StatusCode::FORBIDDEN, "no such key").into_response(),
        Manner::Forbids => return unknown(),
        Manner::Breaks => return (StatusCode::BAD_GATEWAY, "out of order").into_response(),
        _ => {}
    }
    let message: Value = serde_json::from_slice(&body).unwrap_or_default();
    talk.asked.lock().unwrap_or_else(PoisonError::into_inner).push(message.clone());
    let json = [("content-type", "application/json")];
    if talk.manner == Manner::Expires && message["method"] == "tools/call" {
        return unknown();
    }
    if talk.manner == Manner::Forgets {
        let session = match talk.session(&message, &headers) {
            Ok(session) => session,
            Err(status) => return status.into_response(),
        };
        return match Manner::Good.act(&message) {
            Act::Says(messages) => {
                (json, [("mcp-session-id", session)], messages.concat()).into_response()
            }
            _ => StatusCode::ACCEPTED.into_response(),
        };
    }
    match talk.manner.act(&message) {
        // One answer is JSON, and several are events.
        Act::Says(messages) if messages.len() == 1 && talk.manner != Manner::Chats => {
            (json, messages.concat()).into_response()
        }
        Act::Says(messages) => {
            let lines = messages.iter().flat_map(|message| message.lines());
            let events =
                lines.filter(|line| line.starts_with("{\"id\"") || line.contains("jsonrpc"));
            let events = events.map(|line| format!(": noise\n\ndata: {line}\n\n"));
            ([("content-type", "text/event-stream")], events.collect::<String>()).into_response()
        }
        Act::Waits if message["id"].is_null() || message["method"].is_null() => {
            StatusCode::ACCEPTED.into_response()
        }
        Act::Waits => std::future::pending().await,
        Act::AsksOn => {
            let events = (0..).map(|number| io::Result::Ok(format!("data: {}\n\n", ping(number))));
            let stream = Body::from_stream(stream::iter(events));
            ([("content-type", "text/event-stream")], stream).into_response()
        }
        Act::Ends => {
            let cut = stream::iter([Ok("{\"jsonrpc\":"), Err(io::Error::other("the end"))]);
            (json, Body::from_stream(cut)).into_response()
        }
    }
}

/// What whoever cannot be known is told, as the specification has it.
fn unknown() -> Response {
    let metadata = "http://here/.well-known/oauth-protected-resource";
    let asks = format!("Bearer resource_metadata=\"{metadata}\", scope=\"read\"");
    (StatusCode::UNAUTHORIZED, [("www-authenticate", asks)]).into_response()
}
