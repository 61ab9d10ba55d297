//! This file names one of several stores in a file.

use core::fmt;
use core::str::FromStr;

use agentcom_core::name::BadName;

/// Names one of several stores that live in the same file, unseen by each other: `main` unless
/// said otherwise.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Namespace(Box<str>);

impl Namespace {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 64;

    /// Takes `text` if it is allowed: lower-case letters, digits and `._-`.
    ///
    /// # Errors
    ///
    /// The rule that `text` breaks.
    pub fn new(text: &str) -> Result<Self, BadName> {
        let refused = |why| Err(BadName { what: "namespace", why });
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
        if text.is_empty() {
            return refused("must not be empty");
        }
        if text.len() > Self::BYTES_MAX {
            return refused("must be at most 64 bytes");
        }
        if !text.chars().all(allowed) {
            return refused("may hold only lower-case ASCII letters, digits and ._-");
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("main".into())
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Namespace {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        Self::new(text)
    }
}
