//! This file is the work that simulated agents do: it takes a while, and goes well or not.

use alloc::boxed::Box;
use alloc::string::String;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use super::oracle::Oracle;
use super::world::SimClock;
use crate::json::Json;
use crate::name::Kind;
use crate::port::executor::{Executor, JobContext, JobOutcome, News};
use crate::rng::Rng;
use crate::task::Category;
use crate::time::Span;
use crate::wire::Assignment;

/// How a piece of work goes, drawn from the seed, the task and the assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    Badly,
    Hopeless,
    Quota,
    Crash,
}

/// How long a piece of work takes, and how it goes.
pub(super) fn fate(seed: u64, job: &Assignment) -> (Span, Fate) {
    let mut rng = Rng::for_purpose(seed, "fate", job.task_id.0 ^ scrambled(job.generation.0));
    let span = match rng.below(10) {
        0 => Span(rng.below(90_000)),
        1..4 => Span(rng.below(10_000)),
        _ => Span(rng.below(500)),
    };
    let fate = match rng.below(100) {
        0..80 => Fate::Well,
        80..92 => Fate::Badly,
        92..94 => Fate::Hopeless,
        94..97 => Fate::Quota,
        _ => Fate::Crash,
    };
    (span, fate)
}

fn scrambled(lease: u64) -> u64 {
    Rng::new(lease).next_u64()
}

/// Does work under simulated time.
#[derive(Debug)]
pub(super) struct SimExecutor {
    pub(super) agent: String,
    pub(super) seed: u64,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
}

#[async_trait]
impl Executor for SimExecutor {
    fn kind(&self) -> Kind {
        Kind::new("shell").unwrap_or_else(|bad| unreachable!("{bad}"))
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        self.oracle.started(job.task_id, job.generation, &self.agent);
        let (span, fate) = fate(self.seed, job);
        ctx.report(News { percent: Some(0), event: None });
        let work = self.clock.sleep(span);
        if let Either::Right(_) = select(work, ctx.cancelled()).await {
            return JobOutcome::Stopped;
        }
        match fate {
            Fate::Well => JobOutcome::Done { result: Json::null(), tokens: Some(1) },
            Fate::Badly => JobOutcome::retryable("it went badly"),
            Fate::Hopeless => JobOutcome::permanent("it is hopeless"),
            Fate::Quota => JobOutcome::Snooze { wait: Span::from_secs(20) },
            Fate::Crash => JobOutcome::failed(Category::Crash, "it blew up"),
        }
    }
}
