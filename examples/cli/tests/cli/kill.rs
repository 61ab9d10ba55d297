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
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{Process, Swept, Up, agentcom, eventually, json, processes_in, run};

const KILLS: usize = 54;
const AGENTS: usize = 3;
/// Decides unless `AGENTCOM_KILL_SEED` does.
const SEED: u64 = 0x5eed;
/// Starts of commands between two kills, so that each hits processes that are at work.
const STARTS_BETWEEN: usize = 3;
/// How long nothing may happen before agents are let out of quarantine.
const TRUST_EVERY: Duration = Duration::from_millis(500);
const BATCH: usize = 4;
/// Living tasks at which the submitter waits.
const AHEAD_MAX: usize = 40;

#[test]
fn nothing_is_lost_and_nothing_is_left_when_hub_and_agents_are_killed() {
    let seed = seed();
    let swept = Swept(tempfile::tempdir().unwrap());
    let dir = &swept.0;
    let mut scene = Scene::set(dir.path());
    let stop = AtomicBool::new(false);
    let acknowledged = std::thread::scope(|scope| {
        let submitter = scope.spawn(|| submit_until(&stop, dir.path(), seed));
        let mut random = seed;
        for _ in 0..KILLS {
            scene.let_work_happen();
            match roll(&mut random, 2 * AGENTS) {
                victim if victim < AGENTS => scene.kill_agent(victim),
                victim if victim == AGENTS => scene.kill_everybody(),
                _ => scene.kill_hub(),
            }
        }
        stop.store(true, Ordering::Release);
        submitter.join().unwrap()
    });
    assert!(acknowledged.len() >= KILLS, "there was load: {}", acknowledged.len());
    scene.let_all_work_end();
    let tasks = check_tasks(dir.path(), &acknowledged);
    check_events(dir.path());
    check_starts(&scene.starts(), &tasks);
    scene.kill_all();
    eventually("all that the tasks started is gone", || processes_in(dir.path()).is_empty());
}

/// What decides who is killed when; a test that fails says it.
#[expect(clippy::print_stdout, reason = "is shown only if the test fails")]
fn seed() -> u64 {
    let given = std::env::var("AGENTCOM_KILL_SEED").ok();
    let seed = given.map_or(SEED, |given| given.parse().unwrap());
    println!("AGENTCOM_KILL_SEED={seed}");
    seed
}

/// The processes, and where they are.
struct Scene {
    dir: PathBuf,
    listen: String,
    hub: Option<Up>,
    agents: Vec<Process>,
    starts_seen: usize,
}

impl Scene {
    fn set(dir: &Path) -> Self {
        std::fs::create_dir(dir.join("work")).unwrap();
        let hub = Up::start(dir, &["--agents", "0"]);
        let listen = hub.listen().to_owned();
        for number in 0..AGENTS {
            let token = run(dir, &["agent", "add", &name(number)], 0);
            std::fs::write(dir.join(format!("{}.token", name(number))), token).unwrap();
        }
        let agents = (0..AGENTS).map(|number| start_agent(dir, &listen, number)).collect();
        Self { dir: dir.into(), listen, hub: Some(hub), agents, starts_seen: 0 }
    }

    /// Which assignments were started: task, lease.
    fn starts(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.dir.join("work/starts")).unwrap_or_default();
        text.lines().map(String::from).collect()
    }

    fn let_work_happen(&mut self) {
        let enough = self.starts_seen + STARTS_BETWEEN;
        let mut next_look = Instant::now() + TRUST_EVERY;
        eventually("more commands start", || {
            if Instant::now() > next_look {
                self.trust_agents_again();
                next_look = Instant::now() + TRUST_EVERY;
            }
            self.starts().len() >= enough
        });
        self.starts_seen = self.starts().len();
    }

    fn kill_agent(&mut self, number: usize) {
        self.agents[number].kill();
        self.agents[number] = start_agent(&self.dir, &self.listen, number);
    }

    fn kill_hub(&mut self) {
        if let Some(mut hub) = self.hub.take() {
            hub.process.kill();
        }
        self.hub = Some(Up::start(&self.dir, &["--agents", "0", "--listen", &self.listen]));
    }

    fn kill_everybody(&mut self) {
        self.agents.iter_mut().for_each(Process::kill);
        self.kill_hub();
        for (number, agent) in self.agents.iter_mut().enumerate() {
            *agent = start_agent(&self.dir, &self.listen, number);
        }
    }

    /// An agent that is killed over and over is put in quarantine, which an operator can end.
    fn trust_agents_again(&self) {
        for number in 0..AGENTS {
            run(&self.dir, &["agent", "resume", &name(number)], 0);
        }
    }

    fn let_all_work_end(&self) {
        let living =
            ["tasks", "--limit", "1", "--state", "blocked,delayed,ready,assigned,working,waiting"];
        eventually("all tasks end", || {
            self.trust_agents_again();
            json(&self.dir, &living)["count"] == 0
        });
    }

    fn kill_all(mut self) {
        self.agents.iter_mut().for_each(Process::kill);
        if let Some(mut hub) = self.hub.take() {
            hub.process.kill();
        }
    }
}

fn name(number: usize) -> String {
    format!("a-{number}")
}

fn start_agent(dir: &Path, listen: &str, number: usize) -> Process {
    let (name, url) = (name(number), format!("http://{listen}"));
    let token = format!("{name}.token");
    let line = [
        "agent",
        "run",
        &name,
        "--token-file",
        &token,
        "--url",
        &url,
        "--slots",
        "2",
        "--workdir",
        "work",
    ];
    let said =
        File::options().create(true).append(true).open(dir.join(format!("{name}.log"))).unwrap();
    let child = agentcom(dir, &line).stdout(Stdio::null()).stderr(said).spawn().unwrap();
    Process(child)
}

