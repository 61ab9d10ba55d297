//! This file measures how late the loop is: the first figure to look at when a hub feels slow.
//!
//! A sample is taken of each message of a handle, from asking until it is taken in, and of each turn
//! of the loop, from when something could be taken in until the loop is ready for the next: a frame
//! that arrives meanwhile has waited no longer, unless more wait than one turn takes.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::port::clock::Clock;
use crate::time::{Mono, Span};
use crate::view::Lag;

/// The largest sample that each bucket but the last counts, in milliseconds.
const BOUNDS: [u64; 15] = [0, 1, 2, 5, 10, 20, 35, 50, 75, 100, 200, 500, 1_000, 5_000, 20_000];
/// How long samples are collected before the ones before them are forgotten.
const WINDOW: Span = Span::from_secs(60);

/// What was measured in one window.
#[derive(Debug, Default)]
struct Samples {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    max: AtomicU64,
}

/// Measures the lag of one loop. It is read without asking the loop, which may be what is late.
#[derive(Debug)]
pub(super) struct Meter {
    clock: Arc<dyn Clock>,
    began: AtomicU64,
    /// This window's and the one's before, in turn.
    windows: [Samples; 2],
    current: AtomicU64,
}

impl Meter {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let began = AtomicU64::new(clock.now().mono.0);
        Self { clock, began, windows: Default::default(), current: AtomicU64::new(0) }
    }

    /// The time, to measure from.
    pub(super) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    /// Takes a sample: what was due or came at `since` is taken in at this moment. For the loop.
    pub(super) fn note(&self, since: Mono) {
        let now = self.now();
        if now - Mono(self.began.load(Ordering::Relaxed)) >= WINDOW {
            self.turn_over(now);
        }
        let late = (now - since).as_millis();
        let samples = &self.windows[self.at()];
        let bucket = BOUNDS.partition_point(|bound| *bound < late);
        samples.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        samples.max.fetch_max(late, Ordering::Relaxed);
    }

    /// What was measured in the last one or two minutes.
    pub(super) fn read(&self) -> Lag {
        let mut buckets = [0; BOUNDS.len() + 1];
        for window in &self.windows {
            for (sum, bucket) in buckets.iter_mut().zip(&window.buckets) {
                *sum += bucket.load(Ordering::Relaxed);
            }
        }
        let max = self.windows.iter().map(|window| window.max.load(Ordering::Relaxed)).max();
        let max = max.unwrap_or_default();
        let samples: u64 = buckets.iter().sum();
        let below = |percent: u64| {
            let rank = (samples * percent).div_ceil(100);
            let mut seen = 0;
            let bucket = buckets.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            let bound = bucket.and_then(|bucket| BOUNDS.get(bucket)).copied();
            Span(bound.unwrap_or(max).min(max))
        };
        Lag { samples, p50: below(50), p99: below(99), max: Span(max) }
    }

    fn at(&self) -> usize {
        usize::from(self.current.load(Ordering::Relaxed) != 0)
    }

    fn turn_over(&self, now: Mono) {
        let other = 1 - self.at();
        let window = &self.windows[other];
        window.buckets.iter().chain([&window.max]).for_each(|figure| {
            figure.store(0, Ordering::Relaxed);
        });
        self.began.store(now.0, Ordering::Relaxed);
        self.current.store(other as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{Now, Wall};
    use alloc::boxed::Box;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    #[async_trait::async_trait]
    impl Clock for Hand {
        fn now(&self) -> Now {
            let ms = self.0.load(Ordering::Relaxed);
            Now { mono: Mono(ms), wall: Wall(ms) }
        }

        async fn sleep_until(&self, _: Mono) {}
    }

    fn meter() -> (Arc<Hand>, Meter) {
        let clock = Arc::new(Hand(AtomicU64::new(100_000)));
        (clock.clone(), Meter::new(clock))
    }

    #[test]
    fn percentiles_are_no_smaller_than_what_was_measured_and_no_larger_than_the_largest() {
        let (_, meter) = meter();
        assert_eq!(meter.read(), Lag::default());
        (0..98).for_each(|_| meter.note(Mono(100_000)));
        (0..2).for_each(|_| meter.note(Mono(100_000 - 83)));
        let lag = meter.read();
        assert_eq!((lag.samples, lag.p50, lag.p99, lag.max), (100, Span(0), Span(83), Span(83)));
        meter.note(Mono(0));
        assert_eq!((meter.read().p99, meter.read().max), (Span(100), Span(100_000)));
    }

    #[test]
    fn what_was_measured_is_forgotten_after_one_to_two_minutes() {
        let (clock, meter) = meter();
        meter.note(Mono(0));
        for (pass, samples) in [(59_000, 2), (60_000, 3), (60_000, 2)] {
            clock.0.fetch_add(pass, Ordering::Relaxed);
            meter.note(meter.now());
            assert_eq!(meter.read().samples, samples);
        }
        assert_eq!(meter.read().max, Span(0));
    }
}
