//! This file makes a failing world smaller while it fails in the same way.

use alloc::string::String;
use alloc::vec::Vec;

use super::fleet::{Report, run};
use super::swarm::{Fault, Options};
use crate::time::Span;

/// The smallest failing world that was found, with its whole trace.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it ran with; with the seed, all that it takes to see it again.
    pub options: Options,
    /// What happened.
    pub report: Report,
    /// How many worlds were tried.
    pub tried: u32,
}

/// Makes the failing world of `report` smaller: fewer kinds of faults, agents and tasks, and less
/// time. It tries at most `tries` worlds.
#[must_use]
pub fn shrink(report: &Report, tries: u32) -> Found {
    let mut best = report.options.clone();
    let way = way_of(report);
    let mut tried = 0;
    loop {
        let smaller = candidates(&best).into_iter().find(|options| {
            tried += 1;
            tried <= tries && way_of(&run(report.seed, options)) == way
        });
        match smaller {
            Some(options) => best = options,
            None => break,
        }
    }
    let options = Options { traced: true, ..best };
    Found { report: run(report.seed, &options), options, tried }
}

/// How a world fails: the first thing that is wrong, without its numbers.
fn way_of(report: &Report) -> Option<String> {
    let wrongs = report.verdict.as_ref().err()?;
    let first = wrongs.first()?.split('\n').next()?;
    // Names of tasks are hexadecimal, so a whole word goes if it has a digit.
    let words = first.split(' ').filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
    Some(words.collect::<Vec<_>>().join(" "))
}

/// Worlds that are a step smaller, the greatest steps first.
fn candidates(options: &Options) -> Vec<Options> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Options)| {
        let mut smaller = options.clone();
        change(&mut smaller);
        if smaller != *options {
            all.push(smaller);
        }
    };
    add(&|o| o.trouble = Span((o.trouble.0 / 4).max(10_000)));
    add(&|o| o.trouble = Span((o.trouble.0 / 2).max(10_000)));
    add(&|o| o.tasks /= 2);
    add(&|o| o.plain = 0);
    add(&|o| o.sidecars = (o.sidecars - 1).max(1));
    for fault in Fault::ALL {
        add(&|o| {
            o.without.insert(*fault);
        });
    }
    add(&|o| o.trouble = Span((o.trouble.0 * 3 / 4).max(10_000)));
    add(&|o| o.tasks = o.tasks.saturating_sub(1));
    all
}
