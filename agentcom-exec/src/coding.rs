//! This file does coding tasks: a model works in a worktree of its own, what it did is committed,
//! checked in a clean checkout, corrected if need be, pushed, and proposed.
//!
//! ```text
//! fetched base ─▶ worktree ─▶ model and tools ─▶ commit ─▶ clean checkout ─▶ checks ─┬▶ push, pull request
//!                                 ▲                                                  │
//!                                 └───────────── what does not hold ─────────────────┘
//! ```
//!
//! The checks decide how the task ends; the word of the model does not count. What was done is never
//! lost: it is on the branch of the task, also where the checks do not hold.

mod input;
mod outcome;
mod place;
mod work;

use std::path::PathBuf;
use std::sync::Arc;

use agentcom_core::config::Secret;
use agentcom_core::name::Kind;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::wire::Assignment;
use async_trait::async_trait;

pub use input::{BadCodingInput, CodingInput};

use crate::blobs::Blobs;
use crate::environment::Environment;
use crate::github::GitHub;
use crate::guard::Spawner;
use crate::model::{Messages, Model, Ollama};
use crate::sandbox::Sandbox;
use work::Work;

/// Does coding tasks with models of one kind.
#[derive(Debug)]
pub struct Coding {
    kind: Kind,
    models: Arc<dyn Models>,
    settings: Settings,
}

/// Where models come from.
pub trait Models: std::fmt::Debug + Send + Sync {
    /// The model of that name, or the usual one.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    fn model(&self, name: Option<&str>) -> Result<Box<dyn Model>, String>;
}

/// Where and how coding tasks are done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Starts commands.
    pub spawner: Spawner,
    /// Confines them. There is no way to do without.
    pub sandbox: Sandbox,
    /// What commands see of the environment.
    pub environment: Environment,
    /// The clone whose remote tasks are done for.
    pub repository: PathBuf,
    /// Where worktrees are made; outside of the clone.
    pub worktrees: PathBuf,
    /// Where all that models say is kept.
    pub transcripts: Blobs,
    /// Where pull requests are opened; without it branches are only pushed.
    pub github: Option<GitHub>,
}

impl Coding {
    /// Does tasks of `kind` with `models`.
    #[must_use]
    pub fn new(kind: Kind, models: Arc<dyn Models>, settings: Settings) -> Self {
        Self { kind, models, settings }
    }

    /// Does tasks of the kind `claude` with models that are asked by the Messages API.
    ///
    /// # Panics
    ///
    /// Never: the word is a valid kind.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the word is a constant")]
    pub fn with_messages(models: MessagesModels, settings: Settings) -> Self {
        let kind = Kind::new(MessagesModels::KIND).expect("a valid kind");
        Self::new(kind, Arc::new(models), settings)
    }

    /// Does tasks of the kind `ollama` with models of an Ollama server.
    ///
    /// # Panics
    ///
    /// Never: the word is a valid kind.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the word is a constant")]
    pub fn with_ollama(models: OllamaModels, settings: Settings) -> Self {
        let kind = Kind::new(OllamaModels::KIND).expect("a valid kind");
        Self::new(kind, Arc::new(models), settings)
    }
}

/// Models of an Ollama server.
#[derive(Clone, Debug)]
pub struct OllamaModels {
    /// Where it is.
    pub url: String,
    /// The model for tasks that name none.
    pub model: String,
    /// How many tokens models read and write at once.
    pub context_tokens: u64,
}

impl OllamaModels {
    /// The kind of operation.
    pub const KIND: &str = "ollama";
}

impl Models for OllamaModels {
    fn model(&self, name: Option<&str>) -> Result<Box<dyn Model>, String> {
        let model = Ollama::new(&self.url, name.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(Box::new(model.with_context(self.context_tokens)))
    }
}

/// Models that are asked by the Messages API of Anthropic.
#[derive(Clone, Debug)]
pub struct MessagesModels {
    /// Where it is.
    pub url: String,
    /// Who pays.
    pub key: Secret,
    /// The model for tasks that name none.
    pub model: String,
    /// How many tokens models read and write at once.
    pub context_tokens: u64,
}

impl MessagesModels {
    /// The kind of operation.
    pub const KIND: &str = "claude";
}

impl Models for MessagesModels {
    fn model(&self, name: Option<&str>) -> Result<Box<dyn Model>, String> {
        let model = Messages::new(&self.url, self.key.clone(), name.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(Box::new(model.with_context(self.context_tokens)))
    }
}

#[async_trait]
impl Executor for Coding {
    fn kind(&self) -> Kind {
        self.kind.clone()
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let input = match CodingInput::read(&job.op.input) {
            Ok(input) => input,
            Err(bad) => return JobOutcome::permanent(bad),
        };
        let model = match self.models.model(input.model.as_deref()) {
            Ok(model) => model,
            Err(error) => return JobOutcome::permanent(error),
        };
        let work = Work { settings: &self.settings, job, input: &input, model: &*model, ctx };
        tokio::select! {
            biased;
            () = ctx.cancelled() => JobOutcome::Stopped,
            outcome = work.run() => outcome,
        }
    }
}
