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
    /// Whether everything is killed then, and opened again.
    pub(crate) then_ready: bool,
}

struct Work {
    name: &'static str,
    work: &'static str,
    callers: u64,
    jobs: Jobs,
}

/// How many jobs there are.
#[derive(Clone, Copy)]
enum Jobs {
    /// The subject's share of so many.
    ShareOf(u64),
    /// The subject's largest backlog, of 100 classes.
    Backlog,
    /// As many as one class has in that backlog, and no others.
    OneClass,
}

const fn work(name: &'static str, work: &'static str) -> Work {
    Work { name, work, callers: 64, jobs: Jobs::ShareOf(50_000) }
}

/// The classes of a large backlog.
const CLASSES: u64 = 100;

/// The works, in the order in which they are played.
const WORKS: &[Work] = &[
    work("submit-64", "submit"),
    work("cycle", "cycle"),
    Work { callers: 1_024, ..work("cycle-1024", "cycle") },
    work("latency", "latency"),
    Work { callers: 1, ..work("submit-1", "submit") },
    Work { callers: 1_024, ..work("submit-1024", "submit") },
    work("bulk", "bulk"),
    work("drain", "drain"),
    Work { jobs: Jobs::OneClass, ..work("backlog-small", "backlog") },
    Work { jobs: Jobs::Backlog, ..work("backlog-large", "backlog") },
];

/// The names of all works.
pub(crate) fn names() -> impl Iterator<Item = &'static str> + Clone {
    WORKS.iter().map(|work| work.name)
}

/// What is measured, for those that are asked for; all without a name.
pub(crate) fn plan(only: &[String], works: &[String], scale: u64) -> Vec<Measurement> {
    let wanted = |names: &[String], name: &str| {
        names.is_empty() || names.iter().any(|wanted| wanted == name)
    };
    let mut all = Vec::new();
    for work in WORKS.iter().filter(|work| wanted(works, work.name)) {
        for subject in SUBJECTS.iter().filter(|subject| wanted(only, subject.peer)) {
            // What starts in another process is not seen from the one that submits.
            let is_watched = subject.peer != "agentcom-ws";
            if work.work == "latency" && !is_watched {
                continue;
            }
            let backlog = (subject.backlog_max * scale / 100).max(10 * CLASSES);
            let (jobs, classes) = match work.jobs {
                Jobs::ShareOf(jobs) => ((jobs * subject.share / 100 * scale / 100).max(100), 1),
                Jobs::Backlog => (backlog, CLASSES),
                Jobs::OneClass => (backlog / CLASSES, 1),
            };
            all.push(Measurement {
                name: work.name,
                subject,
                work: work.work,
                callers: work.callers,
                jobs,
                classes,
                seconds: if work.work == "latency" { 4 } else { 2 },
                then_ready: classes == CLASSES && is_watched,
            });
        }
    }
    all
}
