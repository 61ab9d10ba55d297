//! This file describes an agent as the scheduler sees it.

use alloc::vec::Vec;

use super::group::{GroupId, Standing};
use crate::id::TaskId;
use crate::name::AgentId;
use crate::state::ClassId;

/// The number of an agent while it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentNo(pub u32);

/// On which terms an agent is given work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How many tasks it holds at most; 0 of an agent that is to get none.
    pub slots: u32,
    /// Whether it is on probation.
    pub probation: bool,
    /// Whether it is given more than it has slots for.
    pub overfull: bool,
    /// Whether there are tasks that it is not offered.
    pub shuns: bool,
}

impl Terms {
    /// Whether it is given work at all, when it has room.
    #[must_use]
    pub const fn gives_work(&self) -> bool {
        self.slots > 0
    }
}

/// An agent that is registered, connected, at work, or the only one that may run something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: AgentId,
    /// Its group, while it is connected.
    pub group: Option<GroupId>,
    /// Its standing, if it has room.
    pub free: Option<Standing>,
    /// On which terms it is given work.
    pub terms: Terms,
    pub(super) registered: bool,
    /// The tasks that it holds, sorted.
    pub(super) held: Vec<TaskId>,
    pub(super) last_assigned: u64,
    /// The classes that it alone may run.
    pub(super) pins: Vec<ClassId>,
}

impl Member {
    pub(super) const fn new(id: AgentId) -> Self {
        let terms = Terms { slots: 0, probation: false, overfull: false, shuns: false };
        Self {
            id,
            group: None,
            free: None,
            terms,
            registered: false,
            held: Vec::new(),
            last_assigned: 0,
            pins: Vec::new(),
        }
    }

    /// The tasks that it holds, sorted.
    #[must_use]
    pub fn held(&self) -> &[TaskId] {
        &self.held
    }

    /// The classes that it alone may run.
    #[must_use]
    pub fn pins(&self) -> &[ClassId] {
        &self.pins
    }

    /// Its standing by what it holds, if that leaves it room.
    pub(super) fn standing(&self) -> Option<Standing> {
        let (held, slots) = (self.held.len() as u32, self.terms.slots);
        let load = held.saturating_mul(1000) / slots.max(1);
        let (probation, last_assigned) = (self.terms.probation, self.last_assigned);
        (held < slots || self.terms.overfull).then_some(Standing { probation, load, last_assigned })
    }

    /// Whether it is nothing to anybody.
    pub(super) fn is_stranger(&self) -> bool {
        !self.registered && self.group.is_none() && self.held.is_empty() && self.pins.is_empty()
    }
}
