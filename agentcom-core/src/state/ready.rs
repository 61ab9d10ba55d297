//! This file indexes ready tasks by what they require, and parks those that a limit holds back.
//!
//! A decision looks at the heads of classes only. Tasks that cannot run for a reason of their own
//! are parked under what will wake them, and never scanned past.

mod class;

pub(super) use class::Head;
pub use class::{Class, ClassId, Entry, Requirements, Spot};

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use super::firsts::Moves;
use super::{Abilities, LimitsNo, Queued};
use crate::name::{Capability, Key};
use crate::route::Wanted;

/// What holds a ready task back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// As many tasks with the key run as may, for a task that starts only beside fewer than this.
    Concurrency(Key, u32),
    /// The bucket of the key is empty.
    Rate(Key),
    /// The policy or its repository's agent wants it to wait for another agent.
    Fit,
    /// No endpoint takes tasks that want this.
    Route(Wanted),
}

/// Ready tasks, by class.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    numbers: BTreeMap<Requirements, ClassId>,
    classes: Vec<Option<Class>>,
    /// The first task of each lane of each class, for scans over many classes: what the policy says
    /// of it, and apart from that the rest.
    orders: Vec<Orders>,
    heads: Vec<[Head; 4]>,
    vacant: Vec<ClassId>,
    /// Unpinned classes, each by the rarest of the capabilities that it needs, if it needs any.
    by_need: BTreeMap<Option<Capability>, BTreeSet<ClassId>>,
    parked: BTreeMap<(Gate, ClassId), BTreeSet<(usize, Entry)>>,
    gate_of: BTreeMap<u64, (Gate, ClassId)>,
    /// Tasks that may try again, and what had held them back: whoever is behind one is let on when
    /// it leaves, so that no opening is lost on a task that could not use it.
    let_on: BTreeMap<u64, (Gate, ClassId)>,
    tours: BTreeMap<ClassId, Tour>,
    by_lane: [u64; 4],
    by_age: bool,
    moves: Moves,
}

/// A round over the tasks of a class that suited nobody: each tries once.
#[derive(Clone, Copy, Debug, Default)]
struct Tour {
    /// The latest that tried.
    at: Option<(usize, Entry)>,
    /// How many are yet to try.
    left: usize,
}

/// What the policy says of the first task of each lane; it never spans two cache lines.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Orders([u64; 4]);

/// Marks a lane of a class in which nothing waits.
const EMPTY: u64 = u64::MAX;
/// Classes without tasks that are kept, so that a steady trickle does not make them anew.
const SPARE_MAX: usize = 1024;

impl Ready {
    /// The class with these requirements, and whether it was made for the purpose.
    pub fn class_for(&mut self, requirements: Requirements, paused: bool) -> (ClassId, bool) {
        if let Some(&id) = self.numbers.get(&requirements) {
            return (id, false);
        }
        let id = self.vacant.pop().unwrap_or_else(|| {
            self.classes.push(None);
            self.orders.push(Orders([EMPTY; 4]));
            self.heads.push([Head::NONE; 4]);
            ClassId((self.classes.len() - 1) as u32)
        });
        if requirements.pin.is_none() {
            self.by_need.entry(self.rarest(&requirements)).or_default().insert(id);
        }
        self.classes[id.0 as usize] = Some(Class::new(requirements.clone(), paused, self.by_age));
        self.numbers.insert(requirements, id);
        (id, true)
    }

    /// A class.
    #[must_use]
    pub fn class(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(id.0 as usize)?.as_ref()
    }

    /// The number of the class with these requirements.
    #[must_use]
    pub fn find(&self, requirements: &Requirements) -> Option<ClassId> {
        self.numbers.get(requirements).copied()
    }

    /// All classes.
    pub fn classes(&self) -> impl Iterator<Item = (ClassId, &Class)> {
        self.numbers.values().filter_map(|&id| Some((id, self.class(id)?)))
    }

