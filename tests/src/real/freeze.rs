//! This file freezes real processes for longer than their leases, and asks who paid for it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::feed::{ended_twice, events};
use super::process::{Program, Swept, eventually, within};
use super::scene::Scene;
use crate::proof::Outcome;

/// The shortest lease that a task may ask for.
const LEASE: Duration = Duration::from_secs(5);
/// Runs until it may end; what it writes says which attempt it is.
const UNTIL_LET_GO: &str = "echo $AGENTCOM_TASK_ID $AGENTCOM_LEASE >> starts; \
     while ! [ -e go ]; do sleep 0.05; done; echo $AGENTCOM_TASK_ID $AGENTCOM_LEASE >> ends";

/// Stops the hub for `pause` while agents work under shorter leases. Nobody may be charged with a
/// lost lease; work that goes on without one is not given out a second time; work that its sidecar
/// stopped, as it has to, is given back and done again.
///
/// # Panics
///
/// If the agents do not come back, or their work does not end.
#[must_use]
pub fn hub(program: &Program, pause: Duration) -> Outcome {
    assert!(pause > LEASE, "the pause is longer than a lease");
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let mut scene = Scene::set(program, swept.0.path(), 2);
    scene.connected();
    let tasks = ["continue", "stop"].map(|on_loss| (0..2).map(move |_| task(on_loss)));
    let tasks: Vec<Value> = tasks.into_iter().flatten().collect();
    let ids = scene.api.submit(&tasks).expect("the hub acknowledges");
    eventually("all work has begun", || scene.lines("starts").len() == ids.len());
    freeze(scene.hub(), pause);
    let back = std::time::Instant::now();
    scene.connected();
    let back = back.elapsed();
    std::fs::write(scene.dir.join("work/go"), "").expect("the directory can be written");
    let mut ended = Vec::new();
    eventually("all work ends", || {
        ended = scene.api.tasks();
        ended.iter().all(|task| task["state"] == "completed")
    });
    let charged = |task: &&Value| task["crash_count"] != 0 || task["retry_count"] != 0;
    let charged: Vec<&Value> = ended.iter().filter(charged).collect();
    let mut found: Vec<String> = charged.iter().map(|task| format!("charged: {task}")).collect();
    let starts = scene.lines("starts");
    let once = |id: &&String| starts.iter().filter(|start| start.starts_with(*id)).count() == 1;
    if ids[..2].iter().filter(once).count() != 2 {
        found.push(format!("work that goes on without a lease was given out again: {starts:?}"));
    }
    let events = events(&scene);
    found.extend(ended_twice(&events));
    let blamed = of_kind(&events, "agent.trust");
    found.extend(blamed.iter().map(|event| format!("an agent was blamed: {event}")));
    scene.end();
    let figures = json!({
        "hub_frozen_ms": pause.as_millis() as u64,
        "hub_frozen_lease_ms": LEASE.as_millis() as u64,
        "hub_frozen_leases_lost": charged.len(),
        "hub_frozen_agents_back_after_ms": back.as_millis() as u64,
    });
    Outcome::new(figures, found)
}

/// Stops a sidecar for longer than its lease. Its task is given to another agent, and what it says
/// about it afterwards counts no more.
///
/// # Panics
///
/// If its task stays with it, or does not end.
#[must_use]
pub fn sidecar(program: &Program) -> Outcome {
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let mut scene = Scene::set(program, swept.0.path(), 1);
    scene.connected();
    let ids = scene.api.submit(&[task("continue")]).expect("the hub acknowledges");
    eventually("the work has begun", || scene.lines("starts").len() == 1);
    scene.add_agent();
    scene.connected();
    scene.agents[0].signal(Signal::SIGSTOP);
    let began = std::time::Instant::now();
    eventually("another agent works on it", || scene.lines("starts").len() == 2);
    let moved = began.elapsed();
    // Both may end; the frozen one cannot tell yet.
    std::fs::write(scene.dir.join("work/go"), "").expect("the directory can be written");
    let path = format!("/api/tasks/{}", ids[0]);
    let mut done = Value::Null;
    eventually("the other agent is done", || {
        done = scene.api.get(&path);
        done["state"] == "completed"
    });
    eventually("the first job ended as well", || scene.lines("ends").len() == 2);
    scene.agents[0].signal(Signal::SIGCONT);
    eventually("the hub told the first that it is too late", || {
        std::fs::read_to_string(scene.dir.join("a-0.log"))
            .is_ok_and(|said| said.contains(SUPERSEDED))
    });
    let mut found = Vec::new();
    let after = scene.api.get(&path);
    let taken = u64::from(after["generation"] != done["generation"]);
    if taken > 0 {
        found.push(format!("a late result was taken: {after}"));
    }
    let starts = scene.lines("starts");
    if starts.len() != 2 {
        found.push(format!("the work was given out again: {starts:?}"));
    }
    found.extend(ended_twice(&events(&scene)));
    scene.end();
    let figures = json!({
        "sidecar_frozen_lease_ms": LEASE.as_millis() as u64,
        "sidecar_frozen_work_moved_after_ms": moved.as_millis() as u64,
        "sidecar_frozen_late_results_taken": taken,
    });
    Outcome::new(figures, found)
}

/// What a sidecar says when the hub tells it that a report came too late.
const SUPERSEDED: &str = "its report came too late";

fn task(on_lease_loss: &str) -> Value {
    let lease = LEASE.as_millis() as u64;
    json!({
        "shell": UNTIL_LET_GO, "lease_ttl_ms": lease, "on_lease_loss": on_lease_loss,
        "backoff_base_ms": 10, "backoff_cap_ms": 50,
    })
}

/// The fault itself takes its time: the process stands still, and nothing can be waited for.
fn freeze(process: &super::process::Process, pause: Duration) {
    process.signal(Signal::SIGSTOP);
    let _never = within(pause, || false);
    process.signal(Signal::SIGCONT);
}

fn of_kind(events: &[Value], kind: &str) -> Vec<Value> {
    events.iter().filter(|event| event["type"] == kind).cloned().collect()
}
