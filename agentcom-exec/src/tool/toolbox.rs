//! This file holds the tools that a model is given, by name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use agentcom_core::agentic::{Exposure, Reach, ThreeOfThree};
use agentcom_core::port::executor::JobContext;
use serde_json::Value;

use super::{
    ListDirectory, ReadFile, RunCommand, SearchFiles, Spec, Tool, ToolError, ToolErrorKind,
    Workspace, WriteFile, observation,
};
use crate::sandbox::Level;

/// The tools that a model is given, and what has come together by calling them.
#[derive(Clone, Debug, Default)]
pub struct Toolbox {
    tools: BTreeMap<String, Arc<dyn Tool>>,
    met: Met,
}

/// What has come together in one task, however many models work on it one after the other. Copies are
/// the same.
#[derive(Clone, Debug, Default)]
pub struct Met(Arc<Mutex<Exposure>>);

impl Met {
    /// Lets something happen, and remembers what it has to do with the world.
    ///
    /// # Errors
    ///
    /// If all three things would have come together in the task; nothing is remembered then.
    pub fn admit(&self, reach: Reach) -> Result<(), ThreeOfThree> {
        self.lock().admit(reach)
    }

    /// What has come together so far.
    #[must_use]
    pub fn get(&self) -> Reach {
        self.lock().met()
    }

    fn lock(&self) -> MutexGuard<'_, Exposure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Toolbox {
    /// The longest that a tool may answer, in bytes of JSON.
    pub const ANSWER_BYTES_MAX: usize = 256 * 1024;

    /// How much is passed on of why a tool did not do what it was asked, in bytes.
    pub const ERROR_BYTES_MAX: usize = 4 * 1024;

    /// The file tools, on `workspace`.
    #[must_use]
    pub fn of_files(workspace: &Arc<Workspace>) -> Self {
        Self::default()
            .with(ReadFile(Arc::clone(workspace)))
            .with(WriteFile(Arc::clone(workspace)))
            .with(ListDirectory(Arc::clone(workspace)))
            .with(SearchFiles(Arc::clone(workspace)))
    }

    /// The file tools on `workspace`, and commands.
    #[must_use]
    pub fn of_all(workspace: &Arc<Workspace>, commands: RunCommand) -> Self {
        Self::of_files(workspace).with(commands)
    }

    /// One tool more; it takes the place of one with the same name.
    #[must_use]
    pub fn with(self, tool: impl Tool + 'static) -> Self {
        self.with_shared(Arc::new(tool))
    }

    /// The same with a tool that others have as well.
    #[must_use]
    pub fn with_shared(mut self, tool: Arc<dyn Tool>) -> Self {
        self.tools.insert(tool.spec().name, tool);
        self
    }

    /// The same tools, for a task in which something has come together already.
    #[must_use]
    pub fn after(self, met: &Met) -> Self {
        Self { met: met.clone(), ..self }
    }

    /// What the model is told of them, by name.
    pub fn specs(&self) -> impl Iterator<Item = Spec> {
        self.tools.values().map(|tool| tool.spec())
    }

    /// Whether the tool of that name changes anything.
    #[must_use]
    pub fn changes(&self, name: &str) -> bool {
        self.tools.get(name).is_some_and(|tool| tool.changes())
    }

    /// What the tool of that name has to do with the world; nothing if there is none.
    #[must_use]
    pub fn reach(&self, name: &str) -> Reach {
        self.tools.get(name).map(|tool| tool.reach()).unwrap_or_default()
    }

    /// Lets a call of the tool of that name happen, and remembers what it has to do with the world.
    ///
    /// # Errors
    ///
    /// If all three things would have come together in the task; nothing is remembered then.
    pub fn admit(&self, name: &str) -> Result<(), ThreeOfThree> {
        self.met.admit(self.reach(name))
    }

    /// Calls a tool. Dropping the future stops what it does.
    ///
    /// # Errors
    ///
    /// If there is no such tool, what it answers is longer than [`Self::ANSWER_BYTES_MAX`], or what
    /// the tool says, its first [`Self::ERROR_BYTES_MAX`] bytes.
    pub async fn call(
        &self,
        name: &str,
        input: Value,
        ctx: &dyn JobContext,
    ) -> Result<Value, ToolError> {
        let Some(tool) = self.tools.get(name) else {
            let names: Vec<&str> = self.tools.keys().map(String::as_str).collect();
            let message = format!("there is no tool `{name}`; there are {}", names.join(", "));
            return Err(ToolError::new(ToolErrorKind::UnknownTool, message));
        };
        let told = tool.call(input, ctx).await.map_err(|error| {
            let ToolError { kind, mut message } = error;
            message.truncate(message.floor_char_boundary(Self::ERROR_BYTES_MAX));
            ToolError { kind, message }
        })?;
        let bytes = told.to_string().len();
        if bytes > Self::ANSWER_BYTES_MAX {
            let message =
                format!("the answer takes {bytes} bytes, and at most {}", Self::ANSWER_BYTES_MAX);
            let message = format!("{message} are passed on; ask `{name}` for less");
            return Err(ToolError::new(ToolErrorKind::TooLarge, message));
        }
        Ok(told)
    }

    /// What the model is told of a call of the tool of that name: what came of it, and which sandbox
    /// held it.
    #[must_use]
    pub fn observation(&self, name: &str, result: &Result<Value, ToolError>) -> Value {
        let mut told = observation(result);
        if let Some(tool) = self.tools.get(name) {
            told["sandbox"] = tool.sandbox().map_or(OUTSIDE, Level::as_str).into();
        }
        told
    }
}

/// What is said of calls that no sandbox holds.
const OUTSIDE: &str = "outside";