    /// The unpinned classes for which some abilities are enough.
    #[must_use]
    pub fn runnable_by(&self, abilities: &Abilities) -> Vec<ClassId> {
        let needs = abilities.capabilities.iter().cloned().map(Some).chain([None]);
        let classes = needs.filter_map(|need| self.by_need.get(&need)).flatten().copied();
        let meets =
            |id: &ClassId| self.class(*id).is_some_and(|class| abilities.meet(&class.requirements));
        classes.filter(meets).collect()
    }

    /// Pauses a class or lets it go on.
    pub fn set_paused(&mut self, id: ClassId, paused: bool) {
        if let Some(class) = self.class_mut(id) {
            class.paused = paused;
            self.refresh_heads(id);
        }
    }

    /// Sorts tasks by age as well, so that the oldest is known, or stops to: it costs as much again.
    pub fn sort_by_age(&mut self, by_age: bool) {
        if self.by_age != by_age {
            self.by_age = by_age;
            self.classes.iter_mut().flatten().for_each(|class| class.sort_by_age(by_age));
        }
    }

    /// A task becomes ready.
    pub fn insert(&mut self, id: ClassId, lane: usize, entry: Entry) {
        if let Some(class) = self.class_mut(id) {
            class.insert(lane, entry);
            self.by_lane[lane] += 1;
            self.refresh_head(id, lane);
        }
    }

    /// A task is no longer ready. Returns what was known of it.
    pub fn remove(&mut self, id: ClassId, lane: usize, spot: &Spot) -> Option<Entry> {
        self.let_on.remove(&spot.number);
        let entry = match self.gate_of.remove(&spot.number) {
            Some((gate, class)) => self.unpark_entry(&gate, class, lane, spot),
            None => self.class_mut(id).and_then(|class| class.take(lane, spot)),
        };
        self.by_lane[lane] -= u64::from(entry.is_some());
        self.refresh_head(id, lane);
        entry
    }

    /// Gives a class up that no task is in, unless it is kept to spare. Returns what it required.
    pub fn give_up(&mut self, id: ClassId) -> Option<Requirements> {
        let idle = self.class(id).is_some_and(Class::is_empty);
        if !idle || self.numbers.len() <= SPARE_MAX {
            return None;
        }
        let class = self.classes[id.0 as usize].take()?;
        self.numbers.remove(&class.requirements);
        self.tours.remove(&id);
        for need in class.requirements.needs.iter().cloned().map(Some).chain([None]) {
            if let Some(classes) = self.by_need.get_mut(&need) {
                classes.remove(&id);
                if classes.is_empty() {
                    self.by_need.remove(&need);
                }
            }
        }
        self.vacant.push(id);
        Some(class.requirements)
    }

    /// A ready task is held back by `gate`.
    pub fn park(&mut self, id: ClassId, lane: usize, spot: &Spot, gate: Gate) {
        let Some(class) = self.class_mut(id) else { return };
        let Some(entry) = class.take(lane, spot) else { return };
        class.parked += 1;
        self.let_on.remove(&spot.number);
        self.gate_of.insert(spot.number, (gate.clone(), id));
        self.parked.entry((gate, id)).or_default().insert((lane, entry));
        self.refresh_head(id, lane);
    }

    /// Lets the first tasks of each class in question that are held back by `gate` try again, and
    /// returns those classes. A concurrency gate stands for those of its key with the same or a
    /// larger maximum.
    pub fn wake(&mut self, gate: &Gate, in_question: impl Fn(ClassId) -> bool) -> Vec<ClassId> {
        if self.parked.is_empty() {
            return Vec::new();
        }
        let last = match gate {
            Gate::Concurrency(key, _) => Gate::Concurrency(key.clone(), u32::MAX),
            Gate::Rate(_) | Gate::Fit => gate.clone(),
            // It stands for whatever tasks want, and behind all other gates.
            Gate::Route(_) => gate.clone(),
        };
        let to = match gate {
            Gate::Route(_) => Bound::Unbounded,
            Gate::Concurrency(..) | Gate::Rate(_) | Gate::Fit => {
                Bound::Included((last, ClassId(u32::MAX)))
            }
        };
        let from = Bound::Included((gate.clone(), ClassId(0)));
        let found: Vec<(Gate, ClassId, usize)> = self
            .parked
            .range((from, to))
            .filter(|((_, id), _)| in_question(*id))
            .map(|((gate, id), set)| (gate.clone(), *id, set.len()))
            .collect();
        for (gate, id, left) in &found {
            if *gate == Gate::Fit {
                self.tours.entry(*id).or_default().left = *left;
            }
            self.wake_first(gate, *id);
        }
        found.into_iter().map(|(_, id, _)| id).collect()
    }

