//! This file changes the core in small ways, one at a time, to see whether a test notices.
//!
//! `.cargo/mutants.toml` says which tests are asked; `docs/mutants.md` lists the changes that no test
//! can notice, and why.

use std::fs;

use crate::run::{Failure, Step, cargo, root, say, succeeds};

const MISSING: &str = "this needs cargo-mutants and cargo-nextest:

    cargo install --locked cargo-mutants cargo-nextest";

/// What is changed: all that decides.
const EXAMINED: [&str; 2] = [
    "agentcom-core/src/{task,agent,limit,question,hub,sidecar,state}.rs",
    "agentcom-core/src/{task,agent,limit,question,hub,sidecar,state}/**/*.rs",
];

/// Runs `cargo mutants`, with the arguments behind `--`, such as `--shard 0/24`; fails if a mutant
/// survived.
pub(crate) fn mutants(args: Vec<String>) -> Result<(), Failure> {
    let (ours, theirs) = match args.iter().position(|word| word == "--") {
        Some(at) => (&args[..at], &args[at + 1..]),
        None => (&args[..], &args[args.len()..]),
    };
    let figures = match ours {
        [] => None,
        [option, path] if option == "--figures" => Some(path),
        _ => return Err(Failure::usage("cargo xtask mutants [--figures FILE] [-- ARGS]")),
    };
    if !succeeds(cargo(), &["mutants", "--version"]) {
        return Err(Failure::found(MISSING));
    }
    let names_files =
        theirs.iter().any(|word| word.starts_with("--file") || word.starts_with("-f"));
    let examined = EXAMINED.iter().filter(|_| !names_files).flat_map(|glob| ["--file", *glob]);
    let outcome = Step::cargo("mutants", ["mutants", "--package", "agentcom-core"])
        .args(examined.map(String::from))
        .args(theirs.iter().cloned())
        .run();
    let count = |name: &str| {
        let list = fs::read_to_string(root().join("mutants.out").join(format!("{name}.txt")))
            .unwrap_or_default();
        list.lines().count()
    };
    let [caught, before, survived, endless, unviable] =
        ["caught", "previously_caught", "missed", "timeout", "unviable"].map(count);
    // A change with which the tests never end does not go by unnoticed.
    let caught = caught + before + endless;
    let run = caught + survived;
    say(&format!(
        "{run} mutants run and {unviable} that do not compile: {caught} caught, {endless} of them \
         without an end, {survived} survived"
    ));
    if let Some(path) = figures {
        let text = format!(
            "{{\"run\": {run}, \"caught\": {caught}, \"survived\": {survived}, \
             \"unviable\": {unviable}, \"failures\": {survived}}}\n"
        );
        fs::write(path, text).map_err(|error| Failure::found(&format!("{path}: {error}")))?;
    }
    outcome.map(drop)
}
