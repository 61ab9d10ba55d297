//! This file carries payloads that the core passes on without looking inside: bounded JSON text.

mod cut;

use core::fmt;

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::string::String;
use serde::de::{Error as _, IgnoredAny};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Why a text is not a payload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadJson {
    /// It is longer than [`Json::BYTES_MAX`] without its white space.
    #[error("is {bytes} bytes long; at most {max} are allowed", max = Json::BYTES_MAX)]
    TooLong {
        /// Its length in bytes.
        bytes: usize,
    },
    /// It nests deeper than [`Json::DEPTH_MAX`].
    #[error("nests deeper than {max} levels", max = Json::DEPTH_MAX)]
    TooDeep,
    /// It is not JSON.
    #[error("is not JSON: {0}")]
    Syntax(String),
}

/// Validated JSON text without white space, at most 64 KiB of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Json(Box<str>);

impl Json {
    /// The longest payload, in bytes.
    pub const BYTES_MAX: usize = 64 * 1024;
    /// The deepest nesting of arrays and objects.
    pub const DEPTH_MAX: usize = 32;

    /// Takes `text` if it is JSON within the bounds; white space between tokens is dropped.
    ///
    /// # Errors
    ///
    /// The bound that `text` exceeds, or where it stops being JSON.
    pub fn parse(text: &str) -> Result<Self, BadJson> {
        let compact = compact(text)?;
        if compact.len() > Self::BYTES_MAX {
            return Err(BadJson::TooLong { bytes: compact.len() });
        }
        serde_json::from_str::<IgnoredAny>(text)
            .map_err(|error| BadJson::Syntax(alloc::format!("{error}")))?;
        if !has_good_numbers(&compact) {
            return Err(BadJson::Syntax(NUMBER_OUT_OF_RANGE.to_owned()));
        }
        Ok(Self(compact.into_boxed_str()))
    }

    /// The payload that `value` serialises to.
    ///
    /// # Errors
    ///
    /// As [`Json::parse`]; also if `value` refuses to serialise.
    pub fn of<T: Serialize + ?Sized>(value: &T) -> Result<Self, BadJson> {
        let text = serde_json::to_string(value)
            .map_err(|error| BadJson::Syntax(alloc::format!("{error}")))?;
        // What was just written is JSON; only raw payloads inside can break the other rules.
        if text.len() <= Self::BYTES_MAX && is_compact(&text) {
            return Ok(Self(text.into_boxed_str()));
        }
        Self::parse(&text)
    }

    /// A JSON string that holds `text`, cut at a character border so that it fits.
    #[must_use]
    pub fn text(text: &str) -> Self {
        let mut end = text.len();
        loop {
            while !text.is_char_boundary(end) {
                end -= 1;
            }
            match Self::of(&text[..end]) {
                Ok(json) => return json,
                Err(_) => end = end.min(Self::BYTES_MAX) * 3 / 4,
            }
        }
    }

    /// Takes `text` if it is JSON; if it is too long, its long texts keep their ends only.
    ///
    /// # Errors
    ///
    /// As [`Json::parse`], except that no text is too long.
    pub fn parse_cut(text: &str) -> Result<Self, BadJson> {
        match Self::parse(text) {
            Err(BadJson::TooLong { .. }) => cut::cut(text),
            parsed => parsed,
        }
    }

