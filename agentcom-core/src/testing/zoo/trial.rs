//! This file tries what a random walk cannot judge: how much is fair, how often is often enough, and
//! how long is what was said.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::Plant;
use crate::config::HubConfig;
use crate::hub::schedule::{AgentFacts, FairPolicy, Policy, TaskFacts};
use crate::json::Json;
use crate::name::{Key, Kind};
use crate::task::{Category, Draft, TaskState};
use crate::testing::bench::Bench;
use crate::time::Span;
use crate::wire::{Dialect, ToAgent};

/// The outcome of the trial that a plant has to fail in, if there is one.
#[expect(clippy::wildcard_enum_match_arm, reason = "all others are found by walks")]
pub(super) fn of(plant: Plant) -> Option<Result<(), String>> {
    Some(match plant {
        Plant::TagStuck => fair_shares(Unfair),
        Plant::AttemptsOffByOne => attempts(Some(plant)),
        Plant::LeaseTooLong => leases(Some(plant)),
        _ => return None,
    })
}

/// All trials, with nothing planted.
///
/// # Errors
///
/// The promise that is broken.
#[cfg(test)]
pub(super) fn sound() -> Result<(), String> {
    fair_shares(FairPolicy)?;
    attempts(None)?;
    leases(None)
}

fn draft() -> Result<Draft, String> {
    let kind = Kind::new("shell").map_err(|bad| format!("{bad}"))?;
    Ok(Draft::new(kind, Json::null()))
}

/// A policy that forgets how much each tenant was served.
#[derive(Debug)]
struct Unfair;

impl Policy for Unfair {
    fn key(&self, _: &TaskFacts<'_>) -> u64 {
        0
    }

    fn fit(&self, task: &TaskFacts<'_>, agent: &AgentFacts<'_>) -> Option<u32> {
        FairPolicy.fit(task, agent)
    }
}

/// Two tenants queue twenty tasks each, one after the other; of the first twenty that are served
/// each has its share.
fn fair_shares(policy: impl Policy + 'static) -> Result<(), String> {
    let mut bench = Bench::over(HubConfig::default(), policy);
    let mut of_first = Vec::new();
    for tenant in ["ada", "bob"] {
        for _ in 0..20 {
            let mut draft = draft()?;
            draft.share.fair_key = Key::new(tenant).ok();
            let id = bench.submit(draft);
            of_first.extend((tenant == "ada").then_some(id));
        }
    }
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let served: Vec<_> = (0..20).filter_map(|_| bench.serve(agent)).collect();
    let first = served.iter().filter(|id| of_first.contains(id)).count();
    if (8..=12).contains(&first) {
        return Ok(());
    }
    Err(format!("of two tenants one was served {first} times out of {}", served.len()))
}

/// How often an agent looks for work that is tried again later.
const LOOK_EVERY: Span = Span::from_secs(5);
/// How often it does so before it gives up.
const LOOKS_MAX: u32 = 10_000;

/// A task that always fails is tried as often as was said, and then no more.
fn attempts(plant: Option<Plant>) -> Result<(), String> {
    let mut config = HubConfig::default();
    let said = config.attempts_max;
    Plant::set(plant, &mut config);
    let mut bench = Bench::with(config);
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft()?);
    let mut tried = 0;
    for _ in 0..LOOKS_MAX {
        for held in bench.assigned(agent) {
            bench.accept(agent, held);
            bench.fail(agent, held, Category::Retryable);
            tried += 1;
        }
        if matches!(bench.state(id), TaskState::Dead(_)) {
            break;
        }
        bench.pass(LOOK_EVERY);
        bench.ping(agent, &[]);
    }
    if tried == said {
        return Ok(());
    }
    Err(format!("a task was tried {tried} times, and {said} was said"))
}

/// An agent that falls silent keeps its task for as long as it was told.
fn leases(plant: Option<Plant>) -> Result<(), String> {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    let id = bench.submit(draft()?);
    let told = bench.said(agent).into_iter().find_map(|mut frame| {
        Plant::says(plant, &mut frame);
        if let ToAgent::TaskAssign(given) = frame { Some(given) } else { None }
    });
    let told = told.ok_or("nothing was assigned")?;
    bench.accept(agent, told.held());
    bench.pass(Span(told.lease_ttl_ms.0 - 1));
    let lease = bench.state(id).hold().map(|hold| hold.lease);
    if lease == Some(told.generation) {
        return Ok(());
    }
    Err(format!("a lease was told to last {}, and was over before", told.lease_ttl_ms))
}
