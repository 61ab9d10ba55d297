//! This file indexes ready tasks by what they require, and parks those that a limit holds back.
//!
//! A decision looks at the heads of classes only. Tasks that cannot run for a reason of their own
//! are parked under what will wake them, and never scanned past.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::ops::Bound;

use crate::id::TaskId;
use crate::name::{AgentId, Capability, Key, Kind, Repo};
use crate::task::Spec;
use crate::time::Wall;

/// What a class of tasks requires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Requirements {
    /// The kind of operation.
    pub kind: Kind,
    /// The capabilities.
    pub needs: alloc::boxed::Box<[Capability]>,
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
            needs: spec.needs.clone(),
            repo: spec.repo.clone(),
            pin: spec.assign_to.clone(),
        }
    }
}

/// The number of a class while it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClassId(pub u32);

/// A task in its lane: what the policy says, then since when it is ready, then its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// What the policy says; smaller is earlier.
    pub order: u64,
    /// Since when it is ready.
    pub since: Wall,
    /// Its number, which follows the order of submission.
    pub number: u64,
    /// Its name.
    pub task: TaskId,
}

impl Entry {
    /// Comes before all others.
    const FIRST: Self = Self { order: 0, since: Wall(0), number: 0, task: TaskId(0) };
}

/// What holds a ready task back.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// As many tasks with the key run as may, for a task that starts only beside fewer than this.
    Concurrency(Key, u32),
    /// The bucket of the key is empty.
    Rate(Key),
    /// The policy or its repository's agent wants it to wait for another agent.
    Fit,
}

/// Tasks that require the same.
#[derive(Clone, Debug)]
pub struct Class {
    /// What they require.
    pub requirements: Requirements,
    /// Whether a pause keeps them from starting.
    pub paused: bool,
    lanes: [BTreeSet<Entry>; 4],
    oldest: BTreeSet<(Wall, u64, usize, TaskId)>,
    parked: usize,
}

/// Ready tasks, by class.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    numbers: BTreeMap<Requirements, ClassId>,
    classes: Vec<Option<Class>>,
    /// The first order of each lane of each class, for scans over many classes.
    heads: Vec<[u64; 4]>,
    vacant: Vec<ClassId>,
    parked: BTreeMap<(Gate, ClassId), BTreeSet<(usize, Entry)>>,
    gate_of: BTreeMap<TaskId, (Gate, ClassId)>,
    /// Tasks that may try again, and what had held them back: whoever is behind one is let on when
    /// it leaves, so that no opening is lost on a task that could not use it.
    let_on: BTreeMap<TaskId, (Gate, ClassId)>,
    tours: BTreeMap<ClassId, Tour>,
    by_lane: [u64; 4],
}

