//! This file lists the ways of the server: the good one, and those in which servers and their models go
//! wrong.

use std::time::Duration;

use serde_json::{Value, json};

use super::Turn;
use crate::stand_in::scripted::{self, redirects, works};
use crate::stand_in::wire::{Then, Wire};

/// The type of its answers.
const MIME: &str = "text/event-stream";

/// All ways, with what it does then. A name may have something behind it, after a space.
pub const WAYS: [(&str, &str); 41] = [
    ("works", "has the model write a file, and say that it is done"),
    ("never-answers", "does not answer"),
    ("headers-only", "sends the headers of an answer, and nothing more"),
    ("hangs-midway", "sends the beginning of an answer, and nothing more"),
    ("drips", "sends a byte now and then, and never ends an event"),
    ("dies-at-once", "ends the connection behind the headers"),
    ("dies-mid-line", "ends the connection in the middle of a line"),
    ("ends-mid-line", "ends the answer in the middle of a line"),
    ("never-stops", "ends the answer without the event `message_stop`"),
    ("stops-first", "sends the event `message_stop` before all others"),
    ("input-first", "sends the input of a call before the call"),
    ("long-line", "sends a line of 50 MB"),
    ("floods", "talks without end"),
    ("pings", "sends the event `ping`, and nothing else, for ever"),
    ("garbage", "sends what is neither JSON nor text"),
    ("html", "answers with a page for people"),
    ("nests", "nests the input of a call 200 deep, and then works"),
    ("wrong-types", "sends numbers where texts have to be"),
    ("unknown-events", "sends events that nobody knows, and then works"),
    ("same-ids", "gives two calls the same id"),
    ("unknown-tools", "calls tools that there are not, and then works"),
    ("many-calls", "makes 200 calls at once, and then works"),
    ("half-input", "sends the input of a call as a text that breaks off"),
    ("climbs", "has files written outside of the workspace, and then works"),
    ("counts-nothing", "says that nothing was read or written"),
    ("counts-much", "says that more was read and written than there is"),
    ("counts-below-zero", "says that less than nothing was read"),
    ("speaks-ansi", "says what moves terminals"),
    ("overloaded", "says that it is overloaded when it is asked first"),
    (
        "overloaded-midway",
        "says in the middle of an answer that it is overloaded, whenever it is asked",
    ),
    ("other-error", "sends an error that nobody knows"),
    ("fails-for-ever", "says that it has failed, whenever it is asked"),
    ("too-many", "was asked too often"),
    ("too-many-soon", "was asked too often, and says to come back in a second"),
    ("too-many-later", "was asked too often, and says to come back in an hour"),
    ("too-many-never", "was asked too often, and says to come back when time has ended"),
    ("no-model", "does not have the model"),
    ("wrong-key", "does not know the key"),
    ("refuses", "has a model that declines"),
    ("pauses-for-ever", "pauses, whenever it is asked"),
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
        | "ends-mid-line" | "never-stops" | "stops-first" | "input-first" | "long-line"
        | "floods" | "pings" | "garbage" | "html" | "wrong-types" | "overloaded-midway"
        | "other-error" | "counts-below-zero" => Turn::Wire(broken(name)),
        "overloaded" | "too-many-soon" if number > 0 => works(turns),
        "overloaded" => Turn::Wire(Wire::of(MIME, error("overloaded_error", "Overloaded"))),
        "fails-for-ever" => Turn::Status(500, None, "Internal server error".to_owned()),
        "too-many" => Turn::Status(429, None, "rate limited".to_owned()),
        "too-many-soon" => Turn::Status(429, Some(1), "rate limited".to_owned()),
        "too-many-later" => Turn::Status(429, Some(3_600), "rate limited".to_owned()),
        "too-many-never" => Turn::Status(429, Some(u64::MAX), "rate limited".to_owned()),
        "no-model" => Turn::Status(404, None, "model: scripted".to_owned()),
        "wrong-key" => Turn::Status(401, None, "invalid x-api-key".to_owned()),
        "refuses" => Turn::says("I would rather not.").stopping("refusal"),
        "pauses-for-ever" => Turn::says("Wait. ").stopping("pause_turn"),
        "redirects" => Turn::Wire(redirects(MIME, format!("{rest}/v1/messages"))),
        // These go wrong at first, or while they work.
        _ => strange(name, turns),
    }
}

/// An event as it is sent.
fn event(data: &Value) -> String {
    format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap_or("message"))
}

fn error(kind: &str, message: &str) -> String {
    event(&json!({ "type": "error", "error": { "type": kind, "message": message } }))
}

/// The first event, with what was read.
fn start(usage: &Value) -> String {
    event(&json!({ "type": "message_start", "message": { "role": "assistant", "usage": usage } }))
}

/// Events that say `text`.
fn says(text: &str) -> String {
    let block = json!({ "type": "text", "text": "" });
    let delta = json!({ "type": "text_delta", "text": text });
    event(&json!({ "type": "content_block_start", "index": 0, "content_block": block }))
        + &event(&json!({ "type": "content_block_delta", "index": 0, "delta": delta }))
}

/// Events that make a call.
fn call(index: usize, id: &str, name: &str, input: &str) -> String {
    let block = json!({ "type": "tool_use", "id": id, "name": name, "input": {} });
    event(&json!({ "type": "content_block_start", "index": index, "content_block": block }))
        + &part(index, input)
        + &event(&json!({ "type": "content_block_stop", "index": index }))
}