    /// Lets the first task of each lane of one class that is held back by `gate` try again: age
    /// decides between them.
    pub fn wake_first(&mut self, gate: &Gate, id: ClassId) -> bool {
        let Some(set) = self.parked.get(&(gate.clone(), id)) else { return false };
        let (mut firsts, mut lane) = (Vec::new(), 0);
        while let Some((next, entry)) = set.range((lane, Entry::FIRST)..).next() {
            firsts.push((*next, entry.spot));
            lane = next + 1;
        }
        firsts.iter().for_each(|(lane, spot)| self.unpark(gate, id, *lane, spot));
        !firsts.is_empty()
    }

    /// Lets the next task of a class try that suited nobody, until each had its turn.
    pub fn wake_next_unfit(&mut self, id: ClassId) -> bool {
        let Some(set) = self.parked.get(&(Gate::Fit, id)) else { return false };
        let Some(tour) = self.tours.get_mut(&id).filter(|tour| tour.left > 0) else { return false };
        let behind = |at| set.range((Bound::Excluded(at), Bound::Unbounded)).next();
        let next = tour.at.and_then(behind).or_else(|| set.first()).copied();
        (tour.at, tour.left) = (next, tour.left - 1);
        next.inspect(|(lane, entry)| self.unpark(&Gate::Fit, id, *lane, &entry.spot)).is_some()
    }

    /// The classes that have tasks which suited nobody.
    pub fn unfit(&self) -> impl Iterator<Item = (ClassId, &Class)> {
        let all = (Gate::Fit, ClassId(0))..=(Gate::Fit, ClassId(u32::MAX));
        self.parked.range(all).filter_map(|((_, id), _)| Some((*id, self.class(*id)?)))
    }

    /// Lets one task try again that is held back, and returns its class.
    pub fn wake_one(&mut self, lane: usize, spot: &Spot) -> Option<ClassId> {
        let (gate, id) = self.gate_of.get(&spot.number).cloned()?;
        self.unpark(&gate, id, lane, spot);
        Some(id)
    }

    /// The gate that lately let the task with a number on.
    #[must_use]
    pub fn let_on_by(&self, number: u64) -> Option<&Gate> {
        self.let_on.get(&number).map(|(gate, _)| gate)
    }

    /// Whether a gate let a task of a class on that has yet to make use of it.
    #[must_use]
    pub fn is_open(&self, gate: &Gate, id: ClassId) -> bool {
        self.let_on.values().any(|(open, class)| open == gate && *class == id)
    }

    /// What holds the ready task with a number back.
    #[must_use]
    pub fn gate_of(&self, number: u64) -> Option<&Gate> {
        self.gate_of.get(&number).map(|(gate, _)| gate)
    }

    /// What is known of a task that waits and is not held back.
    #[must_use]
    pub fn entry(&self, queued: &Queued) -> Option<&Entry> {
        self.class(queued.class)?.lanes[queued.lane].get(&Entry::at(queued.spot))
    }

    /// What the policy said of the first task of each lane of a class; [`u64::MAX`] where nothing
    /// can start.
    #[must_use]
    pub fn orders(&self, id: ClassId) -> &[u64; 4] {
        &self.orders[id.0 as usize].0
    }

    /// The first task of each lane of a class: what the policy said of it, and the rest, by which
    /// equals are sorted.
    pub(super) fn heads(&self, id: ClassId) -> (&[u64; 4], &[Head; 4]) {
        (self.orders(id), &self.heads[id.0 as usize])
    }

