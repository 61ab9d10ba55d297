//! This file holds what the tests of executors share: jobs, a context that records news, and ways
//! to wait for a condition.

#![allow(dead_code, reason = "each test binary uses a part")]
#![allow(unreachable_pub, reason = "shared by inclusion")]

use std::fmt::Debug;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use agentcom_core::id::{Incarnation, Lease, TaskId};
use agentcom_core::json::Json;
use agentcom_core::port::executor::{JobContext, News};
use agentcom_core::task::{Op, Traces};
use agentcom_core::time::Wall;
use agentcom_core::wire::{Assignment, Held};
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::{self, Level, Sandbox};
use async_trait::async_trait;
use tokio::sync::watch;

/// How long a condition may take to come true on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// The variable that names a copy of the guard, for tests of another user.
pub const GUARD: &str = "AGENTCOM_TEST_GUARD";

/// A spawner whose guard is the binary of this package.
pub fn spawner() -> Spawner {
    let copy = std::env::var_os(GUARD);
    Spawner::at(copy.unwrap_or_else(|| env!("CARGO_BIN_EXE_agentcom-guard").into()))
}

/// The most that this machine proves. Tests of what it does not have test nothing, so there it has to be
/// said that it does not: by `AGENTCOM_TEST_SANDBOX`, the level that it has.
#[track_caller]
pub fn level_here() -> Level {
    let proved = sandbox::prove(&spawner(), &Sandbox::new(Level::L3)).level;
    let said = std::env::var("AGENTCOM_TEST_SANDBOX");
    let expected = said.map_or(Level::L3, |level| level.parse().unwrap());
    assert!(
        proved >= expected,
        "this machine proves a sandbox of {proved} only, so what needs more is not tested; if it has no \
         more, say AGENTCOM_TEST_SANDBOX={proved}"
    );
    proved
}

/// An assignment of task `number`.
pub fn job(number: u64, kind: &str, input: &str) -> Assignment {
    let held = Held { task_id: TaskId(number), generation: Lease(7) };
    let op = Op { kind: kind.parse().unwrap(), input: Json::parse(input).unwrap() };
    let description = "echo never run this".into();
    Assignment { description, attempt: 2, ..Assignment::new(held, Incarnation(9), op) }
}

/// Records news; asks to stop when told to.
#[derive(Debug)]
pub struct Watched {
    cancel: watch::Sender<bool>,
    news: Mutex<Vec<(String, String)>>,
    left: Mutex<Traces>,
}

impl Watched {
    pub fn new() -> Self {
        Self { cancel: watch::Sender::new(false), news: Mutex::default(), left: Mutex::default() }
    }

    pub fn cancel(&self) {
        self.cancel.send_replace(true);
    }

    /// What was left behind.
    pub fn left(&self) -> Traces {
        self.left.lock().unwrap().clone()
    }

    /// All text of the events of a type.
    pub fn text_of(&self, event_type: &str) -> String {
        let news = self.news.lock().unwrap();
        news.iter().filter(|(kind, _)| kind == event_type).map(|(_, text)| &**text).collect()
    }
}

#[async_trait]
impl JobContext for Watched {
    fn report(&self, news: News) {
        #[derive(serde::Deserialize)]
        struct Event {
            event_type: String,
            text: String,
        }
        news.left.into_iter().for_each(|trace| self.left.lock().unwrap().add(trace));
        let Some(event) = news.event else { return };
        let event: Event = event.read().unwrap();
        self.news.lock().unwrap().push((event.event_type, event.text));
    }

    async fn cancelled(&self) {
        let mut cancel = self.cancel.subscribe();
        let _ = cancel.wait_for(|&asked| asked).await;
    }

    fn now(&self) -> Wall {
        Wall(0)
    }
}

/// Waits until `condition` gives a value.
pub async fn eventually<T: Debug>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The processes that have `mark` in their environment; the job's own processes inherit it.
pub fn marked(mark: &str) -> Vec<String> {
    let holds = |path: &std::path::Path| {
        let environ = std::fs::read(path.join("environ")).ok()?;
        environ.windows(mark.len()).any(|window| window == mark.as_bytes()).then_some(())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter(|entry| holds(&entry.path()).is_some())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// A text that no other test puts into an environment.
pub fn mark(name: &str) -> String {
    format!("mark-{name}-{}", std::process::id())
}

/// As [`mark`], and one that no other thread gives: tests of one process run side by side.
pub fn mark_of_thread(name: &str) -> String {
    format!("{}-{}", mark(name), std::thread::current().name().unwrap())
}

/// A command that starts, each beside the shell itself: a child, a process in a session of its
/// own, and one that is orphaned and in a session of its own; all for ever. `count` in all.
pub const CLAN: &str =
    "sleep 1000 & setsid sleep 1000 & (setsid sh -c 'sleep 1000 & sleep 1000' &) ; echo up; wait";

/// How many processes [`CLAN`] makes.
pub const CLAN_SIZE: usize = 6;

/// The clans that the jobs of a fixture start, one for each task, told apart by their marks.
#[derive(Debug)]
pub struct Clans {
    mark: String,
    size: usize,
}

impl Clans {
    /// Those of a fixture of that name, of which `size` processes each have the mark.
    pub fn of(name: &str, size: usize) -> Self {
        Self { mark: mark_of_thread(name), size }
    }

    /// The mark of a task.
    pub fn mark(&self, task: TaskId) -> String {
        format!("{}-{task}.", self.mark)
    }

    /// Whether all that the job of a task starts has started.
    pub fn is_up(&self, task: TaskId) -> bool {
        marked(&self.mark(task)).len() == self.size
    }

    /// Whether anything of it is still there.
    pub fn is_alive(&self, task: TaskId) -> bool {
        !marked(&self.mark(task)).is_empty()
    }
}
