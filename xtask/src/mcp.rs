//! This file speaks with a real MCP server: one from npm, in the version that `tests/mcp` names.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::run::{Failure, Step, root, say, succeeds};

/// The files that say which packages are installed, to the byte.
const FILES: [&str; 2] = ["package.json", "package-lock.json"];

/// The server in what is installed.
const SERVER: &str = "node_modules/@modelcontextprotocol/server-everything/dist/index.js";

/// Installs the server below the target directory, and speaks with it.
pub(crate) fn mcp() -> Result<Option<Duration>, Failure> {
    if !succeeds("node", &["--version"]) || !succeeds("npm", &["--version"]) {
        say(
            "==> mcp: skipped, node and npm are not installed, so no real MCP server is spoken with",
        );
        return Ok(None);
    }
    let began = Instant::now();
    let dir = target().join("mcp");
    if let Err(why) = install(&dir) {
        say(&format!("==> mcp: skipped, the server cannot be had from npm: {why}"));
        return Ok(None);
    }
    let proof = ["run", "--quiet", "--locked", "--package", "agentcom-tests", "--example", "mcp"];
    let server = dir.join(SERVER).display().to_string();
    Step::cargo("mcp", proof).arg("--").arg(&server).run()?;
    Ok(Some(began.elapsed()))
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |dir| root().join(dir))
}

/// Has in `dir` what the files say, and nothing else; nothing is done if it is there already.
fn install(dir: &Path) -> Result<(), String> {
    let told = |error: std::io::Error| error.to_string();
    let source = root().join("tests/mcp");
    let is_same = |file: &str| {
        let (old, new) = (fs::read(dir.join(file)), fs::read(source.join(file)));
        old.is_ok_and(|old| new.is_ok_and(|new| old == new))
    };
    if FILES.into_iter().all(is_same) && dir.join(SERVER).exists() {
        return Ok(());
    }
    fs::create_dir_all(dir).map_err(told)?;
    for file in FILES {
        fs::copy(source.join(file), dir.join(file)).map_err(told)?;
    }
    say("==> mcp: npm ci");
    let installed = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
        .current_dir(dir)
        .stdin(Stdio::null())
        .status();
    match installed.map_err(told)? {
        status if status.success() => Ok(()),
        status => Err(format!("npm ci, {status}")),
    }
}
