//! This file lists what a sidecar and a guard say to each other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::{fmt, io};

use agentcom_core::agentic::Stop;
use serde::{Deserialize, Serialize};

use crate::egress::Contact;
use crate::sandbox::Policy;

/// What a guard is to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardCommand {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Its whole environment; nothing is inherited.
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub cwd: PathBuf,
    /// What it reads from its standard input; nothing if there is none.
    pub stdin: Option<String>,
    /// What becomes of processes that outlive it. In a sandbox of level 3 none does.
    pub leftovers: Leftovers,
    /// The sandbox that it runs in; none if there is none.
    pub sandbox: Option<Policy>,
}

/// What becomes of processes that outlive the command which started them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// They are killed when the command ends.
    Kill,
    /// They run on until the sidecar stops the job or lets go of it.
    Keep,
}

/// Where a job reads its standard input from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Input {
    /// What its command says.
    Given,
    /// The socket that its standard output is, too.
    Socket,
}

/// The order, with what the spawner adds.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    pub(super) command: GuardCommand,
    pub(super) input: Input,
    /// How long the job may take to end after it was asked to.
    pub(super) grace_ms: u64,
}

impl Order {
    /// The longest order, in bytes.
    pub(super) const BYTES_MAX: usize = 8 * 1024 * 1024;
}

/// The byte that asks a guard to stop its job.
pub(super) const STOP: u8 = b's';

/// What a guard says, in this order: `Refused` alone, or `Started`, `Exited` and `Clear`, and anywhere
/// between these `Contact`; and `TooMuch` before the `Exited` to which it leads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// The command could not be started.
    Refused(Refusal),
    /// The command runs.
    Started {
        /// The number of its process and of its process group.
        pid: i32,
    },
    /// The command wanted to reach a host.
    Contact(Contact),
    /// The command and what it started have more of something than their sandbox lets them, and are
    /// killed.
    TooMuch(TooMuch),
    /// The command has ended; what it left behind may still run.
    Exited(How),
    /// The guard is done.
    Clear {
        /// How many processes of the job could not be killed in time.
        survivors: usize,
    },
}

impl Said {
    /// Whether the guard says nothing more.
    pub(crate) fn is_last(&self) -> bool {
        match self {
            Self::Refused(_) | Self::Clear { .. } => true,
            Self::Started { .. } | Self::Contact(_) | Self::TooMuch(_) | Self::Exited(_) => false,
        }
    }
}

/// What a command and what it started have more of together than they may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TooMuch {
    /// More processes and threads than the [limit](crate::sandbox::Limits::processes) of their
    /// sandbox.
    Processes {
        /// How many there may be.
        most: u64,
    },
    /// More memory than the [limit](crate::sandbox::Limits::memory_bytes) of their sandbox.
    Memory {
        /// How many bytes they may take.
        most: u64,
    },
}

impl fmt::Display for TooMuch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Processes { most } => write!(f, "it had more than {most} processes and threads"),
            Self::Memory { most } => write!(f, "it took more than {most} bytes of memory"),
        }
    }
}

impl From<TooMuch> for Stop {
    fn from(too_much: TooMuch) -> Self {
        match too_much {
            TooMuch::Processes { .. } => Self::Processes,
            TooMuch::Memory { .. } => Self::Memory,
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum How {
    /// With an exit code.
    Exited(i32),
    /// By a signal.
    Signalled(i32),
}

/// Why a command could not be started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// What can be done about it.
    pub kind: RefusalKind,
    /// What the system said, for people.
    pub message: String,
}

/// What can be done about a command that could not be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RefusalKind {
    /// Nothing: it is not there, not executable, or not a command at all.
    Command,
    /// Wait: the machine is out of something.
    Machine,
    /// Its sandbox cannot be set up here; another agent may do better.
    Sandbox,
}

impl Refusal {
    /// How much of a program's name is told.
    const WHAT_CHARS_MAX: usize = 300;

    pub(crate) fn new(what: &str, error: &io::Error) -> Self {
        let permanent = matches!(
            error.kind(),
            io::ErrorKind::NotFound
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::NotADirectory
                | io::ErrorKind::IsADirectory
                | io::ErrorKind::InvalidInput
                | io::ErrorKind::InvalidFilename
                | io::ErrorKind::ArgumentListTooLong
        ) || error.raw_os_error() == Some(nix::errno::Errno::ENOEXEC as i32);
        let kind = if permanent { RefusalKind::Command } else { RefusalKind::Machine };
        let what: String = what.chars().take(Self::WHAT_CHARS_MAX).collect();
        Self { kind, message: format!("{what}: {error}") }
    }
}
