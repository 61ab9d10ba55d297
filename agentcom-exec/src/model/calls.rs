//! This file finds out which tools a model calls, in whatever way it says so.
//!
//! Three layers, the first of which that finds a call decides:
//!
//! 1. calls that the server has understood already;
//! 2. `<tool_call>` blocks, with JSON within, or with `<function=…>` and `<parameter=…>` as Qwen3
//!    writes them; the closing tags may be missing, and around a function of a tool that there is
//!    the opening one as well;
//! 3. JSON objects anywhere in the text, also in code fences, that name a tool that there is.
//!
//! What a model thinks (`<think>`) is no call. Arguments are mended where they are no JSON, and
//! brought to the types that the tool's schema names. A long name that no tool has is cut. What is
//! meant to be a call and cannot be mended is told apart from text ([`Reply::unreadable`]), so that
//! the model hears of it.

mod unreadable;

use serde_json::{Map, Value};

use super::{Call, Reply, Unreadable, repair};
use crate::tool::Spec;

/// How much is kept of a name that no tool has, in bytes: all of it is said again in each request, which
/// has to have room for other things.
const NAME_BYTES_MAX: usize = 128;

/// What was found in a text.
#[derive(Default)]
struct Found {
    calls: Vec<Call>,
    unreadable: Vec<Unreadable>,
    /// What is no call.
    rest: String,
}

impl Found {
    fn is_nothing(&self) -> bool {
        self.calls.is_empty() && self.unreadable.is_empty()
    }
}

/// Puts the calls of `reply` into `reply.calls`, those that cannot be read into `reply.unreadable`, and
/// leaves in its text what is not a call.
pub fn settle(reply: &mut Reply, tools: &[Spec]) {
    let (said, thought) = without_thinking(&reply.text);
    if !thought.is_empty() {
        reply.thinking.push_str(&thought);
        reply.text = said;
    }
    if reply.calls.is_empty() {
        let ways = [tagged, functions, bare];
        let found = ways.iter().map(|way| way(&reply.text, tools)).find(|it| !it.is_nothing());
        let found = found.unwrap_or_default();
        if !found.is_nothing() {
            Found { calls: reply.calls, unreadable: reply.unreadable, rest: reply.text } = found;
        }
    }
    for call in &mut reply.calls {
        let spec = tools.iter().find(|spec| spec.name == call.name);
        if spec.is_none() {
            call.name.truncate(call.name.floor_char_boundary(NAME_BYTES_MAX));
        }
        call.input = fitted(std::mem::take(&mut call.input), spec);
    }
}

/// A text without what is between `<think>` and `</think>`, and that.
fn without_thinking(text: &str) -> (String, String) {
    const BEGIN: &str = "<think>";
    const END: &str = "</think>";
    let (mut said, mut thought) = (String::new(), String::new());
    let mut rest = text;
    // Some templates write the beginning themselves, so that only the end is seen.
    if let Some(end) = rest.find(END)
        && rest.find(BEGIN).is_none_or(|begin| begin > end)
    {
        thought.push_str(&rest[..end]);
        rest = &rest[end + END.len()..];
    }
    while let Some(begin) = rest.find(BEGIN) {
        said.push_str(&rest[..begin]);
        let inner = &rest[begin + BEGIN.len()..];
        let end = inner.find(END);
        thought.push_str(&inner[..end.unwrap_or(inner.len())]);
        rest = end.map_or("", |end| &inner[end + END.len()..]);
    }
    said.push_str(rest);
    (said.trim().to_owned(), thought)
}

