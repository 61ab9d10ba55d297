//! This file holds tasks that require the same, and where each stands among them.

use alloc::boxed::Box;
use core::cmp::Ordering;

use crate::name::{AgentId, Capability, Kind, Repo};
use crate::state::sorted::Sorted;
use crate::state::{FlowNo, LimitsNo};
use crate::task::Spec;
use crate::time::Wall;

/// What a class of tasks requires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirements {
    /// The kind of operation.
    pub kind: Kind,
    /// The capabilities, and that of the sandbox that it is content with.
    pub needs: Box<[Capability]>,
    /// The repository, which can be paused.
    pub repo: Option<Repo>,
    /// The one agent that may run them.
    pub pin: Option<AgentId>,
}

impl Requirements {
    /// What a task requires.
    #[must_use]
    pub fn of(spec: &Spec) -> Self {
        Self {
            kind: spec.op.kind.clone(),
            needs: needs_of(spec),
            repo: spec.repo.clone(),
            pin: spec.assign_to.clone(),
        }
    }
}

/// What an agent must be able to do, sorted, without repeats.
fn needs_of(spec: &Spec) -> Box<[Capability]> {
    let sandbox = spec.least_sandbox().capability();
    let Some((at, sandbox)) =
        sandbox.and_then(|it| Some((spec.needs.binary_search(&it).err()?, it)))
    else {
        return spec.needs.clone();
    };
    let mut needs = spec.needs.to_vec();
    needs.insert(at, sandbox);
    needs.into()
}

/// The number of a class while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassId(pub u32);

impl ClassId {
    /// That of a task which is not ready.
    pub const NONE: Self = Self(u32::MAX);
}

/// The place of a task in its lane: what the policy says, then since when it is ready, then its
/// number. No two tasks have the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// What the policy says; smaller is earlier.
    pub order: u64,
    /// Since when it is ready.
    pub since: Wall,
    /// Its number, which follows the order of submission.
    pub number: u64,
}

/// A task in its lane, with all that has to be known of it to give it to an agent.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its place.
    pub spot: Spot,
    /// The start tag of fair queueing.
    pub tag: u64,
    /// The flow that it is queued in.
    pub flow: FlowNo,
    /// The limits that it counts against.
    pub limits: LimitsNo,
}

impl Entry {
    /// Comes before all others.
    pub(super) const FIRST: Self = Self::at(Spot { order: 0, since: Wall(0), number: 0 });

    /// An entry that is found in place of the one there.
    pub(super) const fn at(spot: Spot) -> Self {
        Self { spot, tag: 0, flow: FlowNo::FIRST, limits: LimitsNo::NONE }
    }
}

/// The first task of a lane of a class, but for what the policy says of it. Sorted by age: no two
/// have the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::state) struct Head {
    pub(super) since: Wall,
    pub(super) number: u64,
    pub(super) limits: LimitsNo,
}

impl Head {
    pub(super) const NONE: Self = Self { since: Wall(0), number: 0, limits: LimitsNo::NONE };
    /// Comes after all others.
    pub(in crate::state) const LAST: Self =
        Self { since: Wall(u64::MAX), number: u64::MAX, limits: LimitsNo::NONE };

    pub(super) const fn of(entry: &Entry) -> Self {
        let Entry { spot: Spot { since, number, .. }, limits, .. } = *entry;
        Self { since, number, limits }
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.spot == other.spot
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Entries are found by their places.
impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        self.spot.cmp(&other.spot)
    }
}

/// Since when a task is ready, and its number.
type Aged = (Wall, u64);

/// Tasks that require the same.
#[derive(Clone, Debug)]
pub struct Class {
    /// What they require.
    pub requirements: Requirements,
    /// Whether a pause keeps them from starting.
    pub paused: bool,
    pub(super) lanes: [Sorted<Entry>; 4],
    /// By age, while the oldest of all tasks is asked for now and then.
    oldest: Option<Sorted<Aged>>,
    waiting: usize,
    pub(super) parked: usize,
}

impl Class {
    pub(super) fn new(requirements: Requirements, paused: bool, by_age: bool) -> Self {
        let oldest = by_age.then(Sorted::default);
        Self { requirements, paused, lanes: Default::default(), oldest, waiting: 0, parked: 0 }
    }

    /// The task of a lane that starts next, unless the class is paused.
    #[must_use]
    pub fn head(&self, lane: usize) -> Option<&Entry> {
        if self.paused { None } else { self.lanes[lane].first() }
    }

    /// The task that has been ready for longest, unless the class is paused or nobody asks for it.
    #[must_use]
    pub fn oldest(&self) -> Option<Aged> {
        self.oldest.as_ref()?.first().copied().filter(|_| !self.paused)
    }

    /// Whether no task is in it, waiting or held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many tasks are in it, waiting and held back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.waiting + self.parked
    }

    /// Whether its tasks are sorted by age as well, and all of them.
    pub(super) fn is_by_age(&self, by_age: bool) -> bool {
        by_age == self.oldest.is_some()
            && self.oldest.as_ref().is_none_or(|oldest| oldest.len() == self.waiting)
            && self.waiting == self.lanes.iter().map(Sorted::len).sum::<usize>()
    }

    pub(super) fn insert(&mut self, lane: usize, entry: Entry) {
        self.lanes[lane].insert(entry);
        self.waiting += 1;
        if let Some(oldest) = &mut self.oldest {
            oldest.insert(aged(&entry.spot));
        }
    }

    pub(super) fn take(&mut self, lane: usize, spot: &Spot) -> Option<Entry> {
        let entry = self.lanes[lane].take(&Entry::at(*spot))?;
        self.waiting -= 1;
        if let Some(oldest) = &mut self.oldest {
            oldest.take(&aged(spot));
        }
        Some(entry)
    }

    /// Sorts the tasks by age as well, or stops to.
    pub(super) fn sort_by_age(&mut self, by_age: bool) {
        self.oldest = by_age.then(|| {
            let mut oldest = Sorted::default();
            let entries = self.lanes.iter().flat_map(Sorted::iter);
            entries.for_each(|entry| oldest.insert(aged(&entry.spot)));
            oldest
        });
    }
}

const fn aged(spot: &Spot) -> Aged {
    (spot.since, spot.number)
}
