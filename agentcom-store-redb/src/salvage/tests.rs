//! This file damages files at random, and counts what is saved.

use super::*;
use crate::testing::{Disk, chance};

const PAGE: usize = 4096;

fn namespace() -> Namespace {
    Namespace::default()
}

/// A file with many rows, and what is in it. Some were overwritten and some removed.
fn file(rows: u64) -> (Vec<u8>, BTreeMap<RowKey, Vec<u8>>) {
    let (disk, mut model) = (Disk::new(), BTreeMap::new());
    let options = Options { tail_batches: 8, log_bytes: 256 << 10, ..Options::default() };
    let book = Book::on(disk.clone(), &options).unwrap();
    let mut next = 0;
    for seq in 1..=rows / 50 {
        let mut batch = Batch { seq, ..Batch::default() };
        for at in 0..60_u64 {
            // Every sixth is an old row.
            let number = if at.is_multiple_of(6) { chance(seq, at) % (next + 1) } else { next };
            next += u64::from(number == next);
            let table = Table::ALL[(number % 5) as usize];
            let row = RowKey::new(table, number.to_be_bytes());
            if batch.puts.iter().any(|(other, _)| *other == row) || batch.deletes.contains(&row) {
                continue;
            }
            if number < next - 1 && chance(seq, at).is_multiple_of(3) {
                model.remove(&row);
                batch.deletes.push(row);
            } else {
                let value = chance(seq, at).to_le_bytes().repeat(12);
                model.insert(row.clone(), value.clone());
                batch.puts.push((row, value));
            }
        }
        book.commit(batch).unwrap();
    }
    drop(book);
    (disk.bytes(), model)
}

/// The offsets of the pages in use, each with the rows that are on it and where these end.
fn used(bytes: &[u8]) -> BTreeMap<usize, BTreeMap<RowKey, usize>> {
    let layout = Layout::of(bytes).unwrap();
    let start = layout.database() as usize;
    let pages = Pages::new(&bytes[start..]);
    let root = pages.roots(Book::tree_name(&namespace()).as_bytes())[0].unwrap();
    let walk = pages.walk(root);
    assert!(root.1 && walk.gaps.is_empty(), "the file is good");
    let mut used: BTreeMap<usize, BTreeMap<RowKey, usize>> =
        walk.seen.iter().map(|at| (start + at, BTreeMap::new())).collect();
    let offset = |part: &[u8]| part.as_ptr() as usize - bytes.as_ptr() as usize;
    let saved = Saved::of(&walk, Seal::new("main"));
    for (place, record) in walk.pairs {
        let rows = used.range_mut(..=offset(place)).next_back().unwrap().1;
        let end = offset(record) + record.len();
        rows.extend(row_at(place).map(|row| (row, end)));
    }
    let log = log::read(&bytes[..start], layout, Seal::new("main"));
    let live = log.entries.range(saved.seq().unwrap() + 1..);
    for (_, entry) in live {
        let (first, end) = (offset(entry.batch), offset(entry.batch) + entry.batch.len());
        let named = tail::read(&entry.batch[Seal::OVERHEAD..]);
        let rows: BTreeMap<_, _> = named.map(|named| (named.unwrap().0, end)).collect();
        let pages = (first / PAGE * PAGE..end).step_by(PAGE);
        used.extend(pages.map(|page| (page, rows.clone())));
    }
    used
}

fn damage(bytes: &mut Vec<u8>, page: usize, seed: u64) -> &'static str {
    let draw = chance(seed, 9) as usize;
    match seed % 4 {
        0 => {
            bytes[page + draw % PAGE] ^= 1 << (draw / PAGE % 8);
            "a flipped bit"
        }
        1 => {
            bytes[page + 512 * (1 + draw % 7)..page + PAGE].fill(0);
            "a torn page"
        }
        2 => {
            bytes[page..page + PAGE].fill(0);
            "a zeroed page"
        }
        _ => {
            bytes.truncate(page + draw % PAGE);
            "a file that is cut off"
        }
    }
}

#[test]
fn of_a_good_file_everything_is_saved() {
    let (bytes, model) = file(2_000);
    let saved = salvage_bytes(&bytes, &namespace());
    assert_eq!(saved.lost, BTreeSet::new());
    assert_eq!((saved.seq, saved.unlinked), (Some(40), 0));
    assert!(saved.rows == model);
}

