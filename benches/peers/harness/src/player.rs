//! This file runs one measuring process, and ends it together with what it has started.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::{Outcome, interrupt};

/// How often it is looked whether time is up.
const TICK: Duration = Duration::from_millis(100);

/// A process that plays; it is killed with this value, and so is all that it started.
#[derive(Debug)]
pub(crate) struct Player {
    child: Child,
    lines: Receiver<String>,
    said: PathBuf,
}

/// It did not end in time.
#[derive(Debug)]
pub(crate) struct Late(Duration);

impl fmt::Display for Late {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "did not end in {} s", self.0.as_secs())
    }
}

impl Error for Late {}

impl Player {
    /// Starts it; what it says to its user goes into the file `said`.
    pub(crate) fn start(mut command: Command, said: &Path) -> Outcome<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(said)?);
        let spawned = command.process_group(0).spawn();
        let mut child = spawned.map_err(|error| format!("{command:?}: {error}"))?;
        let stdout = child.stdout.take();
        let (sender, lines) = channel();
        thread::spawn(move || {
            let lines = stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines());
            for line in lines.map_while(Result::ok) {
                // It is over already, and nobody listens.
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(Self { child, lines, said: said.to_owned() })
    }

    /// Waits for its figures, for so long.
    pub(crate) fn figures(&self, patience: Duration) -> Outcome<Value> {
        let began = Instant::now();
        while began.elapsed() < patience {
            interrupt::check()?;
            match self.lines.recv_timeout(TICK) {
                Ok(line) => {
                    if let Ok(figures @ Value::Object(_)) = serde_json::from_str(&line) {
                        return Ok(figures);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.last_words()?.into()),
            }
        }
        Err(Late(patience).into())
    }

    fn last_words(&self) -> Outcome<String> {
        let said = std::fs::read_to_string(&self.said)?;
        Ok(said.lines().last().unwrap_or("it failed silently").to_owned())
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        // A group of one's own has the number of its first process; it may have ended by itself.
        if let Ok(number) = i32::try_from(self.child.id()) {
            let _ = kill(Pid::from_raw(-number), Signal::SIGKILL);
        }
        let _ = self.child.wait();
    }
}
