//! This file keeps count of what limits are measured against: held tasks, and levels of buckets.
//!
//! Tasks with the same limits share one number, and each key has a counter of its own, so that a
//! decision compares numbers and not texts.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::sorted::Sorted;
use super::{BucketRow, Gate};
use crate::guard::{Guard, Guards};
use crate::id::TaskId;
use crate::limit::Bucket;
use crate::name::Key;
use crate::task::{Concurrency, Rate, Spec};
use crate::time::{Span, Wall};

/// The number of the limits that a task counts against, while a task does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitsNo(u32);

impl LimitsNo {
    /// That of a task without limits.
    pub const NONE: Self = Self(u32::MAX);
}

/// What limits are measured against.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    numbers: BTreeMap<(Option<Concurrency>, Box<[Rate]>), LimitsNo>,
    sets: Vec<Option<Set>>,
    vacant: Vec<LimitsNo>,
    keys: BTreeMap<Key, usize>,
    counters: Vec<Option<Counter>>,
    /// What shows of each counter that a limit is open: most are, and seen to be by this alone.
    levels: Vec<Level>,
    vacant_counters: Vec<usize>,
}

/// Limits that some tasks count against.
#[derive(Clone, Debug)]
struct Set {
    /// The counter of the concurrency key, and how many may be held at most.
    concurrency: Option<(usize, u32)>,
    rates: Box<[Rate]>,
    /// Their counters.
    rated: Box<[usize]>,
    /// How many living tasks have these limits.
    tasks: usize,
}

/// A limit that keeps a task from starting.
#[derive(Clone, Copy, Debug)]
pub enum Shut<'a> {
    /// As many tasks are counted as may be.
    Full(&'a Counter, u32),
    /// There is not enough in a bucket for one start, and will be after this much time.
    Empty(&'a Rate, Span),
}

/// What shows that a limit is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    held: u32,
    /// Whether there is enough in the bucket for one start, without what it gained since.
    enough: bool,
}

/// What is counted by one key.
#[derive(Clone, Debug)]
pub struct Counter {
    key: Key,
    running: Sorted<TaskId>,
    bucket: Option<BucketRow>,
    /// From when on the bucket fills, if it was drawn on at a time which is yet to come.
    fills_from: Option<Wall>,
    /// How many sets of limits name the key.
    sets: usize,
}

impl Limits {
    /// The number of a task's limits, for as long as the task lives.
    pub fn take_on(&mut self, spec: &Spec) -> LimitsNo {
        let Some(share) = &spec.share else { return LimitsNo::NONE };
        if share.concurrency.is_none() && share.rates.is_empty() {
            return LimitsNo::NONE;
        }
        let limits = (share.concurrency.clone(), share.rates.clone().into_boxed_slice());
        if let Some(&known) = self.numbers.get(&limits) {
            if let Some(set) = self.set_mut(known) {
                set.tasks += 1;
            }
            return known;
        }
        let concurrency = limits.0.as_ref().map(|limit| (self.counted_for(&limit.key), limit.max));
        let rated = limits.1.iter().map(|rate| self.counted_for(&rate.key)).collect();
        let set = Some(Set { concurrency, rates: limits.1.clone(), rated, tasks: 1 });
        let number = self.vacant.pop().unwrap_or(LimitsNo(self.sets.len() as u32));
        match self.sets.get_mut(number.0 as usize) {
            Some(place) => *place = set,
            None => self.sets.push(set),
        }
        self.numbers.insert(limits, number);
        number
    }

    /// A task with these limits ended.
    pub fn let_go(&mut self, number: LimitsNo, spec: &Spec) {
        let Some(set) = self.set_mut(number) else { return };
        set.tasks -= 1;
        if set.tasks > 0 {
            return;
        }
        let Some(set) = self.sets[number.0 as usize].take() else { return };
        if let Some(share) = &spec.share {
            let limits = (share.concurrency.clone(), share.rates.clone().into_boxed_slice());
            self.numbers.remove(&limits);
        }
        self.vacant.push(number);
        for counter in set.counters() {
            if let Some(found) = self.counter_mut(counter) {
                found.sets -= 1;
            }
            self.forget_unused(counter);
        }
    }

    /// Whether a task with these limits may start for certain: seen at a glance, as nearly always.
    #[must_use]
    pub fn are_open(&self, number: LimitsNo) -> bool {
        let Some(set) = self.set(number) else { return true };
        set.concurrency.is_none_or(|(counter, max)| self.levels[counter].held < max)
            && set.rated.iter().all(|counter| self.levels[*counter].enough)
    }

