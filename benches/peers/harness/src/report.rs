//! This file keeps all figures.

use std::error::Error;

use serde_json::{Value, json};

use crate::arguments::Asked;
use crate::disk::Syncs;
use crate::plan::Measurement;
use crate::player::Late;
use crate::subjects::Subject;

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    machine: String,
    runs: usize,
    scale: u64,
    syncs: Vec<Syncs>,
    pub(crate) rows: Vec<Row>,
}

/// The figures of one work on one subject.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) work: &'static str,
    pub(crate) subject: &'static Subject,
    figures: Vec<Value>,
    pub(crate) failures: Vec<String>,
    is_late: bool,
}

/// Smallest, median and largest.
pub(crate) type Spread = [f64; 3];

impl Report {
    pub(crate) fn new(machine: String, asked: &Asked) -> Self {
        let (runs, scale) = (asked.runs, asked.scale);
        Self { machine, runs, scale, syncs: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn disk(&mut self, syncs: Syncs) {
        self.syncs.push(syncs);
    }

    pub(crate) fn add(&mut self, measurement: &Measurement, figures: Value) {
        self.row_of(measurement).figures.push(figures);
    }

    pub(crate) fn failed(&mut self, measurement: &Measurement, why: &(dyn Error + 'static)) {
        eprint!("{why} ");
        let row = self.row_of(measurement);
        row.is_late |= why.is::<Late>();
        row.failures.push(why.to_string());
    }

    /// Whether it did not end in time before, and would not again.
    pub(crate) fn is_late(&self, measurement: &Measurement) -> bool {
        self.row(measurement.name, measurement.subject.name).is_some_and(|row| row.is_late)
    }

    fn row_of(&mut self, measurement: &Measurement) -> &mut Row {
        let (work, subject) = (measurement.name, measurement.subject);
        let is = |row: &Row| row.work == work && row.subject.name == subject.name;
        let at = self.rows.iter().position(is).unwrap_or_else(|| {
            let (figures, failures) = (Vec::new(), Vec::new());
            self.rows.push(Row { work, subject, figures, failures, is_late: false });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub(crate) fn row(&self, work: &str, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.work == work && row.subject.name == name)
    }

    /// Machine, disk and size, in a line.
    pub(crate) fn conditions(&self) -> String {
        let [low, rate, high] = self.sync_rate();
        let [least, paced, most] = self.paced_us();
        format!(
            "{}. Medians of {} at {} % of the jobs; the smallest and the largest in brackets. The disk \
             itself: {rate:.0} appends of a page with `fdatasync` a second ({low:.0} to {high:.0}); at 50 \
             a second each takes {paced:.0} µs ({least:.0} to {most:.0}).",
            self.machine, self.runs, self.scale,
        )
    }

    /// Syncs a second, back to back.
    pub(crate) fn sync_rate(&self) -> Spread {
        spread(self.syncs.iter().map(|syncs| syncs.rate)).unwrap_or([f64::NAN; 3])
    }

    /// What one sync takes at the pace of the work `latency`, in µs.
    pub(crate) fn paced_us(&self) -> Spread {
        spread(self.syncs.iter().map(|syncs| syncs.paced_us)).unwrap_or([f64::NAN; 3])
    }

    pub(crate) fn json(&self) -> String {
        let row = |row: &Row| {
            json!({
                "work": row.work,
                "subject": row.subject.name,
                "durability": row.subject.durability,
                "each": row.subject.each,
                "durable": row.subject.durable,
                "runs": row.figures,
                "failures": row.failures,
            })
        };
        let all = json!({
            "machine": self.machine,
            "scale_percent": self.scale,
            "fdatasync": self.syncs.iter().map(|syncs| syncs.json()).collect::<Vec<_>>(),
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
        });
        format!("{all:#}\n")
    }
}

impl Row {
    /// A figure over the runs.
    pub(crate) fn spread(&self, field: &str) -> Option<Spread> {
        spread(self.figures.iter().filter_map(|figures| figures[field].as_f64()))
    }

    pub(crate) fn median(&self, field: &str) -> Option<f64> {
        self.spread(field).map(|[_, median, _]| median)
    }
}

fn spread(numbers: impl Iterator<Item = f64>) -> Option<Spread> {
    let mut numbers: Vec<f64> = numbers.collect();
    numbers.sort_by(f64::total_cmp);
    let median = *numbers.get(numbers.len() / 2)?;
    Some([*numbers.first()?, median, *numbers.last()?])
}
