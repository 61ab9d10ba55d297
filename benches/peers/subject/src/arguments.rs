//! This file reads what a measuring process is asked to do.

use std::path::PathBuf;

use crate::{Mode, Outcome, Place};

/// What is played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// `callers` submit one job after the other, each waiting for its reply, for `seconds`.
    Submit,
    /// `jobs` are submitted in bulk.
    Bulk,
    /// `callers` submit `jobs` while workers run; over when all are stored as done.
    Cycle,
    /// `jobs` are there already; over when all are stored as done.
    Drain,
    /// Idle workers get `rate` jobs a second for `seconds`.
    Latency,
    /// `jobs` of `classes` classes are there; workers of one class do theirs.
    Backlog,
    /// The queue is opened again after `backlog`; over when a job that is submitted then has started.
    Ready,
}

/// What a process was asked to do.
#[derive(Clone, Debug)]
pub struct Arguments {
    /// Which queue.
    pub peer: String,
    /// How it is set up.
    pub mode: Mode,
    /// What is played.
    pub work: Work,
    /// Where it keeps its jobs.
    pub place: Place,
    /// Callers that wait for their reply.
    pub callers: usize,
    /// Seconds to measure.
    pub seconds: u64,
    /// How many jobs.
    pub jobs: u64,
    /// Of how many classes.
    pub classes: u32,
    /// Jobs a second.
    pub rate: u64,
}

/// How to call a measuring process.
pub const USAGE: &str = "PEER each|batch submit|bulk|cycle|drain|latency|backlog|ready \
--dir DIR --url URL [--callers N] [--seconds N] [--jobs N] [--classes N] [--rate N]";

impl Arguments {
    /// Reads the command line.
    ///
    /// # Errors
    ///
    /// What is wrong with it, and how it is called.
    pub fn read() -> Outcome<Self> {
        let mut words = std::env::args().skip(1);
        let mut next = |what: &str| words.next().ok_or(format!("{what} is missing; {USAGE}"));
        let (peer, mode, work) = (next("PEER")?, next("the mode")?, next("the work")?);
        let mode = match mode.as_str() {
            "each" => Mode::Each,
            "batch" => Mode::Batch,
            other => return Err(format!("no mode {other}; {USAGE}").into()),
        };
        let work = match work.as_str() {
            "submit" => Work::Submit,
            "bulk" => Work::Bulk,
            "cycle" => Work::Cycle,
            "drain" => Work::Drain,
            "latency" => Work::Latency,
            "backlog" => Work::Backlog,
            "ready" => Work::Ready,
            other => return Err(format!("no work {other}; {USAGE}").into()),
        };
        let place = Place { dir: PathBuf::new(), url: String::new(), reopen: work == Work::Ready };
        let mut read = Self {
            peer,
            mode,
            work,
            place,
            callers: 64,
            seconds: 3,
            jobs: 10_000,
            classes: 1,
            rate: 50,
        };
        while let Ok(flag) = next("a flag") {
            let value = next(&flag)?;
            match flag.as_str() {
                "--dir" => read.place.dir = value.into(),
                "--url" => read.place.url = value,
                "--callers" => read.callers = value.parse()?,
                "--seconds" => read.seconds = value.parse()?,
                "--jobs" => read.jobs = value.parse()?,
                "--classes" => read.classes = value.parse()?,
                "--rate" => read.rate = value.parse()?,
                other => return Err(format!("no flag {other}; {USAGE}").into()),
            }
        }
        Ok(read)
    }
}
