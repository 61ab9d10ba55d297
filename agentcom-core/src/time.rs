//! This file keeps the two kinds of time apart: spans of running time and dates on the wall.
//!
//! Nothing here reads a clock; time enters a step as an argument.

use core::fmt;
use core::ops::{Add, Sub};
use core::time::Duration;

use serde::{Deserialize, Serialize};

/// Milliseconds on a clock that never goes back and that counts suspension. Only differences mean
/// anything. Leases, backoff, acceptance and silence are measured on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mono(pub u64);

/// Milliseconds since 1970-01-01 00:00 UTC. Dates that people and schedules speak of are on it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Wall(pub u64);

/// A length of time in milliseconds.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Span(pub u64);

/// The same instant on both clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Monotonic time.
    pub mono: Mono,
    /// Wall time.
    pub wall: Wall,
}

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// The span in whole milliseconds.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The span times `factor`, or the longest span there is.
    #[must_use]
    pub const fn times(self, factor: u64) -> Self {
        Self(self.0.saturating_mul(factor))
    }
}

impl Now {
    /// This instant, but not earlier on either clock than `floor`: time that jumps back is held.
    #[must_use]
    pub fn no_earlier_than(self, floor: Self) -> Self {
        Self { mono: self.mono.max(floor.mono), wall: self.wall.max(floor.wall) }
    }

    /// When a date on the wall arrives, on the monotonic clock, if the wall clock does not jump.
    #[must_use]
    pub fn mono_at(self, date: Wall) -> Mono {
        self.mono + (date - self.wall)
    }
}

impl Add<Span> for Mono {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Mono {
    type Output = Span;
    /// How long `earlier` is ago, or nothing if it lies ahead.
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Span> for Wall {
    type Output = Self;
    fn add(self, span: Span) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub for Wall {
    type Output = Span;
    /// How long `earlier` is ago, or nothing if it lies ahead.
    fn sub(self, earlier: Self) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

impl Add for Span {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        Self::from_millis(span.0)
    }
}

impl From<Duration> for Span {
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            ms if ms < 1000 => write!(f, "{ms} ms"),
            ms if ms < 60_000 && ms % 1000 != 0 => write!(f, "{}.{} s", ms / 1000, ms % 1000 / 100),
            ms if ms < 60_000 => write!(f, "{} s", ms / 1000),
            ms if ms < 3_600_000 => write!(f, "{} min", ms / 60_000),
            ms => write!(f, "{} h {} min", ms / 3_600_000, ms % 3_600_000 / 60_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn spans_end_at_the_end_of_time_instead_of_overflowing() {
        assert_eq!(Mono(u64::MAX) + Span(1), Mono(u64::MAX));
        assert_eq!(Mono(1) - Mono(2), Span(0));
    }

    #[test]
    fn a_clock_that_jumps_back_is_held() {
        let floor = Now { mono: Mono(10), wall: Wall(100) };
        let held = Now { mono: Mono(11), wall: Wall(50) }.no_earlier_than(floor);
        assert_eq!(held, Now { mono: Mono(11), wall: Wall(100) });
    }

    #[test]
    fn spans_read_like_spans() {
        let text = |ms| Span(ms).to_string();
        assert_eq!(
            [text(20), text(1500), text(60_000), text(5_400_000)],
            ["20 ms", "1.5 s", "1 min", "1 h 30 min"]
        );
    }
}
