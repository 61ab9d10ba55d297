//! This file writes the tables, as Markdown.

use std::fmt::Write as _;

use crate::report::{Report, Row, Spread};
use crate::subjects::{SUBJECTS, Subject};

/// What is in a cell.
enum Cell {
    /// A figure of a work in a unit of so much: the median, and the smallest and largest with it.
    Spread(&'static str, &'static str, f64),
    /// The median alone.
    Median(&'static str, &'static str, f64),
    /// The rate at a small backlog over that at a large one.
    Growth,
}

use Cell::{Growth, Median, Spread as All};

struct Table {
    title: &'static str,
    columns: &'static [Column],
}

const MIB: f64 = 1_048_576.0;
const MIB_OF_KIB: f64 = 1_024.0;

type Column = (&'static str, Cell);

/// A size after the works in which it is looked at.
const fn sizes(field: &'static str, unit: f64) -> [Column; 5] {
    [
        ("submit-64", Median("submit-64", field, unit)),
        ("bulk", Median("bulk", field, unit)),
        ("cycle", Median("cycle", field, unit)),
        ("latency", Median("latency", field, unit)),
        ("backlog-large", Median("backlog-large", field, unit)),
    ]
}

/// As [`sizes`], and the most that it was in the last.
const fn sizes_and_most(field: &'static str, most: &'static str, unit: f64) -> [Column; 6] {
    let [submit, bulk, cycle, latency, backlog] = sizes(field, unit);
    [submit, bulk, cycle, latency, backlog, ("its most", Median("backlog-large", most, unit))]
}

const TABLES: &[Table] = &[
    Table {
        title: "Durable submission, jobs a second",
        columns: &[
            ("1 caller", All("submit-1", "rate", 1.0)),
            ("64 callers", All("submit-64", "rate", 1.0)),
            ("1,024 callers", All("submit-1024", "rate", 1.0)),
            ("in bulk", All("bulk", "rate", 1.0)),
        ],
    },
    Table {
        title: "The full cycle, jobs a second",
        columns: &[
            ("64 callers", All("cycle", "rate", 1.0)),
            ("1,024 callers", All("cycle-1024", "rate", 1.0)),
            ("jobs there before", All("drain", "rate", 1.0)),
        ],
    },
    Table {
        title: "From submit to start at 50 jobs a second, ms",
        columns: &[
            ("50 %", All("latency", "p50_us", 1e3)),
            ("99 %", All("latency", "p99_us", 1e3)),
        ],
    },
    Table {
        title: "A backlog of 100 classes, of which one is worked off",
        columns: &[
            ("jobs", Median("backlog-large", "jobs_given", 1.0)),
            ("filled in, s", All("backlog-large", "filled_s", 1.0)),
            ("of its jobs alone, per s", All("backlog-small", "rate", 1.0)),
            ("beside the others, per s", All("backlog-large", "rate", 1.0)),
            ("ratio", Growth),
            ("ready after `kill -9`, s", All("backlog-large", "ready_s", 1.0)),
        ],
    },
    Table {
        title: "Memory of the process that submits, with queue and workers if they are in it, MiB",
        columns: &sizes_and_most("rss_kib", "rss_max_kib", MIB_OF_KIB),
    },
    Table { title: "Memory of the server, MiB", columns: &sizes("server_kib", MIB_OF_KIB) },
    Table { title: "On the disk, MiB", columns: &sizes("bytes", MIB) },
];

impl Report {
    /// All tables that there are figures for, with what failed.
    pub(crate) fn tables(&self) -> String {
        let mut text = format!("{}\n\n", self.conditions());
        for table in TABLES {
            text += &self.table(table);
        }
        let failed = self.rows.iter().filter(|row| !row.failures.is_empty());
        for row in failed {
            // Writing to a string does not fail.
            let _ =
                writeln!(text, "- {}, {}: {}", row.subject.name, row.work, row.failures.join("; "));
        }
        text
    }

    fn table(&self, table: &Table) -> String {
        let mut lines = String::new();
        for subject in SUBJECTS {
            let cells: Vec<_> =
                table.columns.iter().map(|(_, cell)| self.cell(subject, cell)).collect();
            if cells.iter().all(|cell| cell == NOTHING) {
                continue;
            }
            let mark = if subject.durable { "" } else { " †" };
            let _ = writeln!(lines, "| {}{mark} | {} |", subject.name, cells.join(" | "));
        }
        if lines.is_empty() {
            return lines;
        }
        let heads: Vec<_> = table.columns.iter().map(|(head, _)| *head).collect();
        let rule = "--:|".repeat(heads.len());
        format!("### {}\n\n| | {} |\n|---|{rule}\n{lines}\n", table.title, heads.join(" | "))
    }

    fn cell(&self, subject: &Subject, cell: &Cell) -> String {
        let shown = match cell {
            All(work, field, unit) => {
                self.row(work, subject.name).map(|row| shown(row, field, *unit, true))
            }
            Median(work, field, unit) => {
                self.row(work, subject.name).map(|row| shown(row, field, *unit, false))
            }
            Growth => {
                let rate = |work| self.row(work, subject.name)?.median("rate");
                rate("backlog-small")
                    .zip(rate("backlog-large"))
                    .map(|(small, large)| digits(small / large))
            }
        };
        shown.unwrap_or_else(|| NOTHING.into())
    }
}

const NOTHING: &str = "–";

fn shown(row: &Row, field: &str, unit: f64, with_spread: bool) -> String {
    let found: Option<Spread> = row.spread(field);
    match (found.map(|found| found.map(|number| digits(number / unit))), row.failures.is_empty()) {
        (Some([low, median, high]), _) if with_spread => format!("{median} ({low} to {high})"),
        (Some([_, median, _]), _) => median,
        (None, true) => NOTHING.into(),
        (None, false) => "failed".into(),
    }
}

/// A number with three digits that count, and commas between thousands.
fn digits(number: f64) -> String {
    if number < 100.0 {
        let after = if number < 1.0 {
            3
        } else if number < 10.0 {
            2
        } else {
            1
        };
        return format!("{number:.after$}");
    }
    let unit = 10_f64.powi((number.log10().floor() as i32 - 2).max(0));
    let text = format!("{:.0}", (number / unit).round() * unit);
    let mut grouped = String::new();
    for (at, digit) in text.chars().enumerate() {
        if at > 0 && (text.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
