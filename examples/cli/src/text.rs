//! This file puts spans, dates and ids into few characters.

use std::time::{SystemTime, UNIX_EPOCH};

use agentcom_core::time::{Span, Wall};
use serde_json::Value;

/// The time.
pub(crate) fn now() -> Wall {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall(Span::from(since).0)
}

/// A date in an answer: milliseconds since 1970 or RFC 3339.
pub(crate) fn date(value: &Value) -> Option<Wall> {
    match value.as_str() {
        Some(text) => {
            let stamp: jiff::Timestamp = text.parse().ok()?;
            u64::try_from(stamp.as_millisecond()).ok().map(Wall)
        }
        None => value.as_u64().map(Wall),
    }
}

/// How long ago a date is, as `12 s`, `3 min`, `5 h` or `2 d`.
pub(crate) fn age(at: Option<Wall>, now: Wall) -> String {
    let Some(at) = at else { return String::new() };
    match (now - at).0 / 1000 {
        secs if secs < 60 => format!("{secs} s"),
        secs if secs < 3600 => format!("{} min", secs / 60),
        secs if secs < 48 * 3600 => format!("{} h", secs / 3600),
        secs => format!("{} d", secs / 86_400),
    }
}

/// How long it is until a date, as [`age`] says it, rounded up: what was begun with 90 days has 90 days left.
pub(crate) fn left(span: Span) -> String {
    match span.0.div_ceil(1000) {
        secs if secs < 60 => format!("{secs} s"),
        secs if secs < 3600 => format!("{} min", secs.div_ceil(60)),
        secs if secs < 48 * 3600 => format!("{} h", secs.div_ceil(3600)),
        secs => format!("{} d", secs.div_ceil(86_400)),
    }
}

/// So many of what has an `s` where there are not just one.
pub(crate) fn counted(count: u64, what: &str) -> String {
    let end = if count == 1 { "" } else { "s" };
    format!("{count} {what}{end}")
}

/// A date in UTC, to the second.
pub(crate) fn stamp(at: Wall) -> String {
    let millis = i64::try_from(at.0).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(stamp) => stamp.strftime("%Y-%m-%d %H:%M:%S UTC").to_string(),
        Err(_) => "at no time".into(),
    }
}

/// The time of day in UTC.
pub(crate) fn clock(at: Wall) -> String {
    let secs = at.0 / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
}

/// The end of an id, which is enough to name it to every command.
pub(crate) fn short(id: &str) -> &str {
    let digits = id.rsplit('-').next().unwrap_or(id);
    digits.get(digits.len().saturating_sub(SHORT_CHARS)..).unwrap_or(digits)
}

const SHORT_CHARS: usize = 8;

/// A field of an answer as text; nothing if it is missing or `null`.
pub(crate) fn field(value: &Value, name: &str) -> String {
    plain(&value[name])
}

/// A value as people write it.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn ages_have_one_unit() {
        let age_of = |secs: u64| age(Some(Wall(0)), Wall(secs * 1000));
        let ages = [5, 60, 7199, 7200, 86_400 * 3].map(age_of);
        assert_eq!(ages, ["5 s", "1 min", "1 h", "2 h", "3 d"]);
        assert_eq!(age(None, Wall(0)), "");
        assert_eq!(age(Some(Wall(5000)), Wall(0)), "0 s");
    }

    #[test]
    fn dates_are_read_in_both_forms() {
        assert_eq!(date(&json!(1_500)), Some(Wall(1_500)));
        assert_eq!(date(&json!("1970-01-01T00:00:01.5Z")), Some(Wall(1_500)));
        assert_eq!(date(&json!(null)), None);
        assert_eq!(stamp(Wall(1_500)), "1970-01-01 00:00:01 UTC");
        assert_eq!(clock(Wall(86_399_000)), "23:59:59");
    }

    #[test]
    fn short_ids_are_the_ends_of_ids() {
        assert_eq!(short("task-0123456789abcdef"), "89abcdef");
        assert_eq!(short("é"), "é");
    }

    #[test]
    fn values_are_plain_text() {
        assert_eq!(plain(&json!(["a", 1, null])), "a, 1, ");
        assert_eq!(field(&json!({"a": {"b": 1}}), "a"), "{\"b\":1}");
    }
}
