//! This file runs the proofs that take longer than a test may: each is an example of the crate
//! `tests`, built with optimisations.
//!
//! A proof exits with 0 if nothing was found, and writes what it did as one JSON object to the file
//! that `--figures FILE` names.

use crate::run::{Failure, Step};

/// A proof: the command, the example that it runs, and what it shows.
pub(crate) struct Proof {
    pub(crate) command: &'static str,
    example: &'static str,
    pub(crate) about: &'static str,
}

/// All proofs.
pub(crate) const PROOFS: &[Proof] = &[
    Proof {
        command: "sim",
        example: "sim",
        about: "run simulated fleets in worlds full of faults: 10,000 faulty hours in 10 minutes",
    },
    Proof {
        command: "abuse",
        example: "abuse",
        about: "freeze, fill up, slow down and flood a real hub",
    },
    Proof { command: "kill", example: "kill", about: "kill hub and sidecars under load" },
    Proof {
        command: "ablation",
        example: "ablation",
        about: "every guard is missed when it is gone, every planted bug is found",
    },
    Proof {
        command: "model",
        example: "model",
        about: "every order of what two hubs and their agents can do, explored",
    },
    Proof { command: "models", example: "models", about: "compare hubs and stores with models" },
    Proof {
        command: "sim-disk",
        example: "sim-disk",
        about: "lose power, fail calls and damage files under the store",
    },
];

/// The proof that a command names.
pub(crate) fn find(command: &str) -> Option<&'static Proof> {
    PROOFS.iter().find(|proof| proof.command == command)
}

impl Proof {
    /// Runs it with arguments of its own; `--help` shows them.
    pub(crate) fn run(&self, args: Vec<String>) -> Result<(), Failure> {
        let example =
            ["run", "--quiet", "--locked", "--release", "--package", "agentcom-tests", "--example"];
        Step::cargo(self.command, example).arg(self.example).arg("--").args(args).run().map(drop)
    }
}
