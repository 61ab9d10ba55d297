//! This file keeps what was said within the length that a model can read.
//!
//! The system's words and the task are always kept. When room is short, what tools said a while ago
//! is shortened first; then the oldest turns are left out as a whole, with a line for each call.
//! Everything is reckoned in tokens by the length of the text, which errs on the safe side for
//! source text.

use agentcom_core::agentic::Sent;
use serde_json::Value;

use super::{Message, Reply, Request};

/// How many bytes of text a token stands for, to be on the safe side.
const BYTES_PER_TOKEN: u64 = 3;

/// How many bytes a token stands for at the most, on average of what agents send.
pub(crate) const BYTES_PER_TOKEN_MAX: u64 = 6;

/// How many of the latest messages are left as they are, as long as possible.
const LATEST: usize = 6;

/// What is left of what a tool said a while ago, in bytes.
const SHORTENED_BYTES: usize = 400;

/// How many tokens a request takes to read, at most.
#[must_use]
pub fn tokens(request: &Request<'_>) -> u64 {
    bytes(request).div_ceil(BYTES_PER_TOKEN)
}

/// How many tokens it takes at the least. A model that has read less has not read all of it.
#[must_use]
pub fn tokens_at_least(request: &Request<'_>) -> u64 {
    bytes(request) / BYTES_PER_TOKEN_MAX
}

/// How long all of it is, with what a template writes around each message.
fn bytes(request: &Request<'_>) -> u64 {
    let tools = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.input.to_string().len());
    let messages = request.messages.iter().map(length);
    (request.system.len() + tools.chain(messages).sum::<usize>()) as u64
}

/// How much is sent.
pub(crate) fn sent(request: &Request<'_>) -> Sent {
    let calls = |message: &Message| match message {
        Message::Model(reply) => reply.calls.len(),
        Message::User(_) | Message::Tool { .. } => 0,
    };
    let calls: usize = request.messages.iter().map(calls).sum();
    let parts = calls + request.messages.len() + request.tools.len();
    Sent { bytes: bytes(request), parts: parts as u64 }
}

fn length(message: &Message) -> usize {
    /// What a template writes around a message.
    const FRAME: usize = 16;
    FRAME
        + match message {
            Message::User(text) => text.len(),
            Message::Model(reply) => {
                let calls = reply.calls.iter();
                let calls = calls.map(|call| call.name.len() + call.input.to_string().len());
                reply.text.len() + reply.thinking.len() + calls.sum::<usize>()
            }
            Message::Tool { call, content } => call.name.len() + content.len(),
        }
}

/// Shortens `messages` until the request takes at most `tokens_max` tokens, and says whether it does.
/// The first message, which is the task, stays.
pub fn fit(
    system: &str,
    messages: &mut Vec<Message>,
    tools: &[crate::tool::Spec],
    tokens_max: u64,
) -> bool {
    let fits = |messages: &[Message]| {
        tokens(&Request { system, messages, tools, ..Request::default() }) <= tokens_max
    };
    if fits(messages) {
        return true;
    }
    let old = 1..messages.len().saturating_sub(LATEST).max(1);
    for at in old {
        shorten(&mut messages[at]);
        if fits(messages) {
            return true;
        }
    }
    while let Some(turn) = oldest_turn(messages) {
        let left_out: Vec<Message> = messages.drain(turn).collect();
        note(messages, &left_out);
        if fits(messages) {
            return true;
        }
    }
    for message in messages.iter_mut().skip(1) {
        shorten(message);
    }
    fits(messages)
}

/// The first turn of the model with what its tools said, unless it is the last.
fn oldest_turn(messages: &[Message]) -> Option<std::ops::Range<usize>> {
    let is_model = |message: &Message| matches!(message, Message::Model(_));
    let begin = messages.iter().position(is_model)?;
    let end = begin + 1 + messages[begin + 1..].iter().position(is_model)?;
    Some(begin..end)
}

/// Remembers in the task's message what was left out.
fn note(messages: &mut [Message], left_out: &[Message]) {
    const HEADING: &str = "\n\nEarlier steps, left out for room:";
    /// As much of it as is kept, in bytes.
    const NOTES_BYTES_MAX: usize = 2_000;
    let Some(Message::User(task)) = messages.first_mut() else { return };
    if !task.contains(HEADING) {
        task.push_str(HEADING);
    }
    let heading = task.rfind(HEADING).unwrap_or(task.len());
    for message in left_out {
        let Message::Tool { call, content } = message else { continue };
        if task.len() - heading < NOTES_BYTES_MAX {
            task.push_str(&format!("\n- {}", summary(&call.name, &call.input, content)));
        }
    }
}

