//! This file says what a sandbox was seen to hold.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
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
    /// The version of Landlock that the kernel has, its ABI, where commands are confined by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landlock_abi: Option<u32>,
    /// Whose commands are, where they are confined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<User>,
    /// What commands can do at that level on this machine, and cannot on others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub residue: Vec<String>,
    /// Why no commands are run for the time being, whatever was proved before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantine: Option<String>,
}

/// Whose the commands in a sandbox are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum User {
    /// The user of whoever runs them.
    Same,
    /// A user of their own.
    Own,
    /// Root in namespaces of its own, where that says nothing, and root outside.
    MappedRoot,
    /// One of a kind that this version does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Same => "the same user as the agent",
            Self::Own => "a user of their own",
            Self::MappedRoot => "root, in namespaces of their own",
            Self::Unknown => "a user of some other kind",
        })
    }
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
    /// The most things that are left open.
    pub const RESIDUE_MAX: usize = 8;
    /// The longest text in it, in characters.
    pub const TEXT_CHARS_MAX: usize = 500;

    /// That `level` was proved, and nothing else.
    #[must_use]
    pub const fn of(level: Level) -> Self {
        Self {
            level,
            network: false,
            missing: Vec::new(),
            attempts: Vec::new(),
            landlock_abi: None,
            user: None,
            residue: Vec::new(),
            quarantine: None,
        }
    }

    /// The same while no commands are run, and why not: nothing is proved of them then.
    #[must_use]
    pub fn in_quarantine(self, why: String) -> Self {
        let level = self.level.min(Level::L1);
        Self { missing: self.missing, quarantine: Some(why), ..Self::of(level) }
    }

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
        self.residue.truncate(Self::RESIDUE_MAX);
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
        let texts = missing.chain(self.attempts.iter().map(|it| &it.what)).chain(&self.residue);
        let texts = texts.chain(&self.quarantine);
        let longest = texts.map(|text| text.chars().count()).max().unwrap_or(0);
        let bounds = [
            ("missing", self.missing.len(), Self::MISSING_MAX),
            ("attempts", self.attempts.len(), Self::ATTEMPTS_MAX),
            ("residue", self.residue.len(), Self::RESIDUE_MAX),
            ("the characters of a text", longest, Self::TEXT_CHARS_MAX),
        ];
        let broken = bounds.into_iter().find(|(_, found, max)| found > max);
        broken.map_or(Ok(()), |(field, found, max)| Err(TooLong { field, found, max }))
    }

    fn texts_mut(&mut self) -> impl Iterator<Item = &mut String> {
        let missing = self.missing.iter_mut().flat_map(|it| [&mut it.seen, &mut it.hint]);
        let attempts = self.attempts.iter_mut().map(|it| &mut it.what);
        missing.chain(attempts).chain(&mut self.residue).chain(&mut self.quarantine)
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

    #[test]
    fn an_agent_is_capable_of_what_it_has_proved_and_no_more() {
        let capabilities =
            |level| Report::of(level).capabilities().map(String::from).collect::<Vec<String>>();
        assert_eq!(capabilities(Level::L3), ["sandbox-l1", "sandbox-l2", "sandbox-l3"]);
        assert_eq!(capabilities(Level::L1), ["sandbox-l1"]);
        assert_eq!(capabilities(Level::L0), [""; 0]);
    }

    #[test]
    fn in_quarantine_nothing_is_proved_of_commands() {
        for level in Level::ALL {
            let missing = Missing { level: Level::L3, seen: "a".into(), hint: "b".into() };
            let report = Report { missing: alloc::vec![missing], ..Report::of(level) };
            let held = report.clone().in_quarantine("2 are left".into());
            assert_eq!((held.level, &held.missing), (level.min(Level::L1), &report.missing));
            assert_eq!(held.quarantine.as_deref(), Some("2 are left"));
        }
    }

    #[test]
    fn what_is_too_long_is_refused_and_cut_it_is_not() {
        let text = || "\u{e4}".repeat(Report::TEXT_CHARS_MAX + 1);
        let missing = || Missing { level: Level::L3, seen: text(), hint: text() };
        let attempt = || Attempt { what: text(), expected: Expected::Works, held: true };
        let short = || Report::of(Level::L2);
        let long = [
            Report { missing: alloc::vec![missing()], ..short() },
            Report { attempts: alloc::vec![attempt()], ..short() },
            Report { residue: alloc::vec![text()], ..short() },
            short().in_quarantine(text()),
            Report { missing: alloc::vec![missing(); Report::MISSING_MAX + 1], ..short() },
            Report { attempts: alloc::vec![attempt(); Report::ATTEMPTS_MAX + 1], ..short() },
            Report { residue: alloc::vec![String::new(); Report::RESIDUE_MAX + 1], ..short() },
        ];
        for report in long {
            assert!(report.check().is_err(), "{report:?}");
            assert_eq!(report.cut().check(), Ok(()));
        }
        assert_eq!(short().check(), Ok(()));
    }

    #[test]
    fn reports_of_older_and_of_newer_agents_are_understood() {
        let older: Report = serde_json::from_str(r#"{"level":"L2"}"#).unwrap();
        assert_eq!(older, Report::of(Level::L2));
        let newer: Report =
            serde_json::from_str(r#"{"level":"L2","landlock_abi":99,"user":"Odd"}"#).unwrap();
        assert_eq!((newer.landlock_abi, newer.user), (Some(99), Some(User::Unknown)));
    }
}
