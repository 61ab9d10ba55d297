//! This file measures starts over time: a token bucket that never lets one start too many through.

use serde::{Deserialize, Serialize};

use crate::task::Rate;
use crate::time::{Span, Wall};

/// How much of a rate is left. The level and its time are stored in the commit of the assignment
/// that drew on it, so that a restart neither forgets nor refills it.
///
/// The level counts in `limit * milliseconds / per` without loss: one start costs `per`
/// milliseconds, and each millisecond brings `limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    level: u64,
    at: Wall,
}

impl Bucket {
    /// A full bucket.
    #[must_use]
    pub fn full(rate: &Rate, at: Wall) -> Self {
        Self { level: capacity(rate), at }
    }

    /// The bucket at a later time. A clock that was set back brings nothing, and counts from there.
    #[must_use]
    pub fn refilled(self, rate: &Rate, at: Wall) -> Self {
        let gained = (at - self.at).0.saturating_mul(u64::from(rate.limit));
        Self { level: self.level.saturating_add(gained).min(capacity(rate)), at }
    }

    /// The bucket with what is in it, as of `now` if its time is yet to come.
    #[must_use]
    pub fn no_later_than(self, now: Wall) -> Self {
        Self { at: self.at.min(now), ..self }
    }

    /// Whether it is the same as one never drawn on.
    #[must_use]
    pub fn is_full(self, rate: &Rate, at: Wall) -> bool {
        self.refilled(rate, at).level == capacity(rate)
    }

    /// When it will be full, if nobody draws on it.
    #[must_use]
    pub fn full_at(self, rate: &Rate) -> Wall {
        let missing = capacity(rate).saturating_sub(self.level);
        self.at + Span(missing.div_ceil(u64::from(rate.limit).max(1)))
    }

    /// The bucket after one start, or how long the start has to wait.
    ///
    /// # Errors
    ///
    /// The wait until there is enough for one start.
    pub fn draw(self, rate: &Rate, at: Wall) -> Result<Self, Span> {
        let now = self.refilled(rate, at);
        now.spent(rate).ok_or_else(|| {
            let missing = rate.per.0 - now.level;
            Span(missing.div_ceil(u64::from(rate.limit).max(1)))
        })
    }

    /// The bucket after one start, without what it gains until then, if there is enough in it.
    #[must_use]
    pub fn spent(self, rate: &Rate) -> Option<Self> {
        Some(Self { level: self.level.checked_sub(rate.per.0)?, at: self.at })
    }
}

fn capacity(rate: &Rate) -> u64 {
    rate.per.0.saturating_mul(u64::from(rate.burst))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::Key;

    fn rate(limit: u32, per: u64, burst: u32) -> Rate {
        Rate { key: Key::new("k").unwrap(), limit, per: Span(per), burst }
    }

    #[test]
    fn a_burst_goes_through_and_then_the_rate_holds() {
        let rate = rate(2, 1000, 3);
        let mut bucket = Bucket::full(&rate, Wall(0));
        for _ in 0..3 {
            bucket = bucket.draw(&rate, Wall(0)).unwrap();
        }
        assert_eq!(bucket.draw(&rate, Wall(0)), Err(Span(500)));
        assert_eq!(bucket.draw(&rate, Wall(499)), Err(Span(1)));
        assert!(bucket.draw(&rate, Wall(500)).is_ok());
    }

    #[test]
    fn no_window_sees_one_start_too_many() {
        let rate = rate(7, 1000, 2);
        let mut bucket = Bucket::full(&rate, Wall(0));
        let mut starts = 0_u64;
        for ms in 0..10_000 {
            while let Ok(next) = bucket.draw(&rate, Wall(ms)) {
                bucket = next;
                starts += 1;
                assert!(starts <= 2 + 7 * ms / 1000, "{starts} starts at {ms} ms");
            }
        }
        assert_eq!(starts, 2 + 69);
    }

    #[test]
    fn a_clock_that_goes_back_refills_nothing() {
        let rate = rate(1, 1000, 1);
        let bucket = Bucket::full(&rate, Wall(5000)).draw(&rate, Wall(5000)).unwrap();
        assert_eq!(bucket.draw(&rate, Wall(1000)), Err(Span(1000)));
    }
}
