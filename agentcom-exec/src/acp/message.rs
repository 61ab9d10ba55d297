//! This file reads and writes messages of the Agent Client Protocol, version 1: JSON-RPC 2.0, one message
//! on each line.
//!
//! Only what is used is listed. What an agent says beside it is passed over, as the protocol asks of
//! clients, so that agents of later versions are understood as far as they can be.

use agentcom_core::money::Micros;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::permission::ToolKind;

/// The version that is spoken.
pub(super) const VERSION: u64 = 1;

/// A message of an agent.
#[derive(Debug)]
pub(super) enum Incoming {
    /// It asks for something.
    Request { id: Value, method: String, params: Value },
    /// It tells something.
    Notice { method: String, params: Value },
    /// It answers.
    Response { id: Value, result: Result<Value, RpcError> },
}

/// Why a line is no message.
#[derive(Debug)]
pub(super) enum Unread {
    /// It is no JSON, or nests deeper than anybody should.
    NoJson(String),
    /// It is JSON, and nothing that can be understood.
    NoMessage,
}

/// An answer that says no.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RpcError {
    #[serde(default)]
    pub(super) code: i64,
    #[serde(default)]
    pub(super) message: String,
}

impl RpcError {
    pub(super) const NO_JSON: i64 = -32_700;
    pub(super) const NO_METHOD: i64 = -32_601;
    pub(super) const BAD_PARAMS: i64 = -32_602;
    pub(super) const INTERNAL: i64 = -32_603;
    pub(super) const CANCELLED: i64 = -32_800;
    /// Somebody has to log in first.
    pub(super) const AUTH_REQUIRED: i64 = -32_000;
    pub(super) const NOT_FOUND: i64 = -32_002;

    pub(super) fn new(code: i64, message: impl std::fmt::Display) -> Self {
        Self { code, message: message.to_string() }
    }
}

#[derive(Deserialize)]
struct Envelope {
    id: Option<Value>,
    method: Option<String>,
    #[serde(default)]
    params: Value,
    result: Option<Value>,
    error: Option<RpcError>,
}

/// Reads a line.
pub(super) fn read(line: &[u8]) -> Result<Incoming, Unread> {
    let value: Value =
        serde_json::from_slice(line).map_err(|error| Unread::NoJson(error.to_string()))?;
    let envelope: Envelope = serde_json::from_value(value).map_err(|_| Unread::NoMessage)?;
    let Envelope { id, method, params, result, error } = envelope;
    match (id, method, error) {
        (Some(id), Some(method), _) => Ok(Incoming::Request { id, method, params }),
        (None, Some(method), _) => Ok(Incoming::Notice { method, params }),
        (Some(id), None, Some(error)) => Ok(Incoming::Response { id, result: Err(error) }),
        // A result may be `null`, which cannot be told from none.
        (Some(id), None, None) => {
            Ok(Incoming::Response { id, result: Ok(result.unwrap_or_default()) })
        }
        (None, None, _) => Err(Unread::NoMessage),
    }
}

/// The messages in what an agent says, each read as far as in a conversation and written again, a line
/// each: for the fuzzer. What is longer than a line may be ends it.
#[cfg(feature = "stand-in")]
#[must_use]
pub fn messages_in(said: &[u8]) -> Vec<String> {
    const LINE_BYTES_MAX: usize = 64 * 1024;
    let mut lines = crate::lines::Lines::at_most(LINE_BYTES_MAX);
    let mut messages = Vec::new();
    // It comes in pieces, wherever those end.
    let (first, second) = said.split_at(said.len() / 2);
    for piece in [first, second] {
        let Ok(ended) = lines.push(piece) else { break };
        messages.extend(ended.iter().filter_map(|line| Some(again(read(line).ok()?).to_string())));
    }
    messages
}

#[cfg(feature = "stand-in")]
fn again(message: Incoming) -> Value {
    match message {
        Incoming::Request { id, method, params } => {
            json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
        }
        Incoming::Notice { method, params } => {
            // What is no news is passed over.
            let _ = serde_json::from_value::<Updated>(params.clone());
            notice(&method, &params)
        }
        Incoming::Response { id, result } => {
            if let Ok(result) = &result {
                let _ = serde_json::from_value::<Initialized>(result.clone());
                let _ = serde_json::from_value::<Session>(result.clone());
                let _ = serde_json::from_value::<Prompted>(result.clone());
            }
            response(&id, &result)
        }
    }
}

pub(super) fn request(id: u64, method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

pub(super) fn notice(method: &str, params: &Value) -> Value {
    json!({ "jsonrpc": "2.0", "method": method, "params": params })
}

pub(super) fn response(id: &Value, result: &Result<Value, RpcError>) -> Value {
    match result {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    }
}

/// What an agent says of itself.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Initialized {
    pub(super) protocol_version: u64,
    #[serde(default)]
    pub(super) auth_methods: Vec<AuthMethod>,
}

/// How somebody can log in.
#[derive(Debug, Deserialize)]
pub(super) struct AuthMethod {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: String,
}

/// A session.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Session {
    pub(super) session_id: String,
    #[serde(default)]
    pub(super) config_options: Option<Vec<ConfigOption>>,
}

/// Something that can be chosen for a session.
#[derive(Debug, Deserialize)]
pub(super) struct ConfigOption {
    pub(super) id: String,
    #[serde(default)]
    pub(super) category: Option<String>,
}

/// The end of a turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Prompted {
    pub(super) stop_reason: StopReason,
    /// Not part of the protocol yet, and told by some.
    #[serde(default)]
    pub(super) usage: Option<TurnUsage>,
}

