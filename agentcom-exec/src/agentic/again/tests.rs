//! This file tests how long models are left alone that are busy.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use agentcom_core::agentic::Limits;
use agentcom_core::task::Tier;
use agentcom_core::testing::executor_suite::Asking;
use async_trait::async_trait;
use tokio::time::Instant;

use super::*;
use crate::agentic::{Brief, How, Loop};
use crate::model::{Model, ModelError, Reply, Request, Said};
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

/// A model that fails twice, and is asked at these times.
#[derive(Debug)]
struct Failing {
    error: ModelError,
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
        if asked.len() <= 2 {
            return Err(self.error.clone());
        }
        Ok(Reply { text: "Done.".to_owned(), ..Reply::default() })
    }
}

/// How long a loop of this seed waited between asking and asking.
async fn waited(seed: u64, error: ModelError) -> [Duration; 2] {
    let dir = tempfile::tempdir().unwrap();
    let workspace = Arc::new(Workspace::open(dir.path()).unwrap());
    let tools = Toolbox::of_files(&workspace);
    let model = Failing { error, asked: Mutex::default() };
    let (limits, ctx) = (Limits::of_tier(Tier::Trivial), Asking::default());
    let at = Loop { model: &model, tools: &tools, limits, ctx: &ctx, seed };
    let ended = at.run(&Brief::default()).await;
    assert_eq!(ended.how, How::Answered);
    let asked = model.asked.into_inner().unwrap();
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
