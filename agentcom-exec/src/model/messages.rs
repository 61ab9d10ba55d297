//! This file asks models by the Messages API of Anthropic, which other servers speak as well.
//!
//! Answers come as a stream of server-sent events. Protocol: Anthropic's API reference, "Messages" and
//! "Streaming Messages", version 2023-06-01.

mod answer;
mod error;

use agentcom_core::config::Secret;
use async_trait::async_trait;
use eventsource_stream::Eventsource as _;
use futures_util::StreamExt as _;
use reqwest::{Client, Response};
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Call, Format, Message, Model, ModelError, OUTPUT_TOKENS_MAX, Patience, Reply, Request, Said,
};
use answer::Answer;

/// A model that is asked by the Messages API.
#[derive(Clone, Debug)]
pub struct Messages {
    client: Client,
    url: String,
    key: Secret,
    model: String,
    context_tokens: u64,
    patience: Patience,
}

/// The version of the API that is spoken.
pub(crate) const VERSION: &str = "2023-06-01";

/// The tool that gives an answer which has to have a format.
const ANSWER: &str = "answer";

/// The longest answer as it is sent, in bytes.
const STREAM_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest line of it. Whoever reads events looks at all of a line whenever more of it comes.
const LINE_BYTES_MAX: usize = 1024 * 1024;

impl Messages {
    /// Where Anthropic's API is.
    pub const URL: &str = "https://api.anthropic.com";

    /// How many tokens models read and write at once, unless said otherwise.
    pub const CONTEXT_TOKENS: u64 = 200_000;

    /// The model `model` of the server at `url`, for whoever has `key`.
    ///
    /// # Errors
    ///
    /// If no HTTP client can be made.
    pub fn new(url: &str, key: Secret, model: &str) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: crate::web::client().build()?,
            url: url.trim_end_matches('/').to_owned(),
            key,
            model: model.to_owned(),
            context_tokens: Self::CONTEXT_TOKENS,
            patience: Patience::default(),
        })
    }

    /// With a context of another length.
    #[must_use]
    pub fn with_context(self, context_tokens: u64) -> Self {
        Self { context_tokens, ..self }
    }

    /// With another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// How many tokens an answer takes at most.
    fn output_tokens_max(&self) -> u64 {
        OUTPUT_TOKENS_MAX.min(self.context_tokens / 4)
    }

    fn body(&self, request: &Request<'_>) -> Value {
        // What is the same in each turn is read once and remembered.
        let system = json!([{
            "type": "text", "text": request.system, "cache_control": { "type": "ephemeral" },
        }]);
        let tools: Vec<Value> = request.tools.iter().map(crate::tool::Spec::for_messages).collect();
        let mut body = json!({
            "model": self.model,
            "max_tokens": self.output_tokens_max(),
            "system": system,
            "messages": turns(request.messages),
            "tools": tools,
            "stream": true,
        });
        // The API has no formats; but the input of a call has one.
        if let Some(format) = request.format {
            let schema = match format {
                Format::Json => json!({ "type": "object" }),
                Format::Schema(schema) => schema.clone(),
            };
            let answer = json!({
                "name": ANSWER, "description": "Gives the answer.", "input_schema": schema,
            });
            body["tools"] = json!([answer]);
            body["tool_choice"] = json!({ "type": "tool", "name": ANSWER });
        }
        body
    }

    async fn send(&self, asked: &Request<'_>) -> Result<Response, ModelError> {
        let url = format!("{}/v1/messages", self.url);
        let request = self.client.post(&url).header("x-api-key", self.key.reveal());
        let request = request.header("anthropic-version", VERSION).json(&self.body(asked));
        super::sent(request, &self.url, self.patience)
            .await?
            .map_err(|refused| error::of_status(refused, &self.model))
    }

    async fn hear(
        &self,
        response: Response,
        answer: &mut Answer,
        said: &mut Said<'_>,
    ) -> Result<Reply, ModelError> {
        let (mut bytes, mut line) = (0, 0);
        // Whoever reads events keeps as much as is sent; what is too much ends the stream.
        let pieces = response.bytes_stream().map(move |piece| {
            let piece = piece.map_err(|error| error.to_string())?;
            bytes += piece.len();
            if bytes > STREAM_BYTES_MAX {
                return Err(format!("it is longer than {STREAM_BYTES_MAX} bytes"));
            }
            for &byte in piece.iter() {
                line = if matches!(byte, b'\n' | b'\r') { 0 } else { line + 1 };
                if line > LINE_BYTES_MAX {
                    return Err(format!("a line is longer than {LINE_BYTES_MAX} bytes"));
                }
            }
            Ok(piece)
        });
        let mut events = std::pin::pin!(pieces.eventsource());
        let mut patience = self.patience.first;
        loop {
            let event = timeout(patience, events.next()).await;
            let event = event.map_err(|_| ModelError::Silent(patience))?;
            patience = self.patience.next;
            let Some(event) = event else {
                return Err(ModelError::Broken("it ended before it was done".to_owned()));
            };
            let event = event.map_err(|error| ModelError::Broken(error.to_string()))?;
            if let Some(reply) = answer.take(&event.data, &self.model, said)? {
                return Ok(reply);
            }
        }
    }
}

#[async_trait]
impl Model for Messages {
    fn name(&self) -> &str {
        &self.model
    }

    fn context_tokens(&self) -> u64 {
        self.context_tokens
    }

    fn paid_output_max(&self) -> Option<u64> {
        Some(self.output_tokens_max())
    }

