//! This file runs one step: a named command whose time is taken.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

/// A named command.
pub(crate) struct Step {
    name: &'static str,
    args: Vec<String>,
    vars: Vec<(&'static str, &'static str)>,
}

impl Step {
    /// A call of cargo.
    pub(crate) fn cargo<'a>(name: &'static str, args: impl IntoIterator<Item = &'a str>) -> Self {
        let args = args.into_iter().map(String::from).collect();
        Self { name, args, vars: Vec::new() }
    }

    pub(crate) fn arg(mut self, arg: &str) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = String>) -> Self {
        self.args.extend(args);
        self
    }

    /// Sets a variable for this step alone.
    pub(crate) fn var(mut self, name: &'static str, value: &'static str) -> Self {
        self.vars.push((name, value));
        self
    }

    /// Runs it in the root of the workspace, and says how long it took.
    pub(crate) fn run(&self) -> Result<Duration, Failure> {
        say(&format!("==> {}: {self}", self.name));
        let began = Instant::now();
        let status = Command::new(cargo())
            .args(&self.args)
            .envs(self.vars.iter().copied())
            .current_dir(root())
            .stdin(Stdio::null())
            .status();
        let took = began.elapsed();
        match status {
            Ok(status) if status.success() => {
                say(&format!("    {} passed in {:.1} s", self.name, took.as_secs_f64()));
                Ok(took)
            }
            Ok(status) => Err(self.failed(&format!("{status}"), took)),
            Err(error) => Err(self.failed(&format!("{error}"), took)),
        }
    }

    fn failed(&self, how: &str, took: Duration) -> Failure {
        let name = self.name;
        let seconds = took.as_secs_f64();
        let text = format!(
            "\n{name} FAILED after {seconds:.1} s ({how}); run it again with\n\n    {self}"
        );
        Failure { text, code: 1 }
    }
}

/// The command, as one types it.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, value) in &self.vars {
            write!(f, "{name}='{value}' ")?;
        }
        write!(f, "cargo {}", self.args.join(" "))
    }
}

/// Why a command of ours did not do what it is for.
#[derive(Debug)]
pub(crate) struct Failure {
    text: String,
    code: u8,
}

impl Failure {
    /// It was called wrongly: exit code 64, as everywhere in this project.
    pub(crate) fn usage(text: &str) -> Self {
        Self { text: text.into(), code: 64 }
    }

    /// It was called well, and found something or could not do its work.
    pub(crate) fn found(text: &str) -> Self {
        Self { text: text.into(), code: 1 }
    }

    /// It could not do what it is for.
    pub(crate) fn other(text: &str) -> Self {
        Self { text: text.into(), code: 1 }
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.code)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Writes a line to stderr, where cargo writes as well, so that the order is kept.
pub(crate) fn say(line: &str) {
    // Nobody is left to tell when stderr is gone.
    let _gone = writeln!(io::stderr(), "{line}");
}

/// Whether a command runs and succeeds, without showing what it prints.
pub(crate) fn succeeds(program: impl Into<OsString>, args: &[&str]) -> bool {
    let quiet = Command::new(program.into())
        .args(args)
        .current_dir(root())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    quiet.is_ok_and(|status| status.success())
}

/// The cargo that runs us, which is that of the pinned toolchain.
pub(crate) fn cargo() -> OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// The root of the workspace, as cargo says it: a target directory may be shared between checkouts.
pub(crate) fn root() -> PathBuf {
    let here = env::var_os("CARGO_MANIFEST_DIR").map_or_else(built_in, PathBuf::from);
    here.parent().map(Path::to_owned).unwrap_or(here)
}

fn built_in() -> PathBuf {
    env!("CARGO_MANIFEST_DIR").into()
}
