//! This file reads the pages of a redb file without redb, however damaged they are.
//!
//! It knows of the format of redb's files what it takes to follow a tree: the header, the two
//! commit slots, and pages of leaves and branches with keys and values of any length, as described
//! in redb's `docs/design.md`, format version 3. It never fails: what makes no sense is left out,
//! and the keys between which something may be missing are noted.

use std::collections::BTreeSet;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128;

const PAGE: usize = 4096;
const LEAF: u8 = 1;
const BRANCH: u8 = 2;
/// No real tree is deeper.
const DEPTH_MAX: usize = 32;
/// Where the commit slots are, and the root of the tree of trees in each.
const SLOTS: [usize; 2] = [64, 192];
const SLOT: usize = 128;
const ROOT: usize = 8;
/// Where the root of a tree is in its entry in the tree of trees: behind its type, its length and
/// a byte that says whether it has one.
const TREE_ROOT: usize = 10;

/// A page and what its content should add up to, as its parent says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Link {
    page: u64,
    sum: u128,
}

/// The bytes of a file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pages<'a> {
    bytes: &'a [u8],
    region_bytes: u64,
    region_header_bytes: u64,
}

/// Keys between which rows may be missing: behind the first, up to the second.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    after: Option<Vec<u8>>,
    up_to: Option<Vec<u8>>,
    /// Whether it was a leaf that was damaged: its rows are nowhere else. Those below a damaged
    /// branch are, and only the way to them is lost.
    pub(super) is_leaf: bool,
}

impl Gap {
    pub(super) fn everything() -> Self {
        Self { after: None, up_to: None, is_leaf: false }
    }

    pub(super) fn holds(&self, key: &[u8]) -> bool {
        self.after.as_deref().is_none_or(|after| key > after)
            && self.up_to.as_deref().is_none_or(|up_to| key <= up_to)
    }
}

/// What was found by following a tree.
#[derive(Debug, Default)]
pub(super) struct Walk<'a> {
    /// Keys and values.
    pub(super) pairs: Vec<(&'a [u8], &'a [u8])>,
    pub(super) gaps: Vec<Gap>,
    /// The offsets of the pages that it led through.
    pub(super) seen: BTreeSet<usize>,
    /// What pages add up to that it did not find: wherever one turns up, it belongs to the tree.
    pub(super) missed: BTreeSet<u128>,
}

impl Walk<'_> {
    /// Nothing is known.
    pub(super) fn lost() -> Self {
        Self { gaps: vec![Gap::everything()], ..Self::default() }
    }
}

impl<'a> Pages<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        let number = |at| u64::from(u32_at(bytes, at).unwrap_or_default());
        let (header, data) = (number(16), number(20));
        // What redb writes; other figures are damage.
        let (header, data) = if header == 0 && data.is_power_of_two() && data <= 1 << 20 {
            (header, data)
        } else {
            (0, 1 << 20)
        };
        let region_header_bytes = header * PAGE as u64;
        Self { bytes, region_bytes: region_header_bytes + data * PAGE as u64, region_header_bytes }
    }

    /// The root of the tree of a name as the latest commit has it, and as the one before it had it;
    /// with whether it is sure to be right.
    pub(super) fn roots(self, name: &[u8]) -> [Option<(Link, bool)>; 2] {
        let latest = usize::from(self.bytes.get(9).is_some_and(|flags| flags & 1 != 0));
        [latest, 1 - latest].map(|slot| {
            let slot = self.bytes.get(SLOTS[slot]..)?.get(..SLOT)?;
            let (content, sum) = slot.split_at(SLOT - 16);
            let is_sure = xxh3_128(content).to_le_bytes() == sum;
            let master = self.walk((link_at(slot, ROOT)?, is_sure));
            let (_, entry) = master.pairs.into_iter().find(|(key, _)| *key == name)?;
            entry.get(TREE_ROOT - 1).filter(|there| **there == 1)?;
            Some((link_at(entry, TREE_ROOT)?, master.gaps.is_empty()))
        })
    }

    /// Follows a tree from its root.
    pub(super) fn walk(self, (root, is_sure): (Link, bool)) -> Walk<'a> {
        let mut walk = Walk::default();
        self.follow(root, is_sure, Gap::everything(), DEPTH_MAX, &mut walk);
        walk
    }

    /// Follows a tree from one of its pages. A link that is not sure to be right leads on only if
    /// what it leads to is what it should be.
    fn follow(self, link: Link, is_sure: bool, keys: Gap, depth: usize, walk: &mut Walk<'a>) {
        let found = self.place(link.page).filter(|place| !walk.seen.contains(&place.start));
        let found = found.and_then(|place| Some((place.start, self.bytes.get(place)?)));
        let is_whole = found.is_some_and(|(_, page)| sum(page) == Some(link.sum));
        if !is_whole {
            walk.missed.insert(link.sum);
        }
        let Some((start, page)) = found.filter(|_| is_sure || is_whole) else {
            return walk.gaps.push(keys);
        };
        walk.seen.insert(start);
        let kind = page.first().copied().unwrap_or_default();
        if !is_whole {
            walk.gaps.push(Gap { is_leaf: keys.is_leaf || kind == LEAF, ..keys.clone() });
        }
        if kind == LEAF {
            walk.pairs.extend(leaf(page).flatten());
        } else if kind == BRANCH && depth > 0 {
            self.follow_branch(page, is_whole, &keys, depth, walk);
        }
    }

    fn follow_branch(
        self,
        page: &'a [u8],
        is_sure: bool,
        keys: &Gap,
        depth: usize,
        walk: &mut Walk<'a>,
    ) {
        let kind = |child: &Link| self.bytes.get(self.place(child.page)?.start).copied();
        // All children of a branch are of one kind, whatever a damaged one looks like.
        let leaves = branch(page).filter(|(child, _)| kind(child) == Some(LEAF)).count();
        let branches = branch(page).filter(|(child, _)| kind(child) == Some(BRANCH)).count();
        let mut after = keys.after.clone();
        for (child, key) in branch(page) {
            let up_to = key.map_or_else(|| keys.up_to.clone(), |key| Some(key.to_vec()));
            let is_leaf = leaves > branches;
            let between = Gap { after: after.clone(), up_to: up_to.clone(), is_leaf };
            self.follow(child, is_sure, between, depth - 1, walk);
            after = up_to;
        }
    }

    /// The pairs of all pages that look like leaves, but for those at the offsets `seen`; with
    /// whether the page is one that was `missed`.
    pub(super) fn scan(
        self,
        seen: &BTreeSet<usize>,
        missed: &BTreeSet<u128>,
    ) -> impl Iterator<Item = (&'a [u8], &'a [u8], bool)> {
        let offsets = (PAGE..self.bytes.len()).step_by(PAGE).filter(|at| !seen.contains(at));
        let pages = offsets.map(move |at| &self.bytes[at..]);
        let leaves = pages.filter(|page| page.first() == Some(&LEAF));
        leaves.flat_map(|page| {
            let belongs = sum(page).is_some_and(|sum| missed.contains(&sum));
            leaf(page).flatten().map(move |(key, value)| (key, value, belongs))
        })
    }

    /// Where a page is in the file.
    fn place(self, page: u64) -> Option<Range<usize>> {
        let order = page >> 59;
        let index = page & (0xF_FFFF >> order.min(20));
        let region = (page >> 20) & 0xF_FFFF;
        let length = (PAGE as u64) << order;
        let start = (PAGE as u64)
            .checked_add(region.checked_mul(self.region_bytes)?)?
            .checked_add(self.region_header_bytes)?
            .checked_add(index.checked_mul(length)?)?;
        let start = usize::try_from(start).ok()?;
        let end = start.checked_add(usize::try_from(length).ok()?)?.min(self.bytes.len());
        (start < end).then_some(start..end)
    }
}