/// A call and its outcome in a line.
#[must_use]
pub fn summary(name: &str, input: &Value, content: &str) -> String {
    let told: Value = serde_json::from_str(content).unwrap_or_default();
    let went = match (&told["ok"], told["exit_code"].as_i64()) {
        (Value::Bool(true), _) if told["disk_full"] == true => "disk full".to_owned(),
        (Value::Bool(true), _) if told["too_many_processes"] == true => {
            "too many processes".to_owned()
        }
        (Value::Bool(true), _) if told["out_of_memory"] == true => "out of memory".to_owned(),
        (Value::Bool(true), Some(code)) if code != 0 => format!("exit code {code}"),
        (Value::Bool(true), None) if told["timed_out"] == true => "timed out".to_owned(),
        (Value::Bool(true), _) => "ok".to_owned(),
        _ => told["error"].as_str().unwrap_or("failed").replace('_', " "),
    };
    let subject =
        ["path", "file_path", "command", "pattern"].iter().find_map(|key| input[key].as_str());
    let subject = subject.map_or_else(String::new, |text| {
        let line = text.lines().next().unwrap_or_default();
        format!(" {}", &line[..line.floor_char_boundary(80)])
    });
    format!("{name}{subject}: {went}")
}

fn shorten(message: &mut Message) {
    match message {
        Message::Tool { content, .. } => {
            if content.len() > SHORTENED_BYTES
                && let Ok(mut told) = serde_json::from_str::<Value>(content)
            {
                cut_fields(&mut told);
                *content = told.to_string();
            }
            // What has many fields is still long.
            cut(content, 2 * SHORTENED_BYTES);
        }
        Message::Model(Reply { text, thinking, calls, .. }) => {
            cut(text, 2 * SHORTENED_BYTES);
            thinking.clear();
            calls.iter_mut().for_each(|call| cut_fields(&mut call.input));
        }
        Message::User(_) => {}
    }
}

/// Cuts the texts in an object, which stays one.
fn cut_fields(value: &mut Value) {
    for field in value.as_object_mut().into_iter().flat_map(|fields| fields.values_mut()) {
        if let Value::String(text) = field {
            cut(text, SHORTENED_BYTES);
        }
    }
}

fn cut(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        let left_out = text.len() - bytes_max;
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push_str(&format!("… [{left_out} bytes left out]"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Call;
    use serde_json::json;

    fn turn(number: usize, size: usize) -> [Message; 2] {
        let call = Call {
            id: None,
            name: "read_file".into(),
            input: json!({ "path": number.to_string() }),
        };
        let content = format!("{{\"ok\":true,\"content\":\"{}\"}}", "x".repeat(size));
        let calls = vec![call.clone()];
        [
            Message::Model(Reply { calls, thinking: "hm".repeat(50), ..Reply::default() }),
            Message::Tool { call, content },
        ]
    }

    fn history(turns: usize, size: usize) -> Vec<Message> {
        let turns = (0..turns).flat_map(|number| turn(number, size));
        std::iter::once(Message::User("Mend it".into())).chain(turns).collect()
    }

    #[test]
    fn what_fits_is_left_as_it_is() {
        let mut messages = history(5, 1000);
        let before = messages.clone();
        assert!(fit("system", &mut messages, &[], 10_000));
        assert_eq!(messages, before);
    }

    #[test]
    fn old_answers_of_tools_are_shortened_first_and_the_latest_last() {
        let mut messages = history(10, 3000);
        assert!(fit("system", &mut messages, &[], 5_000));
        assert_eq!(messages.len(), 21);
        assert!(length(&messages[2]) < 600 && length(&messages[20]) > 3000);
    }

    #[test]
    fn then_the_oldest_turns_are_left_out_and_noted_in_the_task() {
        let mut messages = history(40, 3000);
        assert!(fit("system", &mut messages, &[], 4_000));
        let Message::User(task) = &messages[0] else { panic!("the task is gone") };
        assert!(
            task.starts_with("Mend it\n\nEarlier steps, left out for room:\n- read_file 0: ok")
        );
        assert!(messages.len() > 3, "{}", messages.len());
        // An answer never stands without the turn that asked for it.
        assert!(matches!(messages[1], Message::Model(_)));
    }

    #[test]
    fn an_answer_that_filled_the_context_leaves_room_for_the_next() {
        let rambling = Reply { text: "and so on. ".repeat(500), ..Reply::default() };
        let mut messages = history(0, 0);
        messages.extend([Message::Model(rambling), Message::User("Go on in smaller steps".into())]);
        assert!(fit("system", &mut messages, &[], 400));
        let Message::Model(reply) = &messages[1] else { panic!("the answer is gone") };
        assert!(reply.text.starts_with("and so on. ") && reply.text.ends_with("bytes left out]"));
    }

    #[test]
    fn whatever_was_said_fits_or_it_is_said_that_it_does_not() {
        for turns in [0, 1, 2, 7, 30] {
            for size in [0, 500, 5_000, 50_000] {
                for most in [10, 300, 1_000, 3_000, 20_000] {
                    let mut messages = history(turns, size);
                    let fits = fit("system", &mut messages, &[], most);
                    let request =
                        Request { system: "system", messages: &messages, ..Request::default() };
                    assert_eq!(fits, tokens(&request) <= most, "{turns} {size} {most}");
                    assert!(fits || most <= 1_000, "{turns} {size} {most}");
                    assert!(
                        matches!(&messages[0], Message::User(task) if task.starts_with("Mend it"))
                    );
                }
            }
        }
    }
}
