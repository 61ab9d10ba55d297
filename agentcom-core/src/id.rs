//! This file names things by number: tasks, leases, sessions, calls, questions, data sets.
//!
//! Public ids are a keyed permutation of a counter ([`Cipher`]): they look random, never collide,
//! and turn back into the counter, which is what the store sorts by.

use core::fmt;
use core::marker::PhantomData;
use core::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not an id of the expected kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}` followed by 16 hexadecimal digits")]
pub struct BadId {
    /// What the id has to start with.
    pub prefix: &'static str,
}

/// Reads an id from a text without keeping the text.
struct Text<T>(PhantomData<T>);

impl<T: FromStr<Err = BadId>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{:016x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = BadId;

            fn from_str(text: &str) -> Result<Self, BadId> {
                let bad = BadId { prefix: $prefix };
                let digits = text.strip_prefix($prefix).ok_or(bad)?;
                let plain = digits.len() == 16 && digits.bytes().all(|b| b.is_ascii_hexdigit());
                if !plain {
                    return Err(bad);
                }
                u64::from_str_radix(digits, 16).map(Self).map_err(|_| bad)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(Text(PhantomData))
            }
        }
    };
}

hex_id!(
    /// Names a task: `task-` and 16 hexadecimal digits.
    TaskId,
    "task-"
);
hex_id!(
    /// Names a question that an agent asked: `question-` and 16 hexadecimal digits.
    QuestionId,
    "question-"
);
hex_id!(
    /// Names one life of a data set. It changes after a wipe or a restore, so that a result of an
    /// older life is never taken for a newer task's.
    Incarnation,
    "inc-"
);
hex_id!(
    /// Names one run of a sidecar process; with the agent's name it is the agent's identity.
    Boot,
    "boot-"
);

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

number!(
    /// Numbers one assignment of a task; the wire calls it `generation`. The first is 1, 0 means
    /// "never assigned", and it never rewinds. A message that carries an older lease is stale.
    Lease
);
number!(
    /// Names a connection, by the order in which the driver accepted it.
    SessionId
);
number!(
    /// Names a call that waits for its reply.
    CallId
);

impl Lease {
    /// The largest lease that JavaScript clients can represent exactly.
    pub const MAX: Self = Self((1 << 53) - 1);

    /// The lease after this one.
    ///
    /// # Panics
    ///
    /// After 2^53 assignments of one task, which the attempt limits make unreachable.
    #[must_use]
    pub fn next(self) -> Self {
        assert!(self < Self::MAX, "leases are exhausted");
        Self(self.0 + 1)
    }
}

/// A keyed permutation of the 64-bit numbers: a Feistel network of four rounds.
///
/// It hides the order and number of tasks from casual readers; it is not meant to withstand
/// cryptanalysis, and nothing relies on that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cipher {
    key: u64,
}

impl Cipher {
    /// The permutation selected by `key`.
    #[must_use]
    pub fn new(key: u64) -> Self {
        Self { key }
    }

    /// Turns a counter into the public number.
    #[must_use]
    pub fn hide(self, counter: u64) -> u64 {
        let (mut left, mut right) = split(counter);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mix(round, right));
        }
        join(left, right)
    }

    /// Turns a public number back into the counter.
    #[must_use]
    pub fn reveal(self, public: u64) -> u64 {
        let (mut left, mut right) = split(public);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mix(round, left), left);
        }
        join(left, right)
    }

    fn mix(self, round: u64, half: u32) -> u32 {
        let keyed = self.key.rotate_left(17 * round as u32) ^ (round << 32) ^ u64::from(half);
        (crate::rng::scramble(keyed) >> 32) as u32
    }
}

const ROUNDS: u64 = 4;

fn split(whole: u64) -> (u32, u32) {
    ((whole >> 32) as u32, whole as u32)
}

fn join(left: u32, right: u32) -> u64 {
    (u64::from(left) << 32) | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::string::ToString;

    #[test]
    fn ids_read_what_they_write() {
        let id = TaskId(0xfeed);
        assert_eq!(id.to_string(), "task-000000000000feed");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn foreign_text_is_no_id() {
        for text in [
            "",
            "task-",
            "task-12",
            "goal-0000000000000001",
            "task-+00000000000feed",
            "task-000000000000feedé",
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(BadId { prefix: "task-" }), "{text}");
        }
    }

    #[test]
    fn the_cipher_is_a_permutation_that_can_be_undone() {
        let cipher = Cipher::new(42);
        let public: BTreeSet<u64> = (0..10_000).map(|n| cipher.hide(n)).collect();
        assert_eq!(public.len(), 10_000);
        assert!((0..10_000).all(|n| cipher.reveal(cipher.hide(n)) == n));
    }

    #[test]
    fn other_keys_give_other_ids() {
        assert_ne!(Cipher::new(1).hide(7), Cipher::new(2).hide(7));
    }
}
