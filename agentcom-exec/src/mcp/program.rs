//! This file starts servers that are programs, under guards, and keeps what they say about themselves.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use agentcom_core::config::Secret;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::process::ChildStderr;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::environment::Environment;
use crate::guard::{GuardCommand, How, Leftovers, RefusalKind, Running, Said, Spawner, Talk};
use crate::output::Kept;

/// How much is kept of what a program writes to its standard error.
const WORDS_BYTES_MAX: usize = 4096;

/// How long an end, and what was written before it, are awaited.
const END_WITHIN: Duration = Duration::from_secs(2);

/// A program under its guard. Dropping it kills the program at once.
#[derive(Debug)]
pub(super) struct Program {
    running: Running,
    words: Arc<Mutex<Kept>>,
    reading: JoinSet<()>,
}

impl Program {
    /// Starts a program, and gives the socket that is its standard input and output.
    pub(super) async fn start(
        spawner: &Spawner,
        command: &str,
        args: &[Secret],
        env: &BTreeMap<String, Secret>,
        cwd: &Path,
    ) -> io::Result<(Self, UnixStream)> {
        let revealed =
            |(name, value): (&String, &Secret)| (name.clone(), value.reveal().to_owned());
        let mut all = Environment::default().variables().clone();
        all.extend(env.iter().map(revealed));
        let args = args.iter().map(|arg| arg.reveal().to_owned());
        let command = GuardCommand {
            argv: std::iter::once(command.to_owned()).chain(args).collect(),
            env: all,
            cwd: cwd.to_owned(),
            stdin: None,
            leftovers: Leftovers::Kill,
            sandbox: None,
        };
        let Talk { mut running, socket, err: errors } = spawner.spawn_talk(&command).await?;
        match running.next().await? {
            Said::Refused(refusal) => Err(match refusal.kind {
                RefusalKind::Command => io::Error::new(io::ErrorKind::NotFound, refusal.message),
                RefusalKind::Machine | RefusalKind::Sandbox => io::Error::other(refusal.message),
            }),
            Said::Started { .. }
            | Said::Contact(_)
            | Said::TooMuch(_)
            | Said::Exited(_)
            | Said::Clear { .. } => {
                let words = Arc::new(Mutex::new(Kept::at_most(WORDS_BYTES_MAX)));
                let mut reading = JoinSet::new();
                reading.spawn(read(errors, Arc::clone(&words)));
                Ok((Self { running, words, reading }, socket))
            }
        }
    }

    /// The last that it wrote to its standard error.
    pub(super) fn words(&self) -> String {
        self.words.lock().unwrap_or_else(PoisonError::into_inner).last(WORDS_BYTES_MAX)
    }

    /// How it ended and its last words, for one that has closed its output.
    pub(super) async fn obituary(&mut self) -> String {
        let how = timeout(END_WITHIN, self.ended()).await.ok().flatten();
        let _ = timeout(END_WITHIN, self.reading.join_next()).await;
        let how = match how {
            Some(How::Exited(code)) => format!("exit code {code}"),
            Some(How::Signalled(signal)) => format!("killed by signal {signal}"),
            None => "it closed its output".to_owned(),
        };
        let words = self.words();
        if words.is_empty() { how } else { format!("{how}: {words}") }
    }

    /// Stops it: TERM, a grace, KILL. Its input is closed by now, which has ended it if it is well.
    pub(super) async fn stop(mut self) {
        self.running.stop();
        let cleared = async {
            while !matches!(self.running.next().await, Ok(Said::Clear { .. }) | Err(_)) {}
        };
        let _ = timeout(END_WITHIN, cleared).await;
    }

    async fn ended(&mut self) -> Option<How> {
        loop {
            match self.running.next().await {
                Ok(Said::Exited(how)) => return Some(how),
                Ok(Said::Started { .. } | Said::Contact(_) | Said::TooMuch(_)) => {}
                Ok(Said::Clear { .. } | Said::Refused(_)) | Err(_) => return None,
            }
        }
    }
}

async fn read(mut errors: ChildStderr, words: Arc<Mutex<Kept>>) {
    let mut buffer = Vec::with_capacity(WORDS_BYTES_MAX);
    while matches!(errors.read_buf(&mut buffer).await, Ok(1..)) {
        words.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer);
        buffer.clear();
    }
}
