//! This file lists the durable changes that a state can undergo, and the format of what is stored.
//!
//! A [`Change`] has a number, an event in the feed, and rows in the store. What is true only while
//! the hub runs changes by a [`Pulse`](crate::state::Pulse) instead.

mod format;

pub(crate) use format::encode_within;
pub use format::{FORMAT, decode, encode};

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use crate::agent::{Agent, TokenHash};
use crate::command::{KeyUse, Scope};
use crate::endpoint::Routing;
use crate::id::{Cipher, Incarnation, Lease, QuestionId, TaskId};
use crate::ledger::{Account, Cap, Subject};
use crate::limit::Bucket;
use crate::money::Micros;
use crate::name::{AgentId, Key, ModelName, OperatorId, Repo};
use crate::operator::Operator;
use crate::price::Price;
use crate::question::Question;
use crate::repo::Registered;
use crate::task::{Life, Rate, Task};
use crate::time::Wall;

/// What a data set is made with: everything random in it follows from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Which life of the data set this is; drawn anew after a wipe or a restore.
    pub incarnation: Incarnation,
    /// What all random choices follow from.
    pub seed: u64,
    /// The token of whoever administers the hub.
    pub admin: TokenHash,
}

/// What there is one of in a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which life of the data set this is.
    pub incarnation: Incarnation,
    /// What all random choices follow from.
    pub seed: u64,
    /// How ids are made from counters.
    pub ids: Cipher,
    /// The token of whoever administers the hub.
    pub admin: TokenHash,
    /// The number of the next task.
    pub next_task: u64,
    /// The number of the next question.
    pub next_question: u64,
    /// The number of the latest event.
    pub seq: u64,
    /// The number of the oldest event that is kept.
    pub oldest_event: u64,
    /// How many tasks ended as completed, partial, dead and cancelled.
    pub ended: [u64; 4],
    /// The lease that every assignment's is larger than; a restore raises it, so that no lease is
    /// given out that was given out after the backup.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lease_floor: Lease,
}

fn is_zero(lease: &Lease) -> bool {
    lease.0 == 0
}

/// What operators set while the hub runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// What is paused.
    #[serde(default)]
    pub paused: BTreeSet<Scope>,
    /// How large the portions of fair keys are; 100 where nothing is said.
    #[serde(default)]
    pub weights: BTreeMap<Key, u32>,
    /// Of how many assignments one goes to the oldest task; 0 is never.
    #[serde(default)]
    pub oldest_first: u32,
    /// How much may be spent.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub caps: BTreeMap<Cap, Micros>,
    /// What models cost, where it is not as listed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub prices: BTreeMap<ModelName, Price>,
    /// Whether nothing is spent, and nothing started, until it is said otherwise.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub stopped: bool,
    /// Servers of models, and how tasks come to them.
    #[serde(default, skip_serializing_if = "Routing::is_default")]
    pub routing: Routing,
    /// Repositories, the one that tasks without one are about first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<Registered>,
}

impl Settings {
    /// Whether work on a repository is paused, by whatever address.
    #[must_use]
    pub fn is_paused(&self, repo: &Repo) -> bool {
        self.paused.iter().any(|scope| scope.is_of(repo))
    }

    /// Lets work on a repository go on, by whatever address it was paused; whether it was.
    pub fn unpause(&mut self, repo: &Repo) -> bool {
        let before = self.paused.len();
        self.paused.retain(|scope| !scope.is_of(repo));
        self.paused.len() < before
    }
}

/// A token bucket in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRow {
    /// Its figures.
    pub rate: Rate,
    /// What is left in it.
    pub bucket: Bucket,
}

/// A durable change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The data set was made or read.
    Head(Box<Head>),
    /// Settings are as said.
    Settings(Box<Settings>),
    /// A task lives: it was submitted, or read from the store.
    TaskAdded(Box<Task>),
    /// A task moved on.
    TaskMoved {
        /// Which.
        id: TaskId,
        /// Where its life stands after the move.
        life: Box<Life>,
    },
    /// A task ended, and leaves memory for history.
    TaskEnded {
        /// Which.
        id: TaskId,
        /// Where its life ended.
        life: Box<Life>,
    },
    /// More became known of what an ended task has cost.
    TaskSettled(Box<Task>),
    /// An ended task came back from history.
    TaskRevived(Box<Task>),
    /// A key was made use of.
    KeyUsed(Key, KeyUse),
    /// A bucket was drawn on.
    Drawn(Key, BucketRow),
    /// A bucket is full again, and so the same as one never drawn on.
    BucketFull(Key),
    /// Keys and events whose time is over are no longer kept.
    Trimmed {
        /// The keys, and when their time was over.
        keys: Vec<(Key, Wall)>,
        /// The rows of events, by the number of the first in each.
        events: Vec<u64>,
        /// The oldest event that is kept.
        oldest: u64,
    },
    /// An account of the ledger is as said; without one it is forgotten.
    Account(Subject, Option<Box<Account>>),
    /// An agent is as said.
    AgentSet(Box<Agent>),
    /// An agent was forgotten.
    AgentRemoved(AgentId),
    /// An operator is as said.
    OperatorSet(Box<Operator>),
    /// An operator was forgotten.
    OperatorRemoved(OperatorId),
    /// A question was asked.
    QuestionAsked(Box<Question>),
    /// A question was answered or fell away.
    QuestionClosed(QuestionId),
}
