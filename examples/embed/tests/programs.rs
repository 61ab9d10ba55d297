//! This file runs the programs of this crate, and holds the README to the quickstarts.
#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use agentcom_core::port::transport::Transport as _;
use agentcom_transport_ws::{ClientOptions, WsClient};

/// A program that is killed at the end of its test.
struct Program {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(path: &str, folder: &Path) -> Self {
        let mut child =
            Command::new(path).current_dir(folder).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next line that starts so.
    fn line(&mut self, start: &str) -> String {
        self.lines.by_ref().map(Result::unwrap).find(|line| line.starts_with(start)).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// The lines of a quickstart behind what is for this repository alone.
fn shown(source: &str) -> String {
    let lines = source.lines().skip_while(|line| line.starts_with("//!") || line.starts_with("#!"));
    lines.collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn count(shown: &str) -> usize {
    shown.lines().filter(|line| !line.trim().is_empty()).count()
}

#[test]
fn the_readme_shows_the_quickstarts_word_for_word_and_they_are_short() {
    let readme = fs::read_to_string("../../README.md").unwrap();
    let blocks = readme.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let blocks: Vec<_> = blocks.map(str::trim).collect();
    let first = shown(include_str!("../src/bin/quickstart.rs"));
    let remote = shown(include_str!("../src/bin/remote.rs"));
    assert_eq!(blocks, [&first, &remote]);
    assert!(count(&first) <= 12, "{} lines", count(&first));
    assert!(count(&remote) <= count(&first) + 10, "{} lines", count(&remote));
}

#[test]
fn the_first_quickstart_does_its_job_and_does_it_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let mut program = Program::start(env!("CARGO_BIN_EXE_quickstart"), folder.path());
        assert_eq!(program.line("Hello"), "Hello, Ada!");
    }
}

#[tokio::test]
async fn the_second_quickstart_takes_an_agent_from_outside() {
    let folder = tempfile::tempdir().unwrap();
    let mut program = Program::start(env!("CARGO_BIN_EXE_remote"), folder.path());
    let line = program.line("worker-1: ");
    let (url, token) = line["worker-1: ".len()..].split_once(' ').unwrap();
    let client = WsClient::new(url, ClientOptions::default()).unwrap();
    let mut connection = client.open().await.unwrap();
    let identify = format!(
        r#"{{"type":"identify","agent_id":"worker-1","token":"{token}","boot":"boot-00000000000000a1"}}"#
    );
    connection.outgoing.send(identify).unwrap();
    let said = connection.incoming.recv().await.unwrap();
    assert!(said.contains(r#""type":"identified""#), "{said}");
    assert_eq!(program.line("Hello"), "Hello, Ada!");
}

#[test]
fn the_kitchen_serves_quick_dishes_first_and_pastry_by_who_can_make_it() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        Command::new(env!("CARGO_BIN_EXE_agentcom-embed")).current_dir(&folder).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let dish = |name: &str| said.lines().position(|line| line.contains(name)).unwrap();
    assert!(output.status.success() && said.ends_with("everything is served\n"), "{said}");
    assert_eq!(said.lines().count(), 7, "{said}");
    assert!(include_str!("../src/main.rs").lines().count() < 80);
    assert!(dish("espresso") < dish("salad") && dish("salad") < dish("roast"), "{said}");
    assert!(dish("tart") < dish("soufflé"), "{said}");
    let pastry = said.lines().filter(|line| line.contains("tart") || line.contains("soufflé"));
    assert!(
        pastry.clone().count() == 2 && pastry.clone().all(|line| line.contains("ada")),
        "{said}"
    );
}
