//! This file has the program behave in all ways, at each level of the sandbox that this machine has:
//! each ends in a typed outcome, nothing outside of the worktree changes, nothing is left running, and
//! the next task runs as if nothing had been.

use std::fs;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::{Executor as _, JobOutcome};
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::assignment;
use agentcom_core::time::Span;
use agentcom_exec::sandbox::Level;
use agentcom_exec::stand_in::claude_code::WAYS;
use futures_util::{StreamExt as _, stream};

use crate::fixture::git;
use crate::support::{Watched, eventually, level_here, mark, marked};
use crate::{Claude, SECRET, named, of, result, short};

/// How a task has to end, and what has to be said of it.
#[derive(Clone, Copy, Debug)]
enum End {
    /// All is done, and its output has these words.
    Done(&'static str),
    /// Something was done.
    Partial,
    /// Nothing was done, and it is tried again.
    Again(&'static str),
    /// Nothing was done, and it is not tried again.
    Never(&'static str),
}

/// How a task ends that is done in `way`. What was done before the end stays done.
fn end_of(way: &str) -> End {
    match way {
        "says nothing" => End::Again("said nothing for 8s"),
        "a line of 50 MB" => End::Again("a line is longer than 16777216 bytes"),
        "asks for ever" => End::Again("does not read the answers"),
        "turns for ever" => End::Again("as often as its tier allows"),
        "calls for ever" | "has agents of its own for ever" => End::Again("more than 5000"),
        "stops in the middle" => End::Again("said nothing for 5s"),
        "no result"
        | "a failure after a success"
        | "a success that is an error"
        | "dies in the middle of a line"
        | "dies of a signal"
        | "quota"
        | "quota without a time"
        | "not logged in"
        | "not let in"
        | "not paid"
        | "overloaded"
        | "asked too often"
        | "no such model"
        | "too long"
        | "too many turns"
        | "too dear"
        | "fails" => End::Partial,
        "two results" => End::Done("Two."),
        _ => End::Done("Done"),
    }
}

#[track_caller]
fn assert_ended(way: &str, outcome: &JobOutcome, end: End) {
    let said = |error: &str, words: &str| assert!(error.contains(words), "{way}: {error}");
    match (outcome, end) {
        (JobOutcome::Done { .. }, End::Done(words)) => {
            said(result(outcome)["output"].as_str().unwrap(), words);
        }
        (JobOutcome::Partial { .. }, End::Partial) => {}
        (JobOutcome::Failed { category: Category::Retryable, error, .. }, End::Again(words))
        | (JobOutcome::Failed { category: Category::Permanent, error, .. }, End::Never(words)) => {
            said(error, words);
        }
        _ => panic!("{way}: {outcome:?}, and not {end:?}"),
    }
}

fn levels() -> impl Iterator<Item = Level> {
    let proved = level_here();
    [Level::L2, Level::L3].into_iter().filter(move |&level| level <= proved)
}

async fn at(level: Level) -> Claude {
    let mut claude = Claude::new().await;
    claude.place.sandbox = of(level);
    claude.cli.network = Claude::network_at(level);
    claude.cli.patience = short();
    claude
}

#[tokio::test]
async fn b27_whatever_it_does_ends_in_good_order_and_the_next_task_is_done() {
    const AT_ONCE: usize = 8;
    const WITHIN: Duration = Duration::from_secs(60);
    for level in levels() {
        let claude = at(level).await;
        // Most of them only wait for what does not come.
        let mut ways = stream::iter((1..).zip(WAYS))
            .map(async |(number, way)| {
                let begun = Instant::now();
                assert_ended(way, &claude.done(2 * number, way).await, end_of(way));
                assert!(begun.elapsed() < WITHIN, "{level}, {way}: {:?}", begun.elapsed());
                let next = claude.done(2 * number + 1, "works").await;
                assert_ended(way, &next, End::Done("Done."));
            })
            .buffer_unordered(AT_ONCE);
        while ways.next().await.is_some() {}
        let clone = claude.place.dir.path().join("clone");
        assert_eq!(git(&clone, &["status", "--porcelain"]), "");
        // Neither what only it may see nor what moves a terminal was committed.
        let told = "--invert-grep";
        let log = git(&clone, &["log", "--all", "--format=%B", told, "--grep=tells"]);
        assert!(!log.contains(SECRET) && !log.contains('\u{1b}'), "{log}");
    }
}

#[tokio::test]
async fn what_it_starts_ends_with_it_and_what_is_outside_stays_as_it_is() {
    for level in levels() {
        let outside = tempfile::tempdir().unwrap();
        let outside = outside.path();
        fs::write(outside.join("secret"), "secret").unwrap();
        let _service = UnixListener::bind(outside.join("service")).unwrap();
        let claude = at(level).await;
        let mark = mark(&format!("claude-{level}"));
        let outcome = claude.done(1, &format!("daemon {mark}")).await;
        assert_ended("daemon", &outcome, End::Done("Done."));
        eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;

        let outcome = claude.done(2, &format!("outside {}", outside.display())).await;
        assert_ended("outside", &outcome, End::Done("Done."));
        let mut left: Vec<_> =
            fs::read_dir(outside).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, ["secret", "service"], "{level}");
        let seen: serde_json::Value = serde_json::from_str(&claude.pushed(2, "seen.txt")).unwrap();
        assert_eq!((seen["secret"].as_str(), &seen["talks"]), (None, &false.into()), "{level}");
    }
}

#[tokio::test]
async fn each_time_that_its_model_was_asked_is_told_with_what_that_took() {
    let claude = Claude::new().await;
    let told = "100 tokens read, 10 written";
    let once = format!("turn 1: {told}");
    // A message that comes in two lines is told once.
    for (task, way, calls) in
        [(1, "works", &once), (2, "prints much", &format!("{once}turn 2: {told}"))]
    {
        let (coding, ctx) = (claude.coding(), Watched::new());
        let outcome = coding.run(&assignment(&coding, TaskId(task), named(way)), &ctx).await;
        assert!(matches!(outcome, JobOutcome::Done { .. }), "{outcome:?}");
        assert_eq!(&ctx.text_of("model_call"), calls, "{way}");
    }
}

#[tokio::test]
async fn a33_what_ends_before_anything_was_done_says_why_and_whether_to_try_again() {
    let Some(level) = levels().last() else { return };
    let claude = at(level).await;
    for (task, way, end) in [
        (1, "no result", End::Again("gave no result, and ended with exit code 0")),
        (2, "dies in the middle of a line", End::Again("exit code 9: out of memory")),
        (3, "dies of a signal", End::Again("it gave no result, and")),
        (4, "a failure after a success", End::Again("it broke; {\"at\":1}")),
        (5, "a success that is an error", End::Again("the model is busy: API Error: 500")),
        (6, "not logged in", End::Never("401 Please run /login")),
        (13, "not let in", End::Never("403 authentication_failed")),
        (7, "not paid", End::Never("400 Credit balance is too low")),
        (8, "overloaded", End::Again("the model is busy: Overloaded")),
        (
            15,
            "asked too often",
            End::Again("the quota of ANTHROPIC_API_KEY is used up: This would"),
        ),
        (9, "no such model", End::Never("there is no model `idle no such model`")),
        (10, "too long", End::Never("too long for the model")),
        (11, "too many turns", End::Again("as often as its tier allows")),
        (14, "too dear", End::Again("its money is spent")),
        (12, "fails", End::Again("error_during_execution: it broke")),
    ] {
        assert_ended(way, &claude.done(task, &format!("idle {way}")).await, end);
    }
    for (task, way, secs) in [(20, "quota", 5400), (21, "quota without a time", 60)] {
        let outcome = claude.done(task, &format!("idle {way}")).await;
        assert_ended(way, &outcome, End::Again("the quota of ANTHROPIC_API_KEY is used up"));
        let JobOutcome::Failed { retry_after, .. } = outcome else { panic!("{outcome:?}") };
        assert_eq!(retry_after, Some(Span::from_secs(secs)), "{way} {}", TaskId(task));
    }
}
