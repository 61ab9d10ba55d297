//! This file starts processes that try to outlive their command, whose time is over: they do not listen when they are
//! asked to end, have sessions of their own, and parents that are gone.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::time::{Duration, Instant};

use agentcom_core::sandbox::Level;
use serde_json::json;

use super::Alone;
use crate::guard::Spawner;
use crate::sandbox::Sandbox;
use crate::tool::{RunCommand, Tool as _};

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// How many commands were stopped that had started all their processes by then.
    pub runs: u64,
    /// How many that had not, on a busy machine. They leave nothing either.
    pub early: u64,
    /// How many processes were still there when nobody looked for them any more.
    pub survivors: u64,
    /// How many commands had processes for longer than [`GOAL`].
    pub slow: u64,
    /// How long it took after the deadline until the last process of any of them was gone.
    pub slowest: Duration,
}

/// How soon after its deadline all of a command is to be gone.
pub const GOAL: Duration = Duration::from_millis(500);

/// How long they may take to be gone until they count as survivors: longer than a guard goes on.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a command may take.
const DEADLINE: Duration = Duration::from_millis(250);

/// A child, one in a session of its own, one whose parent is gone, and one of a session that was started by one
/// whose parent is gone and which is gone as well.
const CLAN: &str = r#"
    trap '' TERM HUP INT
    export STAY='echo >> up; exec sleep 1000'
    sh -c "$STAY" & setsid sh -c "$STAY" & (sh -c "$STAY" &) ; (setsid sh -c '(setsid sh -c "$STAY" &)' &)
    until [ "$(cat up 2> /dev/null | wc -l)" -ge 4 ]; do sleep 0.01; done
    echo up; wait"#;

/// The variable that tells the processes of a command from others.
const MARK: &str = "MARK";

/// Stops `runs` commands in sandboxes of `level`, `at_once` of them at the same time.
///
/// # Errors
///
/// If they cannot be run.
pub async fn outlive(spawner: &Spawner, level: Level, runs: u64, at_once: u64) -> io::Result<Late> {
    let mut all = Late::default();
    let mut begun = 0;
    let mut under_way = tokio::task::JoinSet::new();
    while all.runs < runs {
        while at_once > under_way.len() as u64 && begun < runs.saturating_mul(EARLY_MAX) {
            begun += 1;
            under_way.spawn(one(spawner.clone(), level, begun));
        }
        let Some(done) = under_way.join_next().await else {
            return Err(io::Error::other("the machine is too busy to start any processes in time"));
        };
        all.add(done.map_err(io::Error::other)??);
    }
    while let Some(done) = under_way.join_next().await {
        all.add(done.map_err(io::Error::other)??);
    }
    Ok(all)
}

/// So many commands are begun for each that counts.
const EARLY_MAX: u64 = 20;

impl Late {
    /// Takes in what came of more of it.
    pub fn add(&mut self, more: Self) {
        self.runs += more.runs;
        self.early += more.early;
        self.survivors += more.survivors;
        self.slow += more.slow;
        self.slowest = self.slowest.max(more.slowest);
    }
}

async fn one(spawner: Spawner, level: Level, number: u64) -> io::Result<Late> {
    let dir = tempfile::tempdir()?;
    let mark = format!("late-{}-{level}-{number}.", std::process::id());
    let env = [("PATH", "/usr/bin:/bin"), (MARK, &mark)];
    let env: BTreeMap<_, _> = env.map(|(name, value)| (name.into(), value.into())).into();
    let workspace = dir.path().canonicalize()?;
    let tool = RunCommand::new(spawner, Sandbox::new(level), &workspace, env);
    let began = Instant::now();
    let input = json!({ "command": CLAN, "timeout_ms": DEADLINE.as_millis() as u64 });
    let told = tool.call(input, &Alone).await.map_err(io::Error::other)?;
    let is_up = told["stdout"] == "up\n";
    if told["timed_out"] != true {
        return Err(io::Error::other(format!("it was not stopped: {told}")));
    }
    let left = loop {
        let left = marked(&mark);
        if left == 0 || began.elapsed() > DEADLINE + PATIENCE {
            break left;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    };
    let slowest = began.elapsed().saturating_sub(DEADLINE);
    let late =
        Late { survivors: left, slow: u64::from(slowest > GOAL), slowest, ..Late::default() };
    Ok(if is_up { Late { runs: 1, ..late } } else { Late { early: 1, ..late } })
}

/// How many processes have `mark` in their environment.
fn marked(mark: &str) -> u64 {
    let holds =
        |environ: Vec<u8>| environ.windows(mark.len()).any(|window| window == mark.as_bytes());
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let environs = entries.filter_map(|entry| fs::read(entry.path().join("environ")).ok());
    environs.filter(|environ| holds(environ.clone())).count() as u64
}
