//! This file introduces the guard: a process between the sidecar and each job that leaves no orphan
//! behind, however the sidecar ends.
//!
//! ```text
//! sidecar ──socket──▶ guard (own session, subreaper) ──▶ job (own process group)
//!    ◀───────────────── stdout, stderr ─────────────────────┘
//! ```
//!
//! **Invariant:** when the socket closes, for whatever reason, everything that the job started is
//! killed, also what left its process group or session: orphans are handed to the guard, which
//! sweeps until none is left. A job that kills its guard on purpose is out of reach of this.
//!
//! The order travels through the socket, not through arguments or environment, so that other
//! users of the machine cannot read it. A binary that runs jobs calls [`dispatch`] before anything
//! else:
//!
//! ```no_run
//! fn main() -> std::process::ExitCode {
//!     if let Some(code) = agentcom_exec::guard::dispatch() {
//!         return code;
//!     }
//!     // ... the program itself
//!     std::process::ExitCode::SUCCESS
//! }
//! ```

mod family;
mod message;
mod serve;
mod spawner;

use std::ffi::OsString;
use std::process::ExitCode;

pub(crate) use message::Input;
pub use message::{GuardCommand, How, Leftovers, Refusal, RefusalKind, Said};
pub use spawner::{Running, Spawner, Talk};

/// The first argument of a process that is to be a guard.
pub const ARG: &str = "__guard";

/// Set in the environment of guards, so that a program that forgot to call [`dispatch`] does not
/// start itself over and over.
pub(crate) const MARK: &str = "AGENTCOM_GUARD";

/// Is the guard, or the helper that sets a sandbox up, if this process was started as one, and does
/// nothing otherwise.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    let role = args.next()?;
    #[cfg(target_os = "linux")]
    if role == crate::sandbox::ARG {
        close_inherited();
        return Some(crate::sandbox::main());
    }
    (role == ARG).then(|| main(args))
}

/// Closes what whoever started this process left open for it, beside standard input, output and
/// error: it is not for jobs.
fn close_inherited() {
    const FIRST: i32 = 3;
    let numbers = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<i32>().ok();
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    // The list is complete before anything is closed, and its own descriptor is closed by then.
    let open: Vec<i32> = open.filter_map(numbers).filter(|&number| number >= FIRST).collect();
    for number in open {
        let _ = nix::unistd::close(number);
    }
}

/// Is the guard: takes an order from standard input, a socket, and returns when nothing of the job
/// is left. `args` are those behind [`ARG`]; there are none.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    const USAGE: u8 = 64;
    if args.into_iter().next().is_some() {
        return ExitCode::from(USAGE);
    }
    close_inherited();
    let served =
        tokio::runtime::Builder::new_current_thread().enable_all().build().and_then(|runtime| {
            let served = runtime.block_on(serve::serve());
            // A name that is still looked up for a job that is over keeps nobody waiting.
            runtime.shutdown_background();
            served
        });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
