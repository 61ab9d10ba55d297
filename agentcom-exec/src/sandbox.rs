//! This file introduces the sandbox: what stands between a command that nobody has read and the
//! machine that it runs on.
//!
//! ```text
//! guard ──socket──▶ helper: namespaces, limits, privileges, Landlock, seccomp ──exec──▶ command
//! ```
//!
//! | level | what holds | what it needs |
//! |---|---|---|
//! | [`Level::L3`] | all of L2; nothing outside can be seen or touched, its metadata included; a network of its own with nothing in it but loopback; nothing outlives it | user namespaces |
//! | [`Level::L2`] | files outside cannot be read or written; no network; no other process can be signalled, traced or changed; nothing is shared with others by number or name; no privileges | Linux 6.2 |
//! | [`Level::L1`] | file tools stay beneath the workspace; no commands are run | |
//! | [`Level::L0`] | nothing: commands do what the sidecar's user may | that somebody asks for it by name |
//!
//! Two things can be granted to a command that needs them: hosts that are named, or all of the network
//! ([`Network`]), and folders beside its workspace that it may change ([`Policy::write`]).
//!
//! What L2 leaves open: that a file or a process outside is there, and with which size, times, group and
//! priority, can be found out, and a folder outside be watched; files of the same user that [`Policy::read`] grants
//! can get other modes, where that user is not root; files outside that belong to a user of its own can get other
//! modes, owners and times; and before Linux 6.12 processes of the same user can be signalled, which its [`Report`]
//! says. Of a user of its own there are only other commands.
//!
//! What the kernel does not bound is looked at over and over, and a command that takes more is stopped:
//! what all files take together ([`Quota`]), and how many processes and threads there are
//! ([`Limits::processes`]).
//!
//! At all levels commands see no more of the environment than is meant for them, hold no descriptors
//! of the sidecar's, and end with their task: that is the guard's doing, which closes whatever is open
//! before it starts one.
//!
//! A level is never assumed: [`prove()`] tries to break out of a real sandbox and reports what was
//! blocked, and a command whose sandbox cannot be set up is refused, not run without it. Whoever relies
//! on a sandbox for long has it proved again every hour, by a [`Watch`].
//!
//! Programs that run commands in a sandbox call [`guard::dispatch`](crate::guard::dispatch) before
//! anything else.

#[cfg(target_os = "linux")]
mod attempts;
mod beneath;
mod cell;
#[cfg(target_os = "linux")]
mod demand;
#[cfg(target_os = "linux")]
mod doors;
#[cfg(target_os = "linux")]
mod files;
#[cfg(target_os = "linux")]
mod helper;
#[cfg(target_os = "linux")]
mod launch;
#[cfg(target_os = "linux")]
mod memory;
mod nameless;
#[cfg(target_os = "linux")]
mod namespace;
mod network;
#[cfg(target_os = "linux")]
mod no_git;
mod pace;
mod policy;
#[cfg(target_os = "linux")]
mod privileges;
#[cfg(target_os = "linux")]
mod prove;
mod quota;
mod report;
#[cfg(target_os = "linux")]
mod syscalls;
mod watch;

#[cfg(target_os = "linux")]
pub(crate) use helper::main;
#[cfg(target_os = "linux")]
pub(crate) use launch::start;
#[cfg(target_os = "linux")]
pub(crate) use memory::Memory;
#[cfg(target_os = "linux")]
use prove::prove_weaker;
#[cfg(target_os = "linux")]
pub use prove::{attempts, prove};

pub use agentcom_core::sandbox::{Attempt, BadLevel, Expected, Level, Missing, Report, User};
pub use cell::{Cell, FilesOnly, NoCommands, Sandbox, TooWeak};
#[cfg(all(target_os = "linux", feature = "stand-in"))]
pub use launch::order_again;
pub use network::Network;
pub(crate) use pace::Pace;
pub use policy::{Limits, Policy};
pub(crate) use quota::{DEPTH_MAX, size};
pub use quota::{Excess, Quota};
pub use watch::Watch;

/// The first argument of a process that is to put itself into a sandbox.
#[cfg(target_os = "linux")]
pub(crate) const ARG: &str = "__sandbox";

/// A command that has started.
#[derive(Debug)]
pub(crate) struct Started {
    pub(crate) child: std::process::Child,
    /// The table of segments of System V that its processes share, where they have one of their own.
    pub(crate) segments: Option<std::fs::File>,
    /// The sockets at which it finds the broker, one for each of [`Network::doors`].
    pub(crate) doors: Vec<std::net::TcpListener>,
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn start(
    _command: crate::guard::GuardCommand,
    _input: crate::guard::Input,
) -> Result<Started, crate::guard::Refusal> {
    let missing = report::system();
    let kind = crate::guard::RefusalKind::Sandbox;
    Err(crate::guard::Refusal { kind, message: format!("sandbox: {}", missing.seen) })
}

/// What can be proved where there is nothing to confine commands with: that files can be kept
/// beneath a folder.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn prove(_spawner: &crate::guard::Spawner, _sandbox: &Sandbox) -> Report {
    report::of_files(vec![report::system()])
}

#[cfg(not(target_os = "linux"))]
fn prove_weaker(spawner: &crate::guard::Spawner, sandbox: &Sandbox) -> Report {
    prove(spawner, sandbox)
}
