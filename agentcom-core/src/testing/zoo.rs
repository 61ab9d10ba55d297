//! This file keeps bugs: each can be planted in a [`Stage`], and has to be found there.
//!
//! They are not the absence of a guard but the mistakes that are made beside them. None is a branch
//! in the product: each changes what passes a seam, as a batch on its way to the disk, a frame on
//! its way to an agent, or what a hub has just decided.

mod plant;
mod trial;

pub use plant::Plant;

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::stage::{Action, Stage, Staging};
use crate::guard::Guards;
use crate::rng::Rng;
use crate::time::Span;

/// A bug that was found: after how many seeds, and by what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// How many seeds it took, this one included.
    pub seeds: u64,
    /// Which promise was broken.
    pub broken: String,
}

/// Looks for a planted bug in up to so many seeds; where no walk can tell how it ought to be, in a
/// trial that can.
#[must_use]
pub fn hunt(plant: Plant, seeds: u64) -> Option<Find> {
    if let Some(tried) = trial::of(plant) {
        return tried.err().map(|broken| Find { seeds: 1, broken });
    }
    let staging = Staging { plant: Some(plant), ..Staging::default() };
    first_find(seeds, &staging)
}

/// Looks for what is wrong without a guard in up to so many seeds.
#[must_use]
pub fn hunt_without(guards: Guards, seeds: u64) -> Option<Find> {
    first_find(seeds, &Staging { guards, ..Staging::default() })
}

fn first_find(seeds: u64, staging: &Staging) -> Option<Find> {
    (0..seeds).find_map(|seed| {
        let broken = walk(seed, staging.clone()).err()?;
        Some(Find { seeds: seed + 1, broken })
    })
}

/// How many things happen in trouble.
const TROUBLES: u64 = 150;

/// A random walk: trouble first, then peace, in which everything has to end.
///
/// # Errors
///
/// The promise that is broken.
pub fn walk(seed: u64, staging: Staging) -> Result<(), String> {
    let mut rng = Rng::for_purpose(seed, "walk", 0);
    let mut stage = Stage::new(staging);
    // Each seed first draws how much goes wrong, and how long time stands still.
    let (trouble, span_max) = (rng.below(20), 1 + rng.below(40_000));
    for step in 0..TROUBLES {
        let action = choose(&mut rng, &stage, trouble, span_max);
        stage.act(action).map_err(|broken| format!("{broken} (action {step}: {action:?})"))?;
    }
    stage.peace(Span::from_mins(90))
}

/// Work goes on most of the time; of a hundred actions `trouble` are trouble.
fn choose(rng: &mut Rng, stage: &Stage, trouble: u64, span_max: u64) -> Action {
    let wanted = rng.below(100) < trouble;
    let fitting: Vec<Action> =
        stage.actions().into_iter().filter(|action| is_trouble(*action) == wanted).collect();
    if fitting.is_empty() || !wanted && rng.below(8) == 0 {
        return Action::Pass(Span(rng.below(span_max)));
    }
    fitting[rng.below(fitting.len() as u64) as usize]
}

const fn is_trouble(action: Action) -> bool {
    match action {
        Action::Resubmit | Action::Kill(_) | Action::Cut(_) | Action::Mute(_) | Action::Fell(_) => {
            true
        }
        Action::Submit
        | Action::Start(_)
        | Action::Commit(_)
        | Action::Up(_)
        | Action::Down(_)
        | Action::Rise(_)
        | Action::Finish(_)
        | Action::Fail(_)
        | Action::Pass(_) => false,
    }
}

#[cfg(test)]
mod tests;