#[test]
fn of_a_damaged_file_at_least_99_of_100_other_rows_are_saved_and_none_is_wrong() {
    let (good, model) = file(5_000);
    let used = used(&good);
    let pages: Vec<usize> = used.keys().copied().collect();
    let mut sum = (0, 0);
    for seed in 0..160 {
        // Pages of the tree, and now and then the header.
        let at = chance(seed, 1) as usize % (pages.len() + 1);
        let page = pages.get(at).copied().unwrap_or_default();
        let mut bytes = good.clone();
        let how = damage(&mut bytes, page, seed);
        let saved = salvage_bytes(&bytes, &namespace());
        let is_cut = bytes.len() < good.len();
        let is_hit = |at: usize, end: usize| if is_cut { end > bytes.len() } else { at == page };
        let all = used.iter().flat_map(|(at, rows)| rows.iter().map(|(row, end)| (row, *at, *end)));
        let hit: BTreeSet<&RowKey> =
            all.filter(|(_, at, end)| is_hit(*at, *end)).map(|(row, ..)| row).collect();
        let others: Vec<_> = model.iter().filter(|(row, _)| !hit.contains(row)).collect();
        let right = others.iter().filter(|(row, value)| saved.rows.get(row) == Some(value)).count();
        let told = format!("seed {seed}, {how} at {page}: {right} of {}", others.len());
        assert!(right * 100 >= others.len() * 99, "{told}");
        sum = (sum.0 + right, sum.1 + others.len());
        let wrong = saved.rows.iter().filter(|(row, value)| model.get(row) != Some(value)).count();
        let batch = |lost: &Lost| matches!(lost, Lost::Batch(_) | Lost::Batches(_) | Lost::Head);
        let is_older = saved.lost.iter().any(batch);
        assert!(wrong as u64 <= saved.unlinked || is_older, "{told}; {wrong} wrong");
        if saved.rows != model {
            assert!(!saved.lost.is_empty() || !saved.differs.is_empty(), "{told}: said nothing");
        }
    }
    assert!(sum.0 * 1_000 >= sum.1 * 999, "{} of {} in all", sum.0, sum.1);
}

#[test]
fn a_damaged_branch_hides_no_more_than_one_row_in_a_hundred() {
    let (good, model) = file(5_000);
    let branches: Vec<usize> = used(&good).into_keys().filter(|at| good[*at] == 2).collect();
    assert!(branches.len() > 4, "the root and others");
    for page in branches {
        for sector in 0..PAGE / 512 {
            let mut bytes = good.clone();
            bytes[page + 512 * sector..page + PAGE].fill(0);
            let saved = salvage_bytes(&bytes, &namespace());
            let is_right =
                |(row, value): &(&RowKey, &Vec<u8>)| saved.rows.get(*row) == Some(*value);
            let right = model.iter().filter(is_right).count();
            let told = format!("page {page}, sector {sector}: {right} of {}", model.len());
            // No row is on a branch.
            assert!(right * 100 >= model.len() * 99, "{told}");
            let wrong = saved.rows.iter().filter(|(row, value)| model.get(row) != Some(value));
            assert!(wrong.count() as u64 <= saved.unlinked, "{told}");
        }
    }
}

#[test]
fn what_is_no_database_gives_nothing_and_says_so() {
    for bytes in [&b""[..], b"Dear hub", &[1; 10_000], &[2; 10_000]] {
        let saved = salvage_bytes(bytes, &namespace());
        assert_eq!(saved.rows, BTreeMap::new());
        assert_eq!(saved.lost, BTreeSet::from([Lost::Head]));
    }
}

#[test]
fn what_was_saved_makes_a_good_file() {
    let (mut bytes, model) = file(1_000);
    let page = used(&bytes).into_iter().find(|(_, rows)| !rows.is_empty()).unwrap().0;
    bytes[page..page + PAGE].fill(0);
    let saved = salvage_bytes(&bytes, &namespace());
    let (rows, seq) = (saved.rows.clone(), saved.seq.unwrap());
    assert!(!rows.is_empty() && rows.len() < model.len());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("saved.redb");
    let staged = saved.stage(&path, &namespace(), &Stop::default()).unwrap();
    assert!(staged.has(&namespace()) && !path.exists());
    staged.publish().unwrap();
    let book = Book::open(&files::os(), &path, &Options::default()).unwrap();
    assert_eq!(
        book.rows(&Table::ALL).unwrap().iter().map(|(_, n)| n).sum::<u64>(),
        rows.len() as u64
    );
    let keys: Vec<RowKey> = rows.keys().cloned().collect();
    let values: Vec<_> = book.get(&keys).unwrap().into_iter().flatten().collect();
    assert!(rows.values().eq(values.iter()));
    assert_eq!(
        book.commit(Batch { seq, ..Batch::default() }).unwrap_err().kind,
        agentcom_core::port::store::StoreErrorKind::Fenced
    );
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
}