/// Sends batches, each again with the same keys until it is acknowledged. Returns the ids by key.
fn submit_until(stop: &AtomicBool, dir: &Path, seed: u64) -> BTreeMap<String, String> {
    let mut acknowledged = BTreeMap::new();
    let mut random = seed;
    while !stop.load(Ordering::Acquire) {
        let first = acknowledged.len();
        let keys: Vec<String> =
            (first..first + BATCH).map(|number| format!("key-{number}")).collect();
        let tasks: Vec<Value> = keys.iter().map(|key| task(key, &mut random)).collect();
        let batch = json!({ "tasks": tasks }).to_string();
        let ids = acknowledged_as(dir, &batch);
        assert_eq!(ids, acknowledged_as(dir, &batch), "a repeated batch makes no other tasks");
        assert_eq!(ids.len(), keys.len());
        acknowledged.extend(keys.into_iter().zip(ids));
        // A queue that never runs dry is enough.
        eventually("the queue gets shorter", || {
            stop.load(Ordering::Acquire) || waiting(dir) < AHEAD_MAX
        });
    }
    acknowledged
}

/// The ids of a batch, which is sent again until it is acknowledged.
fn acknowledged_as(dir: &Path, batch: &str) -> Vec<String> {
    let mut ids = None;
    eventually("the hub acknowledges", || {
        ids = submit(dir, batch);
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

/// The ids that a batch was acknowledged with, unless the hub was away.
fn submit(dir: &Path, batch: &str) -> Option<Vec<String>> {
    let output = fed(agentcom(dir, &["batch", "-", "--json"]), batch);
    let code = output.status.code();
    if code != Some(0) {
        // Away, stopped on the way, or busy; with a hub that is away there is also no token.
        assert!([4, 69, 75, 1].map(Some).contains(&code), "{code:?}");
        return None;
    }
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let tasks = answer["tasks"].as_array()?.iter();
    tasks.map(|task| task["task_id"].as_str().map(String::from)).collect()
}

/// Runs a command with a text as its input.
fn fed(mut command: Command, text: &str) -> Output {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It may have ended already; then its exit code says why.
    let _ = child.stdin.take().unwrap().write_all(text.as_bytes());
    child.wait_with_output().unwrap()
}

/// How many tasks live, or none if the hub is away.
fn waiting(dir: &Path) -> usize {
    let output = agentcom(dir, &["stats", "--json"]).output().unwrap();
    let stats: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let states = stats["tasks"]["by_state"].as_object().into_iter().flatten();
    states.filter_map(|(_, count)| usize::try_from(count.as_u64()?).ok()).sum()
}

/// Every acknowledged task is there and over, and there is one for each key.
fn check_tasks(dir: &Path, acknowledged: &BTreeMap<String, String>) -> BTreeMap<String, Value> {
    let ids: BTreeSet<&str> = acknowledged.values().map(String::as_str).collect();
    assert_eq!(ids.len(), acknowledged.len(), "each key has a task of its own");
    let mut found = BTreeMap::new();
    let mut cursor = None::<String>;
    loop {
        let mut line = vec!["tasks", "--limit", "200"];
        if let Some(cursor) = &cursor {
            line.extend(["--cursor", cursor]);
        }
        let page = json(dir, &line);
        for task in page["tasks"].as_array().unwrap() {
            found.insert(task["id"].as_str().unwrap().to_owned(), task.clone());
        }
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = Some(next.to_owned());
    }
    assert_eq!(found.len(), ids.len(), "each key has one task");
    for id in ids {
        let task = found.get(id).unwrap_or_else(|| panic!("{id} is lost"));
        let crashed = task["state_detail"]["death"] == "crashed";
        assert!(task["state"] == "completed" || crashed, "{task}");
    }
    found
}

/// No task ended twice, and the feed has no gap.
fn check_events(dir: &Path) {
    let last = json(dir, &["stats"])["seq"].as_u64().unwrap();
    let mut command = agentcom(dir, &["watch", "--after", "0", "--json"]);
    let mut watch = Process(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let mut ended = BTreeSet::new();
    let mut seq = 0;
    while seq < last {
        let event: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let Some(cursor) = event["cursor"].as_u64().filter(|_| event["event"] != "progress") else {
            continue;
        };
        assert_eq!(cursor, seq + 1, "the feed has no gap");
        seq = cursor;
        let kind = event["data"]["type"].as_str().unwrap();
        if ["task.completed", "task.partial", "task.dead_letter", "task.cancelled"].contains(&kind)
        {
            let id = event["data"]["task_id"].as_str().unwrap().to_owned();
            assert!(ended.insert(id), "{event} is a second end");
        }
    }
}

/// No assignment was started twice, and a task only once more for each attempt that it was charged.
fn check_starts(starts: &[String], tasks: &BTreeMap<String, Value>) {
    let distinct: BTreeSet<&String> = starts.iter().collect();
    let twice: Vec<_> = starts
        .iter()
        .filter(|start| starts.iter().filter(|other| other == start).count() > 1)
        .collect();
    assert_eq!(distinct.len(), starts.len(), "started twice: {twice:?}");
    for (id, task) in tasks {
        let count = starts.iter().filter(|start| start.starts_with(id)).count() as u64;
        let charged = |kind: &str| task[kind].as_u64().unwrap();
        let most = 1 + charged("crash_count") + charged("retry_count");
        assert!(count <= most, "{count} starts of {task:#}");
    }
}

/// A number below `below`, from a seed.
fn roll(random: &mut u64, below: usize) -> usize {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    usize::try_from(*random >> 33).unwrap() % below
}
