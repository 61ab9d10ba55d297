//! This file keeps entries in order, in blocks: the first is at hand, and little is spent on each.
//!
//! Most entries come in at the back and leave at the front. A tree would be half empty then, and
//! would move what is behind the first whenever the first leaves.

use alloc::collections::VecDeque;

/// The most entries of a block: moving that many is about as quick as finding the block.
const BLOCK: usize = 128;
/// The front is kept without entries if it has room for no more than this: entries that come and go
/// one at a time need no memory each time.
const SPARE: usize = 4;

/// Entries in ascending order, none of them twice.
#[derive(Clone, Debug)]
pub(super) struct Sorted<T> {
    /// The first block. Empty only if there is no other.
    front: VecDeque<T>,
    /// The other blocks; none of them is empty.
    behind: VecDeque<VecDeque<T>>,
    len: usize,
}

impl<T> Default for Sorted<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Sorted<T> {
    pub(super) const fn new() -> Self {
        Self { front: VecDeque::new(), behind: VecDeque::new(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn first(&self) -> Option<&T> {
        self.front.front()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.front.iter().chain(self.behind.iter().flatten())
    }

    /// A block, by its number: that of the front is 0.
    fn block(&self, number: usize) -> &VecDeque<T> {
        number.checked_sub(1).map_or(&self.front, |behind| &self.behind[behind])
    }

    fn block_mut(&mut self, number: usize) -> &mut VecDeque<T> {
        match number.checked_sub(1) {
            Some(behind) => &mut self.behind[behind],
            None => &mut self.front,
        }
    }
}

impl<T: Ord> Sorted<T> {
    pub(super) fn get(&self, key: &T) -> Option<&T> {
        let block = self.block(self.number_of(key));
        block.get(block.binary_search(key).ok()?)
    }

    pub(super) fn contains(&self, key: &T) -> bool {
        self.get(key).is_some()
    }

    /// Adds an entry, unless it is there.
    pub(super) fn insert(&mut self, entry: T) {
        let number = self.number_of(&entry);
        let is_last = number == self.behind.len();
        let block = self.block_mut(number);
        let Err(at) = block.binary_search(&entry) else { return };
        if block.len() < BLOCK {
            block.insert(at, entry);
        } else if is_last && at == BLOCK {
            self.behind.push_back(VecDeque::from([entry]));
        } else {
            let mut behind = block.split_off(BLOCK / 2);
            match at.checked_sub(BLOCK / 2) {
                Some(at) => behind.insert(at, entry),
                None => block.insert(at, entry),
            }
            self.behind.insert(number, behind);
        }
        self.len += 1;
    }

    /// Takes an entry out.
    pub(super) fn take(&mut self, key: &T) -> Option<T> {
        let (number, entry) = if self.first()? == key {
            (0, self.front.pop_front()?)
        } else {
            let number = self.number_of(key);
            let block = self.block_mut(number);
            let at = block.binary_search(key).ok()?;
            (number, block.remove(at)?)
        };
        self.len -= 1;
        if self.block(number).is_empty() {
            self.close(number);
        } else if !self.behind.is_empty() {
            self.join(number);
            self.join(number.saturating_sub(1));
        }
        Some(entry)
    }

    /// Gives up a block that has become empty.
    fn close(&mut self, number: usize) {
        if let Some(behind) = number.checked_sub(1) {
            self.behind.remove(behind);
        } else if let Some(next) = self.behind.pop_front() {
            self.front = next;
        } else if self.front.capacity() > SPARE {
            self.front = VecDeque::new();
        }
    }

    /// Makes one of a block and the next if there is little in both together.
    fn join(&mut self, number: usize) {
        let Some(next) = self.behind.get(number) else { return };
        if self.block(number).len() + next.len() <= BLOCK / 2
            && let Some(mut next) = self.behind.remove(number)
        {
            self.block_mut(number).append(&mut next);
        }
    }

    /// The number of the block that an entry is in, or belongs in.
    fn number_of(&self, key: &T) -> usize {
        self.behind.partition_point(|block| block.front().is_some_and(|first| first <= key))
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;

    use super::*;
    use crate::rng::Rng;

    impl<T: Ord> Sorted<T> {
        fn is_sound(&self) -> bool {
            let blocks = || core::iter::once(&self.front).chain(&self.behind);
            let least = usize::from(!self.behind.is_empty());
            blocks().all(|block| (least..=BLOCK).contains(&block.len()))
                && blocks().map(VecDeque::len).sum::<usize>() == self.len
                && self.iter().is_sorted()
        }
    }

    /// What comes and goes at random, is compared with a tree at each of some moments.
    fn agrees_with_a_tree(seed: u64, below: u64, takes_of_8: u64) {
        let mut rng = Rng::for_purpose(seed, "sorted", below);
        let (mut sorted, mut tree) = (Sorted::default(), BTreeSet::new());
        for n in 0..20_000 {
            let entry = rng.below(below);
            if rng.below(8) < takes_of_8 {
                let first = tree.first().copied().filter(|_| n % 2 == 0);
                let entry = first.unwrap_or(entry);
                assert_eq!(sorted.take(&entry), tree.take(&entry));
            } else {
                sorted.insert(entry);
                tree.insert(entry);
            }
            assert_eq!(sorted.first(), tree.first());
            assert_eq!(sorted.get(&entry), tree.get(&entry));
            if n % 1_000 == 0 {
                assert!(sorted.is_sound());
                assert!(sorted.iter().eq(tree.iter()));
            }
        }
        while let Some(first) = tree.pop_first() {
            assert_eq!(sorted.take(&first), Some(first));
        }
        assert!(sorted.is_sound() && sorted.len() == 0);
    }

    #[test]
    fn it_holds_what_a_tree_holds_however_entries_come_and_go() {
        for (seed, below) in [(1, 100), (2, 5_000), (3, 1 << 40)] {
            agrees_with_a_tree(seed, below, 2);
            agrees_with_a_tree(seed, below, 4);
        }
    }

    #[test]
    fn blocks_that_are_filled_at_the_back_are_full() {
        let mut sorted = Sorted::default();
        (0..10_000).for_each(|entry| sorted.insert(entry));
        assert_eq!(sorted.behind.len() + 1, 10_000_usize.div_ceil(BLOCK));
    }

    #[test]
    fn few_that_are_left_of_many_are_in_few_blocks() {
        for backwards in [false, true] {
            let mut sorted = Sorted::default();
            (0..10_000).for_each(|entry| sorted.insert(entry));
            let mut taken: Vec<u32> = (0..10_000).filter(|entry| entry % 100 > 0).collect();
            if backwards {
                taken.reverse();
            }
            taken.iter().for_each(|entry| assert!(sorted.take(entry).is_some()));
            assert!(sorted.is_sound() && sorted.len() == 100);
            assert!(sorted.behind.len() < 6, "{} blocks", sorted.behind.len());
        }
    }
}
