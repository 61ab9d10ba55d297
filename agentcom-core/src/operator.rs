//! This file describes operators: people and programs that hold a token with rights and an end.

use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use crate::agent::TokenHash;
use crate::name::{AgentId, BadName, OperatorId, Principal};
use crate::time::{Span, Wall};

/// The most operators that there can be.
pub const OPERATORS_MAX: usize = 1_000;
/// How many tokens of one operator are valid at once: two, so that one can replace the other.
const TOKENS_MAX: usize = 2;

/// What the holder of a token may do. Rights belong to what the hub has stored; nothing that a
/// client says adds to them, and none implies another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub enum Right {
    /// See tasks, agents, servers of models, repositories, questions, figures and events.
    TaskRead,
    /// Queue tasks, call them off, give them another life, and answer what agents ask.
    TaskSubmit,
    /// See what operators set: pauses, caps, prices, what was spent, and who holds tokens.
    AdminRead,
    /// Set what operators set, and say what agents may do. Tokens are for the admin alone.
    AdminWrite,
}

impl Right {
    /// All rights.
    pub const ALL: [Self; 4] =
        [Self::TaskRead, Self::TaskSubmit, Self::AdminRead, Self::AdminWrite];

    /// The word for the right.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TaskRead => "task:read",
            Self::TaskSubmit => "task:submit",
            Self::AdminRead => "admin:read",
            Self::AdminWrite => "admin:write",
        }
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Right {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let why = "must be task:read, task:submit, admin:read or admin:write";
        let found = Self::ALL.into_iter().find(|right| right.as_str() == text);
        found.ok_or(BadName { what: "right", why })
    }
}

impl TryFrom<String> for Right {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl Serialize for Right {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// For how long a token is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Validity(Option<Span>);

/// A token cannot be valid for so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be 1 second to 3650 days, or never")]
pub struct BadValidity;

impl Validity {
    /// Without an end.
    pub const ENDLESS: Self = Self(None);
    /// For as long as tokens are that say nothing else: 90 days.
    pub const USUAL: Self = Self(Some(Span::from_mins(90 * 24 * 60)));

    const MIN: Span = Span::from_secs(1);
    const MAX: Span = Span::from_mins(3_650 * 24 * 60);

    /// For so long.
    ///
    /// # Errors
    ///
    /// If that is less than a second or more than 3,650 days.
    pub fn of(span: Span) -> Result<Self, BadValidity> {
        let fits = (Self::MIN..=Self::MAX).contains(&span);
        fits.then_some(Self(Some(span))).ok_or(BadValidity)
    }

    fn from(self, now: Wall) -> Option<Wall> {
        self.0.map(|span| now + span)
    }
}

/// A token that was given out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// What the hub knows of it.
    pub hash: TokenHash,
    /// When it was given out.
    pub issued_at: Wall,
    /// When it is no longer valid; never, if nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Wall>,
    /// Whether that has come, so that a clock that is set back does not bring it back.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub expired: bool,
}

impl Issued {
    /// Whether it is no longer valid.
    #[must_use]
    pub fn is_over(&self, now: Wall) -> bool {
        self.expired || self.expires_at.is_some_and(|at| at <= now)
    }
}

/// What the hub remembers of an operator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    /// Its name.
    pub id: OperatorId,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// For how long its tokens are valid.
    pub validity: Validity,
    /// The tokens that prove it, the latest first; those that have expired are known by it.
    pub tokens: Vec<Issued>,
    /// When it was added.
    pub added_at: Wall,
}

impl Operator {
    /// One with its first token.
    #[must_use]
    pub fn new(
        id: OperatorId,
        rights: BTreeSet<Right>,
        validity: Validity,
        token: TokenHash,
        now: Wall,
    ) -> Self {
        let mut operator = Self { id, rights, validity, tokens: Vec::new(), added_at: now };
        operator.issue(token, validity, now);
        operator
    }