    /// The limit that keeps a task with these limits from starting at `now`, if one does.
    #[must_use]
    pub fn shut(&self, number: LimitsNo, now: Wall, guards: Guards) -> Option<Shut<'_>> {
        if self.are_open(number) {
            return None;
        }
        if let Some((counter, max)) = self.concurrency(number)
            && counter.held() >= max as usize
            && guards.on(Guard::Concurrency)
        {
            return Some(Shut::Full(counter, max));
        }
        let mut rates = self.rates(number, now).filter(|_| guards.on(Guard::Rate));
        rates.find_map(|(rate, bucket)| Some(Shut::Empty(rate, bucket.draw(rate, now).err()?)))
    }

    /// The limit on tasks at once: its counter, and how many may be held at most.
    #[must_use]
    pub fn concurrency(&self, number: LimitsNo) -> Option<(&Counter, u32)> {
        let (counter, max) = self.set(number)?.concurrency?;
        Some((self.counters.get(counter)?.as_ref()?, max))
    }

    /// The rates, each with the bucket that a start draws on at `now`, and by which figures: a
    /// bucket that is in use keeps those it has.
    pub fn rates(&self, number: LimitsNo, now: Wall) -> impl Iterator<Item = (&Rate, Bucket)> {
        let (rates, rated) =
            self.set(number).map_or((&[][..], &[][..]), |set| (&*set.rates, &*set.rated));
        rates.iter().zip(rated).map(move |(rate, counter)| {
            let counter = self.counters.get(*counter).and_then(Option::as_ref);
            match counter.and_then(Counter::level) {
                Some((rate, bucket)) if !bucket.is_full(rate, now) => (rate, bucket),
                Some(_) | None => (rate, Bucket::full(rate, now)),
            }
        })
    }

    /// Draws on the buckets of a task that starts, where they are.
    #[cfg(feature = "testing")]
    pub(crate) fn draw(&mut self, number: LimitsNo, now: Wall) {
        let Some(Some(set)) = self.sets.get(number.0 as usize) else { return };
        for (rate, number) in set.rates.iter().zip(&set.rated) {
            let Some(Some(counter)) = self.counters.get_mut(*number) else { continue };
            counter.draw(rate, now);
            self.levels[*number] = counter.shows();
        }
    }

    /// A task with these limits is held.
    pub fn start(&mut self, number: LimitsNo, task: TaskId) {
        let limit = self.set(number).and_then(|set| set.concurrency);
        if let Some((counter, _)) = limit {
            self.change(counter, |counter| counter.running.insert(task));
        }
    }

    /// A task with these limits is held no longer. Returns the gate that opens.
    pub fn stop(&mut self, number: LimitsNo, task: TaskId) -> Option<Gate> {
        let (counter, _) = self.set(number)?.concurrency?;
        self.change(counter, |counter| _ = counter.running.take(&task));
        let counter = self.counters[counter].as_ref()?;
        let beside = counter.held() as u32;
        Some(Gate::Concurrency(counter.key.clone(), beside.saturating_add(1)))
    }

    /// What is counted by a key, if anything is.
    #[must_use]
    pub fn counter(&self, key: &Key) -> Option<&Counter> {
        self.counters.get(*self.keys.get(key)?)?.as_ref()
    }

    /// All keys by which held tasks are counted, and the tasks.
    pub fn running(&self) -> impl Iterator<Item = &Counter> {
        self.counters.iter().flatten().filter(|counter| counter.held() > 0)
    }

    /// All buckets in use, by key.
    pub fn buckets(&self) -> impl Iterator<Item = (&Key, &BucketRow)> {
        self.keys.iter().filter_map(|(key, counter)| {
            Some((key, self.counters.get(*counter)?.as_ref()?.bucket.as_ref()?))
        })
    }

    /// The bucket of a key is as said; without one it is full.
    pub fn set_bucket(&mut self, key: &Key, row: Option<BucketRow>) {
        let counter = self.counter_for(key);
        self.change(counter, |counter| (counter.bucket, counter.fills_from) = (row, None));
        self.forget_unused(counter);
    }

    /// Says when each bucket will be full. One that was drawn on at a time which is yet to come
    /// fills from now on.
    pub fn resume(&mut self, now: Wall) -> Vec<(Key, Wall)> {
        let mut full = Vec::new();
        for counter in self.counters.iter_mut().flatten() {
            let Some(BucketRow { rate, bucket }) = &counter.bucket else { continue };
            let fills = bucket.no_later_than(now);
            if fills != *bucket {
                counter.fills_from = Some(now);
            }
            full.push((counter.key.clone(), fills.full_at(rate)));
        }
        full
    }

    /// Whether every counter is there for something, and every task of a set counts.
    #[must_use]
    pub fn agree(&self, tasks: &BTreeMap<LimitsNo, usize>) -> bool {
        let mut named: Vec<usize> = alloc::vec![0; self.counters.len()];
        for set in self.sets.iter().flatten() {
            set.counters().for_each(|counter| named[counter] += 1);
        }
        let counts = |(number, count): (&LimitsNo, &usize)| {
            self.set(*number).is_some_and(|set| set.tasks == *count)
        };
        tasks.iter().all(counts)
            && tasks.len() == self.numbers.len()
            && self.numbers.len() == self.sets.iter().flatten().count()
            && self.keys.len() == self.counters.iter().flatten().count()
            && self.levels.len() == self.counters.len()
            && self.counters.iter().zip(&self.levels).all(|(counter, level)| {
                counter.as_ref().is_none_or(|counter| counter.shows() == *level)
            })
            && self.keys.iter().all(|(key, number)| {
                let counter = self.counters[*number].as_ref();
                counter.is_some_and(|counter| {
                    counter.key == *key && counter.sets == named[*number] && !counter.is_unused()
                })
            })
    }

    fn set(&self, number: LimitsNo) -> Option<&Set> {
        self.sets.get(number.0 as usize)?.as_ref()
    }

    fn set_mut(&mut self, number: LimitsNo) -> Option<&mut Set> {
        self.sets.get_mut(number.0 as usize)?.as_mut()
    }

    /// Changes a counter, and what shows of it.
    fn change(&mut self, number: usize, change: impl FnOnce(&mut Counter)) {
        if let Some(counter) = self.counter_mut(number) {
            change(counter);
            self.levels[number] = counter.shows();
        }
    }

    fn counter_mut(&mut self, number: usize) -> Option<&mut Counter> {
        self.counters.get_mut(number)?.as_mut()
    }

    /// The counter of a key that one more set of limits names.
    fn counted_for(&mut self, key: &Key) -> usize {
        let number = self.counter_for(key);
        if let Some(counter) = self.counter_mut(number) {
            counter.sets += 1;
        }
        number
    }

    fn counter_for(&mut self, key: &Key) -> usize {
        if let Some(&known) = self.keys.get(key) {
            return known;
        }
        let counter = Counter::new(key.clone());
        let level = counter.shows();
        let number = self.vacant_counters.pop().unwrap_or(self.counters.len());
        if number == self.counters.len() {
            self.counters.push(Some(counter));
            self.levels.push(level);
        } else {
            (self.counters[number], self.levels[number]) = (Some(counter), level);
        }
        self.keys.insert(key.clone(), number);
        number
    }

    fn forget_unused(&mut self, number: usize) {
        if self.counters.get(number).and_then(Option::as_ref).is_some_and(Counter::is_unused)
            && let Some(counter) = self.counters[number].take()
        {
            self.keys.remove(&counter.key);
            self.vacant_counters.push(number);
        }
    }
}

