//! This file makes one measurement: fresh data, a process, and what it says.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::Outcome;
use crate::build::Built;
use crate::plan::Measurement;
use crate::player::Player;
use crate::servers::{Running, bytes_in};
use crate::subjects::Server;

/// Measures; keeps the servers running between two measurements.
#[derive(Debug)]
pub(crate) struct Bench {
    dir: PathBuf,
    built: Built,
    /// How long one process may take.
    patience: Duration,
    servers: Vec<(Server, Running)>,
    number: u64,
}

/// Where the data of one measurement is.
struct Place {
    dir: PathBuf,
    url: String,
}

impl Bench {
    pub(crate) fn new(dir: &Path, built: Built, patience: Duration) -> Self {
        Self { dir: dir.to_owned(), built, patience, servers: Vec::new(), number: 0 }
    }

    /// Where all data is.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn measure(&mut self, measurement: &Measurement) -> Outcome<Value> {
        self.number += 1;
        let dir = self.dir.join(format!("data-{}", self.number));
        std::fs::create_dir_all(&dir)?;
        let measured = self.measure_in(measurement, &dir);
        if measured.is_err() {
            // It may be in any state, and busy with what was asked of it.
            self.servers.retain(|(server, _)| *server != measurement.subject.server);
        }
        std::fs::remove_dir_all(&dir)?;
        measured
    }

    fn measure_in(&mut self, measurement: &Measurement, dir: &Path) -> Outcome<Value> {
        let server = measurement.subject.server;
        let url = match server {
            Server::File => String::new(),
            server => {
                let number = self.number;
                self.server(server)?.fresh(number)?
            }
        };
        let place = Place { dir: dir.to_owned(), url };
        let player = self.player(measurement, measurement.work, &place)?;
        let mut figures = player.figures(self.patience)?;
        self.add_sizes(measurement, &place, &mut figures)?;
        drop(player);
        if measurement.then_ready {
            let began = Instant::now();
            if server != Server::File {
                self.server(server)?.crash()?;
            }
            let player = self.player(measurement, "ready", &place)?;
            let ready = player.figures(self.patience)?;
            figures["ready_s"] = json!(began.elapsed().as_secs_f64());
            figures["client_ready_s"] = ready["ready_s"].clone();
        }
        Ok(figures)
    }

    fn server(&mut self, server: Server) -> Outcome<&mut Running> {
        if !self.servers.iter().any(|(kind, _)| *kind == server) {
            let dir = self.dir.join(format!("server-{}", self.number));
            self.servers.push((server, Running::start(server, &dir)?));
        }
        let found = self.servers.iter_mut().find(|(kind, _)| *kind == server);
        Ok(&mut found.ok_or("no such server")?.1)
    }

    fn player(&self, measurement: &Measurement, work: &str, place: &Place) -> Outcome<Player> {
        let subject = measurement.subject;
        let mut command: Command = self.built.command(subject.program, subject.peer);
        command.args([subject.peer, subject.mode, work]);
        command.arg("--dir").arg(&place.dir).args(["--url", &place.url]);
        for (flag, number) in [
            ("--callers", measurement.callers),
            ("--jobs", measurement.jobs),
            ("--classes", measurement.classes),
            ("--seconds", measurement.seconds),
        ] {
            command.args([flag, &number.to_string()]);
        }
        Player::start(command, &self.dir.join("said"))
    }

    /// Looks at memory and files while everything is still open.
    fn add_sizes(
        &self,
        measurement: &Measurement,
        place: &Place,
        figures: &mut Value,
    ) -> Outcome<()> {
        let wanted = measurement.subject.server;
        let server =
            self.servers.iter().find(|(kind, _)| *kind == wanted).map(|(_, server)| server);
        figures["bytes"] = match server {
            Some(server) => json!(server.bytes()?),
            None => json!(bytes_in(&place.dir)),
        };
        figures["server_kib"] = json!(server.map(Running::memory_kib));
        figures["jobs_given"] = json!(measurement.jobs);
        Ok(())
    }
}
