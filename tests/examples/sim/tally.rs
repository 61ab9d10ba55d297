//! This file adds up what happened in many worlds.

use std::collections::BTreeMap;

use agentcom_core::testing::sim::{Mark, Report};
use serde_json::{Value, json};

const HOUR: f64 = 3_600_000.0;

/// What happened in many worlds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    seeds: u64,
    failures: u64,
    troubled: u64,
    frames: u64,
    commits: u64,
    faults: u64,
    hub_crashes: u64,
    replays: [u64; 2],
    marks: BTreeMap<Mark, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.failures += u64::from(report.verdict.is_err());
        self.troubled += report.troubled.as_millis();
        self.frames += report.frames;
        self.commits += report.commits;
        self.faults += report.faults;
        self.hub_crashes += report.hub_crashes;
        let [compared, missed] = report.replays;
        self.replays = [self.replays[0] + compared, self.replays[1] + missed];
        for (mark, count) in &report.marks {
            *self.marks.entry(*mark).or_default() += count;
        }
    }

    fn hours(&self) -> f64 {
        self.troubled as f64 / HOUR
    }

    /// Situations that were never reached.
    pub(crate) fn missed(&self) -> Vec<&'static str> {
        let missed = Mark::ALL.iter().filter(|mark| !self.marks.contains_key(mark));
        missed.map(|mark| mark.as_str()).collect()
    }

    pub(crate) fn summary(&self) -> String {
        let Self { seeds, failures, frames, commits, faults, hub_crashes, .. } = self;
        let [compared, missed] = self.replays;
        let (hours, reached, all) = (self.hours(), self.marks.len(), Mark::ALL.len());
        let density = *faults as f64 / hours.max(f64::MIN_POSITIVE);
        format!(
            "{seeds} seeds, {hours:.0} faulty hours, {faults} single faults ({density:.0} an hour), \
             {hub_crashes} hub crashes, {compared} of {} restarts compared, {commits} commits, \
             {frames} frames, {reached} of {all} situations, {failures} failures",
            compared + missed,
        )
    }

    pub(crate) fn figures(&self) -> Value {
        let [compared, missed] = self.replays;
        json!({
            "seeds": self.seeds,
            "simulated_hours": self.hours().round(),
            "single_faults": self.faults,
            "hub_crashes": self.hub_crashes,
            "restarts_compared": compared,
            "restarts_not_compared": missed,
            "frames": self.frames,
            "commits": self.commits,
            "marks_reached": self.marks.len(),
            "marks_total": Mark::ALL.len(),
        })
    }
}
