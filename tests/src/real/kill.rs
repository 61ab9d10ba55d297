//! This file kills the real processes under load, over and over, and then asks what was lost.
//!
//! One hub and three agents, each a process of its own, run short commands while a submitter sends
//! more. A seed decides who is killed when; the killed process starts again at once. In the end:
//!
//! - every task that was acknowledged is there and has ended, once for each idempotency key;
//! - no task ended twice;
//! - no assignment was started twice, and no task more often than its attempts were charged;
//! - nothing that the tasks started is left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::api::Api;
use super::feed::{ended_twice, events};
use super::process::{Program, Swept, WITHIN, eventually, processes_in, within};
use super::scene::Scene;
use crate::proof::{Outcome, say};

const AGENTS: usize = 3;
/// Starts of commands between two kills, so that each hits processes that are at work.
const STARTS_BETWEEN: usize = 3;
/// How long nothing may happen before agents are let out of quarantine.
const TRUST_EVERY: Duration = Duration::from_millis(250);
const BATCH: usize = 4;
/// Living tasks at which the submitter waits.
const AHEAD_MAX: u64 = 40;
/// After how many kills it is said how far it is.
const SAY_EVERY: usize = 50;

/// Kills so many times, as `seed` decides, and judges.
///
/// # Panics
///
/// If the processes do not come back to work, or the work does not end.
#[must_use]
pub fn run(program: &Program, kills: usize, seed: u64) -> Outcome {
    let began = Instant::now();
    let swept = Swept(tempfile::tempdir().expect("there is room for a directory"));
    let mut scene = Scene::set(program, swept.0.path(), AGENTS);
    let stop = AtomicBool::new(false);
    let (mut hubs, mut sidecars) = (0, 0);
    let api = scene.api.clone();
    let acknowledged = std::thread::scope(|scope| {
        let submitter = scope.spawn(|| submit_until(&stop, &api, seed));
        // However the killing ends, the submitter ends with it.
        let _stop = Stop(&stop);
        let mut random = seed;
        let mut seen = 0;
        for number in 1..=kills {
            seen = let_work_happen(&scene, seen);
            match roll(&mut random, 2 * AGENTS) {
                victim if victim < AGENTS => {
                    scene.kill_agent(victim);
                    sidecars += 1;
                }
                victim if victim == AGENTS => {
                    scene.kill_everybody();
                    (hubs, sidecars) = (hubs + 1, sidecars + AGENTS);
                }
                _ => {
                    scene.kill_hub();
                    hubs += 1;
                }
            }
            if number.is_multiple_of(SAY_EVERY) {
                say(&format!("{number} kills in {:.0} s", began.elapsed().as_secs_f64()));
            }
        }
        stop.store(true, Ordering::Release);
        submitter.join().expect("the submitter found nothing wrong")
    });
    let killing = began.elapsed();
    assert!(acknowledged.len() >= kills, "there was load: {}", acknowledged.len());
    let_all_work_end(&scene);
    let (tasks, lost) = lost_tasks(&scene, &acknowledged);
    let events = events(&scene);
    let ended = ended_twice(&events);
    let starts = scene.lines("starts");
    let twice = starts_twice(&starts, &tasks);
    scene.end();
    let left = left_in(&scene.dir);
    let figures = json!({
        "kills": kills,
        "kills_of_hubs": hubs,
        "kills_of_sidecars": sidecars,
        "kills_per_second": (kills as f64 / killing.as_secs_f64() * 100.0).round() / 100.0,
        "tasks_acknowledged": acknowledged.len(),
        "tasks_lost": lost.len(),
        "tasks_ended_twice": ended.len(),
        "starts": starts.len(),
        "starts_twice": twice.len(),
        "events_in_feed": events.len(),
        "processes_left": left.len(),
        "seed": seed,
    });
    Outcome::new(figures, [lost, ended, twice, left].concat())
}

/// Processes that the tasks started and that do not go, though all that could end them has.
fn left_in(dir: &Path) -> Vec<String> {
    let _all_gone = within(WITHIN, || processes_in(dir).is_empty());
    processes_in(dir).into_iter().map(|process| format!("left: {process}")).collect()
}

/// Ends the submitter when it goes.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Waits until more commands have started than `seen`; returns how many have.
fn let_work_happen(scene: &Scene, seen: usize) -> usize {
    let mut next_look = Instant::now() + TRUST_EVERY;
    let mut now = seen;
    eventually("more commands start", || {
        if Instant::now() > next_look {
            scene.trust_agents_again();
            next_look = Instant::now() + TRUST_EVERY;
        }
        now = scene.lines("starts").len();
        now >= seen + STARTS_BETWEEN
    });
    now
}

