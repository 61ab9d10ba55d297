//! This file is the work that simulated agents do: it takes a while, and goes well or not.

use alloc::boxed::Box;
use alloc::string::String;
use core::future::pending;

use async_trait::async_trait;
use futures_util::future::{Either, select};

use super::marks::Mark;
use super::money;
use super::oracle::Oracle;
use super::world::SimClock;
use crate::id::TaskId;
use crate::json::Json;
use crate::name::Kind;
use crate::port::executor::{Executor, JobContext, JobOutcome, News};
use crate::question::Ask;
use crate::rng::Rng;
use crate::task::Category;
use crate::time::Span;
use crate::wire::Assignment;

/// How a piece of work goes, drawn from the seed, the task and the assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Well,
    Partly,
    Badly,
    Hopeless,
    Quota,
    Crash,
    /// It asks a person first.
    Asks,
    /// It makes calls that cost money.
    Pays,
    /// It never ends; only drawn where a timeout does that.
    Hangs,
    /// Its result is as large as a result may be.
    Huge,
    /// It takes down the process that does it.
    Poison,
}

/// How long a piece of work takes, and how it goes.
pub(super) fn fate(seed: u64, job: &Assignment, poison: bool) -> (Span, Fate) {
    let lease = Rng::new(job.generation.0).next_u64();
    let mut rng = Rng::for_purpose(seed, "fate", job.task_id.0 ^ lease);
    let span = match rng.below(10) {
        0 => Span(rng.below(90_000)),
        1..4 => Span(rng.below(10_000)),
        _ => Span(rng.below(500)),
    };
    let fate = match rng.below(200) {
        0..20 => Fate::Pays,
        20..150 => Fate::Well,
        150..154 => Fate::Partly,
        154..170 => Fate::Badly,
        170..173 => Fate::Hopeless,
        173..178 => Fate::Quota,
        178..183 => Fate::Crash,
        183..190 => Fate::Asks,
        190..199 if job.timeout_ms.is_some() => Fate::Hangs,
        190..199 => Fate::Well,
        _ => Fate::Huge,
    };
    let fate = if poison && is_poison(seed, job.task_id) { Fate::Poison } else { fate };
    (span, fate)
}

/// Whether a task takes down whoever runs it.
fn is_poison(seed: u64, task: TaskId) -> bool {
    Rng::for_purpose(seed, "poison", task.0).below(25) == 0
}

/// Does work under simulated time.
#[derive(Debug)]
pub(super) struct SimExecutor {
    pub(super) agent: String,
    pub(super) boot: u64,
    pub(super) seed: u64,
    pub(super) poison: bool,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
}

#[async_trait]
impl Executor for SimExecutor {
    fn kind(&self) -> Kind {
        Kind::new("shell").unwrap_or_else(|bad| unreachable!("{bad}"))
    }

    async fn run(&self, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        self.oracle.started(job.task_id, job.generation, &self.agent, self.boot);
        let (span, fate) = fate(self.seed, job, self.poison);
        ctx.report(News { percent: Some(0), event: None, left: None });
        let work = Box::pin(async {
            self.clock.sleep(span).await;
            self.end(fate, job, ctx).await
        });
        match select(work, ctx.cancelled()).await {
            Either::Left((outcome, _)) => outcome,
            Either::Right(_) => JobOutcome::Stopped,
        }
    }
}

impl SimExecutor {
    async fn end(&self, fate: Fate, job: &Assignment, ctx: &dyn JobContext) -> JobOutcome {
        match fate {
            Fate::Well => {
                JobOutcome::Done { result: Json::null(), tokens: Some(1), verification: None }
            }
            Fate::Partly => {
                JobOutcome::Partial { result: Json::null(), tokens: Some(1), verification: None }
            }
            Fate::Badly => JobOutcome::retryable("it went badly"),
            Fate::Hopeless => JobOutcome::permanent("it is hopeless"),
            Fate::Quota => JobOutcome::Snooze { wait: Span::from_secs(20) },
            Fate::Crash => JobOutcome::failed(Category::Crash, "it blew up"),
            Fate::Asks => {
                let result =
                    ctx.ask(Ask::yes_or_no("may I?"), Span::from_secs(40), Json::null()).await;
                JobOutcome::done(result)
            }
            Fate::Pays => {
                let seed = job.task_id.0 ^ Rng::new(job.generation.0).next_u64();
                let mut rng = Rng::for_purpose(self.seed, "calls", seed);
                money::pay(job.task_id, &mut rng, ctx, &self.clock, &self.oracle).await;
                JobOutcome::done(Json::null())
            }
            Fate::Hangs => pending().await,
            Fate::Huge => {
                let result = Json::text(&"x".repeat(Json::BYTES_MAX - 2));
                JobOutcome::done(result)
            }
            Fate::Poison => {
                self.oracle.mark(Mark::Poisoned);
                self.clock.kill_self().await
            }
        }
    }
}
