//! This file reads the lines that the program prints. What it does not know it passes over: versions
//! differ, and say more than is needed.

use std::collections::BTreeMap;
use std::time::Duration;

use agentcom_core::money::Micros;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::model::Usage;

/// A line.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Line {
    System(System),
    Assistant(Said),
    User(Said),
    RateLimitEvent {
        #[serde(alias = "rateLimitInfo")]
        rate_limit_info: RateLimit,
    },
    ControlRequest {
        request_id: String,
        request: Asked,
    },
    Result(Box<Outcome>),
    #[serde(other)]
    Other,
}

/// Something about the program itself.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct System {
    pub(super) subtype: String,
    pub(super) model: Option<String>,
    pub(super) tools: Vec<String>,
    pub(super) claude_code_version: Option<String>,
    pub(super) error: Option<Value>,
    #[serde(deserialize_with = "number")]
    pub(super) error_status: u64,
    #[serde(deserialize_with = "number")]
    pub(super) retry_delay_ms: u64,
}

/// Something that the model or a tool says.
#[derive(Debug, Deserialize)]
pub(super) struct Said {
    pub(super) message: Message,
    /// The call of which this is a part: it is said by or to an agent of the agent's own.
    #[serde(default)]
    pub(super) parent_tool_use_id: Option<String>,
    /// Why there is no real message.
    #[serde(default)]
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Message {
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) content: Content,
    #[serde(default)]
    pub(super) usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Content {
    Blocks(Vec<Block>),
    Text(String),
}

impl Default for Content {
    fn default() -> Self {
        Self::Blocks(Vec::new())
    }
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Block {
    Text {
        text: String,
    },
    Thinking {
        #[serde(default)]
        thinking: String,
    },
    ToolUse {
        id: String,
        name: String,
        #[serde(default)]
        input: Value,
    },
    ToolResult {
        tool_use_id: String,
        #[serde(default)]
        content: Value,
        #[serde(default)]
        is_error: Option<bool>,
    },
    #[serde(other)]
    Other,
}

/// Tokens of a message.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Tokens {
    #[serde(deserialize_with = "number", alias = "inputTokens")]
    input_tokens: u64,
    #[serde(deserialize_with = "number", alias = "outputTokens")]
    output_tokens: u64,
    #[serde(deserialize_with = "number", alias = "cacheReadInputTokens")]
    cache_read_input_tokens: u64,
    #[serde(deserialize_with = "number", alias = "cacheCreationInputTokens")]
    cache_creation_input_tokens: u64,
}

impl From<Tokens> for Usage {
    fn from(tokens: Tokens) -> Self {
        Self {
            input_tokens: tokens.input_tokens,
            output_tokens: tokens.output_tokens,
            cache_read_tokens: tokens.cache_read_input_tokens,
            cache_write_tokens: tokens.cache_creation_input_tokens,
        }
    }
}

/// How much of a quota is left. Its names have been spelled in two ways.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct RateLimit {
    pub(super) status: String,
    /// Seconds since 1970.
    #[serde(alias = "resets_at", deserialize_with = "number")]
    pub(super) resets_at: u64,
    #[serde(alias = "rate_limit_type")]
    pub(super) rate_limit_type: Option<String>,
    #[serde(alias = "overage_status")]
    pub(super) overage_status: Option<String>,
}

impl RateLimit {
    /// Whether nothing more can be asked: beyond its quota there may be money.
    pub(super) fn is_spent(&self) -> bool {
        let paid =
            self.overage_status.as_deref().is_some_and(|status| status.starts_with("allowed"));
        self.status == "rejected" && !paid
    }
}

/// What the program asks whoever started it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) subtype: String,
    pub(super) tool_name: String,
    pub(super) input: Value,
}

/// How it ended.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Outcome {
    pub(super) subtype: String,
    pub(super) is_error: Option<bool>,
    pub(super) result: Option<String>,
    errors: Option<Vec<Value>>,
    #[serde(deserialize_with = "number")]
    pub(super) num_turns: u64,
    total_cost_usd: Option<f64>,
    usage: Option<Tokens>,
    #[serde(rename = "modelUsage")]
    by_model: Option<BTreeMap<String, Tokens>>,
    pub(super) api_error_status: Option<Value>,
    pub(super) terminal_reason: Option<String>,
}

