//! This file runs git as a process that can clean up after itself, whoever stops waiting for it.

use std::io;
use std::process::{Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, ChildStdout, Command};

/// A git at work. Dropping it asks git to end, which removes its locks and what it had half made: one
/// that is killed leaves both behind, in the way of all that come after.
#[derive(Debug)]
pub(super) struct Process(Child);

impl Process {
    /// Starts it, with an output that is read here.
    pub(super) fn start(mut command: Command) -> io::Result<Self> {
        command.stdout(Stdio::piped()).spawn().map(Self)
    }

    /// What it prints, to be read before it is waited for.
    pub(super) fn take_output(&mut self) -> Option<ChildStdout> {
        self.0.stdout.take()
    }

    /// Waits for its end.
    pub(super) async fn ended(mut self) -> io::Result<std::process::ExitStatus> {
        self.0.wait().await
    }

    /// Reads all that it prints until it has ended.
    pub(super) async fn output(mut self) -> io::Result<Output> {
        let (out, errors) = (self.0.stdout.take(), self.0.stderr.take());
        let (stdout, stderr, status) = tokio::try_join!(all(out), all(errors), self.0.wait())?;
        Ok(Output { status, stdout, stderr })
    }
}

async fn all(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        stream.read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

impl Drop for Process {
    fn drop(&mut self) {
        // There is none any more of one that was waited for.
        if let Some(id) = self.0.id().and_then(|id| i32::try_from(id).ok()) {
            let _ = kill(Pid::from_raw(id), Signal::SIGTERM);
        }
    }
}
