//! This file is the proof that a hub can be reached behind real proxies with TLS, set up by the files in `contrib`, as
//! `cargo xtask verify --only proxies`.

#[path = "../../../agentcom-http/src/serve/tests/smuggling/corpus.rs"]
mod corpus;
mod proxy;
mod tls;

use std::process::{Command, ExitCode};

use agentcom_tests::proof::{Outcome, Usage, prove, say};
use agentcom_tests::real::api::Api;
use agentcom_tests::real::process::{Process, Program, Up, eventually, printed};
use serde_json::json;

use proxy::{PROXIES, Proxy};
use tls::{Client, Identity};

const HELP: &str = "\
cargo xtask verify --only proxies

Runs a real hub behind nginx and Caddy, or the one that is named: nginx, caddy. Both have to be
installed; they listen on free ports of loopback, and end with the proof.

  --figures FILE        write the figures as one JSON object";

fn main() -> ExitCode {
    let names: Vec<&str> = PROXIES.iter().map(|(name, _)| *name).collect();
    let usage = Usage { parts: &names, ..Usage::new(HELP, &[]) };
    prove(&usage, |arguments| {
        let mut all = Outcome::default();
        for (name, start) in PROXIES {
            if arguments.wants(name) {
                say(&format!("== {name}"));
                let scene = Scene::set();
                let proxy = start(scene.dir.path(), scene.hub.listen());
                scene.a_task_goes_through(&proxy);
                all.add(scene.no_request_is_taken_for_two(name, &proxy));
            }
        }
        Ok(all)
    })
}

/// A hub with an agent that only comes through the proxy, and who stands for whom.
struct Scene {
    dir: tempfile::TempDir,
    program: Program,
    hub: Up,
    api: Api,
    client: Client,
}

impl Scene {
    fn set() -> Self {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let client = Identity::of_localhost().written_to(dir.path());
        let program = Program::beside_this();
        let line = ["--agents", "0", "--trusted-proxy", "127.0.0.1"];
        let hub = Up::start(&program, dir.path(), &line);
        let api = hub.api(dir.path());
        Self { dir, program, hub, api, client }
    }

    /// The command, which knows of the hub what is at the proxy.
    fn command(&self, proxy: &Proxy, token: &str, line: &[&str]) -> Command {
        let mut command = self.program.command(self.dir.path(), line);
        command.env("AGENTCOM_URL", proxy.url()).env("AGENTCOM_TOKEN", token);
        command.env("SSL_CERT_FILE", self.dir.path().join(proxy::CERTIFICATE));
        command
    }

    /// From a command to an agent and back, and what is told of it, all through the proxy.
    fn a_task_goes_through(&self, proxy: &Proxy) {
        let token = self.program.run(self.dir.path(), &["agent", "add", "far"], 0);
        let agent = self.command(proxy, token.trim(), &["agent", "run", "far"]).spawn();
        let _agent = Process(agent.expect("the command can be started"));
        eventually("the agent is there", || {
            self.api.get("/api/agents")["agents"][0]["connected"] == true
        });
        let mut feed = self.client.connect(proxy.port);
        feed.say(&format!(
            "GET /api/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n",
            self.api.token
        ));
        // What happened before it was open it does not tell.
        feed.hear("\r\n\r\n");
        let line = ["submit", "--shell", "echo far", "--wait"];
        let output = self.command(proxy, &self.api.token, &line).output();
        let shown = printed(&output.expect("the command can be started"), 0);
        assert_eq!(shown, "far\n", "the task was not done");
        // It stays open, so what arrives was not kept back.
        feed.hear("task.completed");
    }

    /// What one side takes for one request and the other for two is done by neither, and shifts no answers.
    fn no_request_is_taken_for_two(&self, name: &str, proxy: &Proxy) -> Outcome {
        let (mut sent, mut found) = (0, Vec::new());
        // The last request ends the connection.
        let behind = corpus::smuggled(&self.api.token) + &get("/nowhere");
        let good = corpus::start_of_good(&self.api.token) + "content-length: 2\r\n\r\n{}";
        let told = self.client.ask(proxy.port, &(good + &behind));
        assert!(self.takes_back_the_stop(), "{name}: what is asked openly is done: {told:?}");
        for bytes in corpus::corpus(&self.api.token) {
            sent += 1;
            let told = self.client.ask(proxy.port, &format!("{bytes}{behind}"));
            let shown = || format!("{name}: {:?}", bytes.replace(&self.api.token, "TOKEN"));
            // A proxy that took it for two answers both.
            let others = answers(&told) - told.matches("HTTP/1.1 404 ").count();
            if self.takes_back_the_stop() && others < 2 {
                found.push(format!("{}: was smuggled in; {told:?}", shown()));
            }
            for (path, status) in [("/livez", "200"), ("/nowhere", "404")] {
                let told = self.client.ask(proxy.port, &get(path));
                if !told.starts_with(&format!("HTTP/1.1 {status} ")) || answers(&told) != 1 {
                    found.push(format!("{}: {path} is told {told:?}", shown()));
                }
            }
        }
        Outcome::new(json!({ format!("{name}_ambiguous_requests"): sent }), found)
    }

    /// Whether spending was stopped, which it is not any more.
    fn takes_back_the_stop(&self) -> bool {
        let is_stopped = self.api.get("/api/admin/caps")["stopped"] == true;
        if is_stopped {
            let told = self.api.ask("DELETE", "/api/admin/estop", None);
            assert!(told.is_ok_and(|(status, _)| status == 200), "spending goes on");
        }
        is_stopped
    }
}

/// The only request of a connection, or its last.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
}

fn answers(told: &str) -> usize {
    told.matches("HTTP/1.1 ").count()
}