/// Calls in `<tool_call>` blocks, and the text around them.
fn tagged(text: &str, tools: &[Spec]) -> Found {
    const BEGIN: &str = "<tool_call>";
    const END: &str = "</tool_call>";
    let mut found = Found::default();
    let mut rest = text;
    while let Some(begin) = rest.find(BEGIN) {
        found.rest.push_str(&rest[..begin]);
        let inner = &rest[begin + BEGIN.len()..];
        let next = inner.find(BEGIN).unwrap_or(inner.len());
        let end = inner[..next].find(END);
        let block = &inner[..end.unwrap_or(next)];
        let after = &inner[end.map_or(next, |end| end + END.len())..];
        match within(block) {
            calls if !calls.is_empty() => found.calls.extend(calls),
            _ => {
                let before = &text[..text.len() - rest.len() + begin];
                let unreadable = unreadable::in_block(before, block, tools);
                if unreadable.is_some() {
                    // The model sees what is spoken of.
                    found.rest.push_str(&rest[begin..rest.len() - after.len()]);
                }
                let room = unreadable::COUNT_MAX - found.unreadable.len();
                found.unreadable.extend(unreadable.into_iter().take(room));
            }
        }
        rest = after;
    }
    found.rest.push_str(rest);
    found.rest = found.rest.trim().to_owned();
    found
}

/// The calls that a block is: one, or some functions.
fn within(block: &str) -> Vec<Call> {
    let functions: Vec<Call> = each_function(block).filter_map(function).collect();
    if !functions.is_empty() {
        return functions;
    }
    let written = repair::read(block).as_ref().and_then(call);
    // Something may stand around it, such as a bracket too many.
    let first = || call(&first_value(&block[block.find('{')?..])?.0);
    written.or_else(first).into_iter().collect()
}

/// Functions of tools that there are, each of which begins a line, where `<tool_call>` was left out.
fn functions(text: &str, tools: &[Spec]) -> Found {
    let begins = |(at, _): &(usize, &str)| unreadable::begins_line(&text[..*at], " \t");
    let Some((at, _)) = text.match_indices(FUNCTION).find(begins) else { return Found::default() };
    let known = |call: &Call| tools.iter().any(|tool| tool.name == call.name);
    let calls: Vec<Call> = each_function(&text[at..]).filter_map(function).collect();
    if calls.iter().any(known) {
        return Found { calls, rest: text[..at].trim().to_owned(), ..Found::default() };
    }
    let unreadable = unreadable::in_block(&text[..at], &text[at..], tools);
    let unreadable = unreadable.filter(|it| it.name.is_some()).into_iter().collect();
    Found { unreadable, rest: text.to_owned(), ..Found::default() }
}

/// Each function in a text: where one ends, and only white space and tags come before the next.
fn each_function(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let from = rest.find(FUNCTION)?;
        let here = &rest[from..];
        let ends = here.match_indices(END_OF_FUNCTION).map(|(at, end)| at + end.len());
        let is_next = |&at: &usize| {
            let after = here[at..].trim_start();
            let after = after.strip_prefix("</tool_call>").unwrap_or(after).trim_start();
            after.starts_with(FUNCTION)
        };
        let end = ends.into_iter().find(is_next).unwrap_or(here.len());
        rest = &here[end..];
        Some(&here[..end])
    })
}

/// How a function begins, and ends.
const FUNCTION: &str = "<function=";
const END_OF_FUNCTION: &str = "</function>";

/// The value that a text begins with, and where it ends.
fn first_value(text: &str) -> Option<(Value, usize)> {
    let mut values = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let value = values.next()?.ok()?;
    Some((value, values.byte_offset()))
}

/// `<function=NAME> <parameter=NAME> VALUE </parameter> … </function>`
fn function(block: &str) -> Option<Call> {
    let inner = &block[block.find(FUNCTION)? + FUNCTION.len()..];
    let (name, mut rest) = inner.split_once('>')?;
    let mut input = Map::new();
    while let Some(begin) = rest.find("<parameter=") {
        let (parameter, after) = rest[begin + "<parameter=".len()..].split_once('>')?;
        let ends = ["</parameter>", "<parameter=", END_OF_FUNCTION];
        let end = ends.iter().filter_map(|end| after.find(end)).min().unwrap_or(after.len());
        // The line that the value stands on its own on is not part of it.
        let value = &after[..end];
        let value = value.strip_prefix('\n').unwrap_or(value);
        let value = value.strip_suffix('\n').unwrap_or(value);
        input.insert(parameter.trim().to_owned(), value.into());
        rest = &after[end..];
    }
    Some(Call { id: None, name: name.trim().to_owned(), input: Value::Object(input) })
}

