//! This file is the proof that hub and sidecars may be killed at any moment, as `cargo xtask kill`.

use std::process::ExitCode;

use agentcom_tests::proof::{Usage, prove};
use agentcom_tests::real::kill;
use agentcom_tests::real::process::Program;

const HELP: &str = "\
cargo xtask kill [--kills N] [--seed N] [--figures FILE]

Kills a hub and three sidecars under load, one or all of them at a time, and judges what is left:
no acknowledged task is lost, none ends twice, no assignment starts twice, no process is left.

  --kills N       how often to kill [500]; --kills 100 is the slice for a gate, within 3 minutes
  --seed N        decides who is killed when [24301]
  --figures FILE  write the figures as one JSON object";

fn main() -> ExitCode {
    let usage = Usage::new(HELP, &[("kills", 500), ("seed", 0x5eed)]);
    prove(&usage, |arguments| {
        let kills = usize::try_from(arguments.number("kills")).expect("a count of kills");
        Ok(kill::run(&Program::beside_this(), kills, arguments.number("seed")))
    })
}
