//! This file has servers of models go wrong in all ways that their stand-ins know, each for a task as a
//! whole: it ends in a typed outcome within its deadline, nothing outside of the worktree changes, and
//! the next task runs as if nothing had been, with the same server.

use std::collections::BTreeSet;
use std::fs;
use std::time::{Duration, Instant};

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::id::TaskId;
use agentcom_core::json::Json;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::Category;
use agentcom_core::testing::executor_suite::{Asking, assignment};
use agentcom_core::time::Span;
use agentcom_exec::coding::{Coding, MessagesModels, OllamaModels};
use agentcom_exec::model::{Messages, Patience};
use agentcom_exec::stand_in::{messages, ollama};
use futures_util::StreamExt as _;
use serde_json::{Value, json};

use crate::fixture::{Fixture, git, said};

/// How a task has to end, with a word of its error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    /// It may be tried again.
    Failed(&'static str),
    /// It may be tried again after a while, of so many milliseconds.
    Later(u64),
    /// It may not be tried again.
    Dead(&'static str),
}
use End::{Dead, Done, Failed, Later};

/// How long any case may take: as long as three times of patience, and what a busy machine adds.
const WITHIN: Duration = Duration::from_secs(60);

/// Of servers of which nothing more is expected.
const SHORT: Patience = Patience {
    first: Duration::from_secs(2),
    next: Duration::from_secs(2),
    whole: Duration::from_secs(5),
};

/// Of those that answer, on a machine that is busy.
const LONG: Patience = Patience {
    first: Duration::from_secs(20),
    next: Duration::from_secs(20),
    whole: Duration::from_secs(40),
};

/// What Ollama servers do, and how their tasks have to end.
const OLLAMA: [(&str, End); 38] = [
    ("never-answers", Failed("said nothing for 2s")),
    ("headers-only", Failed("said nothing for 2s")),
    ("hangs-midway", Failed("said nothing for 2s")),
    ("drips", Failed("the answer was not done after")),
    ("dies-at-once", Failed("the answer is broken")),
    ("dies-mid-line", Failed("the answer is broken")),
    ("ends-mid-line", Failed("the answer is broken: EOF")),
    ("never-done", Failed("ended before it was done")),
    ("done-first", Failed("it said nothing, and was told so in vain")),
    ("long-line", Failed("a line is longer than 4194304 bytes")),
    ("floods", Failed("it is longer than 1048576 bytes")),
    ("talks-on", Done),
    ("talks-on-for-ever", Failed("it said nothing, and was told so in vain")),
    ("garbage", Failed("the answer is broken: expected value")),
    ("html", Failed("the answer is broken: expected value")),
    ("nests", Failed("the answer is broken: recursion limit")),
    ("wrong-types", Failed("the answer is broken: invalid type")),
    ("same-ids", Done),
    ("no-ids", Done),
    ("unknown-tools", Done),
    ("strange-names", Done),
    ("many-calls", Done),
    ("half-input", Done),
    ("climbs", Done),
    ("counts-nothing", Done),
    ("counts-much", Done),
    ("counts-below-zero", Failed("the answer is broken: invalid value")),
    ("speaks-ansi", Done),
    ("loads", Done),
    ("loads-for-ever", Failed("the model is busy: 503 llm server loading model")),
    ("fails-for-ever", Failed("the model is busy: 500 out of memory")),
    ("fails-midway", Failed("the model is busy: 500 the runner has died")),
    ("too-many", Failed("the quota of the model is used up: too many requests")),
    ("too-many-later", Later(3_600_000)),
    ("no-model", Dead("there is no model `broken`: model 'scripted' not found; it has scripted")),
    ("no-tools", Dead("cannot call tools")),
    ("no-thinking", Dead("the model `broken` does not think")),
    ("redirects", Dead("the server refuses: 307")),
];

/// What servers that speak the Messages API do, and how their tasks have to end.
const MESSAGES: [(&str, End); 40] = [
    ("never-answers", Failed("said nothing for 2s")),
    ("headers-only", Failed("said nothing for 2s")),
    ("hangs-midway", Failed("said nothing for 2s")),
    ("drips", Failed("said nothing for")),
    ("dies-at-once", Failed("the answer is broken")),
    ("dies-mid-line", Failed("the answer is broken")),
    ("ends-mid-line", Failed("ended before it was done")),
    ("never-stops", Failed("ended before it was done")),
    ("stops-first", Failed("it said nothing, and was told so in vain")),
    ("input-first", Failed("the input of a call that was not begun")),
    ("long-line", Failed("a line is longer than 1048576 bytes")),
    ("floods", Failed("it is longer than 16777216 bytes")),
    ("pings", Failed("the answer was not done after")),
    ("garbage", Failed("the answer is broken")),
    ("html", Failed("ended before it was done")),
    ("nests", Done),
    ("wrong-types", Failed("the answer is broken: invalid type")),
    ("unknown-events", Done),
    ("same-ids", Done),
    ("unknown-tools", Done),
    ("many-calls", Done),
    ("half-input", Done),
    ("climbs", Done),
    ("counts-nothing", Done),
    ("counts-much", Done),
    ("counts-below-zero", Failed("the answer is broken: invalid value")),
    ("speaks-ansi", Done),
    ("overloaded", Done),
    ("overloaded-midway", Failed("the model is busy: Overloaded")),
    ("other-error", Failed("the answer is broken: dream_error: asleep")),
    ("fails-for-ever", Failed("the model is busy: 500 Internal server error")),
    ("too-many", Failed("the quota of the model is used up: rate limited")),
    ("too-many-soon", Done),
    ("too-many-later", Later(3_600_000)),
    ("too-many-never", Later(u64::MAX)),
    ("no-model", Dead("there is no model `broken`: model: scripted")),
    ("wrong-key", Dead("the server refuses: 401")),
    ("refuses", Dead("the model declines")),
    ("pauses-for-ever", Failed("it was asked as often as its tier allows")),
    ("redirects", Dead("the server refuses: 307")),
];

/// Those that keep a processor busy, and would keep others waiting.
const HEAVY: [&str; 2] = ["floods", "long-line"];

fn is_so(outcome: &JobOutcome, end: End) -> bool {
    match (outcome, end) {
        (JobOutcome::Done { .. }, Done) => true,
        (JobOutcome::Failed { category, error, .. }, Failed(word)) => {
            *category == Category::Retryable && error.contains(word)
        }
        (JobOutcome::Failed { category, retry_after, .. }, Later(least)) => {
            *category == Category::Retryable && *retry_after == Some(Span(least))
        }
        (JobOutcome::Failed { category, error, .. }, Dead(word)) => {
            *category == Category::Permanent && error.contains(word)
        }
        _ => false,
    }
}

/// A server that goes wrong.
enum Server {
    Ollama(ollama::StandIn),
    Messages(messages::StandIn),
}

impl Server {
    async fn going(api: &str, way: &str) -> Self {
        match api {
            OllamaModels::KIND => Self::Ollama(ollama::StandIn::going(way).await),
            _ => Self::Messages(messages::StandIn::going(way).await),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Ollama(server) => server.url(),
            Self::Messages(server) => server.url(),
        }
    }

    fn asked(&self) -> Vec<Value> {
        match self {
            Self::Ollama(server) => server.asked(),
            Self::Messages(server) => server.asked(),
        }
    }

    fn coding(&self, fixture: &Fixture, patience: Patience) -> Coding {
        let (url, model) = (self.url(), "broken".to_owned());
        match self {
            Self::Ollama(_) => {
                let tuning = Tuning::default();
                let models = OllamaModels { url, model, tuning, patience };
                Coding::with_ollama(models, fixture.settings())
            }
            Self::Messages(_) => {
                let (key, context_tokens) = (Secret::new(messages::KEY), Messages::CONTEXT_TOKENS);
                let models = MessagesModels { url, key, model, context_tokens, patience };
                Coding::with_messages(models, fixture.settings())
            }
        }
    }
}

/// Plays a case, and then a task that goes well.
async fn play(api: &'static str, way: &'static str, end: End) {
    use agentcom_core::port::executor::Executor as _;
    let fixture = Fixture::of(ollama::StandIn::of([]).await);
    let elsewhere = Server::going(api, "works").await;
    let behind = format!("{way} {}", elsewhere.url());
    let server = Server::going(api, if way == "redirects" { &behind } else { way }).await;
    let clone = fixture.dir.path().join("clone");
    let before = fs::read_to_string(clone.join(".git/config")).unwrap();

    let is_silent = matches!(end, Failed(word)
        if word.starts_with("said nothing") || word.starts_with("the answer was not done"));
    let executor = server.coding(&fixture, if is_silent { SHORT } else { LONG });
    let began = Instant::now();
    let job = assignment(&executor, TaskId(1), Json::null());
    let outcome = executor.run(&job, &Asking::default()).await;
    let took = began.elapsed();
    assert!(is_so(&outcome, end), "{api}, {way}: {outcome:?}");
    assert!(took < WITHIN, "{api}, {way}: {took:?}");

    let works = Json::of(&json!({ "model": "works" })).unwrap();
    let executor = server.coding(&fixture, Patience::default());
    let next = executor.run(&assignment(&executor, TaskId(2), works), &Asking::default()).await;
    assert!(is_so(&next, Done), "{api}, after {way}: {next:?}");

    did_no_harm(&fixture, &clone, &before, (api, way));
    assert_eq!(elsewhere.asked(), [] as [Value; 0], "{api}, {way}: a stranger was asked");
    for asked in server.asked() {
        each_call_has_a_name_of_its_own(&asked, (api, way));
    }
}

/// Nothing was written but what the tasks were there for, and nobody's key or terminal was touched.
fn did_no_harm(fixture: &Fixture, clone: &std::path::Path, before: &str, case: (&str, &str)) {
    let entries = fs::read_dir(fixture.dir.path()).unwrap();
    let found: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    let known = ["clone", "remote", "transcripts", "worktrees"].map(Into::into);
    assert_eq!(found, BTreeSet::from(known), "{case:?}");
    let after = fs::read_to_string(clone.join(".git/config")).unwrap();
    assert!(after.starts_with(before) && !after.contains("climbed"), "{case:?}: {after}");
    assert_eq!(git(clone, &["status", "--porcelain"]), "", "{case:?}");
    let remote = fixture.dir.path().join("remote");
    let rounds = ["log", "--all", "--format=%(trailers:key=Agentcom-Round,valueonly)"];
    for round in git(&remote, &rounds).split_whitespace() {
        assert_eq!(round, "1", "{case:?}");
    }
    let log = git(&remote, &["log", "--all", "--patch", "--format=%B"]);
    assert!(!log.contains('\u{1b}') && !log.contains("climbed"), "{case:?}: {log}");
    for task in [1, 2] {
        let (said, drafts) = said(fixture.dir.path(), TaskId(task));
        assert!(!said.is_empty() && !said.contains(messages::KEY), "{case:?}: {said}");
        assert_eq!(drafts, 0, "{case:?}");
    }
}

/// Servers refuse a history in which answers of tools cannot be told apart.
fn each_call_has_a_name_of_its_own(asked: &Value, case: (&str, &str)) {
    for message in asked["messages"].as_array().unwrap() {
        let calls = message["tool_calls"].as_array().or_else(|| message["content"].as_array());
        let calls = calls.into_iter().flatten().filter(|block| block["type"] != "text");
        let ids: Vec<_> = calls
            .map(|call| call["id"].as_str().or_else(|| call["tool_use_id"].as_str()))
            .collect();
        let all: BTreeSet<_> = ids.iter().collect();
        assert!(ids.iter().all(Option::is_some), "{case:?}: {message}");
        assert_eq!(all.len(), ids.len(), "{case:?}: {message}");
    }
}

/// Plays cases of a server.
async fn play_all(
    (api, cases): (&'static str, &[(&'static str, End)]),
    at_once: usize,
    is_wanted: impl Fn(&str) -> bool,
) {
    let cases = cases.iter().filter(|(way, _)| is_wanted(way));
    let playing = futures_util::stream::iter(cases).map(|&(way, end)| play(api, way, end));
    playing.buffer_unordered(at_once).collect::<Vec<()>>().await;
}

