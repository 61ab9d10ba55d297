//! This file names how much stands between work and the machine that it runs on.

mod report;

pub use report::{Attempt, Expected, Missing, Report, TooLong, User};

use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::Capability;

/// How much a sandbox holds; each level holds all that the lower ones do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub enum Level {
    /// Nothing.
    L0,
    /// Files are kept beneath the workspace; no commands are run.
    L1,
    /// Commands are confined by Landlock and seccomp.
    L2,
    /// They run in namespaces of their own as well.
    L3,
}

impl Level {
    /// All of them, the weakest first.
    pub const ALL: [Self; 4] = [Self::L0, Self::L1, Self::L2, Self::L3];

    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::L0 => "L0",
            Self::L1 => "L1",
            Self::L2 => "L2",
            Self::L3 => "L3",
        }
    }

    /// Whether this is as much as a task wants, if it wants any.
    ///
    /// # Errors
    ///
    /// If it wants more.
    pub fn suffices(self, wanted: Option<Self>) -> Result<(), TooLittle> {
        match wanted {
            Some(wanted) if wanted > self => Err(TooLittle { wanted, has: self }),
            Some(_) | None => Ok(()),
        }
    }

    /// What an agent can do that has proved it, such as `sandbox-l2`. Nothing has to be proved of
    /// [`Level::L0`].
    #[must_use]
    pub fn capability(self) -> Option<Capability> {
        Capability::new(self.word()?).ok()
    }

    /// Whether commands are run at it, confined or not.
    #[must_use]
    pub const fn runs_commands(self) -> bool {
        match self {
            Self::L1 => false,
            Self::L0 | Self::L2 | Self::L3 => true,
        }
    }

    /// The level that a capability stands for, if it stands for one.
    #[must_use]
    pub fn of_capability(capability: &Capability) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.word() == Some(capability.as_str()))
    }

    /// The word for the capability.
    const fn word(self) -> Option<&'static str> {
        match self {
            Self::L0 => None,
            Self::L1 => Some("sandbox-l1"),
            Self::L2 => Some("sandbox-l2"),
            Self::L3 => Some("sandbox-l3"),
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = BadLevel;

    fn from_str(name: &str) -> Result<Self, BadLevel> {
        let found = Self::ALL.into_iter().find(|level| level.as_str().eq_ignore_ascii_case(name));
        found.ok_or_else(|| BadLevel(name.chars().take(40).collect()))
    }
}

impl TryFrom<String> for Level {
    type Error = BadLevel;

    fn try_from(name: String) -> Result<Self, BadLevel> {
        name.parse()
    }
}

/// A task wants a stronger sandbox than there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the task wants a sandbox of {wanted}, and what would run it here is {has}")]
pub struct TooLittle {
    /// What it wants.
    pub wanted: Level,
    /// What there is.
    pub has: Level,
}

/// Not the name of a level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no level of a sandbox; there are L0, L1, L2 and L3")]
pub struct BadLevel(String);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::borrow::ToOwned as _;
    use alloc::string::ToString;

    #[test]
    fn levels_have_names_and_an_order() {
        for level in Level::ALL {
            assert_eq!(level.to_string().to_lowercase().parse(), Ok(level));
            let written = serde_json::to_string(&level).unwrap();
            assert_eq!(serde_json::from_str::<Level>(&written).unwrap(), level);
        }
        assert!(Level::ALL.is_sorted());
        assert!("L4".parse::<Level>().unwrap_err().to_string().contains("`L4`"));
    }

    #[test]
    fn a_level_is_a_capability_and_back_but_for_none() {
        let words = Level::ALL.map(|level| level.capability().map(|it| it.as_str().to_owned()));
        let proved = ["sandbox-l1", "sandbox-l2", "sandbox-l3"].map(|word| Some(word.to_owned()));
        assert_eq!((&words[0], &words[1..]), (&None, &proved[..]));
        for level in Level::ALL {
            let back = level.capability().and_then(|it| Level::of_capability(&it));
            assert_eq!(back, Some(level).filter(|level| *level > Level::L0));
        }
        assert_eq!(Level::of_capability(&Capability::new("sandbox-l9").unwrap()), None);
    }
}
