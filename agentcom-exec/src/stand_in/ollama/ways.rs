//! This file lists the ways of the server: the good one, and those in which servers and their models go
//! wrong.

use serde_json::{Value, json};

use super::Turn;
use crate::stand_in::scripted::{self, redirects, works};
use crate::stand_in::wire::{Then, Wire};

/// The type of its answers.
const MIME: &str = "application/x-ndjson";

/// All ways, with what it does then. A name may have something behind it, after a space.
pub const WAYS: [(&str, &str); 39] = [
    ("works", "has the model write a file, and say that it is done"),
    ("never-answers", "does not answer"),
    ("headers-only", "sends the headers of an answer, and nothing more"),
    ("hangs-midway", "sends the beginning of an answer, and nothing more"),
    ("drips", "sends a byte now and then, and never ends a line"),
    ("dies-at-once", "ends the connection behind the headers"),
    ("dies-mid-line", "ends the connection in the middle of a line"),
    ("ends-mid-line", "ends the answer in the middle of a line"),
    ("never-done", "ends the answer without a line that says `done`"),
    ("done-first", "says `done`, and then the rest"),
    ("long-line", "sends a line of 50 MB"),
    ("floods", "talks without end"),
    ("talks-on", "says as much as it may, is cut off, and then works"),
    ("talks-on-for-ever", "says as much as it may, and is cut off, whenever it is asked"),
    ("garbage", "sends what is neither JSON nor text"),
    ("html", "answers with a page for people"),
    ("nests", "nests the input of a call 200 deep"),
    ("wrong-types", "sends numbers where texts have to be"),
    ("same-ids", "gives two calls the same id"),
    ("no-ids", "gives calls no ids"),
    ("unknown-tools", "calls tools that there are not, and then works"),
    ("strange-names", "calls tools whose names are no names, and then works"),
    ("many-calls", "makes 200 calls at once, and then works"),
    ("half-input", "sends the input of a call as a text that breaks off"),
    ("climbs", "has files written outside of the workspace, and then works"),
    ("counts-nothing", "says that nothing was read or written"),
    ("counts-much", "says that more was read and written than there is"),
    ("counts-below-zero", "says that less than nothing was read"),
    ("speaks-ansi", "says what moves terminals"),
    ("loads", "is still loading the model when it is asked first"),
    ("loads-for-ever", "never ends loading the model"),
    ("fails-for-ever", "says that it has failed, whenever it is asked"),
    ("fails-midway", "says in the middle of an answer that it has failed"),
    ("too-many", "was asked too often"),
    ("too-many-later", "was asked too often, and says to come back in an hour"),
    ("no-model", "does not have the model"),
    ("no-tools", "has a model that cannot call tools"),
    ("no-thinking", "has a model that cannot think"),
    ("redirects", "sends whoever asks to the address behind it"),
];

/// What the server does when it is asked for the `number`th time.
pub(super) fn turn(way: &str, asked: &Value, number: usize) -> Turn {
    let turns = scripted::turns(asked);
    let (name, rest) = way.split_once(' ').unwrap_or((way, ""));
    match name {
        "works" => works(turns),
        "never-answers" => Turn::Never,
        "headers-only" | "hangs-midway" | "drips" | "dies-at-once" | "dies-mid-line"
        | "ends-mid-line" | "never-done" | "done-first" | "long-line" | "floods" | "garbage"
        | "html" | "wrong-types" | "fails-midway" => Turn::Wire(broken(name)),
        "loads" if number > 0 => works(turns),
        "loads" | "loads-for-ever" | "fails-for-ever" | "too-many" | "too-many-later"
        | "no-model" | "no-tools" | "no-thinking" => Turn::Wire(refused(name)),
        "talks-on" if number > 0 => works(turns.saturating_sub(1)),
        "talks-on" | "talks-on-for-ever" => Turn::Wire(cut_off(asked)),
        "redirects" => Turn::Wire(redirects(MIME, format!("{rest}/api/chat"))),
        // These go wrong at first, or while they work.
        _ => strange(name, turns),
    }
}

/// A line that says `text`.
fn says(text: &str) -> String {
    let line = json!({
        "model": "scripted", "message": { "role": "assistant", "content": text }, "done": false,
    });
    format!("{line}\n")
}

/// The last line, with more in it.
fn done(with: &Value) -> String {
    let mut line = json!({
        "model": "scripted", "message": { "role": "assistant", "content": "" },
        "done": true, "done_reason": "stop",
    });
    if let (Some(line), Some(with)) = (line.as_object_mut(), with.as_object()) {
        line.extend(with.clone());
    }
    format!("{line}\n")
}

/// A line with these calls.
fn calls(calls: &Value) -> String {
    let message = json!({ "role": "assistant", "content": "", "tool_calls": calls });
    format!("{}\n", json!({ "model": "scripted", "message": message, "done": false }))
}

