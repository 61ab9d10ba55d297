//! This file runs the targets of the package `fuzz`, one after the other, for some time each.
//!
//! It needs a nightly compiler and `cargo-fuzz`. The committed corpora are where it starts; what it
//! finds besides goes to `fuzz/target/corpus`, and an input that does harm to `fuzz/artifacts`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::run::{Failure, root, say, succeeds};

const MISSING: &str = "fuzzing needs a nightly compiler and cargo-fuzz:

    rustup toolchain install nightly
    cargo install cargo-fuzz

The corpora are replayed by `cargo test -p agentcom-tests --test fuzz` without either.";

struct Args {
    seconds: u32,
    figures: Option<String>,
    target: Option<String>,
}

/// Fuzzes; fails if an input did harm, or if something is missing.
pub(crate) fn fuzz(args: Vec<String>) -> Result<(), Failure> {
    let args = parse(args)?;
    let known = targets()?;
    let chosen: Vec<String> = match args.target {
        None => known,
        Some(target) if known.contains(&target) => vec![target],
        Some(target) => {
            let known = known.join(", ");
            return Err(Failure::usage(&format!("there is no target {target}, but {known}")));
        }
    };
    if !succeeds("rustup", &["run", "nightly", "cargo", "fuzz", "--version"]) {
        return Err(Failure::found(MISSING));
    }
    let (mut executions, mut crashes) = (0, 0);
    for target in &chosen {
        let (count, fine) = run(target, args.seconds)?;
        executions += count;
        crashes += u64::from(!fine);
        say(&format!("{target}: {count} inputs, {}", if fine { "no harm" } else { "HARM" }));
    }
    say(&format!("{executions} inputs to {} targets, {crashes} did harm", chosen.len()));
    if let Some(path) = args.figures {
        let targets = chosen.len();
        let seconds = args.seconds * u32::try_from(targets).unwrap_or(u32::MAX);
        let figures = format!(
            "{{\"targets\": {targets}, \"executions\": {executions}, \"failures\": {crashes}, \
             \"seconds\": {seconds}}}\n"
        );
        fs::write(&path, figures).map_err(|error| Failure::found(&format!("{path}: {error}")))?;
    }
    if crashes == 0 {
        Ok(())
    } else {
        Err(Failure::found("inputs that do harm are in fuzz/artifacts"))
    }
}

fn parse(args: Vec<String>) -> Result<Args, Failure> {
    let mut found = Args { seconds: 60, figures: None, target: None };
    let mut args = args.into_iter();
    while let Some(word) = args.next() {
        let mut value =
            || args.next().ok_or_else(|| Failure::usage(&format!("{word} needs a value")));
        match word.as_str() {
            "--seconds" => {
                let value = value()?;
                let bad = |error| Failure::usage(&format!("--seconds {value}: {error}"));
                found.seconds = value.parse().map_err(bad)?;
            }
            "--figures" => found.figures = Some(value()?),
            option if option.starts_with('-') => {
                return Err(Failure::usage(
                    "cargo xtask fuzz [--seconds N] [--figures FILE] [TARGET]",
                ));
            }
            _ => found.target = Some(word),
        }
    }
    Ok(found)
}

fn targets() -> Result<Vec<String>, Failure> {
    let folder = root().join("fuzz/fuzz_targets");
    let unread = |error| Failure::found(&format!("{}: {error}", folder.display()));
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// How many inputs were tried, and whether none did harm.
fn run(target: &str, seconds: u32) -> Result<(u64, bool), Failure> {
    let more = format!("fuzz/target/corpus/{target}");
    let broken = |error| Failure::found(&format!("{target}: {error}"));
    fs::create_dir_all(root().join(&more)).map_err(broken)?;
    let mut command = Command::new("rustup");
    // The code under test has no unsafe parts, so no sanitizer has anything to look for.
    let cargo = ["run", "nightly", "cargo", "fuzz", "run", "--sanitizer", "none", target];
    command.args(cargo).arg(more).arg(format!("fuzz/corpus/{target}"));
    command.args(["--", "-max_len=4096", "-timeout=30", "-print_final_stats=1"]);
    command.arg(format!("-max_total_time={seconds}"));
    // Files that live for a moment need no disk.
    if Path::new("/dev/shm").is_dir() {
        command.env("TMPDIR", "/dev/shm");
    }
    let output = command.current_dir(root()).stdin(Stdio::null()).output().map_err(broken)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let fine = output.status.success();
    if !fine {
        let lines: Vec<&str> = said.lines().collect();
        say(&lines[lines.len().saturating_sub(40)..].join("\n"));
    }
    let count = said.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units:"));
    Ok((count.and_then(|count| count.trim().parse().ok()).unwrap_or(0), fine))
}