    /// Gives it another token. The one before stays valid for as long as it was; those before that
    /// one do not.
    pub fn issue(&mut self, hash: TokenHash, validity: Validity, now: Wall) {
        let expires_at = validity.from(now);
        let issued = Issued { hash, issued_at: now, expires_at, expired: false };
        self.validity = validity;
        self.tokens.insert(0, issued);
        self.tokens.truncate(TOKENS_MAX);
    }

    /// When the first of its tokens expires that has not yet.
    #[must_use]
    pub fn next_end(&self) -> Option<Wall> {
        let waiting = self.tokens.iter().filter(|token| !token.expired);
        waiting.filter_map(|token| token.expires_at).min()
    }

    /// Notes which tokens have expired; whether there are any that had not before.
    pub fn expire(&mut self, now: Wall) -> bool {
        let over = self.tokens.iter_mut().filter(|token| !token.expired && token.is_over(now));
        over.map(|token| token.expired = true).count() > 0
    }
}

/// Who holds a token that is valid, and what the hub has stored about what it permits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// Whoever administers the hub, who may do everything.
    Admin,
    /// An agent, which may do what agents may.
    Agent(AgentId),
    /// An operator, which may do what its rights say.
    Operator(OperatorId, BTreeSet<Right>),
}

impl Holder {
    /// In whose name things are done.
    #[must_use]
    pub fn principal(&self) -> Principal {
        match self {
            Self::Admin => Principal::Admin,
            Self::Agent(id) => Principal::Agent(id.clone()),
            Self::Operator(id, _) => Principal::Operator(id.clone()),
        }
    }
}

/// What the hub knows of a token that is shown to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// It is nobody's: it never was, or it was replaced or removed.
    Nobody,
    /// It was an operator's until then.
    Expired(OperatorId, Wall),
    /// It is somebody's.
    Holder(Holder),
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString as _;

    const DAY: Span = Span::from_mins(24 * 60);

    fn operator() -> Operator {
        let id = OperatorId::new("ci").unwrap();
        Operator::new(
            id,
            [Right::TaskRead].into(),
            Validity::USUAL,
            TokenHash([1; 32]),
            Wall(1_000),
        )
    }

    #[test]
    fn rights_read_what_they_write() {
        for right in Right::ALL {
            assert_eq!(right.to_string().parse(), Ok(right));
            let json = serde_json::to_string(&right).unwrap();
            assert_eq!(serde_json::from_str::<Right>(&json).unwrap(), right);
        }
        assert!("admin".parse::<Right>().is_err() && "*".parse::<Right>().is_err());
    }

    #[test]
    fn a_token_is_valid_for_a_second_to_ten_years_or_without_end() {
        let fits = |ms| Validity::of(Span(ms)).is_ok();
        assert_eq!([999, 1_000].map(fits), [false, true]);
        assert_eq!([DAY.0 * 3_650, DAY.0 * 3_650 + 1].map(fits), [true, false]);
        assert_eq!(Validity::of(DAY.times(90)), Ok(Validity::USUAL));
        assert_eq!(Validity::ENDLESS.from(Wall(5)), None);
    }

    #[test]
    fn the_latest_two_tokens_are_known_and_each_has_its_own_end() {
        let mut operator = operator();
        operator.issue(TokenHash([2; 32]), Validity::ENDLESS, Wall(2_000));
        assert_eq!(operator.next_end(), Some(Wall(1_000) + DAY.times(90)));
        operator.issue(TokenHash([3; 32]), Validity::USUAL, Wall(3_000));
        let known: Vec<u8> = operator.tokens.iter().map(|token| token.hash.0[0]).collect();
        assert_eq!(known, [3, 2]);
        assert_eq!(operator.next_end(), Some(Wall(3_000) + DAY.times(90)));
    }

    #[test]
    fn what_has_expired_stays_so_when_the_clock_is_set_back() {
        let (mut operator, end) = (operator(), Wall(1_000) + DAY.times(90));
        assert!(!operator.expire(Wall(end.0 - 1)) && !operator.tokens[0].is_over(Wall(end.0 - 1)));
        assert!(operator.expire(end) && !operator.expire(end));
        assert!(operator.tokens[0].is_over(Wall(0)));
        assert_eq!(operator.next_end(), None);
    }
}