/// A round over the tasks of a class that suited nobody: each tries once.
#[derive(Clone, Copy, Debug, Default)]
struct Tour {
    /// The latest that tried.
    at: Option<(usize, Entry)>,
    /// How many are yet to try.
    left: usize,
}

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
        let class = Class {
            requirements: requirements.clone(),
            paused,
            lanes: Default::default(),
            oldest: BTreeSet::new(),
            parked: 0,
        };
        let id = match self.vacant.pop() {
            Some(id) => {
                self.classes[id.0 as usize] = Some(class);
                self.heads[id.0 as usize] = [EMPTY; 4];
                id
            }
            None => {
                self.classes.push(Some(class));
                self.heads.push([EMPTY; 4]);
                ClassId((self.classes.len() - 1) as u32)
            }
        };
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

    /// Pauses a class or lets it go on.
    pub fn set_paused(&mut self, id: ClassId, paused: bool) {
        if let Some(class) = self.class_mut(id) {
            class.paused = paused;
            self.refresh_heads(id);
        }
    }

    /// A task becomes ready.
    pub fn insert(&mut self, id: ClassId, lane: usize, entry: Entry) {
        if let Some(class) = self.class_mut(id) {
            class.lanes[lane].insert(entry);
            class.oldest.insert((entry.since, entry.number, lane, entry.task));
            self.by_lane[lane] += 1;
            self.refresh_heads(id);
        }
    }

    /// A task is no longer ready. Returns the class if it is empty and was given up.
    pub fn remove(&mut self, id: ClassId, lane: usize, entry: &Entry) -> Option<ClassId> {
        self.by_lane[lane] -= 1;
        self.let_on.remove(&entry.task);
        if let Some((gate, class)) = self.gate_of.remove(&entry.task) {
            self.unpark_entry(&gate, class, lane, entry);
        } else if let Some(class) = self.class_mut(id) {
            class.lanes[lane].remove(entry);
            class.oldest.remove(&(entry.since, entry.number, lane, entry.task));
            self.refresh_heads(id);
        }
        let idle = self.class(id).is_some_and(Class::is_empty);
        (idle && self.numbers.len() > SPARE_MAX).then(|| self.give_up(id))
    }

    /// A ready task is held back by `gate`.
    pub fn park(&mut self, id: ClassId, lane: usize, entry: Entry, gate: Gate) {
        if let Some(class) = self.class_mut(id) {
            class.lanes[lane].remove(&entry);
            class.oldest.remove(&(entry.since, entry.number, lane, entry.task));
            class.parked += 1;
            self.let_on.remove(&entry.task);
            self.gate_of.insert(entry.task, (gate.clone(), id));
            self.parked.entry((gate, id)).or_default().insert((lane, entry));
            self.refresh_heads(id);
        }
    }

    /// Lets the first tasks of each class that are held back by `gate` try again, and returns those
    /// classes. A concurrency gate stands for those of its key with the same or a larger maximum.
    pub fn wake(&mut self, gate: &Gate) -> Vec<ClassId> {
        let last = match gate {
            Gate::Concurrency(key, _) => Gate::Concurrency(key.clone(), u32::MAX),
            Gate::Rate(_) | Gate::Fit => gate.clone(),
        };
        let (from, to) = ((gate.clone(), ClassId(0)), (last, ClassId(u32::MAX)));
        let found: Vec<(Gate, ClassId, usize)> = self
            .parked
            .range(from..=to)
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
        while let Some(first) = set.range((lane, Entry::FIRST)..).next() {
            firsts.push(*first);
            lane = first.0 + 1;
        }
        firsts.iter().for_each(|(lane, entry)| self.unpark(gate, id, *lane, *entry));
        !firsts.is_empty()
    }

    /// Lets the next task of a class try that suited nobody, until each had its turn.
    pub fn wake_next_unfit(&mut self, id: ClassId) -> bool {
        let Some(set) = self.parked.get(&(Gate::Fit, id)) else { return false };
        let Some(tour) = self.tours.get_mut(&id).filter(|tour| tour.left > 0) else { return false };
        let behind = |at| set.range((Bound::Excluded(at), Bound::Unbounded)).next();
        let next = tour.at.and_then(behind).or_else(|| set.first()).copied();
        (tour.at, tour.left) = (next, tour.left - 1);
        next.inspect(|(lane, entry)| self.unpark(&Gate::Fit, id, *lane, *entry)).is_some()
    }

    /// Lets one task try again that is held back, and returns its class.
    pub fn wake_one(&mut self, lane: usize, entry: Entry) -> Option<ClassId> {
        let (gate, id) = self.gate_of.get(&entry.task).cloned()?;
        self.unpark(&gate, id, lane, entry);
        Some(id)
    }

    /// The gate that lately let a task on.
    #[must_use]
    pub fn let_on_by(&self, task: TaskId) -> Option<&Gate> {
        self.let_on.get(&task).map(|(gate, _)| gate)
    }

    /// Whether a gate let a task of a class on that has yet to make use of it.
    #[must_use]
    pub fn is_open(&self, gate: &Gate, id: ClassId) -> bool {
        self.let_on.values().any(|(open, class)| open == gate && *class == id)
    }

    /// What holds a ready task back.
    #[must_use]
    pub fn gate_of(&self, task: TaskId) -> Option<&Gate> {
        self.gate_of.get(&task).map(|(gate, _)| gate)
    }

    /// The first order of each lane of a class; [`u64::MAX`] where nothing can start.
    #[must_use]
    pub fn heads(&self, id: ClassId) -> [u64; 4] {
        self.heads[id.0 as usize]
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

    fn class_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.classes.get_mut(id.0 as usize)?.as_mut()
    }

    fn unpark(&mut self, gate: &Gate, id: ClassId, lane: usize, entry: Entry) {
        self.gate_of.remove(&entry.task);
        self.unpark_entry(gate, id, lane, &entry);
        self.let_on.insert(entry.task, (gate.clone(), id));
        if let Some(class) = self.class_mut(id) {
            class.lanes[lane].insert(entry);
            class.oldest.insert((entry.since, entry.number, lane, entry.task));
            self.refresh_heads(id);
        }
    }

    fn unpark_entry(&mut self, gate: &Gate, id: ClassId, lane: usize, entry: &Entry) {
        let key = (gate.clone(), id);
        if let Some(set) = self.parked.get_mut(&key) {
            set.remove(&(lane, *entry));
            if set.is_empty() {
                self.parked.remove(&key);
            }
        }
        if let Some(class) = self.class_mut(id) {
            class.parked -= 1;
        }
    }

    fn refresh_heads(&mut self, id: ClassId) {
        let heads = self.class(id).map_or([EMPTY; 4], |class| {
            core::array::from_fn(|lane| class.head(lane).map_or(EMPTY, |entry| entry.order))
        });
        self.heads[id.0 as usize] = heads;
    }

    fn give_up(&mut self, id: ClassId) -> ClassId {
        if let Some(class) = self.classes[id.0 as usize].take() {
            self.numbers.remove(&class.requirements);
            self.heads[id.0 as usize] = [EMPTY; 4];
            self.tours.remove(&id);
            self.vacant.push(id);
        }
        id
    }
}

impl Class {
    /// The task of a lane that starts next, unless the class is paused.
    #[must_use]
    pub fn head(&self, lane: usize) -> Option<&Entry> {
        if self.paused { None } else { self.lanes[lane].first() }
    }

    /// The task that has been ready for longest, and its lane, unless the class is paused.
    #[must_use]
    pub fn oldest(&self) -> Option<(Wall, u64, usize, TaskId)> {
        if self.paused { None } else { self.oldest.first().copied() }
    }

    /// Whether no task is in it, waiting or held back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.oldest.is_empty() && self.parked == 0
    }

    /// How many tasks are in it, waiting and held back.
    #[must_use]
    pub fn len(&self) -> usize {
        self.oldest.len() + self.parked
    }
}
