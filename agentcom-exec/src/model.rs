//! This file says what a language model is asked and what it answers, whoever serves it.
//!
//! | module | what is there |
//! |---|---|
//! | [`calls`] | which tools a model calls, in whatever way it says so |
//! | [`history`] | how what was said is kept within the length that the model can read |
//! | [`messages`] | models that are asked by the Messages API of Anthropic |
//! | [`ollama`] | models that an Ollama server runs |

pub mod calls;
pub mod history;
pub mod messages;
pub mod ollama;
mod repair;

use std::fmt;
use std::time::Duration;

use agentcom_core::agentic::ThreeOfThree;
use agentcom_core::ledger::NotGranted;
use async_trait::async_trait;
use serde_json::Value;
use tokio::time::timeout;

use crate::acp::AcpError;
use crate::tool::Spec;

pub use agentcom_core::money::Usage;
pub use messages::Messages;
pub use ollama::Ollama;

/// How many tokens an answer may have, thoughts among them, whatever the context has room for.
const OUTPUT_TOKENS_MAX: u64 = 8_192;

/// A model that can be asked.
#[async_trait]
pub trait Model: fmt::Debug + Send + Sync {
    /// Its name.
    fn name(&self) -> &str;

    /// How many tokens it can read and write at once.
    fn context_tokens(&self) -> u64;

    /// How many tokens an answer takes at most, if each costs money. What is free needs no leave, and
    /// is counted all the same.
    fn paid_output_max(&self) -> Option<u64> {
        None
    }

    /// Asks it. What it says, and what its server tells of that meanwhile, is passed to `said` as it
    /// comes. Dropping the future ends the request.
    async fn ask(&self, request: &Request<'_>, said: &mut Said<'_>) -> Result<Reply, ModelError>;
}

/// Hears an answer, piece by piece.
pub type Said<'a> = dyn FnMut(Heard<'_>) + Send + 'a;

/// A piece of an answer, or what is told of it.
#[derive(Clone, Copy, Debug)]
pub enum Heard<'a> {
    /// The model says this.
    Text(&'a str),
    /// It thinks this.
    Thought(&'a str),
    /// So much the answer took until then, as the server tells it.
    Took(Usage),
}

/// What a model is asked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request<'a> {
    /// What it is to know before all else.
    pub system: &'a str,
    /// What was said so far.
    pub messages: &'a [Message],
    /// What it may call.
    pub tools: &'a [Spec],
    /// What the whole of its answer has to be, if not any text. Whoever is held to that from the first
    /// word cannot call anything, so that no `tools` are offered then.
    pub format: Option<&'a Format>,
}

/// What an answer has to be, by the server's doing and not by the model's will.
#[derive(Clone, Debug, PartialEq)]
pub enum Format {
    /// A JSON object.
    Json,
    /// What this JSON schema describes, which has to be an object for servers of the Messages API.
    Schema(Value),
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// By whoever has work for the model.
    User(String),
    /// By the model.
    Model(Reply),
    /// By a tool that the model called.
    Tool {
        /// Which call is answered.
        call: Call,
        /// What the tool says, as JSON.
        content: String,
    },
}

/// What a model answered.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// What it says.
    pub text: String,
    /// What it thinks, where that is told apart.
    pub thinking: String,
    /// What it calls.
    pub calls: Vec<Call>,
    /// What it meant to call, in its text, and cannot be read. [`calls::settle`] finds that.
    pub unreadable: Vec<Unreadable>,
    /// What it took.
    pub usage: Usage,
    /// How it ends.
    pub ending: Ending,
}

/// How an answer ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ending {
    /// With all that the model wanted to say.
    #[default]
    Whole,
    /// It was cut off because it was too long.
    Cut,
    /// It was cut off because the context of the model is full.
    Full,
    /// Not yet: the model goes on when it is asked once more, with what it has said so far.
    Paused,
}

impl Ending {
    /// Whether the end is missing.
    #[must_use]
    pub fn is_cut(self) -> bool {
        match self {
            Self::Cut | Self::Full => true,
            Self::Whole | Self::Paused => false,
        }
    }
}

/// A call of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The name that the server gave to the call.
    pub id: Option<String>,
    /// The tool.
    pub name: String,
    /// Its input.
    pub input: Value,
}

