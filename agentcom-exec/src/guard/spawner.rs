//! This file is the sidecar's end of a guard.

use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, ChildStderr, ChildStdout, Command};

use super::family::of_session;
use super::leaks::Leaks;
use super::message::{GuardCommand, Input, Order, STOP, Said};
use super::{ARG, MARK};

/// Starts commands under guards.
#[derive(Clone, Debug)]
pub struct Spawner {
    guard: PathBuf,
    grace: Duration,
    leaks: Leaks,
}

impl Spawner {
    /// How long a job may take to end after it was asked to, unless said otherwise.
    pub const GRACE: Duration = Duration::from_millis(200);

    /// Guards are this very program, which calls [`dispatch`](super::dispatch) when it starts.
    ///
    /// # Errors
    ///
    /// If this process was itself started as a guard and is not one, because its program does not
    /// call `dispatch`; or if the path of the program is unknown.
    pub fn current_exe() -> io::Result<Self> {
        if std::env::var_os(MARK).is_some() {
            return Err(io::Error::other("the program does not call guard::dispatch() first"));
        }
        // The link leads to the program even after its file was replaced by a newer one.
        let link = PathBuf::from("/proc/self/exe");
        let guard = if link.exists() { link } else { std::env::current_exe()? };
        Ok(Self::at(guard))
    }

    /// Guards are the program at `guard`, which calls [`dispatch`](super::dispatch).
    #[must_use]
    pub fn at(guard: impl Into<PathBuf>) -> Self {
        Self { guard: guard.into(), grace: Self::GRACE, leaks: Leaks::default() }
    }

    /// The same, with another span between TERM and KILL.
    #[must_use]
    pub fn with_grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// What is left of the jobs that it and its clones have started.
    #[must_use]
    pub fn leaks(&self) -> Leaks {
        self.leaks.clone()
    }

    /// The program that guards are.
    pub(crate) fn guard(&self) -> &std::path::Path {
        &self.guard
    }

    pub(crate) fn grace(&self) -> Duration {
        self.grace
    }

    /// Starts a guard and gives it its order. Whether the command itself could be started is the
    /// first thing that the guard says.
    ///
    /// # Errors
    ///
    /// If the guard cannot be started.
    pub async fn spawn(&self, command: &GuardCommand) -> io::Result<Running> {
        self.start(command, Input::Given, Stdio::piped()).await
    }

    /// Starts a guard whose job talks with whoever holds the other end of a socket. What the command
    /// says of its input is passed over.
    ///
    /// # Errors
    ///
    /// If the guard cannot be started.
    pub async fn spawn_talk(&self, command: &GuardCommand) -> io::Result<Talk> {
        let (socket, theirs) = pair()?;
        let mut running = self.start(command, Input::Socket, theirs).await?;
        let err = running.guard.as_mut().and_then(|guard| guard.stderr.take());
        let err = err.ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Talk { running, socket, err })
    }

    async fn start(
        &self,
        command: &GuardCommand,
        input: Input,
        stdout: Stdio,
    ) -> io::Result<Running> {
        let (socket, theirs) = pair()?;
        let guard = Command::new(&self.guard)
            .arg(ARG)
            .env_clear()
            .env(MARK, "1")
            .stdin(theirs)
            .stdout(stdout)
            .stderr(Stdio::piped())
            .spawn()?;
        let mut running = Running {
            guard: Some(guard),
            socket,
            heard: Vec::new(),
            survivors: None,
            leaks: self.leaks.clone(),
        };
        let grace_ms = u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX);
        let order = serde_json::to_vec(&Order { command: command.clone(), input, grace_ms })?;
        if order.len() > Order::BYTES_MAX {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        let length = u32::try_from(order.len()).map_err(io::Error::other)?;
        running.socket.write_u32(length).await?;
        running.socket.write_all(&order).await?;
        Ok(running)
    }
}

/// Two ends of a socket: ours, and that of a process to be.
fn pair() -> io::Result<(UnixStream, Stdio)> {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, Stdio::from(std::os::fd::OwnedFd::from(theirs))))
}

/// A job that talks. Dropping it kills the job at once.
#[derive(Debug)]
pub struct Talk {
    /// The job under its guard.
    pub running: Running,
    /// The other end of its standard input and output. Shutting it down for writing ends its input.
    pub socket: UnixStream,
    /// Its standard error.
    pub err: ChildStderr,
}

/// A job under its guard. Dropping it kills the job at once.
#[derive(Debug)]
pub struct Running {
    /// It is there until this is dropped.
    guard: Option<Child>,
    socket: UnixStream,
    heard: Vec<u8>,
    /// How many processes the guard could not end, once it has said that it is done.
    survivors: Option<usize>,
    leaks: Leaks,
}

impl Running {
    /// The job's standard output and standard error.
    ///
    /// # Panics
    ///
    /// If they were taken before.
    #[expect(clippy::expect_used, reason = "documented")]
    pub fn take_output(&mut self) -> (ChildStdout, ChildStderr) {
        let guard = self.guard.as_mut();
        let output = guard.and_then(|guard| guard.stdout.take().zip(guard.stderr.take()));
        output.expect("the output is taken once")
    }

    /// The next thing that the guard says. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the guard is gone; what is left of its session is killed.
    pub async fn next(&mut self) -> io::Result<Said> {
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let said = serde_json::from_slice(&self.heard[..end])?;
                self.heard.drain(..=end);
                match &said {
                    Said::Clear { survivors } => self.survivors = Some(*survivors),
                    Said::Refused(_) => self.survivors = Some(0),
                    Said::Started { .. }
                    | Said::Contact(_)
                    | Said::TooMuch(_)
                    | Said::Exited(_) => {}
                }
                return Ok(said);
            }
            let read = self.socket.read_buf(&mut self.heard).await;
            if !matches!(read, Ok(1..)) {
                self.kill_session();
                return Err(read.err().unwrap_or_else(|| io::ErrorKind::UnexpectedEof.into()));
            }
        }
    }

    /// Asks the job to stop: TERM, then KILL, as the spawner says.
    pub fn stop(&mut self) {
        // A guard that does not take one byte is gone, and `next` says so.
        let _ = self.socket.try_write(&[STOP]);
    }

    /// What a guard does at its end, for one that was killed before it could: kills its session,
    /// which is all of the job but what started a session of its own. The guard itself is not
    /// reaped yet, so its number names nobody else's session.
    fn kill_session(&self) {
        /// Processes that start others meanwhile are found in the next round.
        const ROUNDS: usize = 10;
        let Some(session) = self.pid() else { return };
        for _ in 0..ROUNDS {
            let left = of_session(session);
            if left.is_empty() {
                return;
            }
            for process in left {
                let _ = kill(process, Signal::SIGKILL);
            }
        }
    }

    /// The number of the guard, as long as it is not reaped.
    pub(crate) fn pid(&self) -> Option<Pid> {
        let id = self.guard.as_ref().and_then(Child::id);
        id.and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // A guard that its job has stopped could not see the socket close.
        if let Some(pid) = self.pid() {
            let _ = kill(pid, Signal::SIGCONT);
        }
        let done = self.survivors == Some(0);
        if let Some(guard) = self.guard.take().filter(|_| !done) {
            self.leaks.watch(guard, self.survivors.unwrap_or(0));
        }
    }
}
