//! This file starts the real command for tests, and leaves nothing of it behind.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long anything may take that is to happen.
pub(crate) const WITHIN: Duration = Duration::from_secs(30);

/// The command, in a directory that is also its home.
pub(crate) fn agentcom(dir: &Path, line: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_agentcom"));
    command.args(line).current_dir(dir).env_clear().stdin(Stdio::null());
    command.env("HOME", dir).env("TMPDIR", dir);
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
}

/// A process that ends with the test.
#[derive(Debug)]
pub(crate) struct Process(pub(crate) Child);

impl Process {
    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).unwrap();
        kill(Pid::from_raw(pid), signal).unwrap();
    }

    /// Kills it at once and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().unwrap();
    }

    /// Waits for its end and returns its exit code.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the process ends", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `agentcom up` at work.
#[derive(Debug)]
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) told: Value,
}

impl Up {
    /// Starts it on a free port unless `more` says otherwise, and waits until it is ready.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        let listen =
            if more.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"][..] };
        let line = [&["up", "--json"][..], listen, more].concat();
        let said = File::options().create(true).append(true).open(dir.join("up.log")).unwrap();
        let mut child = agentcom(dir, &line).stdout(Stdio::piped()).stderr(said).spawn().unwrap();
        let out = child.stdout.take().unwrap();
        let process = Process(child);
        let first = first_line(out);
        let said = || std::fs::read_to_string(dir.join("up.log")).unwrap_or_default();
        let told =
            first.unwrap_or_else(|| panic!("`agentcom up` is not ready; it said: {}", said()));
        Self { process, told: serde_json::from_str(&told).unwrap() }
    }

    /// Where the hub listens.
    pub(crate) fn url(&self) -> &str {
        self.told["url"].as_str().unwrap()
    }

    /// Where the hub listens, as `--listen` takes it.
    pub(crate) fn listen(&self) -> &str {
        self.url().trim_start_matches("http://")
    }
}

/// The first line, unless it takes too long or there is none.
fn first_line(out: std::process::ChildStdout) -> Option<String> {
    let (sender, line) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = BufReader::new(out).read_line(&mut text);
        let _ = sender.send(read.is_ok_and(|bytes| bytes > 0).then_some(text));
    });
    line.recv_timeout(WITHIN).ok().flatten()
}

/// Waits until `holds`, or fails.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + WITHIN;
    while !holds() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a line in `dir`, which must end with `code`, and returns what it printed.
#[track_caller]
pub(crate) fn run(dir: &Path, line: &[&str], code: i32) -> String {
    printed(&agentcom(dir, line).output().unwrap(), code)
}

/// As [`run`], for JSON.
#[track_caller]
pub(crate) fn json(dir: &Path, line: &[&str]) -> Value {
    serde_json::from_str(&run(dir, &[line, &["--json"]].concat(), 0)).unwrap()
}

/// The processes that work in `dir` or below, or have it in their environment.
pub(crate) fn processes_in(dir: &Path) -> Vec<String> {
    let named = |process: &PathBuf| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        format!("{} {}", process.display(), String::from_utf8_lossy(&line).replace('\0', " "))
    };
    found_in(dir).iter().map(named).collect()
}

fn found_in(dir: &Path) -> Vec<PathBuf> {
    let dir = dir.canonicalize().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let inside = |process: &PathBuf| {
        // One that ends meanwhile, or is somebody else's, is none of ours.
        let read = |of: &str| std::fs::read(process.join(of)).unwrap_or_default();
        std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir))
            || String::from_utf8_lossy(&read("environ")).contains(&*dir.to_string_lossy())
    };
    processes.filter(inside).collect()
}

/// A directory that takes with it what runs in it, even if a test fails.
#[derive(Debug)]
pub(crate) struct Swept(pub(crate) tempfile::TempDir);

impl Drop for Swept {
    fn drop(&mut self) {
        for process in found_in(self.0.path()) {
            let pid = process.file_name().and_then(|name| name.to_str()?.parse().ok());
            // It may have ended by itself.
            let _ = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
        }
    }
}

/// What a command printed, if it ended with `code`.
#[track_caller]
pub(crate) fn printed(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "said: {said}\nprinted: {out}");
    out
}
