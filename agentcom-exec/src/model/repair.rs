//! This file mends JSON as small models write it.
//!
//! | what they write | becomes |
//! |---|---|
//! | an end of a line or a tab within a string | `\n`, `\t` |
//! | a comma before a closing bracket | nothing |
//! | strings in single quotes | strings |
//! | `True`, `False`, `None` | `true`, `false`, `null` |
//! | text that ends before its strings and brackets do | they are closed |

use serde_json::Value;

/// Reads `text`, mended if need be; nothing if it is no JSON even then.
pub(super) fn read(text: &str) -> Option<Value> {
    let text = text.trim();
    serde_json::from_str(text).ok().or_else(|| serde_json::from_str(&mend(text)).ok())
}

fn mend(text: &str) -> String {
    let mut mended = String::with_capacity(text.len() + 16);
    let mut open = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' | '\'' => string(c, &mut chars, &mut mended),
            '{' | '[' => {
                open.push(if c == '{' { '}' } else { ']' });
                mended.push(c);
            }
            '}' | ']' => {
                drop_comma(&mut mended);
                open.pop();
                mended.push(c);
            }
            c if c.is_ascii_alphabetic() => {
                let word = text[at..].split(|c: char| !c.is_ascii_alphanumeric()).next();
                let word = word.unwrap_or_default();
                for _ in 1..word.len() {
                    chars.next();
                }
                mended.push_str(match word {
                    "True" => "true",
                    "False" => "false",
                    "None" => "null",
                    word => word,
                });
            }
            c => mended.push(c),
        }
    }
    if !open.is_empty() {
        drop_comma(&mut mended);
    }
    mended.extend(open.into_iter().rev());
    mended
}

/// Takes a string in, up to its closing quote or the end of the text.
fn string(
    quote: char,
    chars: &mut std::iter::Peekable<std::str::CharIndices<'_>>,
    mended: &mut String,
) {
    mended.push('"');
    while let Some((_, c)) = chars.next() {
        match c {
            c if c == quote => break,
            '"' => mended.push_str("\\\""),
            '\n' => mended.push_str("\\n"),
            '\r' => mended.push_str("\\r"),
            '\t' => mended.push_str("\\t"),
            '\\' => match chars.next() {
                // There is no such escape in JSON.
                Some((_, '\'')) => mended.push('\''),
                Some((_, next)) => mended.extend(['\\', next]),
                None => {}
            },
            c => mended.push(c),
        }
    }
    mended.push('"');
}

fn drop_comma(mended: &mut String) {
    let kept = mended.trim_end();
    if kept.ends_with(',') {
        mended.truncate(kept.len() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_small_models_write_is_read() {
        for (text, meant) in [
            (r#"{"a": 1}"#, json!({ "a": 1 })),
            ("{\"a\": \"one\n\ttwo\"}", json!({ "a": "one\n\ttwo" })),
            (r#"{"a": [1, 2,], }"#, json!({ "a": [1, 2] })),
            (r#"{'a': 'it\'s', 'b': 'a "b"'}"#, json!({ "a": "it's", "b": "a \"b\"" })),
            (
                r#"{"a": True, "b": None, "c": [False]}"#,
                json!({ "a": true, "b": null, "c": [false] }),
            ),
            (r#"{"a": {"b": ["c", "d"#, json!({ "a": { "b": ["c", "d"] } })),
            (r#"{"a": "True, }"}"#, json!({ "a": "True, }" })),
            (r#"  {"a": "\u00e9\\"}  "#, json!({ "a": "é\\" })),
        ] {
            assert_eq!(read(text), Some(meant), "{text}");
        }
    }

    #[test]
    fn what_means_nothing_is_not_made_up() {
        for text in ["", "no", "{a b}", "{\"a\"}", "[1 2]", &"[".repeat(1000)] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
