//! This file is the tool that runs commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use agentcom_core::agentic::Reach;
use agentcom_core::port::executor::JobContext;
use agentcom_core::time::Span;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{FILES, Spec, Tool, ToolError, ToolErrorKind, answer, read};
use crate::guard::{How, Spawner, TooMuch};
use crate::sandbox::{Level, Sandbox};
use crate::session::{Confined, Ended, Room};

/// Runs a command in a sandbox whose workspace is that of the tools.
#[derive(Clone, Debug)]
pub struct RunCommand {
    spawner: Spawner,
    sandbox: Sandbox,
    room: Arc<Room>,
    workspace: PathBuf,
    env: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Input {
    #[serde(alias = "cmd")]
    command: String,
    timeout_ms: Option<u64>,
}

#[derive(Serialize)]
struct Output {
    /// Absent where a signal ended it, its time was over, or it took too much.
    exit_code: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    signal: Option<i32>,
    stdout: String,
    stderr: String,
    timed_out: bool,
    /// Whether the files of the workspace are more than they may be, made so by this command.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disk_full: bool,
    /// Whether it had more processes and threads than it may, and was killed for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    too_many_processes: bool,
    /// Whether all of it took more memory than it may, and was killed for that.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    out_of_memory: bool,
    truncated: bool,
    duration_ms: u64,
}

/// How much of each output is told, in bytes.
const OUTPUT_BYTES_MAX: usize = 12 * 1024;

impl RunCommand {
    /// The name by which it is called.
    pub const NAME: &str = "run_command";

    /// How long a command may take unless the model asks for less or more.
    pub const TIMEOUT: Duration = Duration::from_secs(60);

    /// The most that a model can ask for.
    pub const TIMEOUT_MAX: Duration = Duration::from_secs(600);

    /// Runs commands in `workspace`, an absolute path. They see `env` and nothing else.
    #[must_use]
    pub fn new(
        spawner: Spawner,
        sandbox: Sandbox,
        workspace: &Path,
        env: BTreeMap<String, String>,
    ) -> Self {
        let (room, workspace) = (Arc::default(), workspace.to_owned());
        Self { spawner, sandbox, room, workspace, env }
    }
}

#[async_trait]
impl Tool for RunCommand {
    fn spec(&self) -> Spec {
        Spec {
            name: Self::NAME.to_owned(),
            description: match self.sandbox.level {
                Level::L0 => "Run a shell command in the workspace.".to_owned(),
                Level::L1 | Level::L2 | Level::L3 => format!(
                    "Run a shell command in the workspace, with{} network. It sees only the workspace \
                     and the system's programs.",
                    if self.sandbox.network.is_none() { "out" } else { "" }
                ),
            },
            input: json!({
                "type": "object",
                "properties": {
                    "command": { "type": "string", "description": "For /bin/sh -c" },
                    "timeout_ms": { "type": "integer", "description": "How long it may take (60000)" },
                },
                "required": ["command"],
            }),
        }
    }

    fn reach(&self) -> Reach {
        // What reaches the network sends what it has read wherever it likes. That without a sandbox it
        // reads what is private as well is what whoever does without has accepted.
        Reach {
            outward: !self.sandbox.network.is_none() || self.sandbox.level == Level::L0,
            ..FILES
        }
    }

    fn sandbox(&self) -> Option<Level> {
        Some(self.sandbox.level)
    }

    async fn call(&self, input: Value, ctx: &dyn JobContext) -> Result<Value, ToolError> {
        let input: Input = read(input, &self.spec())?;
        if input.command.trim().is_empty() || input.command.contains('\0') {
            return Err(ToolError::new(
                ToolErrorKind::BadInput,
                "the command is empty or holds NUL",
            ));
        }
        answer(&self.run(&input, ctx).await?)
    }
}

impl RunCommand {
    async fn run(&self, input: &Input, ctx: &dyn JobContext) -> Result<Output, ToolError> {
        let cannot =
            |error: &dyn std::fmt::Display| ToolError::new(ToolErrorKind::CannotRun, error);
        let timeout = input.timeout_ms.map_or(Self::TIMEOUT, Duration::from_millis);
        let confined = Confined {
            spawner: &self.spawner,
            sandbox: &self.sandbox,
            room: &self.room,
            env: &self.env,
            dir: &self.workspace,
            within: timeout.min(Self::TIMEOUT_MAX),
            output_bytes_max: OUTPUT_BYTES_MAX,
        };
        let started = Instant::now();
        let ran = confined.run(&input.command, ctx).await.map_err(|error| cannot(&error))?;
        let (exit_code, signal) = match &ran.ended {
            Ended::Ran(How::Exited(code)) => (Some(*code), None),
            Ended::Ran(How::Signalled(signal)) => (None, Some(*signal)),
            Ended::Refused(refusal) => return Err(cannot(&refusal.message)),
            Ended::Lost => return Err(cannot(&"its guard was killed")),
            Ended::Late | Ended::DiskFull(_) | Ended::TooMuch(_) => (None, None),
        };
        Ok(Output {
            exit_code,
            signal,
            stdout: ran.stdout,
            stderr: ran.stderr,
            timed_out: ran.ended == Ended::Late,
            disk_full: matches!(ran.ended, Ended::DiskFull(_)),
            too_many_processes: matches!(ran.ended, Ended::TooMuch(TooMuch::Processes { .. })),
            out_of_memory: matches!(ran.ended, Ended::TooMuch(TooMuch::Memory { .. })),
            truncated: ran.truncated,
            duration_ms: Span::from(started.elapsed()).0,
        })
    }
}
