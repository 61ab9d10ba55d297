//! This file reads the command line.

use std::path::PathBuf;

use crate::report::say;

pub(crate) const USAGE: &str = "\
cargo xtask sim-disk [--losses N] [--faults N] [--upkeep N] [--rot N] [--seed N] [--figures FILE]

The store and the hub on a simulated disk, on all cores:
  --losses N      lose power so often                     (50000; 20000 takes CI under 2 minutes)
  --faults N      let each of the first N calls of the disk fail, six ways each (500)
  --upkeep N      interrupt the making, backup, restore and compaction of files at one call in
                  N of those that they take, by a power loss, a kill and a full disk (1)
  --rot N         damage so many files                    (1000)
  --seed N        begin with this seed                    (1)
  --figures FILE  write the figures there, as JSON
It ends with 0 if nothing was found, with 1 if something was.";

pub(crate) struct Arguments {
    pub(crate) losses: u64,
    pub(crate) faults: u64,
    pub(crate) upkeep: u64,
    pub(crate) rot: u64,
    pub(crate) seed: u64,
    pub(crate) figures: Option<PathBuf>,
}

impl Arguments {
    /// `None` if only help was asked for, which is given.
    pub(crate) fn read(mut args: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut read =
            Self { losses: 50_000, faults: 500, upkeep: 1, rot: 1_000, seed: 1, figures: None };
        while let Some(flag) = args.next() {
            if flag == "--help" || flag == "-h" {
                say(USAGE);
                return Ok(None);
            }
            let value = args.next().ok_or_else(|| format!("`{flag}` needs a value"))?;
            let number = || {
                let number = value.parse();
                number.map_err(|_| format!("`{flag}` needs a number, not `{value}`"))
            };
            match flag.as_str() {
                "--losses" => read.losses = number()?,
                "--faults" => read.faults = number()?,
                "--upkeep" => read.upkeep = number()?.max(1),
                "--rot" => read.rot = number()?,
                "--seed" => read.seed = number()?,
                "--figures" => read.figures = Some(value.into()),
                _ => return Err(format!("there is no option `{flag}`")),
            }
        }
        Ok(Some(read))
    }
}
