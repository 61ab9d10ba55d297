//! This file runs explicit commands: the executor `shell`.
//!
//! What is run is the command in the operation's input, never the task's description.

mod input;
mod outcome;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use agentcom_core::json::Json;
use agentcom_core::name::Kind;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::wire::Assignment;
use async_trait::async_trait;

pub use input::{BadShellInput, ShellInput};

use crate::environment::Environment;
use crate::guard::{GuardCommand, Leftovers, Spawner};
use crate::output::report;
use crate::sandbox::{Cell, Level, Policy, Sandbox};
use crate::session::Session;

/// Runs commands.
///
/// | what happens | outcome |
/// |---|---|
/// | exit code 0 | done, with `{exit_code, stdout, stderr, truncated, duration_ms, sandbox}` |
/// | exit code 75 (`EX_TEMPFAIL`) | retryable, not before [`Shell::retry_after`] |
/// | a code in `permanent_exit_codes`, 126, 127, not found, not executable, bad input | permanent |
/// | any other code | retryable |
/// | in a sandbox: its files are more than [`Limits::disk_bytes`](crate::sandbox::Limits::disk_bytes) | permanent: another attempt would add to them |
/// | in a sandbox: it has more processes and threads than [`Limits::processes`](crate::sandbox::Limits::processes) | permanent |
/// | killed by a signal, also below a shell (128 + signal) | crash |
/// | asked to stop | stopped: TERM, 200 ms, KILL |
///
/// A command's processes end with it; what it leaves in the background is killed.
#[derive(Clone, Debug)]
pub struct Shell {
    spawner: Spawner,
    root: PathBuf,
    environment: Environment,
    sandbox: Option<Sandbox>,
    /// Tasks that want less than this run without it.
    confined_from: Level,
    retry_after: Duration,
}

impl Shell {
    /// The kind of operation.
    pub const KIND: &str = "shell";

    /// Runs commands in the current directory with the default environment.
    #[must_use]
    pub fn new(spawner: Spawner) -> Self {
        Self {
            spawner,
            root: PathBuf::from("."),
            environment: Environment::default(),
            sandbox: None,
            confined_from: Level::L0,
            retry_after: Duration::from_secs(30),
        }
    }

    /// Runs commands in `root`; an operation's `cwd` is relative to it.
    #[must_use]
    pub fn in_directory(self, root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), ..self }
    }

    /// Hands `environment` on.
    #[must_use]
    pub fn with_environment(self, environment: Environment) -> Self {
        Self { environment, ..self }
    }

    /// Runs each command in `sandbox`, with the executor's directory as its workspace.
    #[must_use]
    pub fn in_sandbox(self, sandbox: Sandbox) -> Self {
        Self { sandbox: Some(sandbox), confined_from: Level::L0, ..self }
    }

    /// Runs the commands of tasks that want a sandbox in this one, and others without.
    #[must_use]
    pub fn in_sandbox_on_demand(self, sandbox: Sandbox) -> Self {
        Self { sandbox: Some(sandbox), confined_from: Level::L1, ..self }
    }

    /// How long the next attempt waits after exit code 75: 30 s unless said otherwise.
    #[must_use]
    pub fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after, ..self }
    }

    fn command(
        &self,
        job: &Assignment,
        input: &ShellInput,
        root: PathBuf,
        sandbox: Option<Policy>,
    ) -> GuardCommand {
        GuardCommand {
            argv: input.argv(),
            env: self.environment.of(job, &input.env),
            cwd: input.cwd.as_ref().map_or_else(|| root.clone(), |cwd| root.join(cwd)),
            stdin: input.stdin.clone(),
            leftovers: Leftovers::Kill,
            sandbox,
        }
    }
}

#[async_trait]
impl Executor for Shell {
    #[expect(clippy::expect_used, reason = "the word is a constant")]
    fn kind(&self) -> Kind {
        Kind::new(Self::KIND).expect("a valid kind")
    }

    fn runs_commands(&self) -> bool {
        true
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        let input = match ShellInput::read(&job.op.input) {
            Ok(input) => input,
            Err(bad) => return JobOutcome::permanent(bad),
        };
        // In a sandbox with a view of its own a relative path leads elsewhere.
        let root = match std::path::absolute(&self.root) {
            Ok(root) => root,
            Err(error) => return JobOutcome::permanent(format_args!("its folder: {error}")),
        };
        let started = Instant::now();
        let wanted = job.sandbox.unwrap_or(Level::L0);
        let sandbox = self.sandbox.as_ref().filter(|_| wanted >= self.confined_from);
        let level = sandbox.map_or(Level::L0, |sandbox| sandbox.level);
        if let Err(little) = level.suffices(job.sandbox) {
            return JobOutcome::retryable(little);
        }
        let sandbox = match sandbox {
            Some(sandbox) => Some(sandbox.clone().for_work_in(&root).await),
            None => None,
        };
        let cell = match sandbox.map(|sandbox| sandbox.around(&root)) {
            Some(Err(error)) => return JobOutcome::retryable(format_args!("the sandbox: {error}")),
            Some(Ok(cell)) => Some(cell),
            None => None,
        };
        report(ctx, "status", &format!("sandbox {level}"));
        let quota = cell.as_ref().map(Cell::quota_with_room);
        let command = self.command(job, &input, root, cell.as_ref().map(Cell::policy));
        let mut session =
            match Session::start(&self.spawner, &command, input.output_bytes_max()).await {
                Ok(session) => session,
                Err(error) => return JobOutcome::retryable(format_args!("the guard: {error}")),
            };
        let ended = tokio::select! {
            biased;
            () = ctx.cancelled() => {
                session.stop(ctx).await;
                return JobOutcome::Stopped;
            }
            ended = session.finish(Duration::MAX, quota.as_ref(), ctx) => ended,
        };
        let took = started.elapsed();
        outcome::Report { input: &input, printed: &session.printed, took, sandbox: level }
            .judge(ended, self.retry_after)
    }
}

/// The longest payload.
const RESULT_BYTES_MAX: usize = Json::BYTES_MAX;
