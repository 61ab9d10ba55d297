//! This file reads the whole feed of a hub, and holds what it says against what may happen.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use super::process::Process;
use super::scene::Scene;

/// The events for the end of a task.
const ENDS: [&str; 4] = ["task.completed", "task.partial", "task.dead_letter", "task.cancelled"];

/// All events so far.
///
/// # Panics
///
/// If the feed has a gap.
#[must_use]
pub fn events(scene: &Scene) -> Vec<Value> {
    let last = scene.api.get("/api/stats")["seq"].as_u64().expect("events are numbered");
    let mut command = scene.program.command(&scene.dir, &["watch", "--after", "0", "--json"]);
    let watch = command.stdout(Stdio::piped()).spawn().expect("the command can be started");
    let mut watch = Process(watch);
    let mut lines = BufReader::new(watch.0.stdout.take().expect("its output is piped")).lines();
    let mut events: Vec<Value> = Vec::new();
    while (events.len() as u64) < last {
        let line = lines.next().expect("the feed goes on").expect("the feed can be read");
        let event: Value = serde_json::from_str(&line).expect("a line is an event");
        let Some(cursor) = event["cursor"].as_u64().filter(|_| event["event"] != "progress") else {
            continue;
        };
        assert_eq!(cursor, events.len() as u64 + 1, "the feed has no gap");
        events.push(event["data"].clone());
    }
    events
}

/// The ends of tasks that had ended before.
#[must_use]
pub fn ended_twice(events: &[Value]) -> Vec<String> {
    let ends = events.iter().filter(|event| ENDS.iter().any(|end| event["type"] == *end));
    let mut ended = BTreeSet::new();
    let again = ends.filter(|event| !ended.insert(event["task_id"].as_str()));
    again.map(|event| format!("a second end: {event}")).collect()
}
