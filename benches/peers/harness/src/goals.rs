//! This file says what the goals come to.

use std::fmt::Write as _;

use crate::report::Report;
use crate::subjects::Subject;

/// A ratio, and what it is beside.
type Found = Option<(f64, &'static str)>;

impl Report {
    /// Ratios within this run, as Markdown.
    pub(crate) fn goals(&self) -> String {
        let mut text = "### Ratios\n\n".to_owned();
        for (goal, found) in self.ratios() {
            // Writing to a string does not fail.
            let _ = match found {
                Some((ratio, beside)) => writeln!(text, "- {goal}: {ratio:.2} (beside {beside})"),
                None => writeln!(text, "- {goal}: not measured"),
            };
        }
        text
    }

    fn ratios(&self) -> Vec<(&'static str, Found)> {
        let rate = |work, counts| self.ahead("agentcom", work, counts);
        let each: fn(&Subject) -> bool = |subject| subject.each && subject.durable;
        let durable: fn(&Subject) -> bool = |subject| subject.durable;
        let any: fn(&Subject) -> bool = |_| true;
        let [_, sync, _] = self.sync_rate();
        let [_, paced_us, _] = self.paced_us();
        let one = self.ours("submit-1", "rate").map(|rate| (sync / rate, "the disk itself"));
        let p50 = self.ours("latency", "p50_us");
        let beyond = |sync_us: f64, beside| p50.map(|p50| ((p50 - sync_us) / 1e3, beside));
        let small = self.ours("backlog-small", "rate");
        let large = self.ours("backlog-large", "rate");
        let grown = small.zip(large).map(|(small, large)| (small / large, "its small backlog"));
        vec![
            (
                "cycle, the fastest that acknowledges each job durably (goal 10)",
                rate("cycle", each),
            ),
            ("cycle, the fastest in any durable mode (goal 3)", rate("cycle", durable)),
            ("cycle, the fastest, durable or not", rate("cycle", any)),
            (
                "cycle-1024, the fastest that acknowledges each job durably (goal 10)",
                rate("cycle-1024", each),
            ),
            ("cycle-1024, the fastest in any durable mode (goal 3)", rate("cycle-1024", durable)),
            ("cycle-1024, the fastest, durable or not", rate("cycle-1024", any)),
            (
                "cycle with sidecars over WebSocket, the fastest (goal above 1)",
                self.ahead("agentcom, sidecars over ws", "cycle", any),
            ),
            ("submit-64, the fastest durable one (goal 4)", rate("submit-64", durable)),
            ("submit-64, the fastest, durable or not", rate("submit-64", any)),
            ("submit-1, `fdatasync`s in the time of one submission (goal at most 3)", one),
            (
                "latency, p50 beyond one `fdatasync` at that pace, in ms (goal at most 0.3)",
                beyond(paced_us, "an idle disk"),
            ),
            (
                "latency, p50 beyond one `fdatasync` back to back, in ms",
                beyond(1e6 / sync, "a busy disk"),
            ),
            (
                "latency, p99 of the best peer over ours (goal above 1)",
                self.behind("latency", "p99_us"),
            ),
            ("backlog, the small rate over the large (goal at most 2)", grown),
        ]
    }

    fn ours(&self, work: &str, field: &str) -> Option<f64> {
        self.named(work, "agentcom", field)
    }

    fn named(&self, work: &str, name: &str, field: &str) -> Option<f64> {
        self.row(work, name)?.median(field)
    }

    /// What peers have in a work.
    fn peers<'a>(
        &'a self,
        work: &'a str,
        field: &'a str,
    ) -> impl Iterator<Item = (f64, &'static Subject)> + 'a {
        let rows = self.rows.iter().filter(move |row| row.work == work && !row.subject.ours);
        rows.filter_map(move |row| Some((row.median(field)?, row.subject)))
    }

    /// The rate of `name` over that of the fastest peer of those that count.
    fn ahead(&self, name: &str, work: &str, counts: fn(&Subject) -> bool) -> Found {
        let ours = self.named(work, name, "rate")?;
        let peers = self.peers(work, "rate").filter(|(_, subject)| counts(subject));
        let (best, subject) = peers.max_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((ours / best, subject.name))
    }

    /// The smallest figure of the peers over ours.
    fn behind(&self, work: &str, field: &str) -> Found {
        let ours = self.ours(work, field)?;
        let (best, subject) = self.peers(work, field).min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((best / ours, subject.name))
    }
}
