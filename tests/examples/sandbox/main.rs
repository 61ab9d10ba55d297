//! This file is the proof that nothing breaks out of a sandbox or of a workspace, and nothing outlives its command, as
//! `cargo xtask sandbox`.
//!
//! It is its own guard, and runs itself again where the machine is another.

use std::path::Path;
use std::process::ExitCode;

use agentcom_exec::guard::{Spawner, dispatch};
use agentcom_exec::sandbox::{self, Level, Sandbox};
use agentcom_exec::trial::environment::{Environment, Readable};
use agentcom_exec::trial::{escapes, late, races};
use agentcom_tests::proof::{Arguments, Outcome, Usage, prove, say};
use serde_json::{Value, json};

const HELP: &str = "\
cargo xtask sandbox [PART]... [--races N] [--timeouts N] [--figures FILE]

Tries to break out of sandboxes and workspaces, and to outlive commands. PART is one of
  escapes   all attempts at each level, as root and as others, with and without user namespaces,
            in containers and without Landlock: each ends as is declared
  races     file tools while what a path means changes: none is led out, and what looks first is
  timeouts  commands whose time is over, with processes that do not want to end: none is left

  --races N       how often file tools are called in all [1000000]
  --timeouts N    how many commands are stopped [1000]
  --figures FILE  write the figures as one JSON object";

/// What this program is told to make all attempts, in the environment of that name.
const INSIDE: &str = "--inside";

/// The user that commands become where this is root.
const OTHER: u32 = 65_534;

fn main() -> ExitCode {
    if let Some(code) = dispatch() {
        return code;
    }
    let words: Vec<String> = std::env::args().skip(1).collect();
    if let [word, name] = &*words
        && word == INSIDE
    {
        let here = Environment::named(name).expect("the environment has a name");
        say(&inside(here).to_string());
        return ExitCode::SUCCESS;
    }
    let usage = Usage {
        help: HELP,
        parts: &["escapes", "races", "timeouts"],
        numbers: &[("races", 1_000_000), ("timeouts", 1_000)],
        texts: &[],
        flags: &[],
    };
    prove(&usage, |arguments| {
        let mut outcome = Outcome::default();
        for (part, run) in PARTS {
            if arguments.wants(part) {
                outcome.add(run(arguments));
            }
        }
        Ok(outcome)
    })
}

/// A part of the proof.
type Part = fn(&Arguments) -> Outcome;

const PARTS: [(&str, Part); 3] = [
    ("escapes", |_| break_out()),
    ("races", |arguments| race(arguments.number("races"))),
    ("timeouts", |arguments| outlive(arguments.number("timeouts"))),
];

fn spawner() -> Spawner {
    Spawner::current_exe().expect("this program dispatches")
}

/// The levels that this machine has, of those that confine commands.
fn levels() -> Vec<Level> {
    let proved = sandbox::prove(&spawner(), &Sandbox::new(Level::L3)).level;
    [Level::L2, Level::L3].into_iter().filter(|&level| level <= proved).collect()
}

/// All attempts, in this environment.
fn inside(here: Environment) -> Value {
    let levels = levels();
    let mut unexpected = Vec::new();
    let highest = levels.last().copied().unwrap_or(Level::L1);
    if highest != here.level() {
        unexpected.push(format!("it proves {highest}, and is to prove {}", here.level()));
    }
    let own_user = (here != Environment::Rootless).then_some(OTHER);
    let tried = runtime().block_on(escapes::try_all(&spawner(), &levels, own_user, here.is_odd()));
    let tried = tried.expect("the attempts can be made");
    unexpected.extend(tried.iter().flat_map(|tried| tried.unexpected.clone()));
    let confined = tried.iter().filter(|tried| tried.ground.level > Level::L0);
    json!({
        "sandboxes": confined.clone().count(),
        "attempts": confined.map(|tried| tried.as_declared).sum::<usize>(),
        "unexpected": unexpected,
    })
}

fn break_out() -> Outcome {
    let own = std::env::current_exe().expect("a program knows its file");
    let (_copies, [own]) = Readable::copies([&*own]).expect("it can be copied");
    let (mut sandboxes, mut attempts, mut environments) = (0, 0, 0);
    let mut found = Vec::new();
    for here in Environment::makeable(levels().last().copied().unwrap_or(Level::L1)) {
        environments += 1;
        match said(here, &own) {
            Ok(said) => {
                let number = |name: &str| said[name].as_u64().unwrap_or_default();
                sandboxes += number("sandboxes");
                attempts += number("attempts");
                let unexpected = said["unexpected"].as_array().into_iter().flatten();
                found.extend(unexpected.map(|it| format!("{}: {it}", here.as_str())));
            }
            Err(why) => found.push(format!("{}: {why}", here.as_str())),
        }
    }
    let figures = json!({
        "environments": environments,
        "sandboxes": sandboxes,
        "attempts": attempts,
        "unexpected": found.len(),
    });
    Outcome::new(figures, found)
}

/// What this program says of an environment.
fn said(here: Environment, own: &Path) -> Result<Value, String> {
    let ended = here.run(own, &[INSIDE, here.as_str()], &Default::default());
    let ended = ended.map_err(|error| error.to_string())?;
    serde_json::from_slice(&ended.stdout)
        .map_err(|_| String::from_utf8_lossy(&ended.stderr).into_owned())
}

fn race(calls: u64) -> Outcome {
    let control = races::race_naively().expect("there is a place for it");
    let raced = races::race(calls.div_ceil(races::TOOLS)).expect("there is a place for it");
    let mut found = Vec::new();
    if raced.escapes > 0 {
        found.push(format!("file tools were led out {} times", raced.escapes));
    }
    if control.is_none() {
        found.push("what looks first was never led out, so the race shows nothing".to_owned());
    }
    let figures = json!({
        "races": raced.calls,
        "races_done": raced.done,
        "race_escapes": raced.escapes,
        "race_control_tries": control,
    });
    Outcome::new(figures, found)
}

fn outlive(runs: u64) -> Outcome {
    const AT_ONCE: u64 = 4;
    let levels = levels();
    let mut all = late::Late::default();
    for &level in &levels {
        let part = runs.div_ceil(levels.len() as u64);
        let late = runtime().block_on(late::outlive(&spawner(), level, part, AT_ONCE));
        all.add(late.expect("commands can be run"));
    }
    let survived = (all.survivors > 0).then(|| format!("{} processes survived", all.survivors));
    let figures = json!({
        "timeouts": all.runs,
        "survivors": all.survivors,
        "gone_after_ms_most": u64::try_from(all.slowest.as_millis()).unwrap_or(u64::MAX),
        "gone_later_than_500_ms": all.slow,
    });
    Outcome::new(figures, survived.into_iter().collect())
}

fn runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be made")
}
