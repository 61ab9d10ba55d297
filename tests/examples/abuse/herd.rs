//! This file lets all agents lose their hub at once, and measures how they come back.

use std::time::{Duration, Instant};

use agentcom_tests::proof::{Outcome, say};
use agentcom_tests::real::process::{Program, Swept, Up, within};
use serde_json::{Value, json};

use crate::crowd::{Crowd, allow_sockets, runtime};

/// How long the hub is away: long enough for all to have tried several times.
const DOWN: Duration = Duration::from_secs(5);
/// How soon all have to be back, and how late the loop may be meanwhile.
const BACK_WITHIN: Duration = Duration::from_secs(60);
const LAG_P99_MAX_MS: u64 = 100;
/// How often it is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);

pub(crate) fn run(program: &Program, agents: u64) -> Outcome {
    allow_sockets(agents);
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let dir = swept.0.path();
    let mut up = Up::start(program, dir, &["--agents", "0"]);
    let api = up.api(dir);
    let runtime = runtime();
    let count = usize::try_from(agents).expect("a count of agents");
    let _crowd = Crowd::start(&runtime, &api, count, 1, Duration::from_millis(1));
    let online = || {
        let Ok((200, health)) = api.ask("GET", "/health", None) else { return Value::Null };
        health
    };
    assert!(
        within(4 * BACK_WITHIN, || online()["agents_connected"] == agents),
        "all agents come: {}",
        online()
    );
    say(&format!("{agents} agents are connected; the hub is killed"));
    up.process.kill();
    let listen = ["--agents", "0", "--listen", &api.listen];
    let _away = within(DOWN, || false);
    let mut up = Up::start(program, dir, &listen);
    let began = Instant::now();
    let (mut seen, mut fastest) = (0, 0);
    let mut memory = 0;
    let back = within(2 * BACK_WITHIN, || {
        let _between = within(LOOK_EVERY, || false);
        let now = online()["agents_connected"].as_u64().unwrap_or(seen);
        fastest = fastest.max(now.saturating_sub(seen));
        seen = now;
        memory = memory.max(up.process.memory_kib());
        now == agents
    });
    let took = began.elapsed();
    let lag = online()["lag"].clone();
    let figures = json!({
        "herd_agents": agents,
        "herd_agents_back": seen,
        "herd_back_after_ms": took.as_millis() as u64,
        "herd_most_in_250_ms": fastest,
        "herd_lag_p50_ms": lag["p50_ms"],
        "herd_lag_p99_ms": lag["p99_ms"],
        "herd_lag_max_ms": lag["max_ms"],
        "herd_hub_memory_kib": memory,
    });
    up.process.kill();
    let mut found = Vec::new();
    if !back || took > BACK_WITHIN {
        found.push(format!("{seen} of {agents} are back after {took:?}"));
    }
    if lag["p99_ms"].as_u64().is_none_or(|p99| p99 > LAG_P99_MAX_MS) {
        found.push(format!("the loop of the hub was late when all came back: {lag}"));
    }
    Outcome::new(figures, found)
}
