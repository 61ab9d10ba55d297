//! This file remembers, for groups that can run many classes, which of them come first.
//!
//! The classes of a group are kept in blocks, and of each block the first class of each lane. When
//! the head of a class moves, only its block is looked at again, so that a decision need not
//! compare the heads of thousands of classes. Groups with few classes are not worth remembering.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

use super::ready::Head;
use super::{ClassId, Fleet, Group, GroupId, Ready};

/// The first class of each lane, where one has a task that may start.
pub(crate) type First = [Option<ClassId>; 4];

/// How many classes are compared at once.
const BLOCK: usize = 64;
/// Groups with no more classes than this are looked through.
const FEW: usize = 4 * BLOCK;

/// What is remembered, by the number of the group.
#[derive(Clone, Debug, Default)]
pub(super) struct Firsts {
    memos: Vec<Memo>,
}

/// What is remembered of a group.
#[derive(Clone, Debug, Default)]
struct Memo {
    /// Which classes the group had.
    stamp: u64,
    /// How many heads had moved.
    moved: u64,
    blocks: Vec<First>,
}

/// Classes whose heads moved, the latest of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves {
    count: u64,
    latest: VecDeque<ClassId>,
}

impl Moves {
    /// How many moves are kept: with more than that, looking through is as quick.
    const MAX: usize = 1_024;

    /// The head of a class moved.
    pub(super) fn add(&mut self, class: ClassId) {
        if self.latest.len() == Self::MAX {
            self.latest.pop_front();
        }
        self.latest.push_back(class);
        self.count += 1;
    }

    /// The moves behind the first `count`, if all of them are kept and there are at most `max`.
    fn since(&self, count: u64, max: usize) -> Option<impl Iterator<Item = ClassId>> {
        let missed = usize::try_from(self.count - count).ok()?;
        let from = self.latest.len().checked_sub(missed)?;
        (missed <= max).then(|| self.latest.range(from..).copied())
    }
}

impl Firsts {
    /// The first class of each lane among those that the agents of a group can run.
    pub(super) fn of(&mut self, id: GroupId, group: &Group, ready: &Ready) -> First {
        let classes = group.classes();
        if classes.len() <= FEW {
            return first(ready, classes);
        }
        let number = id.0 as usize;
        if self.memos.len() <= number {
            self.memos.resize_with(number + 1, Memo::default);
        }
        self.memos[number].first(group, ready)
    }

    /// Whether what is remembered would be found again.
    pub(super) fn agree(&self, fleet: &Fleet, ready: &Ready) -> bool {
        fleet.groups().all(|(id, group)| {
            let Some(memo) = self.memos.get(id.0 as usize) else { return true };
            let mut memo = memo.clone();
            memo.first(group, ready) == first(ready, group.classes())
        })
    }
}

impl Memo {
    /// The first class of each lane. A group that is asked for seldom, beside many others, is looked
    /// through: then as many heads have moved as it has classes.
    fn first(&mut self, group: &Group, ready: &Ready) -> First {
        let (classes, moves) = (group.classes(), ready.moves());
        let moved = moves.since(self.moved, classes.len() / 8);
        self.moved = moves.count;
        let Some(moved) = moved else {
            self.blocks.clear();
            return first(ready, classes);
        };
        if self.stamp != group.stamp() || self.blocks.is_empty() {
            self.stamp = group.stamp();
            self.blocks = classes.chunks(BLOCK).map(|block| first(ready, block)).collect();
            return merge(ready, self.blocks.iter().copied());
        }
        for class in moved {
            let Ok(at) = classes.binary_search(&class) else { continue };
            let block = at / BLOCK;
            let end = classes.len().min((block + 1) * BLOCK);
            self.blocks[block] = first(ready, &classes[block * BLOCK..end]);
        }
        merge(ready, self.blocks.iter().copied())
    }
}

/// The first class of each lane among several.
fn first(ready: &Ready, classes: &[ClassId]) -> First {
    let mut best: First = [None; 4];
    let mut least = [(u64::MAX, Head::LAST); 4];
    for class in classes {
        let (orders, heads) = ready.heads(*class);
        for lane in 0..4 {
            // An empty lane has the largest order and is behind all others.
            if orders[lane] > least[lane].0 {
                continue;
            }
            if orders[lane] < least[lane].0 || heads[lane] < least[lane].1 {
                (least[lane], best[lane]) = ((orders[lane], heads[lane]), Some(*class));
            }
        }
    }
    core::array::from_fn(|lane| best[lane].filter(|_| least[lane].0 != u64::MAX))
}

/// The first class of each lane among several such.
fn merge(ready: &Ready, firsts: impl Iterator<Item = First>) -> First {
    firsts.fold([None; 4], |best, next| {
        core::array::from_fn(|lane| earlier(ready, lane, best[lane], next[lane]))
    })
}

/// Which of two classes has the task of a lane that comes first.
pub(crate) fn earlier(
    ready: &Ready,
    lane: usize,
    one: Option<ClassId>,
    other: Option<ClassId>,
) -> Option<ClassId> {
    let (Some(a), Some(b)) = (one, other) else { return one.or(other) };
    let (order_a, order_b) = (ready.orders(a)[lane], ready.orders(b)[lane]);
    let ahead = match order_a.cmp(&order_b) {
        core::cmp::Ordering::Less => true,
        core::cmp::Ordering::Greater => false,
        core::cmp::Ordering::Equal => ready.spot(a, lane) <= ready.spot(b, lane),
    };
    Some(if ahead { a } else { b })
}
