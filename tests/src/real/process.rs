//! This file runs the real command, and leaves nothing of it behind.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How long anything may take that is to happen.
pub const WITHIN: Duration = Duration::from_secs(60);

/// The `agentcom` command.
#[derive(Clone, Debug)]
pub struct Program(pub PathBuf);

impl Program {
    /// The command that was built beside this example, built anew if it has to be.
    ///
    /// # Panics
    ///
    /// If it cannot be built.
    #[must_use]
    pub fn beside_this() -> Self {
        let here = std::env::current_exe().expect("a program knows its file");
        let folder = here.ancestors().nth(2).expect("examples are two folders below their profile");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--locked", "--package", "agentcom"]);
        build.args(["--package", "agentcom-hub"]);
        if folder.ends_with("release") {
            build.arg("--release");
        }
        assert!(build.status().is_ok_and(|status| status.success()), "agentcom can be built");
        Self(folder.join("agentcom"))
    }

    /// The command, in a directory that is also its home.
    #[must_use]
    pub fn command(&self, dir: &Path, line: &[&str]) -> Command {
        let mut command = Command::new(&self.0);
        command.args(line).current_dir(dir).env_clear().stdin(Stdio::null());
        command.env("HOME", dir).env("TMPDIR", dir);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command
    }

    /// Runs a line in `dir`, which must end with `code`, and returns what it printed.
    ///
    /// # Panics
    ///
    /// If it ends otherwise.
    #[track_caller]
    pub fn run(&self, dir: &Path, line: &[&str], code: i32) -> String {
        let output = self.command(dir, line).output().expect("the command can be started");
        printed(&output, code)
    }
}

/// What a command printed, if it ended with `code`.
///
/// # Panics
///
/// If it ended otherwise.
#[track_caller]
pub fn printed(output: &Output, code: i32) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(code), "said: {said}\nprinted: {out}");
    out
}

/// A process that ends with its owner.
#[derive(Debug)]
pub struct Process(pub Child);

impl Process {
    /// Sends it a signal.
    ///
    /// # Panics
    ///
    /// If it is gone.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.0.id()).expect("process ids are small");
        kill(Pid::from_raw(pid), signal).expect("the process is there");
    }

    /// Kills it at once and waits until it is gone.
    ///
    /// # Panics
    ///
    /// If the system does not say that it is gone.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        self.0.wait().expect("a child is waited for");
    }

    /// Waits for its end and returns its exit code.
    ///
    /// # Panics
    ///
    /// If it takes too long.
    pub fn ended(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the process ends", || {
            status = self.0.try_wait().expect("a child is waited for");
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// How much memory it takes, in KiB.
    #[must_use]
    pub fn memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.0.id());
        let status = std::fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
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
pub struct Up {
    /// The process.
    pub process: Process,
    /// What it said when it was ready.
    pub told: Value,
}

impl Up {
    /// Starts it on a free port unless `more` says otherwise, and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not get ready.
    #[must_use]
    pub fn start(program: &Program, dir: &Path, more: &[&str]) -> Self {
        Self::start_with(program, dir, more, &[])
    }

    /// As [`Up::start`], with these variables in its environment.
    ///
    /// # Panics
    ///
    /// If it does not get ready.
    #[must_use]
    pub fn start_with(program: &Program, dir: &Path, more: &[&str], env: &[(&str, &str)]) -> Self {
        let listen =
            if more.contains(&"--listen") { &[][..] } else { &["--listen", "127.0.0.1:0"][..] };
        let line = [&["up", "--json"][..], listen, more].concat();
        let said = File::options().create(true).append(true).open(dir.join("up.log"));
        let mut command = program.command(dir, &line);
        command.stdout(Stdio::piped()).stderr(said.expect("the log can be written"));
        command.envs(env.iter().copied());
        let mut child = command.spawn().expect("the command can be started");
        let out = child.stdout.take().expect("its output is piped");
        let process = Process(child);
        let Some(told) = first_line(out) else {
            let said = std::fs::read_to_string(dir.join("up.log")).unwrap_or_default();
            panic!("`agentcom up` is not ready; it said: {said}");
        };
        Self { process, told: serde_json::from_str(&told).expect("it says where it is") }
    }

