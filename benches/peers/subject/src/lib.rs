//! This file plays one piece of work on one queue, in a process of its own, and prints what came of
//! it as a line of JSON. Then it waits until its standard input ends, so that its memory, and that of
//! a server, can be looked at with everything still open.
//!
//! A queue takes part by implementing [`Peer`]; everything that is measured is measured here, in the
//! same way for all. What counts as done is what the queue itself has stored as done, not what a
//! handler has seen.

mod arguments;
mod play;
mod seen;

use std::error::Error;
use std::future::Future;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

pub use arguments::{Arguments, Work};
pub use seen::Seen;

/// The allocator of all that are written in Rust, ours and the peers.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong: anything.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Where a queue keeps its jobs.
#[derive(Clone, Debug)]
pub struct Place {
    /// A directory, for queues on files.
    pub dir: PathBuf,
    /// A database or a server, for the others.
    pub url: String,
    /// Whether there are jobs from an earlier process that have to be found again.
    pub reopen: bool,
}

/// How a queue is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Each job is acknowledged durably by itself before its worker goes on.
    Each,
    /// As its authors recommend for throughput: fetched and acknowledged in batches.
    Batch,
}

/// A job: does nothing.
#[derive(Clone, Copy, Debug)]
pub struct Job {
    /// Its number, from 0.
    pub number: u64,
    /// Which agents can run it.
    pub class: u32,
}

/// What a job carries.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Payload {
    /// The number of the job.
    pub number: u64,
    /// Some text, as jobs have it.
    pub text: String,
}

impl Job {
    /// What it carries.
    #[must_use]
    pub fn payload(self) -> Payload {
        Payload { number: self.number, text: "x".repeat(100) }
    }

    /// Where only agents of its class look.
    #[must_use]
    pub fn queue(self) -> String {
        queue(self.class)
    }
}

/// The name of the queue of a class, for peers that match by queue.
#[must_use]
pub fn queue(class: u32) -> String {
    format!("class-{class}")
}

/// A queue.
pub trait Peer: Sized + Send + Sync + 'static {
    /// Opens it, empty unless `place.reopen`; jobs will be of `classes` classes.
    fn open(place: Place, mode: Mode, classes: u32) -> impl Future<Output = Outcome<Self>> + Send;

    /// Submits one job, and returns once it is durable.
    fn submit(&self, job: Job) -> impl Future<Output = Outcome<()>> + Send;

    /// Submits many at once, as its authors recommend, and returns once they are durable.
    fn submit_all(&self, jobs: Vec<Job>) -> impl Future<Output = Outcome<()>> + Send;

    /// Starts workers for one class that note each job in `seen` as it starts; they work until the
    /// process ends.
    fn work(&self, class: u32, seen: Seen) -> impl Future<Output = Outcome<()>> + Send;

    /// How many of the jobs of this process are stored as done, of `submitted`.
    fn done(&self, submitted: u64) -> impl Future<Output = Outcome<u64>> + Send;
}

/// Plays what the arguments say and prints the result; the first argument named the peer.
pub fn run<P: Peer>(arguments: Arguments) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    // On the runtime's own threads, where a server's handlers are: to the thread that blocks here each
    // reply would be a change of thread that no server pays for.
    let played = runtime.block_on(runtime.spawn(play::play::<P>(arguments)));
    match played.unwrap_or_else(|panic| Err(panic.into())) {
        Ok(figures) => {
            println!("{figures}");
            // Whoever has started this process is gone when this fails.
            let _ = std::io::stdin().read(&mut [0]);
            // Workers are in the midst of something; the process is the measurement, and it is over.
            std::process::exit(0)
        }
        Err(error) => failed(&error.to_string()),
    }
}

/// Says on stderr why nothing was measured.
pub fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
