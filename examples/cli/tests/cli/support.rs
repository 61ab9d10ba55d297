//! This file starts the real command for tests, and leaves nothing of it behind.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::Command;

use agentcom_core::sandbox::Level;
use agentcom_tests::real::process;
pub(crate) use agentcom_tests::real::process::{
    Process, Program, eventually, printed, processes_in,
};
use serde_json::Value;

/// Runs git in `dir`, and returns what it printed.
#[track_caller]
pub(crate) fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// The command that was built for these tests.
pub(crate) fn program() -> Program {
    Program(env!("CARGO_BIN_EXE_agentcom").into())
}

/// Whether commands can be confined here, as `level` does it. Tests of what this machine does not have test
/// nothing, so there it has to be said that it does not: by `AGENTCOM_TEST_SANDBOX`, the level that it has.
#[track_caller]
pub(crate) fn has_sandbox(dir: &Path, level: Level) -> bool {
    let told = json(dir, &["doctor"])["sandbox"]["level"].as_str().unwrap().to_owned();
    let proved: Level = told.parse().unwrap();
    let said = std::env::var("AGENTCOM_TEST_SANDBOX");
    let expected = said.map_or(Level::L3, |level| level.parse().unwrap());
    assert!(
        proved >= level || expected < level,
        "this machine proves a sandbox of {proved} only, so what needs {level} is not tested; if it has no \
         more, say AGENTCOM_TEST_SANDBOX={proved}"
    );
    proved >= level
}

/// The command, in a directory that is also its home.
pub(crate) fn agentcom(dir: &Path, line: &[&str]) -> Command {
    program().command(dir, line)
}

/// `agentcom up` at work.
#[derive(Debug)]
pub(crate) struct Up(process::Up);

impl Up {
    /// Starts it on a free port unless `more` says otherwise, and waits until it is ready.
    pub(crate) fn start(dir: &Path, more: &[&str]) -> Self {
        Self::start_with(dir, more, &[])
    }

    /// As [`Up::start`], with these variables in its environment.
    pub(crate) fn start_with(dir: &Path, more: &[&str], env: &[(&str, &str)]) -> Self {
        Self(process::Up::start_with(&program(), dir, more, env))
    }
}

impl Deref for Up {
    type Target = process::Up;

    fn deref(&self) -> &process::Up {
        &self.0
    }
}

impl DerefMut for Up {
    fn deref_mut(&mut self) -> &mut process::Up {
        &mut self.0
    }
}

/// Runs a line in `dir`, which must end with `code`, and returns what it printed.
#[track_caller]
pub(crate) fn run(dir: &Path, line: &[&str], code: i32) -> String {
    program().run(dir, line, code)
}

/// As [`run`], for JSON.
#[track_caller]
pub(crate) fn json(dir: &Path, line: &[&str]) -> Value {
    serde_json::from_str(&run(dir, &[line, &["--json"]].concat(), 0)).unwrap()
}
