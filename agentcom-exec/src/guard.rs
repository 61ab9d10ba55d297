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
//! What a guard cannot end within 5 s it tells of, and goes on sweeping. Whether something is left of
//! jobs, [`Leaks`] says.
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

mod bounds;
mod family;
mod leaks;
mod message;
mod serve;
mod spawner;

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::process::ExitCode;

pub(crate) use family::{Held, descendants};
pub use leaks::Leaks;
pub(crate) use message::Input;
pub use message::{GuardCommand, How, Leftovers, Refusal, RefusalKind, Said, TooMuch};
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
        return Some(crate::sandbox::main());
    }
    (role == ARG).then(|| main(args))
}

/// Closes the memory of this process to others of its user, who could read the keys in it there, and leaves no
/// dump of it behind: it is not dumpable any more (prctl(2)), and what it has in `/proc` belongs to root. The
/// programs that it executes are as they would be without. Does nothing where no system offers that.
///
/// # Errors
///
/// If the system says no.
pub fn close_memory() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    nix::sys::prctl::set_dumpable(false)?;
    Ok(())
}

/// Closes all that this process has open, beside standard input, output and error, and `kept`: what
/// whoever started it left open is not for jobs, and not everybody marks what is not to be handed on.
///
/// # Errors
///
/// If nobody says what is open. Then no job is to be started.
pub(crate) fn close_all_but(kept: Option<BorrowedFd<'_>>) -> io::Result<()> {
    const OPEN: &str = if cfg!(target_os = "linux") { "/proc/self/fd" } else { "/dev/fd" };
    const FIRST: RawFd = 3;
    let kept = kept.map(|kept| kept.as_raw_fd());
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse::<RawFd>().ok();
    let numbers = std::fs::read_dir(OPEN)?.filter_map(|entry| entry.map(number).transpose());
    // The list is complete before anything is closed, and its own descriptor is closed by then.
    let numbers = numbers.collect::<io::Result<Vec<RawFd>>>()?;
    let beside = |&number: &RawFd| number >= FIRST && Some(number) != kept;
    for number in numbers.into_iter().filter(beside) {
        let _ = nix::unistd::close(number);
    }
    Ok(())
}

/// Is the guard: takes an order from standard input, a socket, and returns when nothing of the job
/// is left. `args` are those behind [`ARG`]; there are none.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    const USAGE: u8 = 64;
    if args.into_iter().next().is_some() {
        return ExitCode::from(USAGE);
    }
    if close_all_but(None).is_err() {
        return ExitCode::FAILURE;
    }
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
