//! This file proves that the executor of coding tasks keeps the contract of executors, that several
//! tasks share a clone, and that bad models do no harm.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking, as tests do")]

mod bad_models;
mod bad_servers;
mod chain;
mod checked;
mod checks;
mod cut;
mod disk;
mod drafts;
mod elsewhere;
mod fixture;
mod hang_up;
mod injections;
mod levels;
mod mcp;
mod money;
mod own_tools;
mod publish;
mod routed;
mod shared;
mod stopped;
#[path = "../support/mod.rs"]
mod support;
mod tracked;

use std::path::{Path, PathBuf};

use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Assignment;
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use fixture::{Fixture, git};
use serde_json::{Value, json};

/// The worktree that is there.
#[track_caller]
fn worktree(dir: &Path) -> PathBuf {
    let entries = std::fs::read_dir(dir.join("worktrees")).unwrap();
    let dirs = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
    let [tree] = &dirs.collect::<Vec<_>>()[..] else { panic!("there is one worktree") };
    tree.clone()
}

agentcom_core::executor_conformance!(
    #[tokio::test]
    Fixture::new().await
);

#[tokio::test]
async fn b29_tasks_share_a_clone_and_each_has_a_branch_of_its_own() {
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
async fn a26_tasks_at_one_file_do_not_meet_and_their_base_stays_as_it_is() {
    let model = StandIn::that(Box::new(|asked: &Value, _| {
        let first = asked["messages"].as_array().unwrap().len() == 2;
        let write = json!({ "path": "a.txt", "content": asked["model"] });
        if first { Turn::calls("write_file", write) } else { Turn::says("Done.") }
    }));
    let fixture = Fixture::of(model.await);
    let remote = fixture.dir.path().join("remote");
    let base = git(&remote, &["rev-parse", "main"]);
    let (executor, ctx) = (fixture.executor(), Asking::default());
    let one = |task: u64| {
        let input = Json::of(&json!({ "model": format!("model-{task}") })).unwrap();
        let job = assignment(&*executor, TaskId(task), input);
        let (executor, ctx) = (&executor, &ctx);
        async move { executor.run(&job, ctx).await }
    };
    for outcome in futures_util::future::join_all((1..=4).map(one)).await {
        let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
        let result: Value = result.read().unwrap();
        let branch = result["branch"].as_str().unwrap();
        let text = git(&remote, &["show", &format!("{branch}:a.txt")]);
        assert_eq!(text, result["model"], "{branch}");
    }
    assert_eq!(
        git(&remote, &["rev-parse", "main"]),
        base,
        "what is proposed is for people to take"
    );
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
        let tree = worktree(fixture.dir.path());
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

#[tokio::test]
async fn each_attempt_says_which_sandbox_held_it() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let ctx = support::Watched::new();
    let job = assignment(&*executor, TaskId(3), fixture.succeed());
    let outcome = executor.run(&job, &ctx).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let level = fixture.sandbox.level.as_str();
    assert_eq!(result.read::<Value>().unwrap()["sandbox"], level);
    let told = ctx.text_of("status");
    assert!(told.contains(&format!("sandbox {level}")), "{told}");
}

#[test]
fn whatever_does_coding_tasks_is_known_to_do_so() {
    use agentcom_exec::acp::Acp;
    use agentcom_exec::claude_code::ClaudeCode;
    use agentcom_exec::coding::{Chain, MessagesModels, OllamaModels};
    let kinds =
        [Acp::KIND, MessagesModels::KIND, ClaudeCode::KIND, Chain::KIND, OllamaModels::KIND];
    assert_eq!(kinds, agentcom_core::route::MODEL_KINDS);
}

#[tokio::test]
async fn a_task_about_another_repository_is_not_done_in_this_one() {
    let fixture = Fixture::new().await;
    let executor = fixture.executor();
    let remote = fixture.dir.path().join("remote");
    let ended = async |id, repo: &str| {
        let mut job = assignment(&*executor, TaskId(id), fixture.succeed());
        job.repo = agentcom_core::name::Repo::new(repo).ok();
        executor.run(&job, &Asking::default()).await
    };
    let JobOutcome::Failed { error, category, .. } = ended(1, "https://who:key@host/a/b").await
    else {
        panic!("it was done");
    };
    assert!(error.starts_with("the task is about host/a/b, and this agent works in"), "{error}");
    assert_eq!(category, agentcom_core::task::Category::Retryable, "another agent may have it");
    assert!(matches!(ended(2, remote.to_str().unwrap()).await, JobOutcome::Done { .. }));
}
