//! This file has agents do the worst that they can, at each level of the sandbox that this machine has:
//! each case ends in a typed outcome within its deadline, nothing outside of the worktree changes, and the
//! next task runs as if nothing had been.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use agentcom_core::id::TaskId;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::{Category, VerificationStep};
use agentcom_core::testing::executor_suite::{Asking, ExecutorFixture as _, assignment};
use agentcom_exec::acp::Patience;
use agentcom_exec::sandbox::Level;
use agentcom_exec::stand_in::acp::WAYS;

use futures_util::StreamExt as _;
use serde_json::Value;

use crate::fixture::{Fixture, git};
use crate::support::{eventually, level_here, mark, marked};

/// How a task has to end, with a word of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    Partial,
    /// What it did is kept, though it failed.
    Kept(&'static str),
    /// It may be tried again.
    Failed(&'static str),
    /// It may not.
    Dead(&'static str),
}

/// How long any case may take.
const WITHIN: Duration = Duration::from_secs(90);

/// Agents that are not given long.
const PATIENCE: Patience = Patience {
    start: Duration::from_secs(8),
    silence: Duration::from_secs(8),
    whole: Duration::from_secs(60),
    answer: Duration::from_secs(1),
    call_off: Duration::from_millis(200),
};

/// What agents do, and how their tasks have to end.
const CASES: [(&str, End); 32] = [
    ("never-answers", End::Failed("not answered `initialize`")),
    ("other-version", End::Dead("version 7")),
    ("dies-at-once", End::Failed("exit code 3: no key, no work")),
    ("wants-login", End::Dead("log in first (key: Log in with a key)")),
    ("quota", End::Failed("429 Rate limit exceeded")),
    ("wrong-ids", End::Failed("not answered `initialize`")),
    ("answers-twice", End::Done),
    ("dies-mid-line", End::Failed("ended with exit code 0")),
    ("closes", End::Failed("closed its output")),
    ("long-line", End::Failed("a line of more than")),
    ("garbage", End::Failed("does not keep to the protocol: a line that is no JSON")),
    ("nests", End::Done),
    ("drips", End::Failed("not answered `session/prompt`")),
    ("floods", End::Failed("sent more than")),
    ("never-reads", End::Kept("does not read what it is told")),
    ("says-unknown", End::Done),
    ("other-session", End::Done),
    ("asks-for-ever", End::Failed("the same calls over and over")),
    ("asks-without-options", End::Done),
    ("ignores-calling-off", End::Failed("not answered `session/prompt`")),
    ("says-called-off", End::Failed("as if it were called off")),
    ("refuses", End::Dead("declines")),
    ("runs-out", End::Partial),
    ("speaks-ansi", End::Done),
    ("does-nothing", End::Failed("it changed nothing")),
    ("rewrites-tests", End::Partial),
    ("reads-outside", End::Done),
    ("follows-links", End::Done),
    ("writes-outside", End::Done),
    ("writes-git", End::Done),
    ("starts-daemons", End::Done),
    ("deletes", End::Partial),
];

fn is_so(outcome: &JobOutcome, end: End) -> bool {
    match (outcome, end) {
        (JobOutcome::Done { .. }, End::Done) | (JobOutcome::Partial { .. }, End::Partial) => true,
        (JobOutcome::Partial { result, .. }, End::Kept(word)) => {
            let result: Value = result.read().unwrap();
            result["failed"].as_str().is_some_and(|error| error.contains(word))
        }
        (JobOutcome::Failed { category, error, .. }, End::Failed(word)) => {
            *category == Category::Retryable && error.contains(word)
        }
        (JobOutcome::Failed { category, error, .. }, End::Dead(word)) => {
            *category == Category::Permanent && error.contains(word)
        }
        _ => false,
    }
}

/// Plays a case, and then a task that any agent can do.
async fn play(level: Level, way: &str, end: End) {
    let outside = tempfile::tempdir().unwrap();
    let outside = outside.path();
    fs::write(outside.join("secret"), "hidden").unwrap();
    let mark = mark(&format!("agents-{level}-{way}"));
    let behind = if way == "starts-daemons" { &*mark } else { outside.to_str().unwrap() };
    let takes_more = ["outside", "links", "git", "daemons"].iter().any(|word| way.ends_with(word));
    let whole = if takes_more { format!("{way} {behind}") } else { way.to_owned() };
    let mut fixture = Fixture::going(&whole);
    fixture.acp.patience = PATIENCE;
    fixture.sandbox.level = level;
    let clone = fixture.dir.path().join("clone");
    let before = fs::read_to_string(clone.join(".git/config")).unwrap();
    let executor = fixture.executor();
    let mut job = assignment(&*executor, TaskId(1), fixture.succeed());
    job.verification_steps = match way {
        "rewrites-tests" => vec![step("tests_not_weakened", "auto")],
        "deletes" => vec![step("file_exists", "a.txt")],
        _ => Vec::new(),
    };
    let began = Instant::now();
    let outcome = executor.run(&job, &Asking::default()).await;
    assert!(is_so(&outcome, end), "{level}, {way}: {outcome:?}");
    assert!(began.elapsed() < WITHIN, "{level}, {way}: {:?}", began.elapsed());

    // The next is done by an agent that does it.
    fixture.acp.command = Fixture::command("works");
    let executor = fixture.executor();
    let next = assignment(&*executor, TaskId(2), fixture.succeed());
    let next = executor.run(&next, &Asking::default()).await;
    assert!(is_so(&next, End::Done), "{level}, after {way}: {next:?}");

    let left: Vec<_> = fs::read_dir(outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left, ["secret"], "{level}, {way}");
    assert_eq!(fs::read_to_string(outside.join("secret")).unwrap(), "hidden", "{level}, {way}");
    let after = fs::read_to_string(clone.join(".git/config")).unwrap();
    assert!(after.starts_with(&before) && !after.contains("pwned"), "{way}: {after}");
    assert_eq!(git(&clone, &["status", "--porcelain"]), "", "{way}");
    let remote = fixture.dir.path().join("remote");
    let rounds = ["log", "--all", "--format=%(trailers:key=Agentcom-Round,valueonly)"];
    for round in git(&remote, &rounds).split_whitespace() {
        assert_eq!(round, "1", "{way}");
    }
    let log = git(&remote, &["log", "--all", "--patch", "--format=%B"]);
    assert!(!log.contains("hidden") && !log.contains('\u{1b}'), "{level}, {way}: {log}");
    eventually("nothing is left", || marked(&mark).is_empty().then_some(())).await;
}

fn step(kind: &str, target: &str) -> VerificationStep {
    VerificationStep { kind: kind.into(), target: target.into(), description: None }
}

/// Those that the sandbox has to hold.
const HELD: [&str; 9] = [
    "closes",
    "ignores-calling-off",
    "rewrites-tests",
    "reads-outside",
    "follows-links",
    "writes-outside",
    "writes-git",
    "starts-daemons",
    "deletes",
];

/// Those that keep a processor busy, and would keep others waiting.
const HEAVY: [&str; 3] = ["floods", "long-line", "never-reads"];

/// Plays cases at each level.
async fn play_all(at_once: usize, is_wanted: impl Fn(&str) -> bool) {
    let proved = level_here().min(Level::L2);
    let levels = [Level::L2, Level::L3].into_iter().filter(|&level| level <= proved);
    let cases = levels.flat_map(|level| CASES.map(|(way, end)| (level, way, end)));
    let cases = cases.filter(|(_, way, _)| is_wanted(way));
    // What is said is the same at every level.
    let cases = cases.filter(|(level, way, _)| *level == proved || HELD.contains(way));
    let playing = futures_util::stream::iter(cases);
    playing.for_each_concurrent(at_once, |(level, way, end)| play(level, way, end)).await;
}

#[tokio::test]
async fn the_worst_that_agents_do_ends_in_good_order_and_does_no_harm() {
    // Most of them wait for a deadline.
    play_all(6, |way| !HEAVY.contains(&way)).await;
}

#[tokio::test]
async fn agents_that_say_too_much_or_hear_nothing_are_bounded() {
    play_all(1, |way| HEAVY.contains(&way)).await;
}

#[test]
fn all_ways_in_which_agents_go_wrong_are_played() {
    let good = [
        "works",
        "asks",
        "asks-later",
        "prints-much",
        "runs-on",
        "heeds",
        "remembers",
        "obeys",
        "logs-in",
    ];
    // How they are bounded a test of its own says.
    let bounded = ["fills-the-disk"];
    let bad: BTreeSet<&str> = CASES.iter().map(|(way, _)| *way).collect();
    let all: BTreeSet<&str> = WAYS.iter().map(|(way, _)| *way).collect();
    assert_eq!(all, bad.iter().copied().chain(good).chain(bounded).collect());
}