    async fn ask(&self, request: &Request<'_>, said: &mut Said<'_>) -> Result<Reply, ModelError> {
        let whole = self.patience.whole;
        let mut answer = Answer::default();
        let asking = async {
            let response = self.send(request).await?;
            self.hear(response, &mut answer, said).await
        };
        let heard = timeout(whole, asking).await.unwrap_or(Err(ModelError::Unfinished(whole)));
        let mut reply = heard.map_err(|error| answer.counted(error))?;
        if request.format.is_some() {
            let given = std::mem::take(&mut reply.calls).into_iter();
            reply.text = given.map(|call| call.input.to_string()).next().unwrap_or(reply.text);
        }
        Ok(reply)
    }
}

/// What was said, as the API takes it: by turns, none of them empty, with all answers of tools first.
fn turns(messages: &[Message]) -> Vec<Value> {
    let mut turns: Vec<(&str, Vec<Value>)> = Vec::new();
    for message in messages {
        let (role, blocks) = match message {
            Message::User(text) => ("user", text_block(text).into_iter().collect()),
            Message::Model(reply) => ("assistant", blocks_of(reply)),
            Message::Tool { call, content } => ("user", vec![result_block(call, content)]),
        };
        match turns.last_mut() {
            _ if blocks.is_empty() => {}
            Some((last, kept)) if *last == role => kept.extend(blocks),
            Some(_) | None => turns.push((role, blocks)),
        }
    }
    // What the model is to go on with may not end in white space.
    if let Some(("assistant", content)) = turns.last_mut()
        && let Some(text) = content.last_mut().and_then(|block| block.get_mut("text"))
    {
        *text = text.as_str().unwrap_or_default().trim_end().into();
    }
    turns.into_iter().map(|(role, content)| json!({ "role": role, "content": content })).collect()
}

fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({ "type": "text", "text": text }))
}

fn blocks_of(reply: &Reply) -> Vec<Value> {
    let calls = reply.calls.iter().map(|call| {
        // Whatever else a model gave in its place was refused by the tool.
        let input = if call.input.is_object() { call.input.clone() } else { json!({}) };
        let (id, name) = (call.id.as_deref().map(word), word(&call.name));
        json!({ "type": "tool_use", "id": id, "name": name, "input": input })
    });
    text_block(&reply.text).into_iter().chain(calls).collect()
}

fn result_block(call: &Call, content: &str) -> Value {
    // What a tool shows may itself hold what looks like an error.
    let seen: Option<Value> = serde_json::from_str(content).ok();
    let failed = seen.is_some_and(|seen| seen["ok"] == false);
    let id = call.id.as_deref().map(word);
    json!({ "type": "tool_result", "tool_use_id": id, "content": content, "is_error": failed })
}

/// A name as the API takes it: of letters and digits of ASCII, `_` and `-`, which is not empty and not too
/// long. A model that writes calls into its text gives them whatever names it likes, and a conversation in
/// which one is left is refused for good.
fn word(name: &str) -> String {
    const CHARS_MAX: usize = 64;
    let fits = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    let word: String = name.chars().take(CHARS_MAX).map(fits).collect();
    if word.is_empty() { "_".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_calls_are_words_of_the_api_whatever_a_model_gives() {
        for (name, fits) in [
            ("read_file-2", "read_file-2"),
            ("fly to m\u{e4}rs", "fly_to_m_rs"),
            ("", "_"),
            (&"x".repeat(200), &"x".repeat(64)),
        ] {
            let call =
                Call { id: Some(name.to_owned()), name: name.to_owned(), input: json!(null) };
            let said = Message::Model(Reply { calls: vec![call.clone()], ..Reply::default() });
            let told = turns(&[said, Message::Tool { call, content: "{}".to_owned() }]);
            let (asked, answered) = (&told[0]["content"][0], &told[1]["content"][0]);
            assert_eq!((&asked["name"], &asked["id"]), (&json!(fits), &json!(fits)));
            assert_eq!(answered["tool_use_id"], fits);
        }
    }

    #[test]
    fn what_was_said_goes_by_turns_and_none_is_empty() {
        const SHOWS_ONE: &str = r#"{"log":[{"ok":false}],"ok":true}"#;
        let call = |id: &str| Call {
            id: Some(id.into()),
            name: "read_file".into(),
            input: json!({ "path": "a" }),
        };
        let messages = [
            Message::User("Mend it".into()),
            Message::Model(Reply { calls: ["1", "2", "3"].map(call).into(), ..Reply::default() }),
            Message::Tool { call: call("1"), content: r#"{"ok":true}"#.into() },
            Message::Tool { call: call("2"), content: r#"{"ok":false}"#.into() },
            Message::Tool { call: call("3"), content: SHOWS_ONE.into() },
            Message::Model(Reply::default()),
            Message::User("You said nothing".into()),
        ];
        let use_of = |id: &str| json!({ "type": "tool_use", "id": id, "name": "read_file", "input": { "path": "a" } });
        let result = |id: &str, content: &str, failed: bool| json!({ "type": "tool_result", "tool_use_id": id, "content": content, "is_error": failed });
        assert_eq!(
            json!(turns(&messages)),
            json!([
                { "role": "user", "content": [{ "type": "text", "text": "Mend it" }] },
                { "role": "assistant", "content": (["1", "2", "3"].map(use_of)) },
                { "role": "user", "content": [
                    result("1", r#"{"ok":true}"#, false),
                    result("2", r#"{"ok":false}"#, true),
                    result("3", SHOWS_ONE, false),
                    { "type": "text", "text": "You said nothing" },
                ] },
            ])
        );
    }
}
