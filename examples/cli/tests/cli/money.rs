//! This file tests what a coding task may cost, from the command line to the model and back: caps, the
//! question whether one is raised, the ledger, and the emergency stop.

use std::fs::File;
use std::path::Path;

use agentcom_exec::stand_in::messages::{KEY, StandIn, Turn};
use serde_json::{Value, json};

use crate::code::ground;
use crate::support::{Process, Up, agentcom, eventually, json, run};

const MODEL: &str = "claude-sonnet-4-5";
const TASK: [&str; 7] = ["submit", "--code", "--with", "claude", "-d", "Write b.txt", "--quiet"];

/// A hub with an agent whose model writes a file and says that it is done.
async fn up(dir: &Path) -> (StandIn, Up) {
    let model = StandIn::of([
        Turn::calls("write_file", &json!({ "path": "b.txt", "content": "b\n" })),
        Turn::says("Done."),
    ])
    .await;
    let url = model.url();
    let up = ["--claude", &url, "--claude-model", MODEL, "--workdir", "clone"];
    let up = Up::start_with(dir, &up, &[("ANTHROPIC_API_KEY", KEY)]);
    (model, up)
}

fn ends(dir: &Path, id: &str) -> Value {
    let over = |task: &Value| ["completed", "dead_letter"].iter().any(|end| task["state"] == *end);
    eventually("it ends", || over(&json(dir, &["task", id])));
    json(dir, &["task", id])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_waits_for_whoever_may_raise_its_cap_and_is_in_the_books() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let (model, _up) = up(dir).await;
    assert!(run(dir, &["budget"], 0).contains("nothing is capped"));
    assert!(run(dir, &["budget", "set", "day", "0.01"], 0).contains("`day` is $0.01"));
    let id = run(dir, &TASK, 0);
    let id = id.trim();
    let open = || json(dir, &["questions"])["questions"].as_array().unwrap().clone();
    eventually("the hub asks", || !open().is_empty());
    assert!(model.asked().is_empty(), "nothing is spent before somebody has said so");
    let question = &open()[0];
    let text = question["question"].as_str().unwrap();
    assert!(text.contains("$0.01 is left of the $0.01 of `day`"), "{text}");
    run(dir, &["answer", question["question_id"].as_str().unwrap(), "1"], 0);
    let task = ends(dir, id);
    assert_eq!(task["state"], "completed", "{task:#}");
    let spent = task["spent"]["micros"].as_u64().unwrap();
    assert_eq!(
        (&task["spent"]["calls"], &task["result"]["cost_micros"]),
        (&json!(2), &json!(spent))
    );
    assert!(run(dir, &["task", id], 0).contains("for 2 calls"));
    for account in ["all", "agent:", "model:"] {
        let ledger = json(dir, &["ledger", account]);
        assert_eq!(ledger["accounts"][0]["day"]["micros"], spent, "{ledger:#}");
    }
    let caps = json(dir, &["budget"])["caps"].clone();
    assert_eq!(
        (&caps[0]["limit_micros"], &caps[0]["taken_micros"]),
        (&json!(1_010_000), &json!(spent))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_ends_a_task_and_everything_stops_and_goes_on() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let (model, _up) = up(dir).await;
    let id = run(dir, &[&TASK[..], &["--budget", "0.001", "--max-attempts", "1"]].concat(), 0);
    let open = || json(dir, &["questions"])["questions"].as_array().unwrap().clone();
    eventually("the hub asks", || !open().is_empty());
    run(dir, &["answer", open()[0]["question_id"].as_str().unwrap(), "no"], 0);
    let task = ends(dir, id.trim());
    assert_eq!((&task["state"], &task["spent"]), (&json!("dead_letter"), &Value::Null));
    let error = task["last_error"].as_str().unwrap();
    assert!(error.contains("no money for a call") && error.contains("`task`"), "{error}");
    assert!(run(dir, &["estop"], 0).contains("all spending has stopped"));
    let id = run(dir, &TASK, 0);
    assert_eq!(json(dir, &["task", id.trim()])["state"], "ready");
    for line in [&["why", id.trim()][..], &["stats"]] {
        assert!(run(dir, line, 0).contains("estop --off"), "{line:?}");
    }
    assert!(run(dir, &["budget"], 0).contains("all spending is stopped"));
    assert!(model.asked().is_empty());
    run(dir, &["estop", "--off"], 0);
    assert_eq!(ends(dir, id.trim())["state"], "completed");
}

/// What the model reads, as its server tells before the answer, which never comes to its end.
const READ: u64 = 900;

/// A model that says a line, and then no more.
fn begins(line: &str) -> Turn {
    let usage = json!({ "input_tokens": READ, "output_tokens": 1 });
    let delta = json!({ "type": "text_delta", "text": line });
    let events = [
        json!({ "type": "message_start", "message": { "role": "assistant", "usage": usage } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": delta }),
    ];
    Turn::Events { events: events.iter().map(Value::to_string).collect(), hangs: true }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_known_of_a_call_that_is_cut_is_in_the_books() {
    let Some(dir) = ground() else { return };
    let dir = dir.path();
    let model = StandIn::of([begins("I begin.\n"), begins("Once more.\n")]).await;
    let url = model.url();
    let up = ["--claude", &url, "--claude-model", MODEL, "--workdir", "clone"];
    let _up = Up::start_with(dir, &up, &[("ANTHROPIC_API_KEY", KEY)]);
    let seen = dir.join("watch.out");
    let mut watch = agentcom(dir, &["watch", "--progress", "--after", "0"]);
    let watch = watch.stdout(File::create(&seen).unwrap()).spawn().unwrap();
    let _watch = Process(watch);
    let shows = |text: &str| std::fs::read_to_string(&seen).unwrap().contains(text);
    eventually("the feed is read", || shows("hub.founded"));
    let read = || json(dir, &["ledger", "all"])["accounts"][0]["day"].clone();
    for (number, says, cut) in [(1, "I begin.", "cancel"), (2, "Once more.", "estop")] {
        let id = run(dir, &TASK, 0);
        eventually("the model is at it", || shows(says));
        let about = [id.trim()];
        run(dir, &[&[cut], &about[..usize::from(cut == "cancel")]].concat(), 0);
        eventually("what it read is in the books", || read()["input_tokens"] == number * READ);
        let (day, spent) = (read(), json(dir, &["task", id.trim()])["spent"].clone());
        assert_eq!((&day["calls"], &spent["input_tokens"]), (&json!(number), &json!(READ)));
        // The answer counts as the longest that there is, and what was read as what the server told.
        let (all, micros) = (day["micros"].as_u64().unwrap(), spent["micros"].as_u64().unwrap());
        assert_eq!(all, number * micros);
        assert!(micros > READ * 3 && (micros - READ * 3).is_multiple_of(15), "{micros}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prices_are_listed_and_set_and_a_cap_needs_one() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let _up = Up::start(dir, &[]);
    let refused = run(dir, &["budget", "set", "model:mystery/day", "1"], 64);
    assert!(refused.is_empty());
    run(dir, &["price", "set", "mystery", "--input", "3", "--output", "15"], 0);
    run(dir, &["budget", "set", "model:mystery/day", "1"], 0);
    run(dir, &["price", "remove", "mystery"], 6);
    let prices = run(dir, &["price"], 0);
    assert!(prices.contains("mystery") && prices.contains("claude-opus-4-5"), "{prices}");
    run(dir, &["budget", "set", "week", "1"], 64);
    run(dir, &["budget", "set", "day", "a lot"], 64);
    run(dir, &["budget", "remove", "model:mystery/day"], 0);
    run(dir, &["price", "remove", "mystery"], 0);
}
