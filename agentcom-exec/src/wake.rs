//! This file wakes another program for a task and waits for its result file: the executor `wake`.

mod inbox;
mod template;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use agentcom_core::name::Kind;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::wire::Assignment;
use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use crate::environment::Environment;
use crate::guard::{GuardCommand, How, Leftovers, Spawner};
use crate::output::report;
use crate::session::{Ended, Session};
use inbox::Inbox;

/// How a sidecar wakes the program that does the work. The defaults are those of the protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WakeConfig {
    /// The program and its arguments. `${TASK_ID}`, `${TASK_JSON}`, `${TASK_DESCRIPTION}` and
    /// `${GENERATION}` are replaced; each element stays one argument, whatever it then holds, and
    /// no shell sees it.
    pub command: Vec<String>,
    /// Where `<task id>.started` and `<task id>.json` appear. It is created if it is not there.
    pub results_dir: PathBuf,
    /// Where the command runs.
    pub cwd: PathBuf,
    /// What the command sees of the sidecar's environment.
    pub environment: Environment,
    /// The waits between tries; there is one try more than there are waits.
    pub waits: Vec<Duration>,
    /// How long one try of the command may take.
    pub command_timeout: Duration,
    /// How long the program may take to confirm that it has started.
    pub started_within: Duration,
    /// How often the directory is looked at.
    pub poll: Duration,
    /// How long a file must not have changed before it is read.
    pub stable_for: Duration,
}

impl WakeConfig {
    /// Wakes by `command` and looks for files in `results_dir`.
    #[must_use]
    pub fn new(command: Vec<String>, results_dir: impl Into<PathBuf>) -> Self {
        Self {
            command,
            results_dir: results_dir.into(),
            cwd: PathBuf::from("."),
            environment: Environment::default(),
            waits: [5, 15, 30].map(Duration::from_secs).into(),
            command_timeout: Duration::from_secs(60),
            started_within: Duration::from_secs(30),
            poll: Duration::from_millis(100),
            stable_for: Duration::from_millis(500),
        }
    }
}

/// Wakes a program and waits for what it writes.
///
/// 1. The command is run until it exits with 0, four times at most.
/// 2. `<task id>.started` appears, or the task fails.
/// 3. `<task id>.json` appears: `{"status": "success", ..}` completes the task with the whole
///    content as result, any other status fails it with its `reason` or `error`. `tokens_used`, or
///    else the sum of `tokens_in` and `tokens_out`, is counted. A `generation` other than that of
///    the assignment marks a file of an earlier one, which is ignored.
///
/// Files of the task that are there before the command is run are removed. What the command leaves
/// running in the background works on until the task ends, and is then stopped.
#[derive(Clone, Debug)]
pub struct Wake {
    spawner: Spawner,
    config: WakeConfig,
}

impl Wake {
    /// The kind of operation.
    pub const KIND: &str = "wake";

    /// The error of a task for a sidecar that was not told how to wake anything.
    pub const NO_COMMAND: &str = "no_wake_command_configured";

    /// How much of what the command printed is kept, for errors only.
    const OUTPUT_BYTES_MAX: usize = 4096;

    /// How much of that goes into an error.
    const LAST_WORDS_BYTES: usize = 1000;

    /// Wakes as `config` says.
    #[must_use]
    pub fn new(spawner: Spawner, config: WakeConfig) -> Self {
        Self { spawner, config }
    }

    fn command(&self, job: &Assignment) -> GuardCommand {
        GuardCommand {
            argv: template::fill(&self.config.command, job),
            env: self.config.environment.of(job, &BTreeMap::new()),
            cwd: self.config.cwd.clone(),
            stdin: None,
            leftovers: Leftovers::Keep,
            sandbox: None,
        }
    }

    /// Runs the command until it succeeds. The session is handed to `live` so that a caller who
    /// gives up can stop it.
    async fn wake(
        &self,
        job: &Assignment,
        ctx: &dyn JobContext,
        live: &mut Option<Session>,
    ) -> Result<(), String> {
        let command = self.command(job);
        let tries = self.config.waits.len() + 1;
        let mut errors = String::new();
        for number in 1..=tries {
            let Err(error) = self.try_once(&command, ctx, live).await else { return Ok(()) };
            *live = None;
            report(ctx, "status", &format!("wake try {number} of {tries} failed: {error}"));
            errors = error;
            if let Some(&wait) = self.config.waits.get(number - 1) {
                sleep(wait).await;
            }
        }
        Err(format!("wake command failed {tries} times, at last: {errors}"))
    }

    async fn try_once(
        &self,
        command: &GuardCommand,
        ctx: &dyn JobContext,
        live: &mut Option<Session>,
    ) -> Result<(), String> {
        let started = Session::start(&self.spawner, command, Self::OUTPUT_BYTES_MAX).await;
        let session = live.insert(started.map_err(|error| format!("the guard: {error}"))?);
        let span = self.config.command_timeout;
        let what = match timeout(span, session.ended(ctx)).await.unwrap_or(Ended::Late) {
            Ended::Ran(How::Exited(0)) => return Ok(()),
            Ended::Ran(How::Exited(code)) => format!("exit code {code}"),
            Ended::Ran(How::Signalled(signal)) => format!("killed by signal {signal}"),
            Ended::Refused(refusal) => return Err(refusal.message),
            Ended::Late => return Err(format!("no end within {} ms", span.as_millis())),
            Ended::DiskFull(excess) => excess.to_string(),
            Ended::TooMuch(too_much) => too_much.to_string(),
            Ended::Lost => return Err("the guard process was killed".to_owned()),
        };
        session.catch_up(ctx).await;
        let words = session.printed.last_words(Self::LAST_WORDS_BYTES);
        Err(if words.is_empty() { what } else { format!("{what}: {words}") })
    }

    async fn work(
        &self,
        job: &Assignment,
        ctx: &dyn JobContext,
        live: &mut Option<Session>,
    ) -> JobOutcome {
        let inbox = Inbox::of(job, &self.config);
        if let Err(error) = inbox.clear().await {
            return JobOutcome::retryable(format_args!("results directory: {error}"));
        }
        if let Err(error) = self.wake(job, ctx, live).await {
            return JobOutcome::retryable(error);
        }
        let answered = async {
            if timeout(self.config.started_within, inbox.confirmed()).await.is_err() {
                let span = self.config.started_within.as_millis();
                return JobOutcome::retryable(format_args!("no confirmation within {span} ms"));
            }
            report(ctx, "status", "started");
            inbox.result().await
        };
        let Some(session) = live else { return answered.await };
        tokio::select! {
            outcome = answered => outcome,
            never = session.listen(ctx) => match never {},
        }
    }
}

#[async_trait]
impl Executor for Wake {
    #[expect(clippy::expect_used, reason = "the word is a constant")]
    fn kind(&self) -> Kind {
        Kind::new(Self::KIND).expect("a valid kind")
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        if self.config.command.first().is_none_or(|program| program.trim().is_empty()) {
            return JobOutcome::permanent(Self::NO_COMMAND);
        }
        let mut live = None;
        let outcome = tokio::select! {
            biased;
            () = ctx.cancelled() => JobOutcome::Stopped,
            outcome = self.work(job, ctx, &mut live) => outcome,
        };
        if let Some(mut session) = live {
            session.stop(ctx).await;
        }
        outcome
    }
}
