//! This file sets a scene: a hub and agents, each a process of its own, in one directory.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::api::Api;
use super::process::{Process, Program, Up, eventually};

/// A hub and its agents.
#[derive(Debug)]
pub struct Scene {
    /// The command.
    pub program: Program,
    /// Where all of it is.
    pub dir: PathBuf,
    /// What asks the hub.
    pub api: Api,
    /// The hub, unless it is down.
    pub hub: Option<Up>,
    /// The agents.
    pub agents: Vec<Process>,
}

/// What an agent is called.
#[must_use]
pub fn name(number: usize) -> String {
    format!("a-{number}")
}

impl Scene {
    /// A hub with so many agents of two slots; their work is in `work`.
    ///
    /// # Panics
    ///
    /// If they do not get ready.
    #[must_use]
    pub fn set(program: &Program, dir: &Path, agents: usize) -> Self {
        std::fs::create_dir(dir.join("work")).expect("the directory can be written");
        let hub = Up::start(program, dir, &["--agents", "0"]);
        let (program, dir, api) = (program.clone(), dir.to_owned(), hub.api(dir));
        let mut scene = Self { program, dir, api, hub: Some(hub), agents: Vec::new() };
        (0..agents).for_each(|_| scene.add_agent());
        scene
    }

    /// Registers one more agent, and starts it.
    ///
    /// # Panics
    ///
    /// If it is not let in.
    pub fn add_agent(&mut self) {
        let name = name(self.agents.len());
        let token = self.program.run(&self.dir, &["agent", "add", &name], 0);
        std::fs::write(self.dir.join(format!("{name}.token")), token)
            .expect("the directory can be written");
        self.agents.push(self.start_agent(self.agents.len()));
    }

    /// The hub, which is up.
    ///
    /// # Panics
    ///
    /// If it is down.
    #[must_use]
    pub fn hub(&self) -> &Process {
        &self.hub.as_ref().expect("the hub is up").process
    }

    /// Waits until all agents are connected.
    ///
    /// # Panics
    ///
    /// If they do not come.
    pub fn connected(&self) {
        eventually("all agents are connected", || self.online() == self.agents.len() as u64);
    }

    /// How many agents are connected.
    #[must_use]
    pub fn online(&self) -> u64 {
        let Ok((200, health)) = self.api.ask("GET", "/health", None) else { return 0 };
        health["agents_connected"].as_u64().unwrap_or_default()
    }

    /// Starts the agent with a number.
    ///
    /// # Panics
    ///
    /// If it cannot be started.
    #[must_use]
    pub fn start_agent(&self, number: usize) -> Process {
        let (name, url) = (name(number), format!("http://{}", self.api.listen));
        let (token, log) = (format!("{name}.token"), self.dir.join(format!("{name}.log")));
        let line = ["agent", "run", &name, "--token-file", &token, "--url", &url];
        let more = ["--slots", "2", "--workdir", "work"];
        let said = File::options().create(true).append(true).open(log);
        let mut command = self.program.command(&self.dir, &[&line[..], &more].concat());
        command.stdout(Stdio::null()).stderr(said.expect("the log can be written"));
        Process(command.spawn().expect("the command can be started"))
    }

    /// Kills an agent, and starts it again.
    pub fn kill_agent(&mut self, number: usize) {
        self.agents[number].kill();
        self.agents[number] = self.start_agent(number);
    }

    /// Kills the hub, and starts it again where it was.
    pub fn kill_hub(&mut self) {
        if let Some(mut hub) = self.hub.take() {
            hub.process.kill();
        }
        let line = ["--agents", "0", "--listen", &self.api.listen];
        self.hub = Some(Up::start(&self.program, &self.dir, &line));
    }

    /// Kills all of them, and starts them again.
    pub fn kill_everybody(&mut self) {
        self.agents.iter_mut().for_each(Process::kill);
        self.kill_hub();
        for number in 0..self.agents.len() {
            self.agents[number] = self.start_agent(number);
        }
    }

    /// An agent that is killed over and over is put in quarantine, which an operator can end.
    pub fn trust_agents_again(&self) {
        for number in 0..self.agents.len() {
            // A hub that is away does not keep anybody from work.
            let path = format!("/api/agents/{}/resume", name(number));
            let _ = self.api.ask("POST", &path, None);
        }
    }

    /// The lines of a file that work wrote.
    #[must_use]
    pub fn lines(&self, file: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.join("work").join(file)).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    /// Kills all of them for good.
    pub fn end(&mut self) {
        self.agents.iter_mut().for_each(Process::kill);
        if let Some(mut hub) = self.hub.take() {
            hub.process.kill();
        }
    }
}
