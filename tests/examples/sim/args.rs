//! This file reads how the simulation is called.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use agentcom_core::testing::sim::{Fault, Options};
use agentcom_core::time::Span;

/// What there is to say on the command line.
pub(crate) const HELP: &str = "\
Runs simulated fleets of hubs, sidecars and clients in worlds full of faults.

  cargo xtask sim                    for 10 minutes, at least 10,000 faulty hours on two cores
  cargo xtask sim --minutes 4        a slice; add --some-marks where not all can be reached
  cargo xtask sim --seed 7           one world; --sidecars, --plain, --tasks, --trouble, --without

  --minutes N       how long to go on (10)
  --seeds FROM..TO  only these seeds
  --threads N       how many worlds at once (as many as there are cores)
  --sidecars N      sidecars of ours (3)
  --plain N         clients of the original (1)
  --tasks N         tasks submitted during the trouble
  --trouble SECS    how long the trouble lasts
  --without A,B     kinds of faults that no world has
  --some-marks      do not fail if a situation was never reached
  --figures FILE    write the figures as JSON
  --digest SEED     print the digest of the trace of one seed";

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
    Help,
    Many,
    One(u64),
    Digest(u64),
}

/// How the simulation is called.
#[derive(Clone, Debug)]
pub(crate) struct Args {
    pub(crate) task: Task,
    pub(crate) options: Options,
    pub(crate) time: Duration,
    pub(crate) from: u64,
    pub(crate) to: Option<u64>,
    pub(crate) threads: usize,
    pub(crate) some_marks: bool,
    pub(crate) figures: Option<PathBuf>,
    /// Whether the size of the worlds was said.
    sized: bool,
}

impl Args {
    pub(crate) fn read(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut args = Self {
            task: Task::Many,
            options: Options::long(),
            time: Duration::from_secs(600),
            from: 0,
            to: None,
            threads: thread::available_parallelism().map_or(1, usize::from),
            some_marks: false,
            figures: None,
            sized: false,
        };
        while let Some(word) = words.next() {
            if word == "--help" || word == "-h" {
                return Ok(Self { task: Task::Help, ..args });
            }
            if word == "--some-marks" {
                args.some_marks = true;
                continue;
            }
            let value = words.next().ok_or_else(|| format!("{word} wants a value"))?;
            args.take(&word, &value)?;
        }
        Ok(args)
    }

    fn take(&mut self, word: &str, value: &str) -> Result<(), String> {
        match word {
            "--minutes" => self.time = Duration::from_secs_f64(60.0 * number::<f64>(word, value)?),
            "--threads" => self.threads = number(word, value)?,
            "--figures" => self.figures = Some(value.into()),
            "--seed" => self.task = Task::One(number(word, value)?),
            "--digest" => self.task = Task::Digest(number(word, value)?),
            "--seeds" => {
                let (from, to) = value.split_once("..").ok_or("--seeds wants FROM..TO")?;
                self.from = number(word, from)?;
                self.to = Some(number(word, to)?);
            }
            _ => {
                self.sized = true;
                self.size(word, value)?;
            }
        }
        Ok(())
    }

    fn size(&mut self, word: &str, value: &str) -> Result<(), String> {
        let options = &mut self.options;
        match word {
            "--sidecars" => options.sidecars = number(word, value)?,
            "--plain" => options.plain = number(word, value)?,
            "--tasks" => options.tasks = number(word, value)?,
            "--trouble" => options.trouble = Span::from_secs(number(word, value)?),
            "--without" => {
                for fault in value.split(',') {
                    let fault: Fault = fault.parse().map_err(|bad| format!("{bad}"))?;
                    options.without.insert(fault);
                }
            }
            _ => return Err(format!("{word} is not known here")),
        }
        Ok(())
    }

    /// The size of the world of a seed: long and short ones in turn, unless it was said.
    pub(crate) fn options_of(&self, seed: u64) -> Options {
        match (self.sized, seed % 4) {
            (true, _) | (false, 1..) => self.options.clone(),
            (false, 0) => Options::default(),
        }
    }
}

fn number<T: std::str::FromStr>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{word} wants a number, not {value}"))
}
