//! This file runs the proofs that take longer than a test may: each is an example of the crate
//! `tests`, built with optimisations.
//!
//! A proof exits with 0 if nothing was found, and writes what it did as one JSON object to the file
//! that `--figures FILE` names. Without arguments it reaches the figures that are published; `verify`
//! runs a slice of it.

use std::time::Duration;

use crate::run::{Failure, Step};

/// A proof: the command, the example that it runs, and what it shows.
pub(crate) struct Proof {
    pub(crate) command: &'static str,
    example: &'static str,
    pub(crate) about: &'static str,
    /// What `verify` says to it; nothing if it is left out there.
    slice: &'static [&'static str],
}

/// All proofs.
pub(crate) const PROOFS: &[Proof] = &[
    Proof {
        command: "ablation",
        example: "ablation",
        about: "every guard is missed when it is gone, every planted bug is found",
        slice: &["--walks", "300"],
    },
    Proof {
        command: "models",
        example: "models",
        about: "compare hubs and stores with models",
        slice: &["--sequences", "500"],
    },
    Proof {
        command: "sim-disk",
        example: "sim-disk",
        about: "lose power, fail calls and damage files under the store",
        slice: &["--losses", "20000", "--faults", "300", "--upkeep", "16", "--rot", "150"],
    },
    Proof {
        command: "sim",
        example: "sim",
        about: "run simulated fleets in worlds full of faults: 10,000 faulty hours in 10 minutes",
        slice: &["--minutes", "3"],
    },
    Proof {
        command: "model",
        example: "model",
        about: "every order of what two hubs and their agents can do, explored",
        slice: &["--states", "5000000", "--depth", "5"],
    },
    Proof {
        command: "kill",
        example: "kill",
        about: "kill hub and sidecars under load",
        slice: &["--kills", "100"],
    },
    Proof {
        command: "sandbox",
        example: "sandbox",
        about: "break out of sandboxes and workspaces, outlive commands",
        slice: &["--races", "50000", "--timeouts", "50"],
    },
    Proof {
        command: "abuse",
        example: "abuse",
        about: "freeze, fill up, slow down and flood a real hub",
        slice: &[],
    },
];

/// The proof that a command names.
pub(crate) fn find(command: &str) -> Option<&'static Proof> {
    PROOFS.iter().find(|proof| proof.command == command)
}

impl Proof {
    /// Runs it with arguments of its own; `--help` shows them.
    pub(crate) fn run(&self, args: impl IntoIterator<Item = String>) -> Result<Duration, Failure> {
        let example =
            ["run", "--quiet", "--locked", "--release", "--package", "agentcom-tests", "--example"];
        Step::cargo(self.command, example).arg(self.example).arg("--").args(args).run()
    }

    /// Runs the slice of it that `verify` asks for; `None` if there is none.
    pub(crate) fn run_slice(&self) -> Option<Result<Duration, Failure>> {
        let is_any = !self.slice.is_empty();
        is_any.then(|| self.run(self.slice.iter().map(|arg| (*arg).into())))
    }
}
