//! This file runs the project's own commands, as `cargo xtask COMMAND`.
//!
//! It needs nothing but cargo and the standard library, so that it builds in a moment.

mod run;
mod verify;

use std::env;
use std::process::ExitCode;

use run::{Failure, Step, say};

const USAGE: &str = "\
cargo xtask verify [--skip STEP]... [--only STEP]...  check everything that has to hold; reads only
cargo xtask verify --list                             name the steps
cargo xtask fix                                       apply clippy's suggestions and format
cargo xtask bench [ARGS]...                           run the benches";

/// A command that only hands its arguments on to another.
struct Forward {
    name: &'static str,
    args: &'static [&'static str],
}

const FORWARDS: [Forward; 1] =
    [Forward { name: "bench", args: &["bench", "--package", "agentcom-benches"] }];

fn main() -> ExitCode {
    let mut args = env::args().skip(1);
    let command = args.next().unwrap_or_default();
    let rest: Vec<String> = args.collect();
    let outcome = match command.as_str() {
        "verify" => verify::verify(&rest),
        "fix" => fix(&rest),
        "help" | "--help" | "-h" => {
            say(USAGE);
            Ok(())
        }
        other => forward(other, rest),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            say(&failure.to_string());
            failure.exit_code()
        }
    }
}

fn fix(args: &[String]) -> Result<(), Failure> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(&format!("`fix` takes no argument `{unknown}`\n\n{USAGE}")));
    }
    let clippy = ["clippy", "--fix", "--allow-dirty", "--allow-staged"];
    let everything = ["--workspace", "--all-targets", "--all-features"];
    Step::cargo("clippy --fix", clippy.into_iter().chain(everything)).run()?;
    Step::cargo("fmt", ["fmt", "--all"]).run()?;
    Ok(())
}

fn forward(name: &str, args: Vec<String>) -> Result<(), Failure> {
    let Some(forward) = FORWARDS.iter().find(|forward| forward.name == name) else {
        let what =
            if name.is_empty() { "a command is missing" } else { "there is no such command" };
        return Err(Failure::usage(&format!("{what}\n\n{USAGE}")));
    };
    let mut step = Step::cargo(forward.name, forward.args.iter().copied());
    if !args.is_empty() {
        step = step.arg("--").args(args);
    }
    step.run().map(drop)
}