impl Outcome {
    /// What all of it took, that of agents of the agent's own included.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for tokens in self.by_model.iter().flat_map(BTreeMap::values) {
            usage += (*tokens).into();
        }
        if usage == Usage::default() {
            usage = self.usage.unwrap_or_default().into();
        }
        usage
    }

    /// What its vendor reckons that it costs.
    pub(super) fn cost(&self) -> Option<Micros> {
        // Millionths of dollars are to dollars as microseconds are to seconds.
        let dollars = Duration::try_from_secs_f64(self.total_cost_usd?).ok()?;
        Some(Micros(u64::try_from(dollars.as_micros()).unwrap_or(u64::MAX)))
    }

    /// The status of the API's last answer, if that is why it ended.
    pub(super) fn status(&self) -> Option<u64> {
        let status = self.api_error_status.as_ref()?;
        status.as_u64().or_else(|| status.as_str()?.parse().ok())
    }

    /// What it says, or else what went wrong.
    pub(super) fn text(&self) -> String {
        let errors = self.errors.iter().flatten();
        let errors =
            errors.map(|error| error.as_str().map_or_else(|| error.to_string(), str::to_owned));
        let errors = errors.collect::<Vec<_>>().join("; ");
        let parts = [self.result.as_deref(), Some(&*errors), self.terminal_reason.as_deref()];
        let said = parts.into_iter().flatten().find(|part| !part.trim().is_empty());
        said.map_or_else(|| self.subtype.clone(), str::to_owned)
    }
}

/// A number that may be missing, or be no whole one.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let part = || Duration::try_from_secs_f64(value.as_f64()?).ok().map(|span| span.as_secs());
    Ok(value.as_u64().or_else(part).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(text: &str) -> Outcome {
        let Line::Result(outcome) = serde_json::from_str(text).unwrap() else { panic!("{text}") };
        *outcome
    }

    #[test]
    fn what_it_took_is_summed_over_its_models() {
        let told = outcome(
            r#"{"type":"result","subtype":"success","is_error":false,"total_cost_usd":0.0123456,
                "usage":{"input_tokens":1,"output_tokens":1},"modelUsage":{
                "a":{"inputTokens":10,"outputTokens":20,"cacheReadInputTokens":30,"costUSD":0.01},
                "b":{"inputTokens":1,"outputTokens":2,"cacheCreationInputTokens":4}}}"#,
        );
        let expected = Usage {
            input_tokens: 11,
            output_tokens: 22,
            cache_read_tokens: 30,
            cache_write_tokens: 4,
        };
        assert_eq!((told.usage(), told.cost()), (expected, Some(Micros(12_345))));
        let told = outcome(r#"{"type":"result","usage":{"input_tokens":7},"total_cost_usd":-1}"#);
        let expected = Usage { input_tokens: 7, ..Usage::default() };
        assert_eq!((told.usage(), told.cost()), (expected, None));
    }

    #[test]
    fn a_quota_is_spent_unless_money_goes_on() {
        let spent = |text: &str| {
            let line = serde_json::from_str(text).unwrap();
            matches!(line, Line::RateLimitEvent { rate_limit_info: limit } if limit.is_spent())
        };
        let event =
            |info: &str| format!(r#"{{"type":"rate_limit_event","rate_limit_info":{info}}}"#);
        assert!(spent(&event(r#"{"status":"rejected","resetsAt":9}"#)));
        assert!(spent(&event(r#"{"status":"rejected","overage_status":"rejected"}"#)));
        assert!(!spent(&event(r#"{"status":"rejected","overageStatus":"allowed_warning"}"#)));
        assert!(!spent(&event(r#"{"status":"allowed_warning","utilization":0.9}"#)));
    }

    #[test]
    fn what_nobody_knows_is_no_error() {
        for text in [
            r#"{"type":"prompt_suggestion","text":"x"}"#,
            r#"{"type":"system","subtype":"task_progress","more":[1]}"#,
            r#"{"type":"assistant","message":{"content":[{"type":"server_tool_use"}],"usage":null}}"#,
            r#"{"type":"user","message":{"role":"user","content":"text"},"isReplay":true}"#,
        ] {
            serde_json::from_str::<Line>(text).unwrap();
        }
    }
}