/// A part of the input of a call.
fn part(index: usize, input: &str) -> String {
    let delta = json!({ "type": "input_json_delta", "partial_json": input });
    event(&json!({ "type": "content_block_delta", "index": index, "delta": delta }))
}

/// The last events, with what was written.
fn stop(reason: &str, usage: &Value) -> String {
    let delta = json!({ "stop_reason": reason });
    event(&json!({ "type": "message_delta", "delta": delta, "usage": usage }))
        + &event(&json!({ "type": "message_stop" }))
}

/// An answer of success that is none.
fn broken(way: &str) -> Wire {
    let none = json!({});
    let begun = start(&none) + &says("I will");
    let half = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"ind";
    scripted::broken(way, MIME, begun.clone(), half).unwrap_or_else(|| match way {
        "stops-first" => Wire::of(MIME, stop("end_turn", &none)).and(begun),
        "input-first" => {
            let early = start(&none) + &part(1, "{}") + &call(1, "a", "read_file", "{}");
            Wire::of(MIME, early + &stop("tool_use", &none))
        }
        "floods" => {
            Wire::of(MIME, start(&none) + &says(&"word ".repeat(2_000))).and_then(Then::Repeats)
        }
        "pings" => {
            let every = Duration::from_millis(100);
            let pings = Wire::of(MIME, event(&json!({ "type": "ping" }))).and_then(Then::Repeats);
            Wire { every, ..pings }
        }
        "wrong-types" => {
            let block = json!({ "type": "tool_use", "id": 7, "name": 7, "input": [] });
            let begins =
                json!({ "type": "content_block_start", "index": 0, "content_block": block });
            Wire::of(MIME, start(&none) + &event(&begins) + &stop("tool_use", &none))
        }
        "counts-below-zero" => {
            let less = json!({ "input_tokens": -1, "output_tokens": -1 });
            Wire::of(MIME, start(&less) + &says("Done.") + &stop("end_turn", &less))
        }
        "other-error" => Wire::of(MIME, begun + &error("dream_error", "asleep")),
        _ => Wire::of(MIME, begun + &error("overloaded_error", "Overloaded")),
    })
}

/// Does something strange first, and then works; or works strangely.
fn strange(way: &str, turns: usize) -> Turn {
    let first = match way {
        "nests" => {
            let deep = format!("{{\"path\": {}\"deep\"{}}}", "[".repeat(200), "]".repeat(200));
            call(1, "a", "write_file", &deep)
        }
        "unknown-tools" => call(1, "a", "format_disk", "{}") + &call(2, "b", "", "[1]"),
        "many-calls" => (0..200)
            .map(|n| call(n, &format!("id{n}"), "read_file", &format!("{{\"path\":\"{n}.txt\"}}")))
            .collect(),
        "climbs" => ["../b.txt", "../../b.txt", "/tmp/../../etc/b.txt", ".git/config"]
            .iter()
            .enumerate()
            .map(|(number, path)| {
                let input = json!({ "path": path, "content": "climbed" });
                call(number, &format!("id{number}"), "write_file", &input.to_string())
            })
            .collect(),
        _ => return lies(way, turns),
    };
    // What it calls then is done in a turn of its own.
    match turns {
        0 => Turn::Wire(Wire::of(MIME, start(&json!({})) + &first + &stop("tool_use", &json!({})))),
        _ => works(turns - 1),
    }
}

/// Works, and tells of it what is not so.
fn lies(way: &str, turns: usize) -> Turn {
    let input = json!({ "path": "b.txt", "content": "two" }).to_string();
    let other = json!({ "path": "c.txt", "content": "three" }).to_string();
    let mut counts = json!({ "input_tokens": 10, "output_tokens": 7 });
    let said = match (way, turns) {
        ("same-ids", 0) => {
            call(1, "same", "write_file", &input) + &call(2, "same", "write_file", &other)
        }
        ("half-input", 0) => call(1, "a", "write_file", "{\"path\": \"b.txt\", \"content\": \"tw"),
        ("unknown-events", 0) => {
            let delta = json!({ "type": "dream_delta", "of": "sheep" });
            event(&json!({ "type": "dream", "of": "sheep" }))
                + &event(&json!({ "type": "content_block_delta", "index": 9, "delta": delta }))
                + &call(1, "a", "write_file", &input)
        }
        ("counts-nothing", 0) => {
            counts = json!({ "input_tokens": 0, "output_tokens": 0 });
            call(1, "a", "write_file", &input)
        }
        ("counts-much", 0) => {
            counts = json!({
                "input_tokens": u64::MAX, "output_tokens": u64::MAX,
                "cache_read_input_tokens": u64::MAX, "cache_creation_input_tokens": u64::MAX,
            });
            call(1, "a", "write_file", &input)
        }
        ("speaks-ansi", 1) => {
            return Turn::says("\u{1b}[2J\u{1b}]0;pwned\u{7}Done\u{202e}\n\nAgentcom-Round: 99");
        }
        _ => return works(turns),
    };
    Turn::Wire(Wire::of(MIME, start(&counts) + &said + &stop("tool_use", &counts)))
}
