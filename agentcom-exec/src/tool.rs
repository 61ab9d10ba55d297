//! This file introduces tools: what a model may do, and how it is told what came of it.
//!
//! | tool | what it does |
//! |---|---|
//! | [`ReadFile`] | reads a file, or some of its lines |
//! | [`WriteFile`] | writes a file as a whole |
//! | [`ListDirectory`] | lists a folder |
//! | [`RunCommand`] | runs a command in the [sandbox](crate::sandbox) |
//! | [`SearchFiles`] | searches files for a regular expression |
//!
//! The file tools work on an open [`Workspace`], beneath which they stay whatever paths and links
//! say; commands are confined to it by the kernel. Whoever embeds this adds tools of their own by
//! implementing [`Tool`], and gives them to coding tasks with [`crate::coding::Settings::tools`].
//!
//! What a tool answers is bounded, and always JSON: `{"ok":true,…}`, or
//! `{"ok":false,"error":"not_found","message":"…"}`, whose message says what to do instead. Beside that
//! stands what held the call: `"sandbox":"L1"` for the file tools, which stay beneath the workspace
//! and run no commands; the level of the sandbox for commands; `"sandbox":"outside"` for tools that do
//! their work where nothing confines them, such as those of MCP servers.

mod list_directory;
mod read_file;
mod run_command;
mod search_files;
mod toolbox;
mod walk;
mod workspace;
mod write_file;

use std::fmt;
use std::sync::Arc;

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::sandbox::Level;

pub use list_directory::ListDirectory;
pub use read_file::ReadFile;
pub(crate) use read_file::text_of;
pub use run_command::RunCommand;
pub use search_files::SearchFiles;
pub use toolbox::{Met, Toolbox};
pub use workspace::Workspace;
pub use write_file::WriteFile;

/// Something that a model may do.
///
/// A tool of one's own, which [`Settings::tools`](crate::coding::Settings::tools) gives to models:
///
/// ```
/// use std::sync::Arc;
///
/// use agentcom_core::agentic::Reach;
/// use agentcom_core::port::executor::JobContext;
/// use agentcom_exec::tool::{Spec, Tool, ToolError, ToolErrorKind};
/// use async_trait::async_trait;
/// use serde_json::{Value, json};
///
/// /// Says who is to be asked about a part of the code.
/// #[derive(Debug)]
/// struct Owners;
///
/// #[async_trait]
/// impl Tool for Owners {
///     fn spec(&self) -> Spec {
///         Spec {
///             name: "owner_of".into(),
///             description: "Says which team owns a folder.".into(),
///             input: json!({
///                 "type": "object",
///                 "properties": { "folder": { "type": "string" } },
///                 "required": ["folder"],
///             }),
///         }
///     }
///
///     // What it tells is written by the company itself, and is no secret.
///     fn reach(&self) -> Reach {
///         Reach::default()
///     }
///
///     async fn call(&self, input: Value, _ctx: &dyn JobContext) -> Result<Value, ToolError> {
///         let folder = input["folder"].as_str().ok_or_else(|| {
///             ToolError::new(ToolErrorKind::BadInput, "say which `folder` is meant")
///         })?;
///         Ok(json!({ "team": if folder.starts_with("docs") { "writers" } else { "core" } }))
///     }
/// }
///
/// let tools: Vec<Arc<dyn Tool>> = vec![Arc::new(Owners)];
/// # assert_eq!(tools[0].spec().name, "owner_of");
/// ```
///
/// It is called wherever the sidecar runs, outside of the sandbox, unless it sees to that itself; what
/// [`Tool::reach`] says decides whether a call is made at all (the Rule of Two: of untrusted text,
/// private data and effects outside no three come together in a task). An answer
/// longer than [`Toolbox::ANSWER_BYTES_MAX`] is not passed on.
#[async_trait]
pub trait Tool: fmt::Debug + Send + Sync {
    /// What the model is told of it.
    fn spec(&self) -> Spec;

    /// Whether it changes anything, as opposed to looking.
    fn changes(&self) -> bool {
        false
    }

    /// What it has to do with the world. [`Reach::ALL`] where nobody knows: it is refused then.
    fn reach(&self) -> Reach;

    /// The level of the sandbox that its calls run in; none if they run outside of it.
    fn sandbox(&self) -> Option<Level> {
        None
    }

    /// Does it. `input` is what the model gave, which may be anything. Dropping the future stops
    /// what it does.
    async fn call(&self, input: Value, ctx: &dyn JobContext) -> Result<Value, ToolError>;
}

