//! This file says what a sandbox was seen to hold.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::Level;
use crate::name::Capability;

/// What was proved of the sandbox of a machine, and why it is not more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The highest level of which every attempt ended as it has to.
    pub level: Level,
    /// Whether commands reach the network: nobody does to whom it is not granted.
    #[serde(default)]
    pub network: bool,
    /// Why it is not higher, and what a person can do about it.
    #[serde(default)]
    pub missing: Vec<Missing>,
    /// What was tried in a sandbox of that level.
    #[serde(default)]
    pub attempts: Vec<Attempt>,
}

/// A report is longer than agents may send one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} must be at most {max}, not {found}")]
pub struct TooLong {
    /// What is too long or too many.
    pub field: &'static str,
    /// How long it is.
    pub found: usize,
    /// How long it may be.
    pub max: usize,
}

impl Report {
    /// The most things that are missing.
    pub const MISSING_MAX: usize = 8;
    /// The most attempts.
    pub const ATTEMPTS_MAX: usize = 64;
    /// The longest text in it, in characters.
    pub const TEXT_CHARS_MAX: usize = 500;

    /// What is missing for `level`, and what to do about it.
    #[must_use]
    pub fn why(&self, level: Level) -> String {
        let missing = self.missing.iter().filter(|missing| missing.level == level);
        let lines: Vec<String> =
            missing.map(|missing| alloc::format!("{}; {}", missing.seen, missing.hint)).collect();
        lines.join("; ")
    }

    /// The capabilities that an agent with such a sandbox has: `sandbox-l1` and so on up to its
    /// level. A task that needs one of them is offered to no agent that has not proved as much.
    pub fn capabilities(&self) -> impl Iterator<Item = Capability> {
        let proved = self.level;
        Level::ALL.into_iter().filter(move |&level| level <= proved).filter_map(Level::capability)
    }

    /// The same, no longer than a hub takes it.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.missing.truncate(Self::MISSING_MAX);
        self.attempts.truncate(Self::ATTEMPTS_MAX);
        for text in self.texts_mut() {
            if let Some((end, _)) = text.char_indices().nth(Self::TEXT_CHARS_MAX) {
                text.truncate(end);
            }
        }
        self
    }

    /// Whether it is no longer than a hub takes it.
    ///
    /// # Errors
    ///
    /// The first bound that it breaks.
    pub fn check(&self) -> Result<(), TooLong> {
        let missing = self.missing.iter().flat_map(|it| [&it.seen, &it.hint]);
        let texts = missing.chain(self.attempts.iter().map(|it| &it.what));
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let bounds = [
            ("missing", self.missing.len(), Self::MISSING_MAX),
            ("attempts", self.attempts.len(), Self::ATTEMPTS_MAX),
            ("the characters of a text", longest, Self::TEXT_CHARS_MAX),
        ];
        let broken = bounds.into_iter().find(|(_, found, max)| found > max);
        broken.map_or(Ok(()), |(field, found, max)| Err(TooLong { field, found, max }))
    }

    fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let missing = self.missing.iter_mut().flat_map(|it| [&mut it.seen, &mut it.hint]);
        missing.chain(self.attempts.iter_mut().map(|it| &mut it.what))
    }
}

/// Something that a sandbox of a higher level would need.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Missing {
    /// The level that cannot be had.
    pub level: Level,
    /// What was seen.
    pub seen: String,
    /// What to do about it.
    pub hint: String,
}

/// Something that was tried in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// What was tried, in words.
    pub what: String,
    /// How it has to end.
    pub expected: Expected,
    /// Whether it did.
    pub held: bool,
}

/// How an attempt has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Expected {
    /// The sandbox refuses it.
    Blocked,
    /// It works, for commands need it.
    Works,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(level: Level) -> Report {
        Report { level, network: false, missing: Vec::new(), attempts: Vec::new() }
    }

    #[test]
    fn an_agent_is_capable_of_what_it_has_proved_and_no_more() {
        let capabilities =
            |level| of(level).capabilities().map(String::from).collect::<Vec<String>>();
        assert_eq!(capabilities(Level::L3), ["sandbox-l1", "sandbox-l2", "sandbox-l3"]);
        assert_eq!(capabilities(Level::L1), ["sandbox-l1"]);
        assert_eq!(capabilities(Level::L0), [""; 0]);
    }

    #[test]
    fn what_is_too_long_is_refused_and_cut_it_is_not() {
        let text = || "\u{e4}".repeat(Report::TEXT_CHARS_MAX + 1);
        let missing = || Missing { level: Level::L3, seen: text(), hint: text() };
        let attempt = || Attempt { what: text(), expected: Expected::Works, held: true };
        let long = [
            Report { missing: alloc::vec![missing()], ..of(Level::L2) },
            Report { attempts: alloc::vec![attempt()], ..of(Level::L2) },
            Report { missing: alloc::vec![missing(); Report::MISSING_MAX + 1], ..of(Level::L2) },
            Report { attempts: alloc::vec![attempt(); Report::ATTEMPTS_MAX + 1], ..of(Level::L2) },
        ];
        for report in long {
            assert!(report.check().is_err(), "{report:?}");
            assert_eq!(report.cut().check(), Ok(()));
        }
        assert_eq!(of(Level::L0).check(), Ok(()));
    }
}
