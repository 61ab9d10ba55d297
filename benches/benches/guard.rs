//! This file guards steps and decisions against growing dearer, by the instructions that they take.
//!
//! `cargo xtask bench guard [--write yes]`
//!
//! Instructions are counted by valgrind's callgrind, in a process of its own for each kind, so that
//! it matters little who else uses the machine. What each kind may take is in `budget.txt`; more
//! than a few percent above that fails. Where a rise is wanted, `--write yes` writes the figures
//! that were found, and they are committed with what made them rise. Without valgrind nothing is
//! counted, which is said.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use agentcom_benches::Outcome;
use agentcom_benches::arguments::Arguments;
use agentcom_benches::decisions::Decisions;
use agentcom_benches::report::say;
use agentcom_benches::scene::Scene;
use agentcom_benches::steps::{Kind, Load, Size};

/// By how many percent a figure may be above its budget.
const SLACK: u64 = 4;
const CYCLES: u64 = 500;
const SIZE: Size = Size { tasks: 4_000, agents: 200, classes: 100 };
const SCENE: Scene = Scene {
    tasks: 4_000,
    agents: 200,
    classes: (10, 10),
    fits: (5, 4),
    limits: true,
    unmatchable: 0,
};
const DECIDE: &str = "decide";

fn main() -> Outcome<()> {
    let arguments = Arguments::read()?;
    match (arguments.word(0), arguments.word(1)) {
        (Some("count"), Some(what)) => take(what),
        (None, _) => guard(arguments.text("write") == Some("yes")),
        _ => Err("unknown arguments".into()),
    }
}

/// Takes the steps of a kind, or the decisions, for an instrument to count.
fn take(what: &str) -> Outcome<()> {
    if what == DECIDE {
        return Decisions::new(SCENE, None)?.counted(CYCLES as usize);
    }
    let kind = Kind::ALL.into_iter().find(|kind| kind.as_str() == what).ok_or("unknown kind")?;
    let mut load = Load::new(SIZE)?.counting(kind);
    for _ in 0..CYCLES {
        load.cycle()?;
    }
    Ok(())
}

fn guard(write: bool) -> Outcome<()> {
    let quiet = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !quiet.is_ok_and(|status| status.success()) {
        say("guard: SKIPPED, valgrind is not installed, so no instructions were counted");
        return Ok(());
    }
    let budget = budget()?;
    let (mut found, mut over) = (String::new(), Vec::new());
    for what in Kind::ALL.iter().map(|kind| kind.as_str()).chain([DECIDE]) {
        let (count, may) = (count(what)?, budget.get(what).copied().unwrap_or(0));
        let percent = count as f64 * 100.0 / may as f64 - 100.0;
        say(&format!("{what}: {count} instructions, budget {may}, {percent:+.1} %"));
        found.push_str(&format!("{what} {count}\n"));
        if count * 100 > may * (100 + SLACK) {
            over.push(what);
        }
    }
    if write {
        std::fs::write(file(), found)?;
        say("benches/budget.txt has the figures that were found");
    } else if !over.is_empty() {
        return Err(format!(
            "{} above budget by more than {SLACK} %; if that is wanted, run \
             `cargo xtask bench guard --write yes` and commit benches/budget.txt",
            over.join(", ")
        )
        .into());
    }
    Ok(())
}

/// How many instructions one takes.
fn count(what: &str) -> Outcome<u64> {
    let function = if what == DECIDE { "*counted_decision*" } else { "*counted_step*" };
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect={function}"))
        .arg(std::env::current_exe()?)
        .args(["count", what])
        .stdin(Stdio::null())
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    let collected = said.lines().find_map(|line| line.split_once("Collected : "));
    let all: Option<u64> = collected.and_then(|(_, figure)| figure.trim().parse().ok());
    match all {
        Some(all) if output.status.success() && all > 0 => Ok(all / CYCLES),
        _ => Err(format!("valgrind counted nothing for {what}:\n{said}").into()),
    }
}

fn budget() -> Outcome<BTreeMap<String, u64>> {
    let text = std::fs::read_to_string(file())?;
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(what, figure)| Ok((what.to_owned(), figure.parse()?))).collect()
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("budget.txt")
}
