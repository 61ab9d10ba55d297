//! This file joins the steps that share one commit.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::fmt;

use crate::hub::{Effect, Step};
use crate::port::store::Batch;
use crate::state::{Dirty, State, rows_of};
use crate::view::{Event, ProgressView};

/// For how much an emptied group keeps room.
const KEPT: usize = 4 * super::GROUP_MAX;

/// Something that may be said once a group is durable.
pub(super) type Release = Box<dyn FnOnce() + Send>;

/// Steps that share one commit, and what may be said once it is confirmed.
#[derive(Default)]
pub(super) struct Group {
    dirty: BTreeSet<Dirty>,
    pub(super) events: Vec<Event>,
    pub(super) effects: Vec<Effect>,
    pub(super) progress: Vec<ProgressView>,
    pub(super) releases: Vec<Release>,
    /// How many inputs are in it.
    pub(super) inputs: usize,
    /// The number of its last event.
    pub(super) seq: u64,
}

impl Group {
    pub(super) fn join(&mut self, step: Step) {
        self.inputs += 1;
        self.dirty.extend(step.dirty);
        self.events.extend(step.events);
        self.effects.extend(step.effects);
        self.progress.extend(step.progress);
    }

    /// The same one with nothing in it: groups are about as large as those before them.
    pub(super) fn emptied(mut self) -> Self {
        self.dirty.clear();
        self.events.clear();
        self.effects.clear();
        self.progress.clear();
        self.releases.clear();
        self.events.shrink_to(KEPT);
        self.effects.shrink_to(KEPT);
        Self { inputs: 0, seq: 0, ..self }
    }

    /// Whether it has nothing to store and nothing to say.
    pub(super) fn is_empty(&self) -> bool {
        self.effects.is_empty()
            && self.events.is_empty()
            && self.progress.is_empty()
            && self.releases.is_empty()
    }

    /// Whether it answers somebody who asked for something.
    pub(super) fn answers(&self) -> bool {
        self.effects.iter().any(|effect| matches!(effect, Effect::Reply(..)))
    }

    /// The batch to be stored, if there is anything durable in the group.
    pub(super) fn batch(&mut self, state: &State) -> Option<Batch> {
        self.seq = state.seq();
        if self.events.is_empty() {
            return None;
        }
        Some(rows_of(state, &core::mem::take(&mut self.dirty), &self.events))
    }
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Group")
            .field("inputs", &self.inputs)
            .field("seq", &self.seq)
            .finish_non_exhaustive()
    }
}