/// How often something that begins like JSON is tried to be mended, which takes as long as the rest
/// of the text is.
const MENDED_MAX: usize = 4;

/// How often something may begin like JSON and be none, before the rest of the text is left alone. Each
/// takes as long as it is deep.
const TRIED_MAX: usize = 4096;

/// Calls of tools that there are, as JSON anywhere in the text, and the text around them.
fn bare(text: &str, tools: &[Spec]) -> Found {
    let mut found = Found::default();
    let mut rest = text;
    let (mut mended, mut tried) = (0, 0);
    while let Some(begin) = rest.find(['{', '[']).filter(|_| tried < TRIED_MAX) {
        let (at, here) = (text.len() - rest.len() + begin, &rest[begin..]);
        let whole = first_value(here);
        let unreadable = match whole {
            Some(_) => None,
            None => unreadable::in_text(&text[..at], here, tools),
        };
        let value = match whole {
            Some((value, end)) => Some((value, begin + end)),
            // What does not end is mended, if the rest of the text is a call.
            None if mended < MENDED_MAX || unreadable.is_some() => {
                mended += 1;
                repair::read(here).map(|value| (value, rest.len()))
            }
            None => None,
        };
        let calls = value.map(|(value, end)| (called(&value, tools), end));
        let next = match calls {
            Some((calls, end)) if !calls.is_empty() => {
                found.rest.push_str(&rest[..begin]);
                found.calls.extend(calls);
                end
            }
            // Nobody knows where it ends; what looks like a call in it may be what it was to write.
            Some(_) | None if unreadable.is_some() => {
                found.unreadable.extend(unreadable);
                break;
            }
            Some(_) | None => {
                tried += 1;
                let next = begin + 1;
                found.rest.push_str(&rest[..next]);
                next
            }
        };
        rest = &rest[next..];
    }
    found.rest.push_str(rest);
    found.rest = found.rest.trim().to_owned();
    found
}

/// The calls that a value is: one, or a list of nothing else.
fn called(value: &Value, tools: &[Spec]) -> Vec<Call> {
    let known = |call: &Call| tools.iter().any(|spec| spec.name == call.name);
    let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
    let calls: Option<Vec<Call>> = values.iter().map(|value| call(value).filter(known)).collect();
    calls.unwrap_or_default()
}

/// A call as models write it: `{"name": …, "arguments": {…}}`, and what they make of that.
fn call(value: &Value) -> Option<Call> {
    let object = value.as_object()?;
    if let Some(inner) = object.get("function").filter(|inner| inner.is_object()) {
        return call(inner);
    }
    let name =
        ["name", "tool", "tool_name", "function"].iter().find_map(|key| object.get(*key)?.as_str());
    let inputs = ["arguments", "parameters", "input", "args"];
    let input = inputs.iter().find_map(|key| object.get(*key));
    Some(Call {
        id: object.get("id").and_then(Value::as_str).map(str::to_owned),
        name: name?.to_owned(),
        input: input.cloned().unwrap_or_else(|| Value::Object(Map::new())),
    })
}

/// An input as an object whose fields have the types that the schema names.
fn fitted(input: Value, spec: Option<&Spec>) -> Value {
    // Arguments may come within a string, or not at all.
    let read = input.as_str().and_then(repair::read);
    let input = read.unwrap_or(input);
    let input = if input.is_null() { Value::Object(Map::new()) } else { input };
    let (Value::Object(mut fields), Some(spec)) = (input.clone(), spec) else { return input };
    for (name, value) in &mut fields {
        let Some(text) = value.as_str() else { continue };
        let wanted = spec.input["properties"][name]["type"].as_str();
        let read = match wanted {
            Some("integer") => text.trim().parse::<i64>().ok().map(Value::from),
            Some("number") => text.trim().parse::<f64>().ok().map(Value::from),
            Some("boolean") => text.trim().to_lowercase().parse::<bool>().ok().map(Value::from),
            Some("object" | "array") => repair::read(text),
            _ => None,
        };
        if let Some(read) = read {
            *value = read;
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests;
