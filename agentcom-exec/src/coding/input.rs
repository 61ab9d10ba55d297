//! This file reads what a coding operation says beside the task itself.

use std::time::Duration;

use agentcom_core::agentic::Limits;
use agentcom_core::json::Json;
use agentcom_core::wire::Assignment;
use serde::Deserialize;

/// The input of a coding operation: `{}`, or `{"model": "qwen3:8b", "turns_max": 30}`. What is to be
/// done is the task's description.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodingInput {
    /// The model; the agent's own if it is not said.
    #[serde(default)]
    pub model: Option<String>,
    /// How often the model is asked in each round; by its tier if it is not said.
    #[serde(default)]
    pub turns_max: Option<u32>,
    /// How many tokens all rounds together may take.
    #[serde(default)]
    pub tokens_max: Option<u64>,
}

/// Why an input is none.
#[derive(Debug, thiserror::Error)]
#[error("bad input of a coding task: {0}")]
pub enum BadCodingInput {
    /// A field is unknown, or of another type.
    Field(#[from] serde_json::Error),
    /// It is no object.
    #[error("bad input of a coding task: it is no object")]
    NoObject,
}

impl CodingInput {
    /// How often a model is asked at most, whatever a task says.
    pub const TURNS_MAX: u32 = 200;

    /// Reads an operation's input; nothing at all is as good as `{}`.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn read(input: &Json) -> Result<Self, BadCodingInput> {
        match input.as_str() {
            "null" => Ok(Self::default()),
            text if text.starts_with('{') => Ok(input.read()?),
            _ => Err(BadCodingInput::NoObject),
        }
    }

    /// How long the model may go on with `job`, having used `tokens` already, with so much time left.
    pub(super) fn limits(&self, job: &Assignment, tokens: u64, time: Option<Duration>) -> Limits {
        let limits = Limits::of_tier(job.tier());
        Limits {
            turns: self.turns_max.map_or(limits.turns, |turns| turns.min(Self::TURNS_MAX)),
            tokens: self.tokens_max.map(|most| most.saturating_sub(tokens)),
            time: time.map(Into::into),
            ..limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_may_be_missing_and_may_not_say_what_nobody_knows() {
        let read = |text: &str| CodingInput::read(&Json::parse(text).unwrap());
        assert_eq!(read("null").unwrap(), CodingInput::default());
        assert_eq!(read(r#"{"model":"m"}"#).unwrap().model.as_deref(), Some("m"));
        assert!(read(r#"{"modle":"m"}"#).is_err() && read("[]").is_err());
    }
}
