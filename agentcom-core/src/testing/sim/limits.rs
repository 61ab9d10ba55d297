//! This file counts what runs and what starts against the limits that tasks were submitted with.
//!
//! It counts durable events, by rules of its own: never may one task too many be held, and in no
//! window of time may one too many start.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::format;
use alloc::string::String;

use crate::name::Key;
use crate::task::{Rate, Spec};
use crate::time::Wall;

/// How many starts of one rate are looked back on.
const STARTS_KEPT: usize = 64;

/// What runs and what started.
#[derive(Debug, Default)]
pub(super) struct Limits {
    running: BTreeMap<Key, u32>,
    starts: BTreeMap<Key, Starts>,
}

/// Starts of one rate. Where tasks disagree about its figures, the loosest are held against them.
#[derive(Debug)]
struct Starts {
    limit: u64,
    per: u64,
    burst: u64,
    at: VecDeque<Wall>,
}

/// What a start says about the limits.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What is wrong, if anything is.
    pub(super) wrong: Option<String>,
    /// Whether as many run as may.
    pub(super) at_cap: bool,
    /// Whether as many started as may.
    pub(super) at_rate: bool,
}

impl Limits {
    /// A task is held from now on.
    pub(super) fn start(&mut self, spec: &Spec, at: Wall) -> Verdict {
        let mut verdict = Verdict::default();
        if let Some(limit) = spec.concurrency() {
            let running = self.running.entry(limit.key.clone()).or_default();
            if *running >= limit.max {
                let wrong =
                    format!("{} of `{}` run where {} may", *running + 1, limit.key, limit.max);
                verdict.wrong = Some(wrong);
            }
            *running += 1;
            verdict.at_cap = *running == limit.max;
        }
        for rate in spec.rates() {
            self.draw(rate, at, &mut verdict);
        }
        verdict
    }

    /// A task is not held any more.
    pub(super) fn stop(&mut self, spec: &Spec) {
        if let Some(limit) = spec.concurrency() {
            let running = self.running.entry(limit.key.clone()).or_default();
            *running = running.saturating_sub(1);
        }
    }

    /// Windows that reach back behind this moment say nothing: the clock was set.
    pub(super) fn forget_starts(&mut self) {
        self.starts.values_mut().for_each(|starts| starts.at.clear());
    }

    fn draw(&mut self, rate: &Rate, at: Wall, verdict: &mut Verdict) {
        let [limit, per, burst] = [u64::from(rate.limit), rate.per.0, u64::from(rate.burst)];
        let fresh = || Starts { limit, per, burst, at: VecDeque::new() };
        let starts = self.starts.entry(rate.key.clone()).or_insert_with(fresh);
        // The looser of two rates lets more through in every window.
        (starts.limit, starts.per) = (starts.limit.max(limit), starts.per.min(per));
        starts.burst = starts.burst.max(burst);
        if starts.at.back().is_some_and(|last| *last > at) {
            starts.at.clear();
        }
        if starts.at.len() == STARTS_KEPT {
            starts.at.pop_front();
        }
        starts.at.push_back(at);
        for (n, first) in starts.at.iter().enumerate() {
            let count = (starts.at.len() - n) as u64;
            let may = starts.burst + (at - *first).0 * starts.limit / starts.per.max(1);
            verdict.at_rate |= count > 1 && count == may;
            if count > may {
                let wrong = format!(
                    "{count} of rate `{}` started within {} where {may} may",
                    rate.key,
                    at - *first
                );
                verdict.wrong = Some(wrong);
                return;
            }
        }
    }
}
