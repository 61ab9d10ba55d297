//! This file runs git as a process that can clean up after itself, whoever stops waiting for it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdout, Command};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{PIECE_BYTES, SAID_MAX};
use crate::guard::Held;
use crate::output::Kept;

/// How long a git that is asked to end may take: what it has half made may be many files.
const GRACE: Duration = Duration::from_secs(5);

/// A git at work. Dropping it asks git to end, which removes its locks and what it had half made: one
/// that is killed leaves both behind, in the way of all that come after. So it is killed only after a
/// grace, and with it what it has started and what has not ended by then, as a filter or `ssh` may. That
/// is left undone where the runtime itself ends before.
#[derive(Debug)]
pub(super) struct Process {
    /// Nothing once it is asked to end.
    child: Option<Child>,
    grace: Duration,
}

/// What a git has printed that has ended.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) status: ExitStatus,
    /// All of it.
    pub(super) out: Vec<u8>,
    /// What it said about itself, its end if that is long.
    pub(super) errors: String,
}

/// Why there is nothing that it has printed.
#[derive(Debug)]
pub(super) enum Unread {
    /// The system said no.
    Failed(io::Error),
    /// It is more than was asked for.
    TooMuch,
}

impl From<io::Error> for Unread {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl Process {
    /// Starts it, with an output that is read here.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        let child = command.stdout(Stdio::piped()).spawn()?;
        Ok(Self { child: Some(child), grace: GRACE })
    }

    fn child(&mut self) -> io::Result<&mut Child> {
        self.child.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// What it prints, to be read before it is waited for.
    pub(super) fn take_output(&mut self) -> io::Result<ChildStdout> {
        self.child()?.stdout.take().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> io::Result<ExitStatus> {
        self.child()?.wait().await
    }

    /// Reads all that it prints until it has ended, unless that is more than `bytes_max`.
    pub(super) async fn output(mut self, bytes_max: usize) -> Result<Printed, Unread> {
        let child = self.child()?;
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let status = async { Ok(child.wait().await?) };
        let (out, errors, status) = tokio::try_join!(all(out, bytes_max), end(errors), status)?;
        Ok(Printed { status, out, errors })
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>, bytes_max: usize) -> Result<Vec<u8>, Unread> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let one_more = u64::try_from(bytes_max).unwrap_or(u64::MAX).saturating_add(1);
        stream.take(one_more).read_to_end(&mut bytes).await?;
    }
    if bytes.len() > bytes_max { Err(Unread::TooMuch) } else { Ok(bytes) }
}

async fn end(stream: Option<impl AsyncRead + Unpin>) -> Result<String, Unread> {
    let mut kept = Kept::at_most(2 * SAID_MAX);
    if let Some(mut stream) = stream {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        while stream.read_buf(&mut piece).await? > 0 {
            kept.push(&piece);
            piece.clear();
        }
    }
    Ok(kept.last(SAID_MAX))
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(child) = self.child.take() else { return };
        // There is none any more of one that was waited for.
        let Some(id) = child.id().and_then(|id| i32::try_from(id).ok()) else { return };
        let id = Pid::from_raw(id);
        // Of what has lost its parent nobody knows any more whose it was.
        let started = Held::descendants(id);
        let _ = kill(id, Signal::SIGTERM);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(see_off(child, id, started, Instant::now() + self.grace));
        }
    }
}

/// Waits until `by` for a git that was asked to end, and for what it has `started`, and kills what is left
/// then.
async fn see_off(mut child: Child, id: Pid, started: Held, by: Instant) {
    if timeout_at(by, child.wait()).await.is_err() {
        let more = Held::descendants(id);
        let _ = child.start_kill();
        more.kill();
    } else if !started.is_empty() {
        sleep_until(by).await;
    }
    started.kill();
    let _ = child.wait().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(300);

    /// What is in place of git, as far as it has come once it has printed a line.
    async fn begun(script: &str, grace: Duration) -> (Process, ChildStdout) {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        let mut process = Process::start(command).unwrap();
        process.grace = grace;
        let mut out = process.take_output().unwrap();
        let mut line = [0; 6];
        out.read_exact(&mut line).await.unwrap();
        assert_eq!(&line, b"begun\n");
        (process, out)
    }

    /// What it prints until nothing of it is there any more that could print.
    async fn rest(mut out: ChildStdout) -> String {
        let mut rest = String::new();
        let reading = out.read_to_string(&mut rest);
        tokio::time::timeout(Duration::from_secs(60), reading).await.unwrap().unwrap();
        rest
    }

    #[tokio::test]
    async fn a_git_that_nobody_waits_for_cleans_up() {
        let script = "trap 'echo cleaned; exit' TERM; echo begun; while :; do sleep 0.1; done";
        let (process, out) = begun(script, Duration::from_secs(60)).await;
        drop(process);
        assert_eq!(rest(out).await, "cleaned\n");
    }

    #[tokio::test]
    async fn a_git_that_does_not_end_when_asked_to_is_killed_with_all_that_it_started() {
        // What it starts when it is asked to end is not there before.
        for script in [
            "trap '' TERM; sleep 600 & setsid sleep 600 & echo begun; wait; sleep 600",
            "trap 'sleep 600 & sleep 600' TERM; echo begun; while :; do sleep 1; done",
        ] {
            let (process, out) = begun(script, SHORT).await;
            drop(process);
            assert_eq!(rest(out).await, "", "{script}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_git_leaves_behind_when_it_is_asked_to_end_is_killed_as_well() {
        let (process, out) =
            begun("(trap '' TERM; echo begun; exec sleep 600) & wait", SHORT).await;
        drop(process);
        assert_eq!(rest(out).await, "");
    }
}
