//! This file tells what is meant to be a call, and cannot be read as one, from text that only speaks of
//! calls.
//!
//! | where | what is meant to be a call |
//! |---|---|
//! | in a `<tool_call>` block | what names a tool that there is; and on a line of its own, what begins like JSON or `<function=` |
//! | anywhere else | what begins a line with the name of a tool that there is, and has arguments |
//!
//! What stands in quotes of code (`` ` ``) is only spoken of.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::model::Unreadable;
use crate::tool::Spec;

/// So many of a text are told.
pub(super) const COUNT_MAX: usize = 4;

/// How much is kept of what one looks like, in bytes.
const TEXT_BYTES_MAX: usize = 400;

/// What a `<tool_call>` block is meant for that stands behind `before` and is no call; nothing if it is
/// only spoken of.
pub(super) fn in_block(before: &str, block: &str, tools: &[Spec]) -> Option<Unreadable> {
    if before.ends_with('`') {
        return None;
    }
    let named = NAMED.captures_iter(block).filter_map(|found| known(found.get(1)?.as_str(), tools));
    let name = named.into_iter().next();
    let is_meant = name.is_some() || (begins_line(before, " \t") && LIKE_A_CALL.is_match(block));
    let why = || match serde_json::from_str::<Value>(block) {
        _ if block.contains("<function") => {
            "`<function=NAME>` and `<parameter=NAME>` are not whole".to_owned()
        }
        Ok(_) => "it does not say, by `name`, which tool is called".to_owned(),
        Err(error) => no_json(&error),
    };
    is_meant.then(|| of(name, block, why()))
}

/// What the text from `here` on is meant for, which stands behind `before` and does not begin with JSON;
/// nothing if it is no call.
pub(super) fn in_text(before: &str, here: &str, tools: &[Spec]) -> Option<Unreadable> {
    let named = BEGINS.captures(here)?.get(1)?.as_str();
    let name =
        known(named, tools).filter(|_| begins_line(before, " \t[") && ARGUED.is_match(here))?;
    let mut values = serde_json::Deserializer::from_str(here).into_iter::<Value>();
    let why = values.next()?.err().map(|error| no_json(&error))?;
    Some(of(Some(name), here, why))
}

fn of(name: Option<String>, text: &str, why: String) -> Unreadable {
    let text = text.trim();
    let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
    Unreadable { name, text, why }
}

fn no_json(error: &serde_json::Error) -> String {
    format!("it is no JSON: {error}")
}

/// Whether nothing but these characters stands before it in its line.
pub(super) fn begins_line(before: &str, but: &str) -> bool {
    let before = before.trim_end_matches(|c| but.contains(c));
    before.is_empty() || before.ends_with('\n')
}

fn known(name: &str, tools: &[Spec]) -> Option<String> {
    tools.iter().find(|tool| tool.name == name.trim()).map(|tool| tool.name.clone())
}

/// A tool that is named, somehow.
static NAMED: LazyLock<Regex> = LazyLock::new(|| {
    regex(r#"(?:\b(?:name|tool|tool_name|function)["']?\s*[:=]\s*["']?)([A-Za-z0-9_.-]{1,128})"#)
});

/// What begins like an object or a list, or is one of Qwen's functions.
static LIKE_A_CALL: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"^\s*(?:[\[{][\[{\s]*["'A-Za-z_]|<function)"#));

/// An object whose first field names a tool.
static BEGINS: LazyLock<Regex> = LazyLock::new(|| {
    regex(concat!(
        r#"^\{\s*(?:["']type["']\s*:\s*["']function["']\s*,\s*)?(?:["']function["']\s*:\s*\{\s*)?"#,
        r#"["']?(?:name|tool|tool_name|function)["']?\s*:\s*["']([^"'\n]{1,128})["']"#,
    ))
});

/// A field that holds the input of a call.
static ARGUED: LazyLock<Regex> =
    LazyLock::new(|| regex(r#"\b(?:arguments|parameters|input|args)["']?\s*:"#));

#[expect(clippy::expect_used, reason = "the expressions are constants of this file")]
fn regex(text: &str) -> Regex {
    Regex::new(text).expect("a valid expression")
}
