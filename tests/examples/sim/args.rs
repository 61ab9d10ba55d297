//! This file reads how the simulation is called.

use std::thread;
use std::time::Duration;

use agentcom_core::testing::sim::{Fault, Options};
use agentcom_core::time::Span;
use agentcom_tests::proof::{Arguments, Usage};

/// What there is to say on the command line.
pub(crate) const HELP: &str = "\
Runs simulated fleets of hubs, sidecars and clients in worlds full of faults.

  cargo xtask sim                    for 10 minutes, at least 10,000 faulty hours on two cores
  cargo xtask sim --minutes 4        a slice; add --some-marks where not all can be reached
  cargo xtask sim --seed 7           one world; --sidecars, --plain, --tasks, --trouble, --without

  --minutes N       how long to go on (10)
  --from N          the first seed (0)
  --to N            the seed before which it ends
  --threads N       how many worlds at once (as many as there are cores)
  --sidecars N      sidecars of ours (3)
  --plain N         clients of the original (1)
  --tasks N         tasks submitted during the trouble
  --trouble SECS    how long the trouble lasts
  --without A,B     kinds of faults that no world has
  --agents-well     worlds in which only hubs and clients have trouble, and no agent may pay
  --some-marks      do not fail if a situation was never reached
  --figures FILE    write the figures as JSON
  --digest SEED     the digest of the trace of one seed, as a figure";

/// How it is called; where nothing is said to an option its absence tells.
pub(crate) const USAGE: Usage<'_> = Usage {
    help: HELP,
    parts: &[],
    numbers: &[("from", 0)],
    texts: &[
        "minutes", "to", "threads", "seed", "digest", "sidecars", "plain", "tasks", "trouble",
        "without",
    ],
    flags: &["some-marks", "agents-well"],
};

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Task {
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
    /// Whether the size of the worlds was said.
    sized: bool,
}

impl Args {
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, String> {
        let task = match (arguments.text("digest")?, arguments.text("seed")?) {
            (Some(seed), _) => Task::Digest(seed),
            (None, Some(seed)) => Task::One(seed),
            (None, None) => Task::Many,
        };
        let minutes: f64 = arguments.text("minutes")?.unwrap_or(10.0);
        let time = Duration::try_from_secs_f64(60.0 * minutes).map_err(|bad| bad.to_string())?;
        let threads = arguments.text("threads")?;
        let options = options(arguments)?;
        Ok(Self {
            task,
            time,
            from: arguments.number("from"),
            to: arguments.text("to")?,
            threads: threads
                .unwrap_or_else(|| thread::available_parallelism().map_or(1, usize::from)),
            some_marks: arguments.flag("some-marks"),
            sized: options.is_some(),
            options: options.unwrap_or_else(Options::long),
        })
    }

    /// The kind of world of a seed: long and short ones in turn, and some in which only hubs have
    /// trouble, unless it was said.
    pub(crate) fn options_of(&self, seed: u64) -> Options {
        match (self.sized, seed % 8) {
            (false, 0 | 4) => Options::default(),
            (false, 5) => Options { agents_well: true, ..self.options.clone() },
            _ => self.options.clone(),
        }
    }
}

/// The worlds that are asked for, if anything is said about them.
fn options(arguments: &Arguments) -> Result<Option<Options>, String> {
    let usual = Options::long();
    let (sidecars, plain) = (arguments.text("sidecars")?, arguments.text("plain")?);
    let (tasks, trouble) = (arguments.text("tasks")?, arguments.text("trouble")?);
    let without: Option<String> = arguments.text("without")?;
    let agents_well = arguments.flag("agents-well");
    let is_any = sidecars.is_some() || plain.is_some() || tasks.is_some() || agents_well;
    if !is_any && trouble.is_none() && without.is_none() {
        return Ok(None);
    }
    let without: Result<_, _> =
        without.iter().flat_map(|list| list.split(',')).map(str::parse::<Fault>).collect();
    Ok(Some(Options {
        sidecars: sidecars.unwrap_or(usual.sidecars),
        plain: plain.unwrap_or(usual.plain),
        tasks: tasks.unwrap_or(usual.tasks),
        trouble: trouble.map_or(usual.trouble, Span::from_secs),
        without: without.map_err(|unknown| unknown.to_string())?,
        agents_well,
        ..usual
    }))
}
