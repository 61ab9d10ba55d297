//! This file gathers the tests that are named after pitfalls into which other queues fell: `p01_` is
//! about the first line of `table.rs`, and so on.

mod embedding;
mod figures;
mod keys;
mod leases;
mod limits;
mod quiet;
mod recovery;
mod storage;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Key, Kind};
use agentcom_core::task::{Concurrency, Draft, Outcome};
use agentcom_core::testing::bench::Bench;
use agentcom_core::time::Span;
use agentcom_core::wire::Held;

fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"true"}"#).unwrap())
}

fn agent_id(name: &str) -> AgentId {
    AgentId::new(name).unwrap()
}

/// A task of which at most `max` run at once.
fn capped(key: &str, max: u32) -> Draft {
    let mut draft = draft();
    draft.share.concurrency = Some(Concurrency { key: Key::new(key).unwrap(), max });
    draft
}

/// How the attempts at a task ended, and why.
fn endings(bench: &Bench, id: TaskId) -> Vec<(Outcome, String)> {
    let attempts = bench.task(id).life.attempts.iter();
    let ended = attempts.filter_map(|attempt| attempt.ended.as_ref());
    ended
        .map(|ended| (ended.outcome, ended.error.as_deref().unwrap_or_default().to_owned()))
        .collect()
}

/// The next work that an agent without any is given, if that is within ten minutes.
fn next_work(bench: &mut Bench, agent: u64, name: &str) -> Option<Held> {
    for _ in 0..600 {
        if let Some(held) = bench.holds(&agent_id(name)).first() {
            return Some(*held);
        }
        bench.ping(agent, &[]);
        bench.pass(Span::from_secs(1));
    }
    None
}