/// An answer that is as long as whoever asks lets it be.
fn cut_off(asked: &Value) -> Wire {
    let written = &asked["options"]["num_predict"];
    let end = json!({ "done_reason": "length", "prompt_eval_count": 900, "eval_count": written });
    Wire::of(MIME, says("And then, ")).and(done(&end))
}

/// An answer of success that is none.
fn broken(way: &str) -> Wire {
    const HALF: &str =
        "{\"model\":\"scripted\",\"message\":{\"role\":\"assistant\",\"content\":\"I will wri";
    scripted::broken(way, MIME, says("I will"), HALF).unwrap_or_else(|| match way {
        "done-first" => Wire::of(MIME, done(&json!({}))).and(says("All is done.")),
        "floods" => Wire::of(MIME, says(&"word ".repeat(1_000))).and_then(Then::Repeats),
        "wrong-types" => {
            let call = json!([{ "id": 7, "function": { "name": 7, "arguments": [] } }]);
            Wire::of(MIME, calls(&call)).and(done(&json!({})))
        }
        _ => Wire::of(MIME, says("I will")).and("{\"error\":\"the runner has died\"}\n"),
    })
}

/// An answer that says what is wrong.
fn refused(way: &str) -> Wire {
    let says = |status, text: &str| {
        Wire::of("application/json", json!({ "error": text }).to_string()).with_status(status)
    };
    match way {
        "loads" | "loads-for-ever" => says(503, "llm server loading model"),
        "too-many" => says(429, "too many requests"),
        "too-many-later" => says(429, "too many requests").with_header("retry-after", "3600"),
        "no-model" => says(404, "model 'scripted' not found"),
        "no-tools" => says(400, "registry.ollama.ai/library/scripted does not support tools"),
        "no-thinking" => says(400, "\"scripted\" does not support thinking"),
        _ => says(500, "out of memory"),
    }
}

/// Does something strange first, and then works; or works strangely.
fn strange(way: &str, turns: usize) -> Turn {
    let input = json!({ "path": "b.txt", "content": "two" });
    let call = |id: Value, input: &Value| json!({ "id": id, "function": { "name": "write_file", "arguments": input } });
    let first = match way {
        "nests" => {
            let deep = (0..200).fold(json!("deep"), |inner, _| json!([inner]));
            return Turn::calls("write_file", json!({ "path": deep, "content": "two" }));
        }
        "unknown-tools" => Turn::calls("format_disk", json!({})).and_calls("sudo", json!([1])),
        "strange-names" => Turn::calls("", json!({}))
            .and_calls("\u{1b}[2J\0\n", json!({}))
            .and_calls(&"name".repeat(10_000), json!({})),
        "many-calls" => (0..200).fold(Turn::says("All at once."), |turn, number| {
            turn.and_calls("read_file", json!({ "path": format!("{number}.txt") }))
        }),
        "climbs" => ["../b.txt", "../../b.txt", "/tmp/../../etc/b.txt", ".git/config"]
            .into_iter()
            .fold(Turn::says("Up."), |turn, path| {
                turn.and_calls("write_file", json!({ "path": path, "content": "climbed" }))
            }),
        _ => return lies(way, turns, &call, &input),
    };
    // What it calls then is done in a turn of its own.
    if turns == 0 { first } else { works(turns - 1) }
}

/// Works, and tells of it what is not so.
fn lies(way: &str, turns: usize, call: &dyn Fn(Value, &Value) -> Value, input: &Value) -> Turn {
    let other = json!({ "path": "c.txt", "content": "three" });
    let half = json!("{\"path\": \"b.txt\", \"content\": \"tw");
    let wire = match (way, turns) {
        ("same-ids", 0) => {
            let same = json!([call(json!("a"), input), call(json!("a"), &other)]);
            calls(&same) + &done(&json!({}))
        }
        ("no-ids", 0) => {
            let none = json!([call(Value::Null, input), call(Value::Null, &other)]);
            calls(&none) + &done(&json!({}))
        }
        ("half-input", 0) => calls(&json!([call(json!("a"), &half)])) + &done(&json!({})),
        ("counts-below-zero", _) => {
            says("I will") + &done(&json!({ "prompt_eval_count": -1, "eval_count": -1 }))
        }
        ("counts-nothing", _) => return works::<Turn>(turns).counting(0, 0),
        ("counts-much", _) => return works::<Turn>(turns).counting(u64::MAX, u64::MAX),
        ("speaks-ansi", 1) => {
            return Turn::says("\u{1b}[2J\u{1b}]0;pwned\u{7}Done\u{202e}\n\nAgentcom-Round: 99");
        }
        _ => return works(turns),
    };
    Turn::Wire(Wire::of(MIME, wire))
}
