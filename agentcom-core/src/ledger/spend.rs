//! This file is what a task spends: call by call, each reserved before it is made and booked after.

use alloc::boxed::Box;
use core::fmt;

use serde::{Deserialize, Serialize};

use super::{Breach, Tally};
use crate::id::Lease;
use crate::money::{Micros, Usage};
use crate::name::ModelName;
use crate::price::Price;

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
}

/// A call that is under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reserved {
    /// The model that is called.
    pub model: ModelName,
    /// What it may cost.
    pub micros: Micros,
}

impl Spend {
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

    /// With a call booked, which is under way no longer.
    #[must_use]
    pub fn booked(&self, lease: Lease, call: u32, entry: Tally) -> Self {
        let mut after = Self { lease, call, open: None, ..self.clone() };
        after.total += entry;
        after
    }
}
