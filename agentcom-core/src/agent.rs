//! This file describes agents: their registered identity, what they say of themselves, and trust.

mod trust;

pub use trust::{Trust, TrustEvent};

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{Boot, TaskId};
use crate::name::{AgentId, Capability, Kind};
use crate::sandbox::Report;
use crate::task::Outcome;
use crate::time::Wall;

/// The SHA-256 of a token's secret. The secret itself never reaches the core.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TokenHash(pub [u8; 32]);

impl Serialize for TokenHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = |byte: &u8| alloc::format!("{byte:02x}");
        serializer.serialize_str(&self.0.iter().map(digits).collect::<String>())
    }
}

impl<'de> Deserialize<'de> for TokenHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bad = || D::Error::custom("expected 64 hexadecimal digits");
        let mut hash = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(bad());
        }
        for (n, byte) in hash.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[2 * n..2 * n + 2], 16).map_err(|_| bad())?;
        }
        Ok(Self(hash))
    }
}

impl TokenHash {
    /// Whether both are the same, in time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        use subtle::ConstantTimeEq;
        self.0.ct_eq(&other.0).into()
    }
}

impl core::fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("TokenHash(..)")
    }
}

/// What the hub remembers of an agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// Its name.
    pub id: AgentId,
    /// The tokens that prove it; two while one replaces the other.
    pub tokens: Vec<TokenHash>,
    /// When it was registered.
    pub registered_at: Wall,
    /// Whether it gets no more work for the time being.
    #[serde(default)]
    pub draining: bool,
    /// How far it is trusted with work.
    #[serde(default)]
    pub trust: Trust,
    /// What it last proved of its sandbox, if it said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Box<Report>>,
}

/// How the latest attempt of an agent ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastOutcome {
    /// Which task.
    pub task: TaskId,
    /// How.
    pub outcome: Outcome,
    /// When.
    pub at: Wall,
}

/// What an agent says of itself when it connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// A name for people.
    pub name: Option<Box<str>>,
    /// What it can do, sorted, without repeats.
    pub capabilities: Vec<Capability>,
    /// The kinds of operations that it runs, sorted, without repeats.
    pub kinds: Vec<Kind>,
    /// How many tasks it works on at once.
    pub slots: u32,
    /// Free labels.
    pub labels: BTreeMap<Box<str>, Box<str>>,
    /// The version of its software.
    pub version: Option<Box<str>>,
    /// Which run of its process speaks.
    pub boot: Boot,
}

/// What an agent is about. Computed from what the hub knows, stored nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Not connected.
    Offline,
    /// Connected, with a free slot and nothing held.
    Idle,
    /// Holds a task that it has not accepted yet.
    Assigned,
    /// Works.
    Working,
    /// Works on a task that waits for an answer.
    Blocked,
    /// Finishes what it holds and gets nothing more.
    Draining,
}

impl Phase {
    /// The word for the phase.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Offline => "offline",
            Self::Idle => "idle",
            Self::Assigned => "assigned",
            Self::Working => "working",
            Self::Blocked => "blocked",
            Self::Draining => "draining",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_64_hexadecimal_digits_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<TokenHash>(&alloc::format!("{text:?}")).ok();
        let hash = TokenHash([0xab; 32]);
        assert_eq!(read(&"ab".repeat(32)), Some(hash));
        assert_eq!(serde_json::to_string(&hash).unwrap(), alloc::format!("{:?}", "ab".repeat(32)));
        for bad in ["", "ab", &"ab".repeat(31), &"ab".repeat(33), &"é".repeat(32), &"xy".repeat(32)]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