    /// Starts the hub alone, as a service manager does, on a free port and with these settings
    /// beside (TOML), and waits until it is ready.
    ///
    /// # Panics
    ///
    /// If it does not get ready.
    #[must_use]
    pub fn serve(program: &Program, dir: &Path, settings: &str) -> Self {
        let settings = format!("bind = \"127.0.0.1:0\"\ndata_dir = \"data\"\n{settings}");
        std::fs::write(dir.join("hub.toml"), settings).expect("the directory can be written");
        let hub = Program(program.0.with_file_name("agentcom-hub"));
        let said = File::create(dir.join("up.log")).expect("the log can be written");
        let mut command = hub.command(dir, &["--config", "hub.toml"]);
        command.env("AGENTCOM_LOG", "warn").stdout(Stdio::null()).stderr(said);
        let process = Process(command.spawn().expect("the command can be started"));
        let mut told = Value::Null;
        eventually("the hub says where it is", || {
            let text = std::fs::read(dir.join("data/hub.json")).unwrap_or_default();
            told = serde_json::from_slice(&text).unwrap_or_default();
            told["url"].is_string()
        });
        told["token_file"] = "data/admin.token".into();
        Self { process, told }
    }

    /// Where the hub listens.
    ///
    /// # Panics
    ///
    /// If it did not say.
    #[must_use]
    pub fn url(&self) -> &str {
        self.told["url"].as_str().expect("it says its URL")
    }

    /// Where the hub listens, as `--listen` takes it.
    #[must_use]
    pub fn listen(&self) -> &str {
        self.url().trim_start_matches("http://")
    }

    /// What asks it as its administrator.
    ///
    /// # Panics
    ///
    /// If its token cannot be read.
    #[must_use]
    pub fn api(&self, dir: &Path) -> super::api::Api {
        let file = self.told["token_file"].as_str().expect("it says where its token is");
        let token = std::fs::read_to_string(dir.join(file)).expect("its token can be read");
        super::api::Api { listen: self.listen().into(), token: token.trim().into() }
    }
}

/// The first line, unless it takes too long or there is none.
fn first_line(out: ChildStdout) -> Option<String> {
    let (sender, line) = mpsc::channel();
    std::thread::spawn(move || {
        let mut text = String::new();
        let read = BufReader::new(out).read_line(&mut text);
        let _ = sender.send(read.is_ok_and(|bytes| bytes > 0).then_some(text));
    });
    line.recv_timeout(WITHIN).ok().flatten()
}

/// Waits until `holds`.
///
/// # Panics
///
/// If it takes too long.
#[track_caller]
pub fn eventually(what: &str, holds: impl FnMut() -> bool) {
    assert!(within(WITHIN, holds), "in vain: {what}");
}

/// Whether `holds` comes true in time.
#[must_use]
pub fn within(span: Duration, mut holds: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + span;
    while !holds() {
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// The processes that work in `dir` or below, or have it in their environment.
#[must_use]
pub fn processes_in(dir: &Path) -> Vec<String> {
    let named = |process: &PathBuf| {
        let line = std::fs::read(process.join("cmdline")).unwrap_or_default();
        format!("{} {}", process.display(), String::from_utf8_lossy(&line).replace('\0', " "))
    };
    found_in(dir).iter().map(named).collect()
}

fn found_in(dir: &Path) -> Vec<PathBuf> {
    let Ok(dir) = dir.canonicalize() else { return Vec::new() };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let inside = |process: &PathBuf| {
        // One that ends meanwhile, or is somebody else's, is none of ours.
        let read = |of: &str| std::fs::read(process.join(of)).unwrap_or_default();
        std::fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd.starts_with(&dir))
            || String::from_utf8_lossy(&read("environ")).contains(&*dir.to_string_lossy())
    };
    processes.map(|entry| entry.path()).filter(inside).collect()
}

/// A directory that takes with it what runs in it, even if a test fails.
#[derive(Debug)]
pub struct Swept(pub tempfile::TempDir);

impl Drop for Swept {
    fn drop(&mut self) {
        for process in found_in(self.0.path()) {
            let pid = process.file_name().and_then(|name| name.to_str()?.parse().ok());
            // It may have ended by itself.
            let _ = pid.map(|pid| kill(Pid::from_raw(pid), Signal::SIGKILL));
        }
    }
}
