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
//! lost: it is on the branch of the task, also where the checks do not hold. Of an attempt that is
//! stopped in the middle the worktree is left, of which the next attempt makes a patch, and what was
//! said becomes a transcript like any other ([`crate::transcripts`]).

mod announced;
mod drafts;
mod input;
mod models;
mod outcome;
mod place;
mod publish;
mod retention;
mod routed;
mod work;
mod worker;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::endpoint::Tuning;
use agentcom_core::name::Kind;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome, News};
use agentcom_core::risk::Rules;
use agentcom_core::task::Trace;
use agentcom_core::wire::Assignment;
use async_trait::async_trait;
use tokio::time::Instant;

pub use drafts::{BadDrafts, Drafts};
pub use input::{BadCodingInput, CodingInput};
pub use models::{Chain, MessagesModels, OllamaModels};
pub use publish::Publishing;
pub use routed::Programs;
pub(crate) use worker::reach_of_program;
pub use worker::{Bench, WithTools, Worker, Workers};

use crate::acp::Acp;
use crate::claude_code::ClaudeCode;
use crate::environment::Environment;
use crate::github::GitHub;
use crate::guard::Spawner;
use crate::keys::Keys;
use crate::mcp::Server;
use crate::output::report;
use crate::sandbox::Sandbox;
use crate::tool::Tool;
use crate::transcripts::Transcripts;
use routed::Means;
use work::Work;

/// How long the transcript of an attempt that was stopped may take to be kept: what is left of half a
/// second, with the longest grace that a worker has before.
const KEEP_WITHIN: Duration = Duration::from_millis(50);

/// Does coding tasks with workers of one kind.
#[derive(Debug)]
pub struct Coding {
    kind: Kind,
    workers: Arc<dyn Workers>,
    settings: Settings,
    means: Means,
}

/// Where and how coding tasks are done.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Starts commands.
    pub spawner: Spawner,
    /// Confines them. At L1 none are run: models have tools for files only, and checks that are
    /// commands are not made.
    pub sandbox: Sandbox,
    /// What commands see of the environment.
    pub environment: Environment,
    /// The clone whose remote tasks are done for.
    pub repository: PathBuf,
    /// Where worktrees are made; outside of the clone.
    pub worktrees: PathBuf,
    /// How long a worktree stays that an attempt has left, for people to look at; then it is put away,
    /// with a patch of what was not committed beside it.
    pub worktrees_kept: Duration,
    /// Where all that models say is kept.
    pub transcripts: Transcripts,
    /// Where pull requests are opened; without it branches are only pushed.
    pub github: Option<GitHub>,
    /// When branches are pushed at all.
    pub publishing: Publishing,
    /// Which of them are drafts.
    pub drafts: Drafts,
    /// By what it is judged how closely a person should look at a change.
    pub risk: Rules,
    /// MCP servers, whose tools models have beside those of this crate. A task is tried again if one
    /// of them cannot be connected to.
    pub mcp: Vec<Server>,
    /// Tools of whoever embeds this, which models have beside those of this crate: see [`Tool`], which
    /// shows one. Each takes the place of one of this crate with the same name.
    pub tools: Vec<Arc<dyn Tool>>,
}

impl Settings {
    /// How many days worktrees stay unless said otherwise.
    pub const WORKTREES_KEPT_DAYS: u32 = 7;

    /// So many days.
    #[must_use]
    pub const fn days(days: u32) -> Duration {
        Duration::from_secs(days as u64 * 24 * 3_600)
    }
}

impl Coding {
    /// Does tasks of `kind` with `workers`.
    #[must_use]
    pub fn new(kind: Kind, workers: Arc<dyn Workers>, settings: Settings) -> Self {
        let means = Means {
            keys: Keys::default(),
            tuning: Tuning::default(),
            programs: Programs::default(),
        };
        Self { kind, workers, settings, means }
    }

    /// Has these keys to the models that the hub chooses, and asks those of Ollama servers as `tuning`
    /// says, where the hub does not.
    #[must_use]
    pub fn with_keys(self, keys: Keys, tuning: Tuning) -> Self {
        Self { means: Means { keys, tuning, ..self.means }, ..self }
    }

    /// Has these programs, which the hub may choose.
    fn with_programs(self, programs: Programs) -> Self {
        Self { means: Means { programs, ..self.means }, ..self }
    }

