//! This file asks models that an Ollama server runs, by `POST /api/chat`.
//!
//! What the server would do in silence is turned off: it neither drops the oldest messages
//! (`truncate`) nor shifts its window (`shift`), and a context of one fixed length is asked for, so
//! that the model is not loaded anew for each request. An answer has a bound of its own (`num_predict`),
//! so that one without end ends also where a server goes on with what it has dropped. A server that does it all the same is found
//! out by whoever goes on asking, by the number of tokens that it says it read ([`Usage`]). Protocol: Ollama's `docs/api.md` and
//! `api/types.go`.

mod by_format;
mod installed;
mod unread;

use agentcom_core::endpoint::{Calls, ContextTokens, ModelOptions, Think};
use async_trait::async_trait;
use reqwest::{Client, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::{
    Call, Ending, Format, Heard, Message, Model, ModelError, OUTPUT_TOKENS_MAX, Patience, Reply,
    Request, Said, Usage, cut, history,
};

use crate::lines::Lines;

pub use installed::{Installed, installed, listed};

/// A model that an Ollama server runs.
#[derive(Clone, Debug)]
pub struct Ollama {
    client: Client,
    url: String,
    model: String,
    context_tokens: u64,
    think: Option<Think>,
    calls: Calls,
    patience: Patience,
}

/// The longest line, in bytes.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest answer, in bytes of text, thoughts and calls.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;

impl Ollama {
    /// Where Ollama listens unless it is told otherwise.
    pub const URL: &str = "http://127.0.0.1:11434";

    /// How many tokens a model reads and writes at once, unless said otherwise: enough for agents,
    /// and little enough for 16 GiB with a model of 8 billion parameters.
    pub const CONTEXT_TOKENS: u64 = 16_384;

    /// The model `model` of the server at `url`.
    ///
    /// # Errors
    ///
    /// If no HTTP client can be made.
    pub fn new(url: &str, model: &str) -> Result<Self, reqwest::Error> {
        Ok(Self {
            client: crate::web::client().build()?,
            url: url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            context_tokens: Self::CONTEXT_TOKENS,
            think: None,
            calls: Calls::default(),
            patience: Patience::default(),
        })
    }

    /// Asked in another way. The server loads the model anew where its context had another length.
    #[must_use]
    pub fn with_options(self, options: ModelOptions) -> Self {
        let context = options.context_tokens.map(ContextTokens::get);
        let context_tokens = context.unwrap_or(self.context_tokens);
        let calls = options.calls.unwrap_or(self.calls);
        Self { context_tokens, think: options.think.or(self.think), calls, ..self }
    }

    /// With another patience.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// How many tokens an answer takes at most: what its question leaves of the context, which is the
    /// quarter that is kept for it or more.
    fn output_tokens_max(&self, request: &Request<'_>) -> u64 {
        let left = self.context_tokens.saturating_sub(history::tokens(request));
        left.max(self.context_tokens / 4).min(OUTPUT_TOKENS_MAX)
    }

    fn body(&self, request: &Request<'_>) -> Value {
        let system = json!({ "role": "system", "content": request.system });
        let messages = std::iter::once(system).chain(request.messages.iter().map(message));
        let tools = if request.format.is_some() { &[] } else { request.tools };
        let tools = tools.iter().map(crate::tool::Spec::for_ollama);
        let mut body = json!({
            "model": self.model,
            "messages": messages.collect::<Vec<_>>(),
            "tools": tools.collect::<Vec<_>>(),
            "stream": true,
            "truncate": false,
            "shift": false,
            "options": {
                "num_ctx": self.context_tokens,
                "num_predict": self.output_tokens_max(request),
            },
        });
        if let Some(format) = request.format {
            body["format"] = match format {
                Format::Json => "json".into(),
                Format::Schema(schema) => schema.clone(),
            };
        }
        // A model that thinks does so unless it is told not to; one that does not may not be told to.
        if let Some(think) = self.think {
            body["think"] = match think {
                Think::Off => false.into(),
                Think::On => true.into(),
                Think::Low | Think::Medium | Think::High => think.as_str().into(),
            };
        }
        body
    }

    /// Asks; the answer at once if it is a call that the server could not read.
    async fn send(&self, request: &Request<'_>) -> Result<Result<Response, Reply>, ModelError> {
        let url = format!("{}/api/chat", self.url);
        let request = self.client.post(&url).json(&self.body(request));
        let refused = match super::sent(request, &self.url, self.patience).await? {
            Ok(response) => return Ok(Ok(response)),
            Err(refused) => refused,
        };
        // What it says of an error: `{"error": "text"}`, or whatever it is.
        let said = serde_json::from_str::<Wrong>(&refused.text);
        let seen = said.map_or(refused.text, |said| said.unwrapped());
        if let Some(reply) = unread::answer(&seen) {
            return Ok(Err(reply));
        }
        let mut error = self.refusal(refused.status, seen).after(refused.after);
        if let ModelError::NoModel { seen, .. } = &mut error {
            seen.push_str(&self.others().await);
        }
        Err(error)
    }

    /// Which models the server has, to be said where it lacks the one that is wanted.
    async fn others(&self) -> String {
        match installed(&self.url).await {
            Ok(models) if models.is_empty() => "; it has no models".to_owned(),
            Ok(models) => {
                let names: Vec<String> = models.into_iter().map(|model| model.name).collect();
                cut(format!("; it has {}", listed(&names)))
            }
            // Then what it said is all that is known.
            Err(_) => String::new(),
        }
    }

    /// What an answer that is none means.
    fn refusal(&self, status: u16, seen: String) -> ModelError {
        match status {
            404 => ModelError::NoModel { model: self.model.clone(), seen },
            400 if seen.contains("does not support tools") => {
                ModelError::NoTools(self.model.clone())
            }
            400 if seen.contains("does not support thinking") => {
                ModelError::NoThinking(self.model.clone())
            }
            // Ollama says the first; what runs the model behind it says the second.
            400 if seen.contains("context length") || seen.contains("context size") => {
                ModelError::TooLong(seen)
            }
            429 => ModelError::Quota { of: None, seen, after: None },
            // Ollama itself never gives up waiting for a request; a proxy before it does.
            408 | 499..=599 => ModelError::Busy { seen: format!("{status} {seen}"), after: None },
            _ => ModelError::Refused { status, seen },
        }
    }

    async fn answer(
        &self,
        request: &Request<'_>,
        said: &mut Said<'_>,
    ) -> Result<Reply, ModelError> {
        match self.send(request).await? {
            Ok(response) => self.hear(response, said).await,
            Err(reply) => Ok(reply),
        }
    }

    async fn hear(&self, mut response: Response, said: &mut Said<'_>) -> Result<Reply, ModelError> {
        let mut lines = Lines::at_most(LINE_BYTES_MAX);
        let mut answer = Answer::default();
        let mut patience = self.patience.first;
        loop {
            let piece = timeout(patience, response.chunk()).await;
            let piece = piece.map_err(|_| ModelError::Silent(patience))?;
            patience = self.patience.next;
            let Some(piece) = piece.map_err(|error| ModelError::Broken(error.to_string()))? else {
                break;
            };
            for line in lines.push(&piece).map_err(broken)? {
                if let Some(reply) = answer.take(&line, self, said)? {
                    return Ok(reply);
                }
            }
        }
        match answer.take(&lines.rest(), self, said)? {
            Some(reply) => Ok(reply),
            None => Err(ModelError::Broken("it ended before it was done".to_owned())),
        }
    }
}

fn broken(error: impl std::fmt::Display) -> ModelError {
    ModelError::Broken(error.to_string())
}

#[async_trait]
impl Model for Ollama {
    fn name(&self) -> &str {
        &self.model
    }

    fn context_tokens(&self) -> u64 {
        self.context_tokens
    }

    async fn ask(&self, request: &Request<'_>, said: &mut Said<'_>) -> Result<Reply, ModelError> {
        let whole = self.patience.whole;
        let asking = async {
            if self.calls == Calls::Format && request.format.is_none() && !request.tools.is_empty()
            {
                let told = by_format::Told::of(request);
                let reply = self.answer(&told.request(), &mut by_format::hushed(said)).await?;
                return Ok(by_format::read(reply, said));
            }
            self.answer(request, said).await
        };
        timeout(whole, asking).await.map_err(|_| ModelError::Unfinished(whole))?
    }
}

/// A message as the server takes it.
fn message(message: &Message) -> Value {
    match message {
        Message::User(text) => json!({ "role": "user", "content": text }),
        Message::Model(reply) => {
            let calls = reply.calls.iter().map(|call| {
                json!({ "id": call.id, "function": { "name": call.name, "arguments": call.input } })
            });
            let calls: Vec<Value> = calls.collect();
            let mut told = json!({ "role": "assistant", "content": reply.text });
            if !reply.thinking.is_empty() {
                told["thinking"] = reply.thinking.clone().into();
            }
            if !calls.is_empty() {
                told["tool_calls"] = calls.into();
            }
            told
        }
        Message::Tool { call, content } => json!({
            "role": "tool", "tool_name": call.name, "tool_call_id": call.id, "content": content,
        }),
    }
}

/// A line of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Line {
    message: Part,
    done: bool,
    done_reason: String,
    prompt_eval_count: u64,
    eval_count: u64,
    error: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Part {
    content: String,
    thinking: String,
    tool_calls: Option<Vec<ToolCall>>,
}

#[derive(Debug, Deserialize)]
struct ToolCall {
    #[serde(default)]
    id: Option<String>,
    function: Function,
}

#[derive(Debug, Deserialize)]
struct Function {
    name: String,
    #[serde(default)]
    arguments: Value,
}

/// What was heard of an answer so far.
#[derive(Debug, Default)]
struct Answer {
    reply: Reply,
    bytes: usize,
}

impl Answer {
    /// Takes a line in; the reply, if it was the last.
    fn take(
        &mut self,
        line: &[u8],
        server: &Ollama,
        said: &mut Said<'_>,
    ) -> Result<Option<Reply>, ModelError> {
        if line.trim_ascii().is_empty() {
            return Ok(None);
        }
        let line: Line = serde_json::from_slice(line).map_err(broken)?;
        if let Some(error) = line.error {
            if let Some(reply) = unread::answer(&error) {
                return Ok(Some(reply));
            }
            return Err(server.refusal(500, cut(Wrong { error }.unwrapped())));
        }
        let Part { content, thinking, tool_calls } = line.message;
        if !content.is_empty() {
            said(Heard::Text(&content));
        }
        if !thinking.is_empty() {
            said(Heard::Thought(&thinking));
        }
        self.bytes += content.len() + thinking.len();
        self.reply.text.push_str(&content);
        self.reply.thinking.push_str(&thinking);
        for ToolCall { id, function } in tool_calls.into_iter().flatten() {
            self.bytes += function.name.len() + function.arguments.to_string().len();
            let Function { name, arguments } = function;
            self.reply.calls.push(Call { id, name, input: arguments });
        }
        if self.bytes > ANSWER_BYTES_MAX {
            return Err(broken(format_args!("it is longer than {ANSWER_BYTES_MAX} bytes")));
        }
        if !line.done {
            return Ok(None);
        }
        if line.done_reason == "length" {
            self.reply.ending = Ending::Cut;
        }
        self.reply.usage = Usage {
            input_tokens: line.prompt_eval_count,
            output_tokens: line.eval_count,
            ..Usage::default()
        };
        Ok(Some(std::mem::take(&mut self.reply)))
    }
}

#[derive(Deserialize)]
struct Wrong {
    error: String,
}

impl Wrong {
    /// What is wrong. What runs the model has its own form of an error, which Ollama passes on in its own.
    fn unwrapped(self) -> String {
        let inner = serde_json::from_str::<Value>(&self.error).unwrap_or_default();
        inner["error"]["message"].as_str().map_or(self.error, str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_what_runs_the_model_is_unwrapped() {
        let inner =
            r#"{"error":{"code":400,"message":"JSON schema conversion failed","type":"x"}}"#;
        for (error, said) in [
            (inner, "JSON schema conversion failed"),
            ("model 'm' not found", "model 'm' not found"),
            (r#"{"error":"no"}"#, r#"{"error":"no"}"#),
        ] {
            assert_eq!(Wrong { error: error.to_owned() }.unwrapped(), said);
        }
    }
}
