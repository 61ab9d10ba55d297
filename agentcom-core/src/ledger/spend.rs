//! This file is what a task spends: call by call, each reserved before it is made and booked after.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Breach, Tally};
use crate::id::Lease;
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::price::Price;
use crate::time::{Span, Wall};

/// What a call may come to at most, or what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spending {
    /// The model that is called.
    pub model: ModelName,
    /// The tokens.
    #[serde(flatten)]
    pub usage: Usage,
    /// The money, where whoever calls knows better than by the price of tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub micros: Option<Micros>,
}

/// What is said of a call to whoever keeps the books.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payment {
    /// It is to be made, and may come to this.
    AtMost(Spending),
    /// It was made, and came to this.
    CameTo(Spending),
}

/// A call of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// Its number in the attempt, from 1. What is said again of a call is the same call.
    #[serde(rename = "call")]
    pub number: u32,
    /// What it may come to, or came to.
    #[serde(flatten)]
    pub spending: Spending,
}

/// Leave to make a call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// How much is reserved for it.
    pub micros: Micros,
    /// The price of its tokens, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// Why a call may not be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NotGranted {
    /// It would pass a cap, and nobody wants it raised.
    Cap(Box<Breach>),
    /// There are caps, and the model has no price.
    NoPrice(ModelName),
    /// There are caps, and as many accounts as there may be.
    NoAccount,
    /// The task was given to somebody else.
    Superseded,
    /// The hub did not answer.
    Unheard,
}

impl fmt::Display for NotGranted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cap(breach) => write!(f, "no money for {breach}"),
            Self::NoPrice(model) => {
                write!(f, "there are caps on what is spent, and `{model}` has no price")
            }
            Self::NoAccount => f.write_str("there are caps on what is spent, and no room to count"),
            Self::Superseded => f.write_str("the task was given to somebody else"),
            Self::Unheard => f.write_str("the hub did not say whether it may be paid for"),
        }
    }
}

/// What a task has cost, and the call that is under way.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spend {
    /// What it has cost in all attempts.
    pub total: Tally,
    /// What it may cost, where a person allowed more than was said at first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Micros>,
    /// The assignment whose calls are counted.
    pub lease: Lease,
    /// Its latest call.
    pub call: u32,
    /// What is reserved for that, until it is booked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Reserved>,
    /// The latest call that an attempt left open when it ended, until it is known what it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unsettled: Option<Unsettled>,
}

/// A call that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The model that is called.
    pub model: ModelName,
    /// What it may cost.
    pub micros: Micros,
}

/// A call that was booked at its worst, since its attempt ended while it was under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsettled {
    /// The assignment.
    pub lease: Lease,
    /// Its number in that.
    pub call: u32,
    /// What was reserved, and booked.
    #[serde(flatten)]
    pub reserved: Reserved,
    /// When it was booked.
    pub at: Wall,
}

impl Spend {
    /// For so long it may be told what a call came to that was booked at its worst.
    pub const LATE_MAX: Span = Span::from_mins(10);

    /// Whether a call of an assignment has been granted or booked before.
    #[must_use]
    pub fn knows(&self, lease: Lease, call: u32) -> bool {
        self.lease == lease && call <= self.call
    }

    /// The call that is under way in an assignment.
    #[must_use]
    pub fn under_way(&self, lease: Lease) -> Option<&Reserved> {
        self.open.as_ref().filter(|_| self.lease == lease)
    }

    /// With a call under way for which `micros` are reserved.
    #[must_use]
    pub fn reserved(&self, lease: Lease, call: u32, model: ModelName, micros: Micros) -> Self {
        Self { lease, call, open: Some(Reserved { model, micros }), ..self.clone() }
    }

    /// The call that was booked at its worst, if it is this one and may still be told.
    #[must_use]
    pub fn owed(&self, lease: Lease, call: u32, now: Wall) -> Option<&Unsettled> {
        let is_it = |owed: &&Unsettled| (owed.lease, owed.call) == (lease, call);
        self.unsettled.as_ref().filter(is_it).filter(|owed| now - owed.at <= Self::LATE_MAX)
    }

    /// With the call that is under way booked at its worst, since its attempt ends.
    #[must_use]
    pub fn given_up(&self, at: Wall) -> Self {
        let Some(reserved) = self.open.clone() else { return self.clone() };
        let (lease, call) = (self.lease, self.call);
        let after = self.booked(lease, call, Tally::worst(&reserved));
        Self { unsettled: Some(Unsettled { lease, call, reserved, at }), ..after }
    }

    /// With the call that was booked at its worst booked as what it came to.
    #[must_use]
    pub fn settled(&self, came_to: Tally) -> Self {
        let mut after = self.clone();
        if let Some(owed) = after.unsettled.take() {
            after.total = after.total.with(Tally::worst(&owed.reserved), came_to);
        }
        after
    }

    /// With a call booked, which is under way no longer.
    #[must_use]
    pub fn booked(&self, lease: Lease, call: u32, entry: Tally) -> Self {
        let mut after = Self { lease, call, open: None, ..self.clone() };
        after.total += entry;
        after
    }
}
