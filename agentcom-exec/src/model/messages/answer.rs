//! This file puts an answer together from the events of its stream.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::error::{self, Wrong};
use crate::model::{Call, Ending, Heard, ModelError, Reply, Said, Taken, Usage};

/// An event. Those of other types, such as `ping`, say nothing.
#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event {
    MessageStart {
        message: Start,
    },
    ContentBlockStart {
        index: u64,
        content_block: Block,
    },
    ContentBlockDelta {
        index: u64,
        delta: Delta,
    },
    MessageDelta {
        delta: Stopped,
        usage: Option<Tokens>,
    },
    MessageStop,
    Error {
        error: Wrong,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Start {
    usage: Option<Tokens>,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Block {
    Text {
        text: String,
    },
    ToolUse {
        id: String,
        name: String,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type")]
enum Delta {
    #[serde(rename = "text_delta")]
    Text { text: String },
    #[serde(rename = "input_json_delta")]
    InputJson { partial_json: String },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: String },
    #[serde(other)]
    Other,
}

#[derive(Debug, Deserialize)]
struct Stopped {
    stop_reason: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Tokens {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
}

/// A call whose input is still coming.
#[derive(Debug)]
struct Calling {
    id: String,
    name: String,
    input: String,
}

/// What was heard of an answer so far.
#[derive(Debug, Default)]
pub(super) struct Answer {
    reply: Reply,
    calls: BTreeMap<u64, Calling>,
    stop_reason: Option<String>,
}

impl Answer {
    /// Takes the data of an event of the stream of `model` in; the reply, if it was the last.
    pub(super) fn take(
        &mut self,
        data: &str,
        model: &str,
        said: &mut Said<'_>,
    ) -> Result<Option<Reply>, ModelError> {
        let event: Event =
            serde_json::from_str(data).map_err(|error| ModelError::Broken(error.to_string()))?;
        match event {
            Event::MessageStart { message } => self.count(message.usage, said),
            Event::ContentBlockStart { index, content_block } => match content_block {
                Block::Text { text } => self.say(&text, said),
                Block::ToolUse { id, name } => {
                    self.calls.insert(index, Calling { id, name, input: String::new() });
                }
                Block::Other => {}
            },
            Event::ContentBlockDelta { index, delta } => match delta {
                Delta::Text { text } => self.say(&text, said),
                Delta::Thinking { thinking } => {
                    said(Heard::Thought(&thinking));
                    self.reply.thinking.push_str(&thinking);
                }
                Delta::InputJson { partial_json } => {
                    let calling = self.calls.get_mut(&index);
                    let calling = calling.ok_or_else(|| {
                        ModelError::Broken("the input of a call that was not begun".to_owned())
                    })?;
                    calling.input.push_str(&partial_json);
                }
                Delta::Other => {}
            },
            Event::MessageDelta { delta, usage } => {
                self.stop_reason = delta.stop_reason.or(self.stop_reason.take());
                self.count(usage, said);
            }
            Event::MessageStop => return self.end().map(Some),
            Event::Error { error } => return Err(error::of_kind(error, model)),
            Event::Other => {}
        }
        Ok(None)
    }

    /// The error that an answer came to, with what it took, if that was told.
    pub(super) fn counted(&self, error: ModelError) -> ModelError {
        let usage = self.reply.usage;
        if usage == Usage::default() {
            return error;
        }
        // One that declines has said so to its end.
        let is_all = matches!(error, ModelError::Declined(_));
        let taken = if is_all { Taken::All(usage) } else { Taken::AtLeast(usage) };
        ModelError::Counted { taken, error: Box::new(error) }
    }

    fn say(&mut self, text: &str, said: &mut Said<'_>) {
        if !text.is_empty() {
            said(Heard::Text(text));
            self.reply.text.push_str(text);
        }
    }

    /// The figures of each event take in those before.
    fn count(&mut self, tokens: Option<Tokens>, said: &mut Said<'_>) {
        let Some(tokens) = tokens else { return };
        let seen = self.reply.usage;
        let more = |seen: u64, told: Option<u64>| seen.max(told.unwrap_or(0));
        self.reply.usage = Usage {
            input_tokens: more(seen.input_tokens, tokens.input_tokens),
            output_tokens: more(seen.output_tokens, tokens.output_tokens),
            cache_read_tokens: more(seen.cache_read_tokens, tokens.cache_read_input_tokens),
            cache_write_tokens: more(seen.cache_write_tokens, tokens.cache_creation_input_tokens),
        };
        said(Heard::Took(self.reply.usage));
    }

    fn end(&mut self) -> Result<Reply, ModelError> {
        match self.stop_reason.as_deref() {
            Some("refusal") => {
                return Err(ModelError::Declined(std::mem::take(&mut self.reply.text)));
            }
            Some("model_context_window_exceeded") => self.reply.ending = Ending::Full,
            Some("max_tokens") => self.reply.ending = Ending::Cut,
            Some("pause_turn") => self.reply.ending = Ending::Paused,
            // `end_turn`, `stop_sequence` and `tool_use`, and what later versions may have: whether the
            // task is done is not for the model to say.
            Some(_) | None => {}
        }
        let calls = std::mem::take(&mut self.calls);
        self.reply.calls = calls
            .into_values()
            .map(|Calling { id, name, input }| {
                // What is no JSON is left to be mended, as a text.
                let input = match serde_json::from_str(&input) {
                    Ok(value) => value,
                    Err(_) if input.is_empty() => Value::Object(Map::new()),
                    Err(_) => Value::String(input),
                };
                Call { id: Some(id), name, input }
            })
            .collect();
        Ok(std::mem::take(&mut self.reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_of_tokens_may_be_null() {
        let nulls = r#"{"input_tokens":7,"output_tokens":null,"cache_creation_input_tokens":null}"#;
        let mut answer = Answer::default();
        for event in [
            format!(r#"{{"type":"message_start","message":{{"usage":{nulls}}}}}"#),
            format!(r#"{{"type":"message_delta","delta":{{}},"usage":{nulls}}}"#),
            r#"{"type":"message_delta","delta":{},"usage":null}"#.to_owned(),
        ] {
            assert_eq!(answer.take(&event, "m", &mut |_| {}).unwrap(), None);
        }
        let Some(reply) = answer.take(r#"{"type":"message_stop"}"#, "m", &mut |_| {}).unwrap()
        else {
            panic!("it was the last event")
        };
        assert_eq!(reply.usage, Usage { input_tokens: 7, ..Usage::default() });
    }
}
