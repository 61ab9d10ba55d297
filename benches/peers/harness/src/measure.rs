//! This file makes one measurement: fresh data, a process, and what it says.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use serde_json::{Value, json};

use crate::Outcome;
use crate::build::Built;
use crate::plan::Measurement;
use crate::servers::{Running, bytes_in};
use crate::subjects::Server;

/// Measures; keeps the servers running between two measurements.
#[derive(Debug)]
pub(crate) struct Bench {
    dir: PathBuf,
    built: Built,
    servers: Vec<(Server, Running)>,
    number: u64,
}

impl Bench {
    pub(crate) fn new(dir: &Path, built: Built) -> Outcome<Self> {
        Ok(Self { dir: dir.to_owned(), built, servers: Vec::new(), number: 0 })
    }

    pub(crate) fn measure(&mut self, measurement: &Measurement) -> Outcome<Value> {
        self.number += 1;
        let dir = self.dir.join(format!("data-{}", self.number));
        std::fs::create_dir_all(&dir)?;
        let url = match measurement.subject.server {
            Server::File => String::new(),
            server => {
                let number = self.number;
                self.server(server)?.fresh(number)?
            }
        };
        let measured = match measurement.work {
            "fill" => self.ready(measurement, &dir, &url),
            work => self.play(measurement, work, &dir, &url),
        };
        std::fs::remove_dir_all(&dir)?;
        measured
    }

    fn server(&mut self, server: Server) -> Outcome<&mut Running> {
        if !self.servers.iter().any(|(kind, _)| *kind == server) {
            let running = Running::start(server, &self.dir.join(format!("{server:?}")))?;
            self.servers.push((server, running));
        }
        let found = self.servers.iter_mut().find(|(kind, _)| *kind == server);
        Ok(&mut found.ok_or("no such server")?.1)
    }

    fn command(&self, measurement: &Measurement, work: &str, dir: &Path, url: &str) -> Command {
        let subject = measurement.subject;
        let mut command = self.built.command(subject.program, subject.peer);
        command.args([subject.peer, subject.mode, work, "--dir"]).arg(dir).args(["--url", url]);
        for (flag, number) in [
            ("--callers", measurement.callers),
            ("--jobs", measurement.jobs),
            ("--classes", measurement.classes),
            ("--seconds", measurement.seconds),
        ] {
            command.args([flag, &number.to_string()]);
        }
        command.stdin(Stdio::null());
        command
    }

    fn play(&self, measurement: &Measurement, work: &str, dir: &Path, url: &str) -> Outcome<Value> {
        let output = self.command(measurement, work, dir, url).stderr(Stdio::piped()).output()?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(said.lines().last().unwrap_or("it failed silently").into());
        }
        let line = String::from_utf8_lossy(&output.stdout);
        let mut figures: Value = serde_json::from_str(line.lines().last().unwrap_or_default())?;
        self.add_sizes(measurement, dir, &mut figures);
        Ok(figures)
    }

    /// Fills a backlog, kills everything, and waits until the first job of it is done.
    fn ready(&mut self, measurement: &Measurement, dir: &Path, url: &str) -> Outcome<Value> {
        let mut command = self.command(measurement, "fill", dir, url);
        let mut child = Killed(command.stdout(Stdio::piped()).spawn()?);
        let mut line = String::new();
        let stdout = child.0.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let mut figures: Value = serde_json::from_str(&line)?;
        self.add_sizes(measurement, dir, &mut figures);
        drop(child);
        let began = Instant::now();
        if measurement.subject.server != Server::File {
            self.server(measurement.subject.server)?.crash()?;
        }
        let started = self.play(measurement, "ready", dir, url)?;
        figures["ready_s"] = json!(began.elapsed().as_secs_f64());
        figures["client_ready_s"] = started["ready_s"].clone();
        Ok(figures)
    }

    fn add_sizes(&self, measurement: &Measurement, dir: &Path, figures: &mut Value) {
        let wanted = measurement.subject.server;
        let server = self.servers.iter().find(|(kind, _)| *kind == wanted).map(|(_, server)| server);
        figures["bytes"] = json!(server.map_or_else(|| bytes_in(dir), Running::bytes));
        figures["server_kib"] = json!(server.map(Running::memory_kib));
        figures["jobs_given"] = json!(measurement.jobs);
    }
}

/// A process that does not outlive this value.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
