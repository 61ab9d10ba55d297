//! This file says how long to wait before a model is asked once more. Of those who were turned away
//! together, each comes back at another time, and nobody earlier than the server asked for.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use agentcom_core::rng::Rng;

/// The wait after the first failure at the least; after each further one it is four times as long.
const FIRST: Duration = Duration::from_millis(250);

/// How much of chance there is in a wait at the most.
const CHANCE_MAX: Duration = Duration::from_secs(5);

/// How long to wait after so many failures before this one, if the server asks for `least`: that or
/// what is usual, whichever is longer, and by chance up to as much again ("equal jitter").
///
/// Source: M. Brooker, *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015.
pub(super) fn wait(before: u32, least: Duration, rng: &mut Rng) -> Duration {
    let wait = least.max(FIRST * 4_u32.pow(before.min(4)));
    let chance = wait.min(CHANCE_MAX).as_millis();
    wait + Duration::from_millis(rng.below(u64::try_from(chance).unwrap_or(u64::MAX)))
}

/// A seed that is another in each process, and each time.
pub(crate) fn seed() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests;