    /// Does tasks of the kind `acp` with a foreign agent.
    #[must_use]
    pub fn with_acp(acp: Acp, settings: Settings) -> Self {
        let programs = Programs { acp: Some(acp.clone()), ..Programs::default() };
        Self::of_kind(Acp::KIND, acp, settings).with_programs(programs)
    }

    /// Does tasks of the kind `code` with the models of a chain.
    #[must_use]
    pub fn with_chain(chain: Chain, settings: Settings) -> Self {
        let programs = chain.programs.clone();
        Self::of_kind(Chain::KIND, chain, settings).with_programs(programs)
    }

    /// Does tasks of the kind `claude-code` with the Claude Code CLI.
    #[must_use]
    pub fn with_claude_code(claude: ClaudeCode, settings: Settings) -> Self {
        let programs = Programs { claude_code: Some(claude.clone()), ..Programs::default() };
        Self::of_kind(ClaudeCode::KIND, claude, settings).with_programs(programs)
    }

    /// Does tasks of the kind `claude` with models that are asked by the Messages API.
    #[must_use]
    pub fn with_messages(models: MessagesModels, settings: Settings) -> Self {
        Self::of_kind(MessagesModels::KIND, models, settings)
    }

    /// Does tasks of the kind `ollama` with models of an Ollama server.
    #[must_use]
    pub fn with_ollama(models: OllamaModels, settings: Settings) -> Self {
        Self::of_kind(OllamaModels::KIND, models, settings)
    }

    #[expect(clippy::expect_used, reason = "the word is a constant of this crate")]
    fn of_kind(word: &str, workers: impl Workers + 'static, settings: Settings) -> Self {
        Self::new(Kind::new(word).expect("a valid kind"), Arc::new(workers), settings)
    }

    /// Keeps what was said in attempts that were stopped: earlier ones, and this one when it is over.
    async fn keep_left(&self, job: &Assignment, ctx: &dyn JobContext) {
        let (transcripts, job) = (self.settings.transcripts.clone(), job.clone());
        let kept = tokio::task::spawn_blocking(move || transcripts.keep_left(&job)).await;
        match kept.map_err(io::Error::other).and_then(|kept| kept) {
            Ok(ids) => {
                for id in ids {
                    report(ctx, "status", &format!("what was said until then is kept as {id}"));
                    ctx.report(News::of_trace(Trace::Transcript(id)));
                }
            }
            Err(error) => report(ctx, "error", &format!("a transcript stays a draft: {error}")),
        }
    }
}

#[async_trait]
impl Executor for Coding {
    fn kind(&self) -> Kind {
        self.kind.clone()
    }

    fn runs_commands(&self) -> bool {
        true
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let input = match CodingInput::read(&job.op.input) {
            Ok(input) => input,
            Err(bad) => return JobOutcome::permanent(bad),
        };
        if let Err(little) = self.settings.sandbox.level.suffices(job.sandbox) {
            return JobOutcome::retryable(little);
        }
        let workers = match &job.route {
            Some(route) => match routed::workers(route, job.tier(), &self.means) {
                Ok(workers) => workers,
                Err(error) => return routed::unreached(route.api, error),
            },
            None => match self.workers.workers(input.model.as_deref(), job.tier()) {
                // Others may have some.
                Ok(workers) if workers.is_empty() => {
                    return JobOutcome::retryable("this agent has no models of its own");
                }
                Ok(workers) => workers,
                Err(error) => return JobOutcome::permanent(error),
            },
        };
        let work = Work {
            settings: &self.settings,
            job,
            input: &input,
            workers: &workers,
            ctx,
            started: Instant::now(),
        };
        let grace = workers.iter().map(|worker| worker.grace()).max().unwrap_or_default();
        let outcome = tokio::select! {
            biased;
            () = stopping(ctx, grace) => JobOutcome::Stopped,
            outcome = async { self.keep_left(job, ctx).await; work.run().await } => outcome,
        };
        // What takes longer goes on by itself; who asks work to stop does not wait for it.
        let _ = tokio::time::timeout(KEEP_WITHIN, self.keep_left(job, ctx)).await;
        outcome
    }
}

/// Waits until the work is asked to stop, and has had time to.
async fn stopping(ctx: &dyn JobContext, grace: Duration) {
    ctx.cancelled().await;
    if !grace.is_zero() {
        tokio::time::sleep(grace).await;
    }
}