impl Set {
    /// The counters that it names.
    fn counters(&self) -> impl Iterator<Item = usize> {
        self.rated.iter().copied().chain(self.concurrency.map(|(counter, _)| counter))
    }
}

impl Counter {
    const fn new(key: Key) -> Self {
        Self { key, running: Sorted::new(), bucket: None, fills_from: None, sets: 0 }
    }

    /// The key.
    #[must_use]
    pub const fn key(&self) -> &Key {
        &self.key
    }

    /// The held tasks that are limited by it.
    pub fn running(&self) -> impl Iterator<Item = TaskId> {
        self.running.iter().copied()
    }

    /// How many they are.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.running.len()
    }

    /// What is left of a rate, if it was drawn on.
    #[must_use]
    pub const fn bucket(&self) -> Option<&BucketRow> {
        self.bucket.as_ref()
    }

    /// The figures of the bucket and what is in it, if it was drawn on.
    #[must_use]
    pub fn level(&self) -> Option<(&Rate, Bucket)> {
        let BucketRow { rate, bucket } = self.bucket.as_ref()?;
        let level = self.fills_from.map_or(*bucket, |from| bucket.no_later_than(from));
        Some((rate, level))
    }

    /// Draws on the bucket for one start. A full one goes by the figures of who draws.
    #[cfg(feature = "testing")]
    fn draw(&mut self, rate: &Rate, now: Wall) {
        let fills_from = self.fills_from.take().unwrap_or(now);
        let full = || BucketRow { rate: rate.clone(), bucket: Bucket::full(rate, now) };
        let row = self.bucket.get_or_insert_with(full);
        row.bucket = row.bucket.no_later_than(fills_from).refilled(&row.rate, now);
        if row.bucket == Bucket::full(&row.rate, now) && row.rate != *rate {
            *row = full();
        }
        row.bucket = row.bucket.spent(&row.rate).unwrap_or(row.bucket);
    }

    fn shows(&self) -> Level {
        let enough = self.bucket.as_ref().is_none_or(|row| row.bucket.spent(&row.rate).is_some());
        Level { held: self.held() as u32, enough }
    }

    fn is_unused(&self) -> bool {
        self.sets == 0 && self.held() == 0 && self.bucket.is_none()
    }
}
