//! This file writes down all that was said, also what is left out of later requests for room.

use serde_json::{Value, json};

use crate::model::{Call, Message};
use crate::transcripts::Draft;

/// How long a transcript may get, in bytes; what comes after that is only counted.
const BYTES_MAX: usize = 16 * 1024 * 1024;

/// All that was said, a JSON object on each line.
#[derive(Debug, Default)]
pub(crate) struct Transcript<'a> {
    lines: String,
    left_out: usize,
    /// Where it is written down while it is said.
    draft: Option<&'a Draft>,
}

impl<'a> Transcript<'a> {
    pub(crate) fn with(draft: &'a Draft) -> Self {
        Self { draft: Some(draft), ..Self::default() }
    }

    pub(crate) fn begin(&mut self, system: &str, tools: &[&str]) {
        self.write(&json!({ "system": system, "tools": tools }));
    }

    pub(crate) fn add(&mut self, message: &Message) {
        let call = |call: &Call| json!({ "id": call.id, "name": call.name, "input": call.input });
        self.write(&match message {
            Message::User(text) => json!({ "role": "user", "text": text }),
            Message::Model(reply) => json!({
                "role": "model", "text": reply.text, "thinking": reply.thinking,
                "calls": reply.calls.iter().map(call).collect::<Vec<_>>(),
                "cut": reply.ending.is_cut(),
                "tokens_in": reply.usage.read(), "tokens_out": reply.usage.output_tokens,
            }),
            Message::Tool { call, content } => {
                json!({ "role": "tool", "id": call.id, "name": call.name, "content": content })
            }
        });
    }

    pub(crate) fn write(&mut self, line: &Value) {
        let line = line.to_string();
        if self.lines.len() + line.len() > BYTES_MAX {
            self.left_out += 1;
            return;
        }
        if let Some(draft) = self.draft {
            draft.add(&line);
        }
        self.lines.push_str(&line);
        self.lines.push('\n');
    }

    pub(crate) fn into_lines(mut self) -> String {
        if self.left_out > 0 {
            self.lines.push_str(&format!("{}\n", json!({ "left_out": self.left_out })));
        }
        self.lines
    }
}
