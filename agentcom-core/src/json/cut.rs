//! This file makes a payload that is too long fit: long texts in it keep their ends, and what does
//! not fit even so is named instead.

use alloc::format;
use alloc::string::{String, ToString};
use serde_json::Value;

use super::{BadJson, Json};

/// How many bytes each text may keep; the most with which the payload fits counts.
const TEXT_BYTES: [usize; 5] = [48 << 10, 16 << 10, 4 << 10, 1 << 10, 256];
const TEXT_BYTES_MIN: usize = 64;

/// The payload `text`, which is too long, cut.
pub(super) fn cut(text: &str) -> Result<Json, BadJson> {
    let whole: Value =
        serde_json::from_str(text).map_err(|error| BadJson::Syntax(error.to_string()))?;
    let Ok(shortest) = shortened(&whole, TEXT_BYTES_MIN) else {
        let mut rest = whole;
        leave_out(&mut rest);
        return Json::of(&rest).or_else(|_| Json::of(&left_out(text.len())));
    };
    let fitting = TEXT_BYTES.iter().find_map(|bytes| shortened(&whole, *bytes).ok());
    Ok(fitting.unwrap_or(shortest))
}

fn shortened(whole: &Value, bytes: usize) -> Result<Json, BadJson> {
    let mut short = whole.clone();
    shorten(&mut short, bytes);
    Json::of(&short)
}

/// Cuts each text to about `bytes`.
fn shorten(value: &mut Value, bytes: usize) {
    match value {
        Value::String(text) if text.len() > bytes => *text = ends(text, bytes),
        Value::Array(items) => items.iter_mut().for_each(|item| shorten(item, bytes)),
        Value::Object(members) => members.values_mut().for_each(|member| shorten(member, bytes)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The beginning and the end of a text.
fn ends(text: &str, bytes: usize) -> String {
    let head = text.floor_char_boundary(bytes / 2);
    let tail = text.ceil_char_boundary(text.len() - bytes / 2);
    format!("{}\n... {} ...\n{}", &text[..head], left_out(tail - head), &text[tail..])
}

/// Keeps of an object what says most: its short members.
fn leave_out(value: &mut Value) {
    let Value::Object(members) = value else { return };
    for member in members.values_mut() {
        shorten(member, 256);
        let bytes = member.to_string().len();
        if bytes > 512 {
            *member = Value::String(left_out(bytes));
        }
    }
}

fn left_out(bytes: usize) -> String {
    format!("{bytes} bytes left out")
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use serde_json::json;

    fn cut_of(value: &Value) -> Value {
        let json = Json::parse_cut(&value.to_string()).unwrap();
        assert!(json.as_str().len() <= Json::BYTES_MAX);
        json.read().unwrap()
    }

    #[test]
    fn what_fits_stays_as_it_is() {
        let value = json!({ "output": "x".repeat(60_000), "n": [1, null, 0.5] });
        assert_eq!(cut_of(&value), value);
    }

    #[test]
    fn a_long_text_keeps_both_ends_and_its_neighbours_are_untouched() {
        let cut = cut_of(&json!({ "output": format!("a{}z", "é\n".repeat(99_999)), "n": 7 }));
        let output = cut["output"].as_str().unwrap();
        assert!(output.starts_with("aé") && output.ends_with("\nz") && output.len() > 10_000);
        assert!(output.contains(" bytes left out ..."));
        assert_eq!(cut["n"], 7);
    }

    #[test]
    fn what_is_made_of_many_small_parts_is_left_out_by_name() {
        let cut = cut_of(&json!({ "status": "failed", "checks": vec!["ok"; 99_999] }));
        assert_eq!(cut, json!({ "status": "failed", "checks": "499996 bytes left out" }));
        assert_eq!(cut_of(&json!(vec![0; 99_999])), json!("199999 bytes left out"));
    }

    #[test]
    fn what_is_no_payload_stays_none() {
        assert!(Json::parse_cut("{").is_err());
        assert_eq!(Json::parse_cut(&"[".repeat(99_999)), Err(BadJson::TooDeep));
    }
}
