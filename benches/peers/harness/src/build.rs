//! This file builds everybody who takes part.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Outcome;
use crate::subjects::Program;

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Built {
    release: PathBuf,
    node: PathBuf,
}

impl Built {
    /// The command that plays `peer`.
    pub(crate) fn command(&self, program: Program, peer: &str) -> Command {
        let name = match program {
            Program::Ours => "ours",
            Program::Rust => "rust-peers",
            Program::Effectum => "effectum-peer",
            Program::Node => {
                let mut command = Command::new("node");
                command.arg(self.node.join(format!("{peer}.mjs"))).current_dir(&self.node);
                return command;
            }
        };
        Command::new(self.release.join(name))
    }
}

/// Builds all, with optimisations; dependencies of Node come by its package manager.
pub(crate) fn all() -> Outcome<Built> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize()?;
    let target = here.join("target");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // One by one: together, the features that each asks for would be built for all.
    for (manifest, package) in [
        ("Cargo.toml", "ours"),
        ("Cargo.toml", "rust-peers"),
        ("effectum/Cargo.toml", "effectum-peer"),
    ] {
        let mut build = Command::new(&cargo);
        without_traces(&mut build);
        build.args(["build", "--release", "--locked", "--package", package, "--manifest-path"]);
        succeed(build.arg(here.join(manifest)).arg("--target-dir").arg(&target))?;
    }
    let node = target.join("node");
    std::fs::create_dir_all(&node)?;
    for entry in std::fs::read_dir(here.join("node"))? {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), node.join(entry.file_name()))?;
        }
    }
    succeed(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(&node))?;
    Ok(Built { release: target.join("release"), node })
}

/// Takes away what cargo tells the programs that it runs, as this one: build scripts that look at it
/// would run again, and all that needs them be built again, after each build by hand.
fn without_traces(build: &mut Command) {
    const EXACT: [&str; 4] =
        ["CARGO_BIN_NAME", "CARGO_CRATE_NAME", "CARGO_PRIMARY_PACKAGE", "OUT_DIR"];
    const BEGIN: [&str; 2] = ["CARGO_MANIFEST_", "CARGO_PKG_"];
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if EXACT.contains(&&*text) || BEGIN.iter().any(|begin| text.starts_with(begin)) {
            build.env_remove(&name);
        }
    }
}

fn succeed(command: &mut Command) -> Outcome<()> {
    // The standard output is for tables.
    let status = command
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{command:?}: {status}").into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_does_not_learn_that_cargo_has_started_this_program() {
        let mut build = Command::new("cargo");
        without_traces(&mut build);
        let removed: Vec<_> = build.get_envs().filter(|(_, value)| value.is_none()).collect();
        let is_removed = |name: &str| removed.iter().any(|(removed, _)| *removed == name);
        // Cargo sets both for tests as well; where it keeps its crates stays as it is.
        assert!(is_removed("CARGO_MANIFEST_DIR"));
        assert!(is_removed("CARGO_PKG_VERSION_PRE"));
        assert!(!is_removed("CARGO_HOME"));
        assert!(!is_removed("CARGO"));
    }
}
