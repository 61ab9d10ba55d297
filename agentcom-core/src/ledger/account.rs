//! This file is one account: what was booked on it today, this month and ever.

use alloc::string::{String, ToString};
use core::fmt;
use core::ops::AddAssign;
use core::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};

use super::{Day, Month, Period, Reserved};
use crate::money::{Micros, Usage};
use crate::name::{AgentId, BadName, GoalId, ModelName, Repo};
use crate::time::Wall;

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub enum Subject {
    /// Everybody's.
    All,
    /// That of a day.
    Day(Day),
    /// That of a month.
    Month(Month),
    /// That of an agent.
    Agent(AgentId),
    /// That of a model.
    Model(ModelName),
    /// That of a repository.
    Repo(Repo),
    /// That of a goal.
    Goal(GoalId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Day(day) => write!(f, "day:{day}"),
            Self::Month(month) => write!(f, "month:{month}"),
            Self::Agent(agent) => write!(f, "agent:{agent}"),
            Self::Model(model) => write!(f, "model:{model}"),
            Self::Repo(repo) => write!(f, "repo:{repo}"),
            Self::Goal(goal) => write!(f, "goal:{goal}"),
        }
    }
}

impl FromStr for Subject {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = |why| BadName { what: "account", why };
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "all" if name.is_empty() => Ok(Self::All),
            "day" => name.parse().map(Self::Day).map_err(|_| bad("must be of a day: 2026-11-26")),
            "month" => {
                name.parse().map(Self::Month).map_err(|_| bad("must be of a month: 2026-11"))
            }
            "agent" => AgentId::new(name).map(Self::Agent),
            "model" => ModelName::new(name).map(Self::Model),
            "repo" => Repo::new(name).map(Self::Repo),
            "goal" => GoalId::new(name).map(Self::Goal),
            _ => Err(bad("must be all, day:, month:, agent:, model:, repo: or goal:")),
        }
    }
}

impl TryFrom<String> for Subject {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl Serialize for Subject {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_string())
    }
}

/// What calls came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many they were.
    pub calls: u64,
    /// What they cost.
    pub micros: Micros,
    /// How many tokens they took.
    #[serde(flatten)]
    pub usage: Usage,
}

impl Tally {
    /// What is booked of a call of which nobody tells what it came to.
    #[must_use]
    pub fn worst(reserved: &Reserved) -> Self {
        Self { calls: 1, micros: reserved.micros, usage: Usage::default() }
    }

    /// With one call booked as what it `came_to`, and not as the worst case, which has no tokens.
    pub(super) fn with(self, worst: Self, came_to: Self) -> Self {
        let mut after = Self {
            calls: self.calls.saturating_sub(worst.calls),
            micros: self.micros.less(worst.micros),
            ..self
        };
        after += came_to;
        after
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.calls = self.calls.saturating_add(more.calls);
        self.micros += more.micros;
        self.usage += more.usage;
    }
}

/// What was booked on an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The time of the latest booking.
    at: Wall,
    /// All that was booked on the day of that.
    day: Tally,
    /// All that was booked in the month of that.
    month: Tally,
    /// All that was ever booked.
    ever: Tally,
}

impl Account {
    /// The day of the latest booking.
    #[must_use]
    pub fn day(&self) -> Day {
        Day::of(self.at)
    }

    /// What was booked in the period that `at` is in.
    #[must_use]
    pub fn tally(&self, per: Period, at: Wall) -> Tally {
        let (then, now) = (Day::of(self.at), Day::of(at));
        match per {
            // A clock that was set back does not make spending undone.
            Period::Day if then >= now => self.day,
            Period::Month if then.month() >= now.month() => self.month,
            Period::Day | Period::Month => Tally::default(),
            Period::Ever => self.ever,
        }
    }

    /// What was spent in the period that `at` is in.
    #[must_use]
    pub fn spent(&self, per: Period, at: Wall) -> Micros {
        self.tally(per, at).micros
    }

    /// The account after a booking.
    pub(super) fn booked(self, entry: Tally, at: Wall) -> Self {
        let at = at.max(self.at);
        let mut after = Self {
            at,
            day: self.tally(Period::Day, at),
            month: self.tally(Period::Month, at),
            ever: self.ever,
        };
        after.day += entry;
        after.month += entry;
        after.ever += entry;
        after
    }

    /// The account with a call that was booked at its worst `then` booked as what it came to. Of days and
    /// months that are over by now nothing is kept here.
    pub(super) fn settled(self, worst: Tally, came_to: Tally, then: Wall) -> Self {
        let (day, of) = (self.day(), Day::of(then));
        let with = |tally: Tally, is_kept: bool| match is_kept {
            true => tally.with(worst, came_to),
            false => tally,
        };
        Self {
            at: self.at,
            day: with(self.day, day == of),
            month: with(self.month, day.month() == of.month()),
            ever: with(self.ever, true),
        }
    }
}
