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

pub use message::{GuardCommand, How, Leftovers, Refusal, RefusalKind, Said};
pub use spawner::{Running, Spawner};

/// The first argument of a process that is to be a guard.
pub const ARG: &str = "__guard";

/// Set in the environment of guards, so that a program that forgot to call [`dispatch`] does not
/// start itself over and over.
const MARK: &str = "AGENTCOM_GUARD";

/// Is the guard if this process was started as one, and does nothing otherwise.
#[must_use]
pub fn dispatch() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    (args.next()? == ARG).then(|| main(args))
}

/// Is the guard: takes an order from standard input, a socket, and returns when nothing of the job
/// is left. `args` are those behind [`ARG`]; there are none.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    const USAGE: u8 = 64;
    if args.into_iter().next().is_some() {
        return ExitCode::from(USAGE);
    }
    let served = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(serve::serve()));
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