/// What a model is told of a tool.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// The name by which it is called.
    pub name: String,
    /// What it is for, in a sentence or two.
    pub description: String,
    /// A JSON schema of its input, an object.
    pub input: Value,
}

impl Spec {
    /// As `/api/chat` of Ollama takes it, which is also how OpenAI's interface does.
    #[must_use]
    pub fn for_ollama(&self) -> Value {
        json!({
            "type": "function",
            "function": {
                "name": self.name, "description": self.description, "parameters": self.input,
            },
        })
    }

    /// As the Messages API of Anthropic takes it.
    #[must_use]
    pub fn for_messages(&self) -> Value {
        json!({
            "name": self.name, "description": self.description, "input_schema": self.input,
        })
    }
}

/// The reach of what looks at files of a repository.
const FILES: Reach = Reach { untrusted: true, private: false, outward: false };

/// Why a tool did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ToolError {
    /// What kind of failure it is.
    pub kind: ToolErrorKind,
    /// What went wrong and what to do instead, for the model.
    pub message: String,
}

/// Kinds of failures of tools.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ToolErrorKind {
    /// There is no such tool.
    UnknownTool,
    /// It was meant to be a call, and cannot be read as one.
    UnreadableCall,
    /// The input does not fit the schema, or cannot be: a regular expression that is none.
    BadInput,
    /// There is no such file or folder.
    NotFound,
    /// The path leads out of the workspace, or to what no tool may touch.
    Refused,
    /// It is of another kind: a folder where a file is expected, or the reverse.
    WrongKind,
    /// It is larger than tools go.
    TooLarge,
    /// It is no text.
    Binary,
    /// The command cannot be started, or not in the sandbox that is demanded.
    CannotRun,
    /// The files of the workspace would take more than they may.
    DiskFull,
    /// The task has no more time for it.
    OutOfTime,
    /// The system refused for another reason.
    Failed,
}

impl ToolError {
    /// A failure of `kind`.
    #[must_use]
    pub fn new(kind: ToolErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: message.to_string() }
    }
}

/// How much is said of an input that cannot be read, in bytes.
const READ_BYTES_MAX: usize = 400;

/// What a model is told of a call; [`Toolbox::observation`] says beside it what held the call.
#[must_use]
pub fn observation(result: &Result<Value, ToolError>) -> Value {
    match result {
        Ok(Value::Object(fields)) => {
            let mut told = fields.clone();
            told.insert("ok".to_owned(), true.into());
            Value::Object(told)
        }
        Ok(value) => json!({ "ok": true, "result": value }),
        Err(error) => json!({ "ok": false, "error": error.kind, "message": error.message }),
    }
}

/// Reads the input of a tool.
fn read<T: DeserializeOwned>(input: Value, spec: &Spec) -> Result<T, ToolError> {
    // What is a text was to be JSON, and says itself best why it is none.
    let broken = input.as_str().and_then(|text| serde_json::from_str::<Value>(text).err());
    serde_json::from_value(input).map_err(|error| {
        let error = match broken {
            Some(broken) => format!("the arguments are no JSON object: {broken}"),
            None => error.to_string(),
        };
        // It may say again all that it was given.
        let error = &error[..error.floor_char_boundary(READ_BYTES_MAX)];
        let fields = spec.input["properties"].as_object();
        let names: Vec<&str> = fields.into_iter().flatten().map(|(name, _)| &**name).collect();
        let message = format!("{error}; the fields of {} are {}", spec.name, names.join(", "));
        ToolError::new(ToolErrorKind::BadInput, message)
    })
}

fn answer(value: &impl Serialize) -> Result<Value, ToolError> {
    serde_json::to_value(value).map_err(|error| ToolError::new(ToolErrorKind::Failed, error))
}

/// Reads the input of a file tool, and does its work on a thread where it holds nobody up.
async fn on_files<I: DeserializeOwned + Send + 'static, O: Serialize + Send + 'static>(
    workspace: &Arc<Workspace>,
    input: Value,
    spec: &Spec,
    work: fn(&I, &Workspace) -> Result<O, ToolError>,
) -> Result<Value, ToolError> {
    let input: I = read(input, spec)?;
    let workspace = Arc::clone(workspace);
    match tokio::task::spawn_blocking(move || work(&input, &workspace)).await {
        Ok(done) => answer(&done?),
        Err(lost) => Err(ToolError::new(ToolErrorKind::Failed, lost)),
    }
}
