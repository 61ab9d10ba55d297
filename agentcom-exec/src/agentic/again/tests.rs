//! This file tests how long models are left alone that are busy.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use agentcom_core::agentic::{Limits, Stop};
use agentcom_core::task::Tier;
use agentcom_core::testing::executor_suite::Asking;
use agentcom_core::time::Span;
use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::agentic::{Brief, Ended, How, Loop};
use crate::model::{Model, ModelError, Reply, Request, Said, Taken, Usage};
use crate::tool::{Toolbox, Workspace};

#[test]
fn nobody_comes_back_earlier_than_asked_and_few_at_the_same_time() {
    let ms = Duration::from_millis;
    for (before, least, from, to) in [
        (0, 0, 250, 500),
        (1, 0, 1_000, 2_000),
        (1, 700, 1_000, 2_000),
        (0, 30_000, 30_000, 35_000),
    ] {
        let waits = (0..100).map(|seed| wait(before, ms(least), &mut Rng::new(seed)));
        let waits: BTreeSet<_> = waits.collect();
        assert!(waits.iter().all(|wait| (ms(from)..ms(to)).contains(wait)), "{waits:?}");
        assert!(waits.len() > 60, "{waits:?}");
    }
    assert_ne!(seed(), seed());
}

/// A model that fails so often, and is asked at these times.
#[derive(Debug)]
struct Failing {
    error: ModelError,
    times: usize,
    asked: Mutex<Vec<Instant>>,
}

#[async_trait]
impl Model for Failing {
    fn name(&self) -> &'static str {
        "failing"
    }

    fn context_tokens(&self) -> u64 {
        16_384
    }

    async fn ask(&self, _: &Request<'_>, _: &mut Said<'_>) -> Result<Reply, ModelError> {
        let mut asked = self.asked.lock().unwrap();
        asked.push(Instant::now());
        if asked.len() <= self.times {
            return Err(self.error.clone());
        }
        Ok(Reply { text: "Done.".to_owned(), ..Reply::default() })
    }
}

/// How a loop of this seed ended with a model that fails so often, and when it was asked.
async fn run(
    seed: u64,
    limits: Limits,
    (times, error): (usize, ModelError),
) -> (Ended, Vec<Instant>) {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Arc::new(Workspace::open(dir.path()).unwrap());
    let tools = Toolbox::of_files(&workspace);
    let model = Failing { error, times, asked: Mutex::default() };
    let ctx = Asking::default();
    let at = Loop { model: &model, tools: &tools, limits, ctx: &ctx, seed };
    let ended = at.run(&Brief::default()).await;
    (ended, model.asked.into_inner().unwrap())
}

/// How long a loop of this seed waited between asking and asking.
async fn waited(seed: u64, error: ModelError) -> [Duration; 2] {
    let (ended, asked) = run(seed, Limits::of_tier(Tier::Trivial), (2, error)).await;
    assert_eq!(ended.how, How::Answered);
    [asked[1] - asked[0], asked[2] - asked[1]]
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_busy_is_left_alone_for_as_long_as_chance_and_its_server_say() {
    let busy = |after| ModelError::Busy { seen: "503".to_owned(), after };
    let gone = ModelError::Unreachable { url: "http://gpu".to_owned(), seen: "refused".to_owned() };
    let once = waited(7, busy(None)).await;
    assert_eq!(once, waited(7, busy(None)).await, "one seed waits alike");
    assert_eq!(once, waited(7, gone).await, "whatever passes");
    assert_ne!(once, waited(8, busy(None)).await);
    let least = Duration::from_secs(20);
    let asked = waited(7, busy(Some(least))).await;
    assert!(asked.iter().all(|wait| *wait >= least) && asked[0] != asked[1], "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_call_took_that_came_to_nothing_counts_for_the_limit_before_the_next() {
    let usage = Usage { input_tokens: 5_000, output_tokens: 10, ..Usage::default() };
    let broken = ModelError::Broken("it ended before it was done".to_owned());
    let counted =
        ModelError::Counted { taken: Taken::AtLeast(usage), error: Box::new(broken.clone()) };
    let limits = |tokens| Limits { tokens: Some(tokens), ..Limits::of_tier(Tier::Trivial) };
    let (ended, asked) = run(7, limits(9_000), (9, counted.clone())).await;
    assert_eq!((ended.how, asked.len()), (How::Stopped(Stop::Tokens), 2));
    assert_eq!((ended.usage.input_tokens, ended.usage.output_tokens), (10_000, 20));
    let (ended, asked) = run(7, limits(90_000), (9, counted)).await;
    assert_eq!((ended.how, asked.len()), (How::Failed(broken), 3));
    assert_eq!(ended.usage.total(), 15_030);
}

#[tokio::test]
async fn a_model_is_not_asked_again_when_the_time_is_over() {
    let limits = Limits { time: Some(Span(50)), ..Limits::of_tier(Tier::Trivial) };
    let busy = ModelError::Busy { seen: "503".to_owned(), after: None };
    let (ended, asked) = run(7, limits, (9, busy)).await;
    assert_eq!((ended.how, asked.len()), (How::Stopped(Stop::Time), 1));
}