    /// The place of the first task of a lane of a class in which one can start.
    #[must_use]
    pub fn spot(&self, id: ClassId, lane: usize) -> Spot {
        let Head { since, number, .. } = self.heads[id.0 as usize][lane];
        Spot { order: self.orders(id)[lane], since, number }
    }

    /// The limits that this task counts against.
    #[must_use]
    pub fn limits(&self, id: ClassId, lane: usize) -> LimitsNo {
        self.heads[id.0 as usize][lane].limits
    }

    /// Whether a task of a class may start, as far as the class is concerned.
    #[must_use]
    pub fn has_head(&self, id: ClassId) -> bool {
        self.orders.get(id.0 as usize).is_some_and(|orders| orders.0 != [EMPTY; 4])
    }

    /// Which heads moved lately.
    pub(super) const fn moves(&self) -> &Moves {
        &self.moves
    }

    /// Ready tasks by lane, those held back included.
    #[must_use]
    pub const fn by_lane(&self) -> [u64; 4] {
        self.by_lane
    }

    /// How many classes there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether there is no class.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// Whether the indexes follow from the classes.
    #[must_use]
    pub fn agree(&self) -> bool {
        let unpinned = self.classes().filter(|(_, class)| class.requirements.pin.is_none()).count();
        let parked: usize = self.parked.values().map(BTreeSet::len).sum();
        unpinned == self.by_need.values().map(BTreeSet::len).sum::<usize>()
            && parked == self.gate_of.len()
            && parked == self.classes().map(|(_, class)| class.parked).sum::<usize>()
            && self.classes().all(|(id, class)| {
                class.is_by_age(self.by_age)
                    && (0..4).all(|lane| match class.head(lane) {
                        Some(head) => {
                            head.spot == self.spot(id, lane) && head.limits == self.limits(id, lane)
                        }
                        None => self.orders(id)[lane] == EMPTY,
                    })
            })
    }

    fn class_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.classes.get_mut(id.0 as usize)?.as_mut()
    }

    fn rarest(&self, requirements: &Requirements) -> Option<Capability> {
        let classes =
            |need: &&Capability| self.by_need.get(&Some((*need).clone())).map_or(0, BTreeSet::len);
        requirements.needs.iter().min_by_key(classes).cloned()
    }

    fn unpark(&mut self, gate: &Gate, id: ClassId, lane: usize, spot: &Spot) {
        self.gate_of.remove(&spot.number);
        let Some(entry) = self.unpark_entry(gate, id, lane, spot) else { return };
        self.let_on.insert(spot.number, (gate.clone(), id));
        if let Some(class) = self.class_mut(id) {
            class.insert(lane, entry);
            self.refresh_head(id, lane);
        }
    }

    fn unpark_entry(
        &mut self,
        gate: &Gate,
        id: ClassId,
        lane: usize,
        spot: &Spot,
    ) -> Option<Entry> {
        let key = (gate.clone(), id);
        let set = self.parked.get_mut(&key)?;
        // Only the place of an entry is compared.
        let probe = Entry::at(*spot);
        let (_, entry) = set.take(&(lane, probe))?;
        if set.is_empty() {
            self.parked.remove(&key);
        }
        if let Some(class) = self.class_mut(id) {
            class.parked -= 1;
        }
        Some(entry)
    }

    fn refresh_heads(&mut self, id: ClassId) {
        (0..4).for_each(|lane| self.refresh_head(id, lane));
    }

    fn refresh_head(&mut self, id: ClassId, lane: usize) {
        let Some(Some(class)) = self.classes.get(id.0 as usize) else { return };
        let (order, head) = match class.head(lane) {
            Some(entry) => (entry.spot.order, Head::of(entry)),
            None => (EMPTY, Head::NONE),
        };
        let (orders, heads) = (&mut self.orders[id.0 as usize].0, &mut self.heads[id.0 as usize]);
        if (order, head) != (orders[lane], heads[lane]) {
            (orders[lane], heads[lane]) = (order, head);
            self.moves.add(id);
        }
    }
}
