//! This file keeps all figures and prints medians, ratios and what the goals come to.

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::plan::Measurement;
use crate::subjects::Subject;

/// All figures of a run.
#[derive(Debug)]
pub(crate) struct Report {
    machine: String,
    fdatasyncs: Vec<f64>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    work: &'static str,
    subject: &'static Subject,
    figures: Vec<Value>,
    failures: Vec<String>,
}

impl Report {
    pub(crate) fn new(machine: String) -> Self {
        Self { machine, fdatasyncs: Vec::new(), rows: Vec::new() }
    }

    pub(crate) fn fdatasync(&mut self, rate: f64) {
        self.fdatasyncs.push(rate);
    }

    fn row(&mut self, measurement: &Measurement) -> &mut Row {
        let is = |row: &Row| row.work == measurement.name && row.subject.name == measurement.subject.name;
        let at = self.rows.iter().position(is).unwrap_or_else(|| {
            let (work, subject) = (measurement.name, measurement.subject);
            self.rows.push(Row { work, subject, figures: Vec::new(), failures: Vec::new() });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    pub(crate) fn add(&mut self, measurement: &Measurement, figures: Value) {
        self.row(measurement).figures.push(figures);
    }

    pub(crate) fn failed(&mut self, measurement: &Measurement, why: &str) {
        eprintln!("    failed: {why}");
        self.row(measurement).failures.push(why.into());
    }

    /// The table of one work, as Markdown.
    pub(crate) fn table(&self, work: &str) -> String {
        let mut text = format!("\n### {work}\n\n| | per s | p50 µs | p99 µs | client MiB | server MiB | on disk MiB | ready s | durability |\n|---|--:|--:|--:|--:|--:|--:|--:|---|\n");
        for row in self.rows.iter().filter(|row| row.work == work) {
            let name = row.subject.name;
            if row.figures.is_empty() {
                let why = row.failures.first().map_or("", String::as_str);
                // Writing to a string does not fail.
                let _ = writeln!(text, "| {name} | failed: {why} | | | | | | | |");
                continue;
            }
            let cell = |field: &str, unit: f64, digits: usize| {
                row.spread(field).map_or_else(String::new, |[low, median, high]| {
                    let [low, median, high] = [low, median, high].map(|n| n / unit);
                    format!("{median:.digits$} ({low:.digits$}–{high:.digits$})")
                })
            };
            let _ = writeln!(
                text,
                "| {name} | {} | {} | {} | {} | {} | {} | {} | {} |",
                cell("rate", 1.0, 0),
                cell("p50_us", 1.0, 0),
                cell("p99_us", 1.0, 0),
                cell("rss_kib", 1024.0, 0),
                cell("server_kib", 1024.0, 0),
                cell("bytes", 1_048_576.0, 0),
                cell("ready_s", 1.0, 2),
                row.subject.durability,
            );
        }
        text
    }

    /// What the goals come to in this run.
    pub(crate) fn goals(&self) -> String {
        let mut text = format!("\n### Ratios\n\n{}; {:.0} fdatasync/s\n\n", self.machine, self.sync());
        let mut line = |goal: &str, found: Option<(f64, &str)>| {
            let found = found.map_or("not measured".into(), |(ratio, beside)| {
                format!("{ratio:.2} (beside {beside})")
            });
            let _ = writeln!(text, "- {goal}: {found}");
        };
        line("cycle, beside the fastest that acknowledges each job (goal 10)", self.ahead("cycle", |s| s.each && s.durable));
        line("cycle, beside the fastest in any durable mode (goal 3)", self.ahead("cycle", |s| s.durable));
        line("cycle, beside the fastest, durable or not", self.ahead("cycle", |_| true));
        line("cycle-1024, beside the fastest that acknowledges each job (goal 10)", self.ahead("cycle-1024", |s| s.each && s.durable));
        line("cycle-1024, beside the fastest in any durable mode (goal 3)", self.ahead("cycle-1024", |s| s.durable));
        line("submit-64, beside the fastest durable one (goal 4)", self.ahead("submit-64", |s| s.durable));
        line("submit-64, beside the fastest, durable or not", self.ahead("submit-64", |_| true));
        let one = self.median("submit-1", "agentcom", "rate").map(|rate| (self.sync() / rate, "the disk's own fdatasync"));
        line("submit-1: fdatasyncs per submission (goal at most 3)", one);
        let p50 = self.median("latency", "agentcom", "p50_us");
        line("latency: p50 over one fdatasync, in ms (goal at most 0.3)", p50.map(|p50| ((p50 - 1e6 / self.sync()) / 1e3, "one fdatasync")));
        line("latency: p99 of the best peer over ours (goal above 1)", self.behind("latency", "p99_us"));
        let small = self.median("backlog-small", "agentcom", "rate");
        let large = self.median("backlog-large", "agentcom", "rate");
        line("backlog: small over large (goal at most 2)", small.zip(large).map(|(small, large)| (small / large, "the small backlog")));
        text
    }

    pub(crate) fn json(&self) -> String {
        let rows: Vec<Value> = self.rows.iter().map(|row| json!({
            "work": row.work,
            "subject": row.subject.name,
            "durability": row.subject.durability,
            "each": row.subject.each,
            "durable": row.subject.durable,
            "runs": row.figures,
            "failures": row.failures,
        })).collect();
        let all = json!({"machine": self.machine, "fdatasyncs_per_s": self.fdatasyncs, "rows": rows});
        format!("{all:#}\n")
    }

    fn sync(&self) -> f64 {
        spread(self.fdatasyncs.clone()).map_or(f64::NAN, |[_, median, _]| median)
    }

    fn median(&self, work: &str, name: &str, field: &str) -> Option<f64> {
        let row = self.rows.iter().find(|row| row.work == work && row.subject.name == name)?;
        row.spread(field).map(|[_, median, _]| median)
    }

    /// Our rate over that of the fastest peer of those that count.
    fn ahead(&self, work: &str, counts: impl Fn(&Subject) -> bool) -> Option<(f64, &'static str)> {
        let ours = self.median(work, "agentcom", "rate")?;
        let peers = self.rows.iter().filter(|row| row.work == work && !row.subject.ours && counts(row.subject));
        let rates = peers.filter_map(|row| Some((row.spread("rate")?[1], row.subject.name)));
        let best = rates.max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((ours / best.0, best.1))
    }

    /// The smallest figure of the peers over ours.
    fn behind(&self, work: &str, field: &str) -> Option<(f64, &'static str)> {
        let ours = self.median(work, "agentcom", field)?;
        let peers = self.rows.iter().filter(|row| row.work == work && !row.subject.ours);
        let figures = peers.filter_map(|row| Some((row.spread(field)?[1], row.subject.name)));
        let best = figures.min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((best.0 / ours, best.1))
    }
}

impl Row {
    /// Smallest, median and largest of a figure over the runs.
    fn spread(&self, field: &str) -> Option<[f64; 3]> {
        spread(self.figures.iter().filter_map(|figures| figures[field].as_f64()).collect())
    }
}

fn spread(mut numbers: Vec<f64>) -> Option<[f64; 3]> {
    numbers.sort_by(f64::total_cmp);
    let median = *numbers.get(numbers.len() / 2)?;
    Some([*numbers.first()?, median, *numbers.last()?])
}
