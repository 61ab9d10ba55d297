//! This file reads values that clients write as numbers or as words: lanes and dates.

use std::fmt;

use agentcom_core::time::Wall;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

/// A text, or a whole number as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NumberOrText(pub(crate) String);

impl<'de> Deserialize<'de> for NumberOrText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = NumberOrText;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a whole number")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<NumberOrText, E> {
                Ok(NumberOrText(text.to_owned()))
            }
            fn visit_u64<E: Error>(self, number: u64) -> Result<NumberOrText, E> {
                Ok(NumberOrText(number.to_string()))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A text that is no date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadDate;

impl fmt::Display for BadDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "must be milliseconds since 1970 or an RFC 3339 date such as 2030-01-31T12:00:00Z",
        )
    }
}

impl NumberOrText {
    /// The date that the text or number stands for.
    pub(crate) fn date(&self) -> Result<Wall, BadDate> {
        if let Ok(ms) = self.0.parse() {
            return Ok(Wall(ms));
        }
        let date: jiff::Timestamp = self.0.parse().map_err(|_| BadDate)?;
        u64::try_from(date.as_millisecond()).map(Wall).map_err(|_| BadDate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(json: &str) -> Result<Wall, String> {
        let read: NumberOrText = serde_json::from_str(json).map_err(|bad| bad.to_string())?;
        read.date().map_err(|bad| bad.to_string())
    }

    #[test]
    fn dates_are_milliseconds_or_rfc_3339() {
        assert_eq!(date("1700000000123"), Ok(Wall(1_700_000_000_123)));
        assert_eq!(date("\"1700000000123\""), Ok(Wall(1_700_000_000_123)));
        assert_eq!(date("\"2023-11-14T22:13:20.123Z\""), Ok(Wall(1_700_000_000_123)));
        assert_eq!(date("\"2023-11-14T23:13:20.123+01:00\""), Ok(Wall(1_700_000_000_123)));
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for bad in [
            "-1",
            "1.5",
            "\"\"",
            "\"soon\"",
            "\"2023-11-14\"",
            "\"1950-01-01T00:00:00Z\"",
            "[]",
            "true",
        ] {
            assert!(date(bad).is_err(), "{bad}");
        }
    }
}
