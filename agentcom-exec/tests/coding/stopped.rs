//! This file tests that what was said in an attempt is kept, whoever or whatever stopped it.

use std::path::Path;
use std::time::Duration;

use agentcom_core::id::{Lease, TaskId};
use agentcom_core::port::executor::{Executor, JobOutcome};
use agentcom_core::task::VerificationStep;
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_core::time::Span;
use agentcom_core::wire::Assignment;
use agentcom_exec::git::Git;
use agentcom_exec::stand_in::ollama::{StandIn, Turn};
use serde_json::{Value, json};

use crate::fixture::{Fixture, git, said};
use crate::support::{Watched, eventually};
use crate::worktree;

const TASK: TaskId = TaskId(1);

/// A model that begins, and then says nothing more; the one named `next` does all of its task.
async fn fixture() -> Fixture {
    let model = StandIn::that(Box::new(|asked, _| {
        let first = asked["messages"].as_array().unwrap().len() == 2;
        let write = json!({ "path": "b.txt", "content": "two" });
        match (first, asked["model"] == "next") {
            (true, _) => Turn::calls("write_file", write).saying("I begin."),
            (false, true) => Turn::says("Done."),
            (false, false) => Turn::hangs(""),
        }
    }));
    Fixture::of(model.await)
}

/// Waits until it has called a tool, which is all that it does.
async fn until_at_work(fixture: &Fixture) -> (String, usize) {
    let at_work = || {
        Some(said(fixture.dir.path(), TASK)).filter(|(said, _)| said.contains(r#""role":"tool""#))
    };
    eventually("it has called a tool", at_work).await
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_attempt_that_is_asked_to_stop_keeps_what_was_said_and_what_was_changed() {
    let fixture = fixture().await;
    let (executor, ctx) = (fixture.executor(), Watched::new());
    let job = assignment(&*executor, TASK, fixture.succeed());
    let stopping = async {
        until_at_work(&fixture).await;
        ctx.cancel();
    };
    let (outcome, ()) = tokio::join!(executor.run(&job, &ctx), stopping);
    assert_eq!(outcome, JobOutcome::Stopped);
    let kept = || Some(said(fixture.dir.path(), TASK)).filter(|(_, drafts)| *drafts == 0);
    let (said, _) = eventually("it is kept", kept).await;
    let told = || Some(ctx.text_of("status")).filter(|told| told.contains("is kept as"));
    let told = eventually("its name is told", told).await;
    let name = told.split(' ').next_back().unwrap();
    assert!(fixture.dir.path().join("transcripts").join(name).exists(), "{told}");
    let left = || Some(ctx.left().transcripts).filter(|left| !left.is_empty());
    let left = eventually("the hub is to hear of it", left).await;
    assert_eq!(left, [name.parse().unwrap()]);
    let said = lines(&said);
    let head = json!({ "task": TASK, "generation": 1, "round": 1 });
    assert_eq!(said[0], head);
    let roles: Vec<_> = said.iter().filter_map(|line| line["role"].as_str()).collect();
    assert_eq!((roles, &said[3]["text"]), (vec!["user", "model", "tool"], &json!("I begin.")));
    let tree = worktree(fixture.dir.path());
    assert_eq!(git(&tree, &["status", "--porcelain"]), "?? b.txt\n");
}

#[tokio::test]
async fn what_was_said_in_an_attempt_that_was_killed_is_there_and_the_next_attempt_keeps_it() {
    let fixture = fixture().await;
    let executor = fixture.executor();
    let job = assignment(&*executor, TASK, fixture.succeed());
    let ctx = Asking::default();
    let (said_before, drafts) = tokio::select! {
        outcome = executor.run(&job, &ctx) => panic!("{outcome:?}"),
        at_work = until_at_work(&fixture) => at_work,
    };
    assert!(lines(&said_before).len() == 5 && drafts == 1, "{said_before}");
    let dir = fixture.dir.path();
    assert_eq!(said(dir, TASK), (said_before.clone(), 1), "nobody was there to keep it");
    let next = agentcom_core::json::Json::of(&json!({ "model": "next" })).unwrap();
    let next = assignment(&*executor, TASK, next);
    let next = Assignment { attempt: 2, generation: Lease(2), ..next };
    let outcome = executor.run(&next, &ctx).await;
    let JobOutcome::Done { result, .. } = outcome else { panic!("{outcome:?}") };
    let (both, drafts) = said(dir, TASK);
    let rest = both.strip_prefix(&said_before).unwrap();
    assert_eq!((lines(rest)[0]["generation"].as_u64(), drafts), (Some(2), 0));
    // The result names those of its own attempt.
    let result: Value = result.read().unwrap();
    let [name] = &result["transcripts"].as_array().unwrap()[..] else { panic!("{result:#}") };
    let kept = dir.join("transcripts").join(name.as_str().unwrap());
    assert_eq!(std::fs::read_to_string(kept).unwrap(), rest);
}

#[tokio::test]
async fn what_git_had_locked_when_it_was_killed_holds_no_later_attempt_up() {
    let fixture = fixture().await;
    let executor = fixture.executor();
    let job = assignment(&*executor, TASK, fixture.succeed());
    let ctx = Asking::default();
    tokio::select! {
        outcome = executor.run(&job, &ctx) => panic!("{outcome:?}"),
        _ = until_at_work(&fixture) => {}
    }
    let tree = worktree(fixture.dir.path());
    let kept = git(&tree, &["rev-parse", "--git-dir"]);
    std::fs::write(Path::new(kept.trim()).join("index.lock"), "").unwrap();
    let next = |number: u32, model: &str| {
        let input = agentcom_core::json::Json::of(&json!({ "model": model })).unwrap();
        let next = assignment(&*executor, TASK, input);
        Assignment { attempt: number, generation: Lease(number.into()), ..next }
    };
    let second = next(2, "scripted");
    let written = tree.with_file_name(format!("{TASK}-2-2")).join("b.txt");
    let has_begun = || written.exists().then_some(());
    tokio::select! {
        outcome = executor.run(&second, &ctx) => panic!("{outcome:?}"),
        () = eventually("the second has begun", has_begun) => {}
    }
    let patch = tree.with_extension("patch");
    assert!(std::fs::read_to_string(&patch).unwrap().contains("b.txt"), "{}", patch.display());
    // It is killed once more, before all of the worktree is there.
    let tree = worktree(fixture.dir.path());
    let kept = git(&tree, &["rev-parse", "--git-dir"]);
    std::fs::write(Path::new(kept.trim()).join("locked"), "initializing\n").unwrap();
    std::fs::remove_file(Path::new(kept.trim()).join("index")).unwrap();
    std::fs::remove_file(tree.join("a.txt")).unwrap();
    let outcome = executor.run(&next(3, "next"), &ctx).await;
    assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    assert!(!tree.with_extension("patch").exists(), "there was nothing of anybody in it");
}

#[tokio::test]
async fn a_git_that_nobody_waits_for_any_more_can_clean_up() {
    let dir = tempfile::tempdir().unwrap();
    let (begun, ended) = (dir.path().join("begun"), dir.path().join("ended"));
    let script = "!trap 'touch ended; exit' TERM; touch begun; while :; do sleep 0.05; done";
    let alias = format!("alias.busy={script}");
    let here = Git::at(dir.path());
    let line = ["-c", &alias, "busy"];
    tokio::select! {
        ran = here.run(&line) => panic!("{ran:?}"),
        () = eventually("it has begun", || begun.exists().then_some(())) => {}
    }
    eventually("it has cleaned up", || ended.exists().then_some(())).await;
}

#[tokio::test]
async fn of_an_attempt_that_gives_no_result_what_was_said_is_found_as_well() {
    let model = StandIn::of([Turn::says("I give up.")]).await;
    let fixture = Fixture::of(model);
    let executor = fixture.executor();
    let job = assignment(&*executor, TASK, fixture.succeed());
    let ctx = Watched::new();
    let outcome = executor.run(&job, &ctx).await;
    assert!(matches!(outcome, JobOutcome::Failed { .. }), "{outcome:?}");
    let (said, drafts) = said(fixture.dir.path(), TASK);
    assert!(said.contains("I give up.") && drafts == 0, "{said}");
    let [name] = &ctx.left().transcripts[..] else { panic!("{:?}", ctx.left()) };
    let kept = fixture.dir.path().join("transcripts").join(name.as_str());
    assert_eq!(std::fs::read_to_string(kept).unwrap(), said);
}

#[tokio::test]
async fn an_attempt_whose_time_is_nearly_over_is_checked_and_reported_as_far_as_it_came() {
    let fixture = fixture().await;
    let executor = fixture.executor();
    let check = |kind: &str, target: &str| VerificationStep {
        kind: kind.into(),
        target: target.into(),
        description: None,
    };
    let job = assignment(&*executor, TASK, fixture.succeed());
    let job = Assignment {
        timeout_ms: Some(Span::from_secs(12)),
        max_verification_retries: 3,
        verification_steps: vec![check("file_exists", "b.txt"), check("file_exists", "c.txt")],
        ..job
    };
    let begun = std::time::Instant::now();
    let ctx = Watched::new();
    let outcome = executor.run(&job, &ctx).await;
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    assert_eq!(ctx.left().answered, Some(true));
    let JobOutcome::Partial { result, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    assert_eq!((&result["rounds"], &result["stopped"]), (&json!(1), &json!("time")), "{result:#}");
    assert_eq!(result["verdict"], "partial_pass");
    assert_eq!(result["done"], json!(["commits: 1, files changed: 1", "pass: file_exists b.txt"]));
    let remaining = json!(["the model was stopped: its time is over", "fail: file_exists c.txt"]);
    assert_eq!(result["remaining"], remaining);
    let branch = result["branch"].as_str().unwrap();
    let pushed = git(&fixture.dir.path().join("remote"), &["show", &format!("{branch}:b.txt")]);
    assert_eq!(pushed, "two");
    let [name] = &result["transcripts"].as_array().unwrap()[..] else { panic!("{result:#}") };
    let kept = fixture.dir.path().join("transcripts").join(name.as_str().unwrap());
    assert!(std::fs::read_to_string(kept).unwrap().contains("I begin."));
}

#[tokio::test]
async fn b26_a_tool_that_outlasts_the_time_is_stopped_and_what_was_taken_until_then_is_told() {
    let write = json!({ "path": "b.txt", "content": "two" });
    let waits = json!({ "command": "sleep 600", "timeout_ms": 600_000 });
    let turns = [Turn::calls("write_file", write), Turn::calls("run_command", waits)];
    let fixture = Fixture::of(StandIn::of(turns).await);
    let executor = fixture.executor();
    let job = assignment(&*executor, TASK, fixture.succeed());
    let job = Assignment { timeout_ms: Some(Span::from_secs(12)), ..job };
    let outcome = executor.run(&job, &Asking::default()).await;
    let JobOutcome::Partial { result, tokens, .. } = outcome else { panic!("{outcome:?}") };
    let result: Value = result.read().unwrap();
    assert_eq!((&result["stopped"], &result["turns"]), (&json!("time"), &json!(2)), "{result:#}");
    let steps = json!(["write_file b.txt: ok", "run_command sleep 600: out of time"]);
    assert_eq!(result["steps"], steps);
    let used = |name: &str| result[name].as_u64().unwrap();
    assert_eq!(tokens, Some(used("tokens_in") + used("tokens_out")));
    assert!(used("tokens_in") > 0 && used("tokens_out") > 0, "{result:#}");
}

#[tokio::test]
async fn b26_why_a_model_was_stopped_and_after_how_many_turns_is_told() {
    let write = || Turn::calls("write_file", json!({ "path": "b.txt", "content": "two" }));
    let read = || Turn::calls("read_file", json!({ "path": "a.txt" }));
    let ended = async |turns: Vec<Turn>| {
        let fixture = Fixture::of(StandIn::of(turns).await);
        let executor = fixture.executor();
        executor.run(&assignment(&*executor, TASK, fixture.succeed()), &Asking::default()).await
    };
    for (turns, stopped, count) in [
        (vec![write(), Turn::says("Done.")], Value::Null, 2),
        (vec![write(), read(), read(), read()], json!("repetition"), 4),
        (vec![write(), Turn::says(""), Turn::says(""), Turn::says("")], json!("silence"), 4),
    ] {
        let outcome = ended(turns).await;
        let (JobOutcome::Done { result, .. } | JobOutcome::Partial { result, .. }) = outcome else {
            panic!("{outcome:?}")
        };
        let result: Value = result.read().unwrap();
        assert_eq!((&result["stopped"], &result["turns"]), (&stopped, &json!(count)), "{result:#}");
    }
    let JobOutcome::Failed { error, .. } = ended(vec![read(); 3]).await else {
        panic!("nothing was done")
    };
    assert!(error.starts_with("the model was stopped: "), "{error}");
}

#[tokio::test]
async fn a_model_that_was_silent_for_all_its_time_has_not_answered() {
    let fixture = Fixture::of(StandIn::of([Turn::hangs("")]).await);
    let (executor, ctx) = (fixture.executor(), Watched::new());
    let job = assignment(&*executor, TASK, fixture.succeed());
    let job = Assignment { timeout_ms: Some(Span::from_secs(8)), ..job };
    let outcome = executor.run(&job, &ctx).await;
    assert!(matches!(outcome, JobOutcome::Failed { .. }), "{outcome:?}");
    assert_eq!(ctx.left().answered, Some(false), "{outcome:?}");
}

#[tokio::test]
async fn what_an_attempt_has_left_is_put_away_when_its_time_is_over_with_a_patch() {
    let mut fixture = fixture().await;
    let (executor, ctx) = (fixture.executor(), Asking::default());
    let job = assignment(&*executor, TASK, fixture.succeed());
    tokio::select! {
        outcome = executor.run(&job, &ctx) => panic!("{outcome:?}"),
        _ = until_at_work(&fixture) => {}
    }
    let worktrees = fixture.dir.path().join("worktrees");
    let names = || {
        let entries = std::fs::read_dir(&worktrees).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect::<std::collections::BTreeSet<_>>()
    };
    let left = format!("{TASK}-1-1");
    assert_eq!(names(), [left.clone(), format!("{left}.busy")].into());
    let model = agentcom_core::json::Json::of(&json!({ "model": "next" })).unwrap();
    let run = async |executor: Box<dyn Executor>, task: u64| {
        let next = assignment(&*executor, TaskId(task), model.clone());
        let outcome = executor.run(&next, &Asking::default()).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
    };
    run(fixture.executor(), 2).await;
    assert!(names().contains(&left), "its time is not over");
    fixture.worktrees_kept = Duration::ZERO;
    run(fixture.executor(), 3).await;
    assert_eq!(names(), [format!("{left}.patch")].into());
    let patch = std::fs::read_to_string(worktrees.join(format!("{left}.patch"))).unwrap();
    assert!(patch.contains("+++ b/b.txt"), "{patch}");
    let branches = git(&fixture.dir.path().join("clone"), &["branch", "--list", "agentcom/*"]);
    assert!(branches.contains(&TASK.to_string()), "its branch stays: {branches}");
}
