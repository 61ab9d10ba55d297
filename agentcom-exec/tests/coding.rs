//! This file proves that the executor of coding tasks keeps the contract of executors, and that several
//! tasks share a clone.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod support;

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Assignment;
use agentcom_exec::coding::{Coding, OllamaModels, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::{self, Level, Sandbox};
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use async_trait::async_trait;
use serde_json::{Value, json};
use support::{CLAN, CLAN_SIZE, marked, spawner};

/// A remote, a clone, and a model that does what its name says.
#[derive(Debug)]
struct Fixture {
    dir: tempfile::TempDir,
    model: StandIn,
    level: Level,
    mark: String,
}

impl Fixture {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        git(dir.path(), &["init", "-q", "--bare", "--initial-branch=main", "remote"]);
        git(dir.path(), &["clone", "-q", "remote", "clone"]);
        let clone = dir.path().join("clone");
        std::fs::write(clone.join("a.txt"), "one\n").unwrap();
        git(&clone, &["add", "-A"]);
        let who = ["-c", "user.name=A", "-c", "user.email=a@example.org"];
        git(&clone, &[&who[..], &["commit", "-q", "-m", "Begin"]].concat());
        git(&clone, &["push", "-q", "origin", "HEAD:main"]);
        let thread = std::thread::current();
        let mark = format!("{}-{}", support::mark("coding"), thread.name().unwrap());
        let level = sandbox::prove(&spawner(), None).level;
        Self { dir, model: StandIn::that(Box::new(|asked, _| turn(asked))).await, level, mark }
    }

    fn mark_of(&self, task: TaskId) -> String {
        format!("{}-{task}.", self.mark)
    }

    fn coding(&self) -> Coding {
        let models = OllamaModels {
            url: self.model.url(),
            model: "succeed".into(),
            context_tokens: Ollama::CONTEXT_TOKENS,
        };
        Coding::with_ollama(
            models,
            Settings {
                spawner: spawner(),
                sandbox: Sandbox::new(self.level.max(Level::L2)),
                environment: Environment::default(),
                repository: self.dir.path().join("clone"),
                worktrees: self.dir.path().join("worktrees"),
                github: None,
            },
        )
    }
}

/// What the model does, by its name: `succeed`, `print`, or `run MARK`.
fn turn(asked: &Value) -> Turn {
    let name = asked["model"].as_str().unwrap();
    let first = asked["messages"].as_array().unwrap().len() == 2;
    match name.split_once(' ') {
        Some((_, mark)) => {
            let command = format!("trap '' TERM; export MARK={mark}; {CLAN}; {CLAN}");
            Turn::calls("run_command", json!({ "command": command, "timeout_ms": 600_000 }))
        }
        None if first => Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" })),
        None if name == "print" => Turn::says(&"word ".repeat(50_000)),
        None => Turn::says("Done."),
    }
}

#[track_caller]
fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git").args(args).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[async_trait]
impl ExecutorFixture for Fixture {
    fn executor(&self) -> Box<dyn Executor> {
        Box::new(self.coding())
    }

    fn succeed(&self) -> Json {
        Json::null()
    }

    fn run_on(&self, task: TaskId) -> Json {
        Json::of(&json!({ "model": format!("run {}", self.mark_of(task)) })).unwrap()
    }

    fn print_much(&self) -> Json {
        Json::of(&json!({ "model": "print" })).unwrap()
    }

    async fn is_up(&self, task: TaskId) -> bool {
        // The shell itself was started before it had the mark.
        marked(&self.mark_of(task)).len() == CLAN_SIZE - 1
    }

    async fn is_alive(&self, task: TaskId) -> bool {
        !marked(&self.mark_of(task)).is_empty()
    }

    async fn wait(&self, span: Span) {
        tokio::time::sleep(Duration::from(span)).await;
    }
}

agentcom_core::executor_conformance!(
    #[tokio::test]
    Fixture::new().await
);

#[tokio::test]
async fn tasks_share_a_clone_and_each_has_a_branch_of_its_own() {
    /// So many that git would fail for some of them if they did not take turns.
    const TASKS: u64 = 16;
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let ctx = Asking::default();
    let one = |task: u64| {
        let job = assignment(&*executor, TaskId(task), fixture.succeed());
        let (executor, ctx) = (&executor, &ctx);
        async move { executor.run(&job, ctx).await }
    };
    let outcomes = futures_util::future::join_all((1..=TASKS).map(one)).await;
    for outcome in outcomes {
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    }
    let branches = git(&fixture.dir.path().join("remote"), &["branch", "--list", "agentcom/*"]);
    assert_eq!(branches.lines().count() as u64, TASKS, "{branches}");
    assert_eq!(std::fs::read_dir(fixture.dir.path().join("worktrees")).unwrap().count(), 0);
}

#[tokio::test]
async fn a_clean_checkout_that_a_stopped_attempt_left_is_removed() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(8), fixture.succeed());
    let step = |target: &str| VerificationStep {
        kind: "command_succeeds".into(),
        target: target.into(),
        description: None,
    };
    job.verification_steps = vec![step("touch checked; sleep 1000")];
    let worktrees = fixture.dir.path().join("worktrees");
    let checks = || {
        let entries = std::fs::read_dir(&worktrees).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| path.to_string_lossy().ends_with("-check")).collect::<Vec<_>>()
    };
    let ctx = Asking::default();
    let stopping = async {
        while !checks().iter().any(|path| path.join("checked").exists()) {
            fixture.wait(Span(5)).await;
        }
        ctx.stop();
    };
    let (outcome, ()) = tokio::join!(executor.run(&job, &ctx), stopping);
    assert_eq!((outcome, checks().len()), (JobOutcome::Stopped, 1));
    let again = Assignment { attempt: 2, verification_steps: vec![step("true")], ..job };
    let outcome = executor.run(&again, &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert!(checks().is_empty(), "{:?}", checks());
}

#[tokio::test]
async fn what_a_stopped_attempt_left_is_kept_as_a_patch() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let job = assignment(&*executor, TaskId(7), fixture.run_on(TaskId(7)));
    let ctx = Asking::default();
    let stopping = async {
        while !fixture.is_up(TaskId(7)).await {
            fixture.wait(Span(5)).await;
        }
        let worktrees = fixture.dir.path().join("worktrees");
        let tree = std::fs::read_dir(worktrees).unwrap().next().unwrap().unwrap().path();
        std::fs::write(tree.join("half.txt"), "half\n").unwrap();
        ctx.stop();
    };
    let (outcome, ()) = tokio::join!(executor.run(&job, &ctx), stopping);
    assert_eq!(outcome, JobOutcome::Stopped);
    let again = assignment(&*executor, TaskId(7), fixture.succeed());
    let outcome = executor.run(&again, &Asking::default()).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    let kept = std::fs::read_dir(fixture.dir.path().join("worktrees")).unwrap();
    let kept: Vec<_> = kept.map(|entry| entry.unwrap().path()).collect();
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert!(std::fs::read_to_string(&kept[0]).unwrap().contains("+half"));
}