    /// The payload `null`.
    #[must_use]
    pub fn null() -> Self {
        Self("null".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `null`.
    #[must_use]
    pub fn is_null(&self) -> bool {
        &*self.0 == "null"
    }

    /// Reads the payload as a `T`.
    ///
    /// # Errors
    ///
    /// What of the payload does not fit `T`.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }
}

impl Default for Json {
    fn default() -> Self {
        Self::null()
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::Error as _;
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(S::Error::custom)?;
        raw.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What a raw value holds is JSON already.
        let text = Box::<str>::from(Box::<RawValue>::deserialize(deserializer)?);
        let text = match is_compact(&text) {
            true => text,
            false => compact(&text).map_err(D::Error::custom)?.into(),
        };
        if text.len() > Self::BYTES_MAX {
            return Err(D::Error::custom(BadJson::TooLong { bytes: text.len() }));
        }
        Ok(Self(text))
    }
}

/// Whether `text` has no white space between tokens and nests no deeper than it may.
fn is_compact(text: &str) -> bool {
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for byte in text.bytes() {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b' ' | b'\n' | b'\r' | b'\t' => return false,
            b'"' => in_string = true,
            b'[' | b'{' if depth == Json::DEPTH_MAX => return false,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    true
}

/// What is wrong with a number that nobody can read.
pub const NUMBER_OUT_OF_RANGE: &str = "number out of range";

/// The longest number that cannot be out of range without an exponent, in bytes.
const PLAIN_NUMBER_BYTES_MAX: usize = 300;

/// Whether every number in a JSON text is one that readers can hold, as `1e400` is not: text that is
/// passed on unread would fail whoever reads it, and all else that is beside it.
#[must_use]
pub fn has_good_numbers(text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut in_string, mut at) = (false, 0);
    while let Some(byte) = bytes.get(at) {
        let is_digit = byte.is_ascii_digit();
        match byte {
            b'\\' if in_string => at += 1,
            b'"' => in_string = !in_string,
            _ if is_digit && !in_string => {
                let number = &text[at..];
                let is_part = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
                let end = number.bytes().position(|byte| !is_part(byte)).unwrap_or(number.len());
                let number = &number[..end];
                if !is_good_number(number) {
                    return false;
                }
                at += end - 1;
            }
            _ => {}
        }
        at += 1;
    }
    true
}

fn is_good_number(number: &str) -> bool {
    let is_plain = number.len() <= PLAIN_NUMBER_BYTES_MAX && !number.contains(['e', 'E']);
    is_plain || number.parse::<serde_json::Number>().is_ok()
}

/// Reads a payload of somebody who may not know of the bound: what is too long is cut.
pub(crate) fn cut_to_fit<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    let raw = Option::<Box<RawValue>>::deserialize(deserializer)?;
    raw.map(|raw| Json::parse_cut(raw.get())).transpose().map_err(D::Error::custom)
}

/// `text` without white space between tokens, refused if it nests too deeply.
fn compact(text: &str) -> Result<String, BadJson> {
    if is_compact(text) {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len().min(2 * Json::BYTES_MAX));
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for char in text.chars() {
        if in_string {
            in_string = escaped || char != '"';
            escaped = !escaped && char == '\\';
        } else {
            match char {
                ' ' | '\n' | '\r' | '\t' => continue,
                '"' => in_string = true,
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        if depth > Json::DEPTH_MAX {
            return Err(BadJson::TooDeep);
        }
        out.push(char);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_goes_and_text_stays() {
        let json = Json::parse("{ \"a b\" : [ 1 , \"x \\\" y\" ] }").unwrap();
        assert_eq!(json.as_str(), r#"{"a b":[1,"x \" y"]}"#);
    }

    #[test]
    fn what_is_not_json_within_bounds_is_refused_by_name() {
        assert!(matches!(Json::parse("{"), Err(BadJson::Syntax(_))));
        assert!(matches!(Json::parse("1 2"), Err(BadJson::Syntax(_))));
        assert_eq!(Json::parse(&"[".repeat(33)), Err(BadJson::TooDeep));
        let long = alloc::format!("\"{}\"", "x".repeat(Json::BYTES_MAX));
        assert_eq!(Json::parse(&long), Err(BadJson::TooLong { bytes: Json::BYTES_MAX + 2 }));
    }

    #[test]
    fn a_number_that_nobody_can_read_is_refused_wherever_it_stands() {
        let long = "9".repeat(400);
        for number in ["1e400", "-1E+309", "1.5e999999999999", &long] {
            for text in [number.to_owned(), alloc::format!(r#"{{"a":["\\\"",{number}]}}"#)] {
                let refused = Json::parse(&text);
                assert_eq!(refused, Err(BadJson::Syntax(NUMBER_OUT_OF_RANGE.into())), "{text}");
                assert!(serde_json::from_str::<serde_json::Value>(&text).is_err(), "{text}");
            }
            let quoted = alloc::format!(r#"["\"{number}","\\",{{"{number}":0}}]"#);
            assert!(Json::parse(&quoted).is_ok(), "{quoted}");
        }
        for number in ["1e308", "-1.7E308", "1e-400", "0", "18446744073709551616", "2.5"] {
            assert!(Json::parse(&alloc::format!("[{number},true,false]")).is_ok(), "{number}");
        }
    }

    #[test]
    fn a_payload_inside_a_record_is_not_quoted_again() {
        let json = Json::parse("{\"n\":1}").unwrap();
        let text = serde_json::to_string(&[&json]).unwrap();
        assert_eq!(text, "[{\"n\":1}]");
        assert_eq!(serde_json::from_str::<[Json; 1]>(&text).unwrap(), [json]);
    }

    #[test]
    fn text_that_is_too_long_is_cut_between_characters() {
        let json = Json::text(&"é\n".repeat(Json::BYTES_MAX));
        assert!(
            json.as_str().len() <= Json::BYTES_MAX && json.as_str().len() > Json::BYTES_MAX / 4
        );
    }
}