/// Why a turn ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StopReason {
    EndTurn,
    MaxTokens,
    MaxTurnRequests,
    Refusal,
    Cancelled,
}

/// What a turn took.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct TurnUsage {
    pub(super) input_tokens: u64,
    pub(super) output_tokens: u64,
    pub(super) cached_read_tokens: Option<u64>,
    pub(super) cached_write_tokens: Option<u64>,
}

/// News of a session.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Updated {
    pub(super) session_id: String,
    pub(super) update: News,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "sessionUpdate", rename_all = "snake_case")]
pub(super) enum News {
    AgentMessageChunk {
        #[serde(default)]
        content: Value,
    },
    AgentThoughtChunk {
        #[serde(default)]
        content: Value,
    },
    ToolCall(ToolCall),
    ToolCallUpdate(ToolCall),
    Plan {
        #[serde(default)]
        entries: Vec<PlanEntry>,
    },
    UsageUpdate {
        #[serde(default)]
        used: u64,
        #[serde(default)]
        cost: Option<Cost>,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
pub(super) struct PlanEntry {
    #[serde(default)]
    pub(super) content: String,
    #[serde(default)]
    pub(super) status: String,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(super) struct Cost {
    pub(super) amount: f64,
    #[serde(default)]
    pub(super) currency: String,
}

impl Cost {
    /// It as money, where it is dollars.
    pub(super) fn micros(&self) -> Option<Micros> {
        let is_money = self.amount.is_finite() && self.amount >= 0.0;
        // A number with a fraction cannot be turned into one without in any other way; it ends at the
        // largest there is.
        (is_money && self.currency == "USD").then(|| Micros((self.amount * 1e6).round() as u64))
    }
}

/// A call of a tool of the agent's own, or what changed about one.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ToolCall {
    pub(super) tool_call_id: String,
    pub(super) title: Option<String>,
    pub(super) kind: Option<ToolKind>,
    pub(super) status: Option<String>,
    pub(super) raw_input: Option<Value>,
    pub(super) raw_output: Option<Value>,
    pub(super) content: Option<Vec<Value>>,
    pub(super) locations: Option<Vec<Location>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Location {
    #[serde(default)]
    pub(super) path: String,
}

/// A request for permission.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct AsksPermission {
    pub(super) session_id: String,
    #[serde(default)]
    pub(super) tool_call: ToolCall,
    #[serde(default)]
    pub(super) options: Vec<PermissionOption>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PermissionOption {
    pub(super) option_id: String,
    #[serde(default)]
    pub(super) name: String,
    pub(super) kind: OptionKind,
}

impl PermissionOption {
    /// What people call it: its name, or else its id.
    pub(super) fn called(&self) -> &str {
        if self.name.trim().is_empty() { &self.option_id } else { &self.name }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum OptionKind {
    AllowOnce,
    AllowAlways,
    RejectOnce,
    RejectAlways,
    #[serde(other)]
    Other,
}

/// A request for a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ReadsFile {
    pub(super) session_id: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) line: Option<usize>,
    #[serde(default)]
    pub(super) limit: Option<usize>,
}

/// A request to write a file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WritesFile {
    pub(super) session_id: String,
    pub(super) path: String,
    pub(super) content: String,
}

/// The text of a block of content; nothing if it is none.
pub(super) fn text_of(content: &Value) -> &str {
    let inner = if content["type"] == "content" { &content["content"] } else { content };
    inner["text"].as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_by_what_they_have() {
        let read = |text: &str| read(text.as_bytes());
        assert!(matches!(
            read(r#"{"jsonrpc":"2.0","id":"a","method":"m","params":{}}"#),
            Ok(Incoming::Request { .. })
        ));
        assert!(matches!(read(r#"{"method":"m"}"#), Ok(Incoming::Notice { .. })));
        assert!(matches!(
            read(r#"{"id":1,"result":null}"#),
            Ok(Incoming::Response { result: Ok(Value::Null), .. })
        ));
        assert!(matches!(
            read(r#"{"id":1,"error":{"code":-1,"message":"no"}}"#),
            Ok(Incoming::Response { result: Err(RpcError { code: -1, .. }), .. })
        ));
        for bad in ["{}", "[]", "1", r#"{"id":1,"method":2}"#, r#"{"id":1,"error":"no"}"#] {
            assert!(matches!(read(bad), Err(Unread::NoMessage)), "{bad}");
        }
        let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
        for bad in ["", "hello", "{\"id\":", &deep] {
            assert!(matches!(read(bad), Err(Unread::NoJson(_))), "{bad}");
        }
    }

    #[test]
    fn only_dollars_are_money() {
        let micros = |amount, currency: &str| Cost { amount, currency: currency.into() }.micros();
        assert_eq!(micros(0.045_000_4, "USD"), Some(Micros(45_000)));
        assert_eq!(micros(1e300, "USD"), Some(Micros(u64::MAX)));
        for amount in [-1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(micros(amount, "USD"), None);
        }
        assert_eq!(micros(1.0, "EUR"), None);
    }

    #[test]
    fn what_is_not_known_yet_is_passed_over() {
        let read = |text: &str| serde_json::from_str::<Updated>(text).map(|news| news.update);
        assert!(matches!(
            read(r#"{"sessionId":"s","update":{"sessionUpdate":"dream","of":["sheep"]}}"#),
            Ok(News::Other)
        ));
        let call = r#"{"sessionId":"s","update":{"sessionUpdate":"tool_call","toolCallId":"c","kind":"sing","new":1}}"#;
        let Ok(News::ToolCall(call)) = read(call) else { panic!("{call}") };
        assert_eq!(call.kind, Some(ToolKind::Other));
    }
}
