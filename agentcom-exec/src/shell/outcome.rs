//! This file judges how a command ended.

use std::time::Duration;

use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::Category;
use nix::sys::signal::Signal;
use serde::Serialize;

use super::{RESULT_BYTES_MAX, ShellInput};
use crate::guard::{How, RefusalKind};
use crate::sandbox::Level;
use crate::session::{Ended, Printed};

/// How much of what a failed command printed goes into its error.
const LAST_WORDS_BYTES: usize = 2000;

/// The exit code that asks for another attempt later: `EX_TEMPFAIL` of `sysexits.h`.
const RETRY_LATER: i32 = 75;

/// What a shell says about commands that are not executable or not there.
const NOT_RUNNABLE: [i32; 2] = [126, 127];

/// A shell reports a command that died of signal n as 128 + n.
const SHELL_SIGNAL_BASE: i32 = 128;

/// Signals that nobody sends on purpose to a command that is to go on. TERM, INT, HUP and PIPE are
/// not among them: 128 + these are common exit codes of programs that end in good order.
const FATAL: [Signal; 7] = [
    Signal::SIGILL,
    Signal::SIGABRT,
    Signal::SIGBUS,
    Signal::SIGFPE,
    Signal::SIGKILL,
    Signal::SIGSEGV,
    Signal::SIGSYS,
];

/// What is known about a command that has ended.
#[derive(Debug)]
pub(super) struct Report<'a> {
    pub(super) input: &'a ShellInput,
    pub(super) printed: &'a Printed,
    pub(super) took: Duration,
    pub(super) sandbox: Level,
}

/// The result of a command.
#[derive(Serialize)]
struct ShellResult {
    exit_code: i32,
    stdout: String,
    stderr: String,
    truncated: bool,
    duration_ms: u64,
    sandbox: Level,
}

impl Report<'_> {
    pub(super) fn judge(&self, ended: Ended, retry_after: Duration) -> JobOutcome {
        match ended {
            Ended::Ran(How::Exited(0)) => self.done(),
            Ended::Ran(How::Exited(code)) => self.failed(code, retry_after),
            Ended::Ran(How::Signalled(signal)) => self.crashed(signal),
            Ended::Refused(refusal) => JobOutcome::failed(
                match refusal.kind {
                    RefusalKind::Command => Category::Permanent,
                    RefusalKind::Machine | RefusalKind::Sandbox => Category::Retryable,
                },
                refusal.message,
            ),
            Ended::Late => JobOutcome::retryable("its time was over"),
            // What it has written stays, and another attempt would begin with that.
            Ended::DiskFull(excess) => {
                JobOutcome::permanent(self.with_last_words(&excess.to_string()))
            }
            Ended::TooMuch(too_much) => {
                JobOutcome::permanent(self.with_last_words(&too_much.to_string()))
            }
            Ended::Lost => JobOutcome::failed(Category::Crash, "the guard process was killed"),
        }
    }

    fn failed(&self, code: i32, retry_after: Duration) -> JobOutcome {
        let error = self.with_last_words(&format!("exit code {code}"));
        let fatal = FATAL.iter().find(|&&signal| code == SHELL_SIGNAL_BASE + signal as i32);
        if self.input.permanent_exit_codes.contains(&code) || NOT_RUNNABLE.contains(&code) {
            JobOutcome::permanent(error)
        } else if code == RETRY_LATER {
            let (category, retry_after) = (Category::Retryable, Some(retry_after.into()));
            JobOutcome::Failed { category, error, retry_after, tokens: None }
        } else if let (Some(&signal), true) = (fatal, self.input.command.is_some()) {
            self.crashed(signal as i32)
        } else {
            JobOutcome::retryable(error)
        }
    }

    fn crashed(&self, signal: i32) -> JobOutcome {
        let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
        let error = self.with_last_words(&format!("killed by signal {signal} ({name})"));
        JobOutcome::failed(Category::Crash, error)
    }

    fn with_last_words(&self, what: &str) -> String {
        let words = self.printed.last_words(LAST_WORDS_BYTES);
        if words.is_empty() { what.to_owned() } else { format!("{what}: {words}") }
    }

    fn done(&self) -> JobOutcome {
        /// Room for the names and numbers of a [`ShellResult`].
        const FRAME_BYTES: usize = 256;
        let room = RESULT_BYTES_MAX - FRAME_BYTES;
        let (out, err) = (&self.printed.out.kept, &self.printed.err.kept);
        // Each output may have half of the room, and what the other leaves of its half.
        let (half_err, _) = err.text(room / 2);
        let (stdout, out_cut) = out.text(room - crate::output::json_len(&half_err));
        let (stderr, err_cut) = err.text(room - crate::output::json_len(&stdout));
        let result = ShellResult {
            exit_code: 0,
            stdout,
            stderr,
            truncated: out_cut || err_cut,
            duration_ms: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
            sandbox: self.sandbox,
        };
        match Json::of(&result) {
            Ok(result) => JobOutcome::done(result),
            Err(error) => JobOutcome::permanent(format_args!("the result {error}")),
        }
    }
}