/// What a page adds up to.
fn sum(page: &[u8]) -> Option<u128> {
    let end = if page.first() == Some(&LEAF) { leaf_end(page) } else { branch_end(page) };
    page.get(..end?).map(xxh3_128)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<usize> {
    let two = bytes.get(at..)?.first_chunk()?;
    Some(usize::from(u16::from_le_bytes(*two)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn link_at(bytes: &[u8], at: usize) -> Option<Link> {
    let page = u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?);
    Some(Link { page, sum: u128::from_le_bytes(*bytes.get(at + 8..)?.first_chunk()?) })
}

/// The pairs of a leaf: its kind, a byte, their number, the ends of their keys, the ends of their
/// values, the keys, the values. `None` for one that makes no sense.
fn leaf(page: &[u8]) -> impl Iterator<Item = Option<(&[u8], &[u8])>> {
    let count = u16_at(page, 2).unwrap_or_default();
    let end = move |of: usize| u32_at(page, 4 + 4 * of).map(|end| end as usize);
    let start = 4 + 8 * count;
    (0..count).map(move |at| {
        let key = if at == 0 { start } else { end(at - 1)? }..end(at)?;
        // The values begin behind the last key.
        let value = end(count + at - 1)?..end(count + at)?;
        Some((page.get(key)?, page.get(value)?))
    })
}

fn leaf_end(page: &[u8]) -> Option<usize> {
    let count = u16_at(page, 2).filter(|count| *count > 0)?;
    u32_at(page, 4 + 4 * (2 * count - 1)).map(|end| end as usize)
}

/// The children of a branch, each but the last with its largest key: its kind, a byte, the number
/// of keys, four bytes, the checksums of the children, their pages, the ends of the keys, the keys.
fn branch(page: &[u8]) -> impl Iterator<Item = (Link, Option<&[u8]>)> {
    let count = u16_at(page, 2).unwrap_or_default();
    let sums = 8;
    let links = sums + 16 * (count + 1);
    let ends = links + 8 * (count + 1);
    let keys = ends + 4 * count;
    let end = move |of: usize| u32_at(page, ends + 4 * of).map(|end| end as usize);
    (0..=count).filter_map(move |at| {
        let sum = u128::from_le_bytes(*page.get(sums + 16 * at..)?.first_chunk()?);
        let child = u64::from_le_bytes(*page.get(links + 8 * at..)?.first_chunk()?);
        let start = if at == 0 { Some(keys) } else { end(at - 1) };
        let key = || page.get(start?..end(at)?);
        Some((Link { page: child, sum }, if at < count { key() } else { None }))
    })
}

fn branch_end(page: &[u8]) -> Option<usize> {
    let count = u16_at(page, 2).filter(|count| *count > 0)?;
    u32_at(page, 8 + 24 * (count + 1) + 4 * (count - 1)).map(|end| end as usize)
}
