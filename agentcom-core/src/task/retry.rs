//! This file computes how long a failed task waits before its next attempt.

use crate::rng::Rng;
use crate::time::Span;

/// The wait before the attempt that follows the `failures`-th failure: `base` doubled for each
/// earlier failure, at most `cap`, plus up to a quarter of that as jitter, and never shorter than
/// `at_least`. The jitter is additive, so that nobody comes back earlier than asked.
#[must_use]
pub fn backoff(failures: u32, base: Span, cap: Span, at_least: Span, rng: &mut Rng) -> Span {
    let doublings = failures.saturating_sub(1).min(32);
    let wait = Span(base.0.saturating_mul(1 << doublings)).min(cap).max(at_least);
    wait + Span(rng.below(wait.0 / 4 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_never_fall_below_what_was_asked() {
        let (base, cap) = (Span(1000), Span(60_000));
        for failures in 1..100 {
            let mut rng = Rng::new(u64::from(failures));
            let wait = backoff(failures, base, cap, Span(0), &mut rng).0;
            let plain = (1000_u64 << (failures - 1).min(20)).min(60_000);
            assert!((plain..=plain + plain / 4).contains(&wait), "{failures}: {wait}");
            assert!(backoff(failures, base, cap, Span(90_000), &mut rng) >= Span(90_000));
        }
    }
}