#[tokio::test]
async fn whatever_ollama_servers_do_ends_in_good_order_and_does_no_harm() {
    // Many of them wait for a deadline.
    play_all((OllamaModels::KIND, &OLLAMA), 16, |way| !HEAVY.contains(&way)).await;
}

#[tokio::test]
async fn whatever_servers_of_the_messages_api_do_ends_in_good_order_and_does_no_harm() {
    play_all((MessagesModels::KIND, &MESSAGES), 16, |way| !HEAVY.contains(&way)).await;
}

#[tokio::test]
async fn servers_that_say_too_much_are_bounded() {
    play_all((OllamaModels::KIND, &OLLAMA), 1, |way| HEAVY.contains(&way)).await;
    play_all((MessagesModels::KIND, &MESSAGES), 1, |way| HEAVY.contains(&way)).await;
}

#[test]
fn all_ways_in_which_servers_go_wrong_are_played() {
    let names = |ways: &[(&'static str, &str)]| -> BTreeSet<&str> {
        ways.iter().map(|(way, _)| *way).filter(|way| *way != "works").collect()
    };
    assert_eq!(names(&ollama::WAYS), OLLAMA.iter().map(|(way, _)| *way).collect());
    assert_eq!(names(&messages::WAYS), MESSAGES.iter().map(|(way, _)| *way).collect());
}