/// What is meant to be a call of a tool, and cannot be read as one. It is not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The tool, if its name can be told.
    pub name: Option<String>,
    /// What it looks like, its beginning if that is long.
    pub text: String,
    /// Why it cannot be read, for the model.
    pub why: String,
}

/// How long a model may say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until it begins: it may have to be loaded, and to read what it is asked.
    pub first: Duration,
    /// Between one piece of its answer and the next.
    pub next: Duration,
    /// In all.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first: Duration::from_secs(300),
            next: Duration::from_secs(60),
            whole: Duration::from_secs(900),
        }
    }
}

/// Why a model gave no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ModelError {
    /// Nobody serves it there.
    #[error("nothing answers at {url}: {seen}")]
    Unreachable {
        /// Where.
        url: String,
        /// What was seen.
        seen: String,
    },
    /// It is busy, or still loading.
    #[error("the model is busy: {seen}")]
    Busy {
        /// What was seen.
        seen: String,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The program that asks it cannot be run.
    #[error("it cannot be run: {0}")]
    NotRun(String),
    /// It was not put to work, since it would bring together what may not come together in a task.
    #[error("{0}")]
    ThreeOfThree(ThreeOfThree),
    /// As much was asked of it as may be, for a while: by this task and all others of whoever pays.
    #[error("the quota of {} is used up: {seen}", .of.as_deref().unwrap_or("the model"))]
    Quota {
        /// Whose it is: the name of a credential, where that is known.
        of: Option<String>,
        /// What was seen.
        seen: String,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    /// The model does not want to do it.
    #[error("the model declines: {0}")]
    Declined(String),
    /// There is no such model.
    #[error("there is no model `{model}`: {seen}")]
    NoModel {
        /// Its name.
        model: String,
        /// What the server said.
        seen: String,
    },
    /// It cannot call tools.
    #[error(
        "the model `{0}` cannot call tools; take one that can, such as qwen3:8b, or have it call them \
         by `format`"
    )]
    NoTools(String),
    /// It cannot think, and is told to.
    #[error("the model `{0}` does not think; do not say how much it is to")]
    NoThinking(String),
    /// It was asked more than it can read.
    #[error("what was said is too long for the model: {0}")]
    TooLong(String),
    /// It read only a part of what it was asked, and did not say so.
    #[error("the model read {read} tokens of at least {sent}: its context is too short")]
    Truncated {
        /// How many it was sent, at the least.
        sent: u64,
        /// How many it read.
        read: u64,
    },
    /// It said nothing for too long.
    #[error("the model said nothing for {0:?}")]
    Silent(Duration),
    /// It was not done with its answer in time.
    #[error("the answer was not done after {0:?}")]
    Unfinished(Duration),
    /// The server refused, for good.
    #[error("the server refuses: {status} {seen}")]
    Refused {
        /// The status of its answer.
        status: u16,
        /// What it said.
        seen: String,
    },
    /// A foreign agent, and not a model alone, did not do its work.
    #[error(transparent)]
    Agent(#[from] AcpError),
    /// The answer broke off, or is none.
    #[error("the answer is broken: {0}")]
    Broken(String),
    /// It may not be paid for.
    #[error("{0}")]
    NotPaid(NotGranted),
    /// The server had told by then what the call took.
    #[error("{error}")]
    Counted {
        /// What that is.
        taken: Taken,
        /// Why there is no answer.
        error: Box<Self>,
    },
}

/// What a call took that came to nothing, as the server tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// So much, and no more.
    All(Usage),
    /// So much at least: the answer broke off.
    AtLeast(Usage),
}

impl Taken {
    /// What is known of it.
    #[must_use]
    pub const fn usage(self) -> Usage {
        match self {
            Self::All(usage) | Self::AtLeast(usage) => usage,
        }
    }
}

