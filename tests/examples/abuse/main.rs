//! This file is the proof that a real hub bears what the world does to it, as `cargo xtask abuse`:
//! freezes, a full disk, slow sockets, a herd of agents that come back, and far too much work.

mod crowd;
mod herd;
mod overload;
mod slow;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use agentcom_tests::proof::{Outcome, Usage, panicked, prove, say};
use agentcom_tests::real::process::Program;
use agentcom_tests::real::{disk, freeze};

const HELP: &str = "\
cargo xtask abuse [PART]... [OPTION]...

Runs a real hub and does to it what the world does. Without a PART all of them:

  freeze    SIGSTOP and SIGCONT of the hub and of a sidecar, for longer than their leases
  disk      a full disk, and room again (needs root, to mount a small one)
  slow      sockets that send a byte every 10 s, never say who they are, or do not read
  herd      all agents come back at once after the hub was down
  overload  ten times the work that the agents can do

  --pause-seconds N     how long the hub stands still [60]
  --sockets N           slow sockets [5000]
  --agents N            agents of the herd [10000]
  --overload-seconds N  how long there is too much work [30]
  --figures FILE        write the figures as one JSON object

The slice for a gate: --pause-seconds 9 --sockets 1000 --agents 2000 --overload-seconds 10.";

const PARTS: [&str; 5] = ["freeze", "disk", "slow", "herd", "overload"];
const NUMBERS: [(&str, u64); 4] =
    [("pause-seconds", 60), ("sockets", 5_000), ("agents", 10_000), ("overload-seconds", 30)];

fn main() -> ExitCode {
    let usage = Usage { parts: &PARTS, ..Usage::new(HELP, &NUMBERS) };
    prove(&usage, |arguments| {
        let program = Program::beside_this();
        let mut all = Outcome::default();
        let mut part = |name, run: &dyn Fn() -> Option<Outcome>| {
            if arguments.wants(name) {
                say(&format!("== {name}"));
                // A part that cannot go on does not keep the others from it.
                let ended = catch_unwind(AssertUnwindSafe(run));
                all.add(ended.unwrap_or_else(|panic| Some(panicked(&*panic))).unwrap_or_default());
            }
        };
        let pause = Duration::from_secs(arguments.number("pause-seconds"));
        let span = Duration::from_secs(arguments.number("overload-seconds"));
        let (sockets, agents) = (arguments.number("sockets"), arguments.number("agents"));
        part("freeze", &|| Some(freeze::hub(&program, pause)));
        part("freeze", &|| Some(freeze::sidecar(&program)));
        part("disk", &|| disk::full(&program));
        part("slow", &|| Some(slow::run(&program, sockets)));
        part("herd", &|| Some(herd::run(&program, agents)));
        part("overload", &|| Some(overload::run(&program, span)));
        Ok(all)
    })
}
