//! This file describes what the hub knows of a connection and of held tasks while it runs.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;

use crate::agent::TokenHash;
use crate::id::{SessionId, TaskId};
use crate::json::Json;
use crate::name::AgentId;
use crate::time::{Mono, Now, Wall};
use crate::wire::Dialect;

/// A connection. All its deadlines are here; [`State`](super::State) keeps an alarm for each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Which rules it follows.
    pub dialect: Dialect,
    /// From where it comes.
    pub peer: Box<str>,
    /// The agent that it proved to be.
    pub agent: Option<AgentId>,
    /// The token by which it did, the latest if it did so again. It ends with that token.
    pub token: Option<TokenHash>,
    /// When it was opened.
    pub opened_at: Wall,
    /// When it last gave a sign of life.
    pub seen: Mono,
    /// When it has to have identified itself.
    pub identify_by: Option<Mono>,
    /// When it is closed since its token was refused.
    pub close_at: Option<Mono>,
    /// When it counts as silent.
    pub silent_at: Option<Mono>,
    /// Whether it is silent, and so gets no work.
    pub silent: bool,
    /// Whether its sidecar is on its way out, and so gets no work.
    pub drains: bool,
    /// A plain client: until when it may report what it holds; no work before that.
    pub report_by: Option<Mono>,
    /// A plain client: the tasks that it has yet to report.
    pub unreported: BTreeSet<TaskId>,
    /// A plain client: until when it may still run a task that was taken from it.
    pub barred_until: Option<Mono>,
    /// A plain client: tasks that it is not offered again.
    pub shunned: BTreeSet<TaskId>,
    /// Until when it is left alone since it had no room.
    pub busy_until: Option<Mono>,
    /// How often in a row it had no room.
    pub busy_count: u32,
    /// How many frames in the window could not be read.
    pub violations: u32,
    /// When the window of violations began.
    pub violations_since: Mono,
    /// What it says of itself, for people.
    pub status: Option<Box<str>>,
    /// How its host is doing, as it sent it.
    pub resources: Option<Json>,
}

impl Session {
    /// A connection that has yet to say who it is.
    #[must_use]
    pub fn opened(
        id: SessionId,
        dialect: Dialect,
        peer: Box<str>,
        now: Now,
        identify_by: Mono,
    ) -> Self {
        Self {
            id,
            dialect,
            peer,
            agent: None,
            token: None,
            opened_at: now.wall,
            seen: now.mono,
            identify_by: Some(identify_by),
            close_at: None,
            silent_at: None,
            silent: false,
            drains: false,
            report_by: None,
            unreported: BTreeSet::new(),
            barred_until: None,
            shunned: BTreeSet::new(),
            busy_until: None,
            busy_count: 0,
            violations: 0,
            violations_since: now.mono,
            status: None,
            resources: None,
        }
    }

    /// Whether this very sign of life was taken in already, as it is if frames come in a burst.
    #[must_use]
    pub(crate) fn was_seen(&self, at: Mono, silent_at: Mono) -> bool {
        !self.silent && self.seen == at && self.silent_at == Some(silent_at)
    }

    /// Whether its agent may be given work, as far as the connection is concerned.
    #[must_use]
    pub const fn takes_work(&self) -> bool {
        !self.silent
            && !self.drains
            && self.report_by.is_none()
            && self.barred_until.is_none()
            && self.busy_until.is_none()
    }
}

/// The deadlines of a held task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// When the agent loses the task unless it renews.
    pub lease: Mono,
    /// When the agent has to have accepted.
    pub accept: Option<Mono>,
    /// When the attempt has taken too long.
    pub timeout: Option<Mono>,
    /// When the task counts as stuck.
    pub stuck: Option<Mono>,
    /// When its agent was last told of it.
    pub told: Mono,
    /// In how many heartbeats in a row it was missing.
    pub missing: u32,
}

/// Whoever claims to be an agent: an address and the name that is claimed. Counted together, so
/// that one bad sidecar does not lock out its host.
pub type Claimant = (Box<str>, Box<str>);

/// Failures to prove an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusals {
    /// How many in a row.
    pub count: u32,
    /// When the latest was.
    pub at: Mono,
}

impl Refusals {
    /// The most claimants that are remembered; the one that failed longest ago goes first.
    pub const CLAIMANTS_MAX: usize = 4_096;
}