fn let_all_work_end(scene: &Scene) {
    eventually("all tasks end", || {
        scene.trust_agents_again();
        let living = "blocked,delayed,ready,assigned,working,waiting";
        scene.api.get(&format!("/api/tasks?limit=1&state={living}"))["count"] == 0
    });
}

/// Sends batches, each again with the same keys until it is acknowledged. Returns the ids by key.
fn submit_until(stop: &AtomicBool, api: &Api, seed: u64) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    let mut random = seed;
    while !stop.load(Ordering::Acquire) {
        let first = acknowledged.len();
        let keys: Vec<String> =
            (first..first + BATCH).map(|number| format!("key-{number}")).collect();
        let tasks: Vec<Value> = keys.iter().map(|key| task(key, &mut random)).collect();
        let ids = acknowledged_as(api, &tasks);
        assert_eq!(ids, acknowledged_as(api, &tasks), "a repeated batch makes no other tasks");
        assert_eq!(ids.len(), keys.len());
        acknowledged.extend(keys.into_iter().zip(ids));
        // A queue that never runs dry is enough.
        eventually("the queue gets shorter", || {
            stop.load(Ordering::Acquire) || api.living() < AHEAD_MAX
        });
    }
    acknowledged
}

/// The ids of a batch, which is sent again until it is acknowledged.
fn acknowledged_as(api: &Api, tasks: &[Value]) -> Vec<String> {
    let mut ids = None;
    eventually("the hub acknowledges", || {
        ids = api.submit(tasks);
        ids.is_some()
    });
    ids.unwrap_or_default()
}

fn task(key: &str, random: &mut u64) -> Value {
    let length = ["0", "0.02", "0.1", "0.4"][roll(random, 4)];
    let orphan = match roll(random, 6) {
        0 => "setsid sleep 600 >/dev/null 2>&1 & ",
        1 => "(cd / && exec setsid sleep 600 >/dev/null 2>&1) & ",
        _ => "",
    };
    let shell = format!("{orphan}echo $AGENTCOM_TASK_ID $AGENTCOM_LEASE >> starts; sleep {length}");
    json!({ "shell": shell, "idempotency_key": key, "max_attempts": 100, "backoff_base_ms": 10, "backoff_cap_ms": 50 })
}

/// All tasks by id, and what is wrong: an acknowledged task that is gone, ended as it must not, or
/// has no key of its own.
fn lost_tasks(
    scene: &Scene,
    acknowledged: &BTreeMap<String, String>,
) -> (BTreeMap<String, Value>, Vec<String>) {
    let ids: BTreeSet<&str> = acknowledged.values().map(String::as_str).collect();
    let named = |task: Value| Some((task["id"].as_str()?.to_owned(), task));
    let tasks: BTreeMap<String, Value> = scene.api.tasks().into_iter().filter_map(named).collect();
    let mut wrong = Vec::new();
    for (key, id) in acknowledged {
        match tasks.get(id) {
            None => wrong.push(format!("{id} of {key} is lost")),
            Some(task) => {
                let crashed = task["state_detail"]["death"] == "crashed";
                let ended = task["state"] == "completed" || crashed;
                wrong.extend((!ended).then(|| format!("it did not end: {task}")));
            }
        }
    }
    if ids.len() != acknowledged.len() || tasks.len() != ids.len() {
        let (keys, ids, tasks) = (acknowledged.len(), ids.len(), tasks.len());
        wrong.push(format!("{keys} keys have {ids} tasks, and there are {tasks}"));
    }
    (tasks, wrong)
}

/// Assignments that were started twice, and tasks that were started more often than once and once
/// more for each attempt that they were charged.
fn starts_twice(starts: &[String], tasks: &BTreeMap<String, Value>) -> Vec<String> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut distinct = BTreeSet::new();
    let mut twice = Vec::new();
    for start in starts {
        if !distinct.insert(start) {
            twice.push(format!("started twice: {start}"));
        }
        let task = start.split(' ').next().unwrap_or_default();
        *counts.entry(task).or_default() += 1;
    }
    for (id, task) in tasks {
        let count = counts.get(id.as_str()).copied().unwrap_or_default();
        let charged = |kind: &str| task[kind].as_u64().unwrap_or_default();
        if count > 1 + charged("crash_count") + charged("retry_count") {
            twice.push(format!("{count} starts of {task}"));
        }
    }
    twice
}

/// A number below `below`, from a seed.
fn roll(random: &mut u64, below: usize) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    usize::try_from(*random >> 33).unwrap_or_default() % below
}
