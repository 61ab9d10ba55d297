//! This file is effectum, embedded on SQLite.

use std::process::ExitCode;

use effectum::{Job as Made, JobRunner, Queue, RunningJob, Worker};
use peers_subject::{Arguments, Job, Mode, Outcome, Payload, Peer, Place, Seen, failed, queue, run};
use tokio::sync::Mutex;

struct Effectum {
    queue: Queue,
    mode: Mode,
    workers: Mutex<Vec<Worker>>,
}

fn made(job: Job) -> Outcome<Made> {
    Ok(Made::builder(job.queue()).json_payload(&job.payload())?.build())
}

impl Peer for Effectum {
    async fn open(place: Place, mode: Mode, _classes: u32) -> Outcome<Self> {
        let queue = Queue::new(&place.dir.join("effectum.db")).await?;
        Ok(Self { queue, mode, workers: Mutex::default() })
    }

    async fn submit(&self, job: Job) -> Outcome<()> {
        self.queue.add_job(made(job)?).await?;
        Ok(())
    }

    async fn submit_all(&self, jobs: Vec<Job>) -> Outcome<()> {
        let made: Outcome<Vec<_>> = jobs.into_iter().map(made).collect();
        self.queue.add_jobs(made?).await?;
        Ok(())
    }

    async fn work(&self, class: u32, seen: Seen) -> Outcome<()> {
        let runner = JobRunner::builder(queue(class), started).build();
        let (most, least) = match self.mode {
            Mode::Each => (8, 1),
            Mode::Batch => (100, 50),
        };
        let worker = Worker::builder(&self.queue, seen)
            .max_concurrency(most)
            .min_concurrency(least)
            .jobs([runner])
            .build()
            .await?;
        self.workers.lock().await.push(worker);
        Ok(())
    }

    async fn done(&self, submitted: u64) -> Outcome<u64> {
        let active = self.queue.num_active_jobs().await?;
        Ok(submitted.saturating_sub(active.pending + active.running))
    }
}

async fn started(job: RunningJob, seen: Seen) -> Result<(), effectum::Error> {
    let payload: Payload = job.json_payload()?;
    seen.started(payload.number);
    Ok(())
}

fn main() -> ExitCode {
    match Arguments::read() {
        Ok(arguments) if arguments.peer == "effectum" => run::<Effectum>(arguments),
        Ok(arguments) => failed(&format!("there is no peer {} here", arguments.peer)),
        Err(error) => failed(&error.to_string()),
    }
}
