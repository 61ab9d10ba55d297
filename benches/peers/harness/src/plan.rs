//! This file says what is measured: which work, how large, on whom.

use crate::subjects::{SUBJECTS, Subject};

/// One work on one subject.
#[derive(Clone, Debug)]
pub(crate) struct Measurement {
    /// What it is called in the tables.
    pub(crate) name: &'static str,
    pub(crate) subject: &'static Subject,
    /// What the process is told.
    pub(crate) work: &'static str,
    pub(crate) callers: u64,
    pub(crate) jobs: u64,
    pub(crate) classes: u64,
    pub(crate) seconds: u64,
}

struct Work {
    name: &'static str,
    work: &'static str,
    callers: u64,
    jobs: u64,
    classes: u64,
}

const fn work(name: &'static str, work: &'static str) -> Work {
    Work { name, work, callers: 64, jobs: 50_000, classes: 1 }
}

/// The works, in the order of the tables.
const WORKS: &[Work] = &[
    Work { callers: 1, ..work("submit-1", "submit") },
    Work { callers: 64, ..work("submit-64", "submit") },
    Work { callers: 1_024, ..work("submit-1024", "submit") },
    work("bulk", "bulk"),
    work("cycle", "cycle"),
    Work { callers: 1_024, ..work("cycle-1024", "cycle") },
    work("drain", "drain"),
    work("latency", "latency"),
    Work { jobs: 10_000, ..work("backlog-small", "drain") },
    Work { jobs: 1_000_000, classes: 100, ..work("backlog-large", "backlog") },
    Work { jobs: 1_000_000, classes: 100, ..work("ready", "fill") },
];

/// What is measured, for those that are asked for; all without a name.
pub(crate) fn plan(only: &[String], works: &[String], scale: u64) -> Vec<Measurement> {
    let wanted = |names: &[String], name: &str| {
        names.is_empty() || names.iter().any(|wanted| wanted == name)
    };
    let mut all = Vec::new();
    for work in WORKS.iter().filter(|work| wanted(works, work.name)) {
        for subject in SUBJECTS.iter().filter(|subject| wanted(only, subject.name)) {
            // What starts in another process is not seen from the one that submits.
            if subject.peer == "agentcom-ws" && matches!(work.work, "latency" | "fill") {
                continue;
            }
            let backlog = work.classes > 1;
            let jobs = match backlog {
                true => work.jobs.min(subject.backlog_max),
                false => work.jobs * subject.share / 100,
            };
            all.push(Measurement {
                name: work.name,
                subject,
                work: work.work,
                callers: work.callers,
                jobs: (jobs * scale / 100).max(100),
                classes: work.classes,
                seconds: if work.work == "latency" { 4 } else { 3 },
            });
        }
    }
    all
}