impl ModelError {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Quota { .. }
            | Self::Silent(_)
            | Self::Unfinished(_)
            | Self::Broken(_) => true,
            Self::Agent(error) => error.is_passing(),
            Self::Counted { error, .. } => error.is_passing(),
            Self::NoModel { .. }
            | Self::NoTools(_)
            | Self::NoThinking(_)
            | Self::NotRun(_)
            | Self::ThreeOfThree(_)
            | Self::Declined(_)
            | Self::TooLong(_)
            | Self::Truncated { .. }
            | Self::Refused { .. } => false,
            Self::NotPaid(why) => matches!(why, NotGranted::Superseded | NotGranted::Unheard),
        }
    }

    /// Whether nothing was read or written, so that nothing is to be paid.
    #[must_use]
    pub fn is_free(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::NotRun(_)
            | Self::ThreeOfThree(_)
            | Self::Quota { .. }
            | Self::NoModel { .. }
            | Self::NoTools(_)
            | Self::NoThinking(_)
            | Self::TooLong(_)
            | Self::Refused { .. }
            | Self::NotPaid(_) => true,
            Self::Agent(error) => error.is_free(),
            Self::Declined(_)
            | Self::Truncated { .. }
            | Self::Silent(_)
            | Self::Unfinished(_)
            | Self::Broken(_)
            | Self::Counted { .. } => false,
        }
    }

    /// What it took, if the server told, and the error without that.
    pub(crate) fn counted(self) -> (Option<Taken>, Self) {
        if let Self::Counted { taken, error } = self {
            return (Some(taken), *error);
        }
        (None, self)
    }
}

impl ModelError {
    /// The same, where whoever is busy asks to be left alone so long.
    fn after(mut self, span: Option<Duration>) -> Self {
        if let Self::Busy { after, .. } | Self::Quota { after, .. } = &mut self {
            *after = span;
        }
        self
    }

    /// How long it is asked to be left alone, if anybody said so.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Agent(error) if error.is_quota() => Some(AcpError::QUOTA_AFTER),
            Self::Counted { error, .. } => error.retry_after(),
            Self::Busy { after, .. } | Self::Quota { after, .. } => *after,
            Self::Unreachable { .. }
            | Self::NotRun(_)
            | Self::ThreeOfThree(_)
            | Self::Declined(_)
            | Self::NoModel { .. }
            | Self::NoTools(_)
            | Self::NoThinking(_)
            | Self::TooLong(_)
            | Self::Truncated { .. }
            | Self::Silent(_)
            | Self::Unfinished(_)
            | Self::Refused { .. }
            | Self::NotPaid(_)
            | Self::Agent(_)
            | Self::Broken(_) => None,
        }
    }
}

/// A server that cannot be asked at all.
fn unreachable(url: &str, error: &reqwest::Error) -> ModelError {
    ModelError::Unreachable { url: url.to_owned(), seen: cause_of(error) }
}

/// What is at the bottom of an error.
pub(crate) fn cause_of(error: &reqwest::Error) -> String {
    let mut seen = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        seen = inner.to_string();
        cause = inner.source();
    }
    seen
}

/// An answer that is none.
struct Refused {
    status: u16,
    /// How long it asks to be left alone.
    after: Option<Duration>,
    /// The beginning of what it says.
    text: String,
}

/// Sends a request to the server at `url`. An answer of success is one whose body is still to come.
async fn sent(
    request: reqwest::RequestBuilder,
    url: &str,
    patience: Patience,
) -> Result<Result<reqwest::Response, Refused>, ModelError> {
    let first = patience.first;
    let response = timeout(first, request.send()).await.map_err(|_| ModelError::Silent(first))?;
    let response = response.map_err(|error| unreachable(url, &error))?;
    if response.status().is_success() {
        return Ok(Ok(response));
    }
    let status = response.status().as_u16();
    let after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let after = after.and_then(|secs| secs.parse().ok()).map(Duration::from_secs);
    let text = timeout(patience.next, beginning(response)).await.unwrap_or_default();
    Ok(Err(Refused { status, after, text }))
}

/// The longest error that is told, in bytes.
const ERROR_BYTES_MAX: usize = 2_000;

/// The beginning of what a server says.
async fn beginning(mut response: reqwest::Response) -> String {
    let mut bytes = Vec::new();
    while let Ok(Some(piece)) = response.chunk().await {
        bytes.extend_from_slice(&piece);
        if bytes.len() > ERROR_BYTES_MAX {
            break;
        }
    }
    cut(String::from_utf8_lossy(&bytes).into_owned())
}

fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
    text
}
