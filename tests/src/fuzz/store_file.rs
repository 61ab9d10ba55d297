//! This file damages a store's file in the places that its layout has, and looks at what is read.

mod edit;

use std::sync::LazyLock;

use agentcom_core::port::store::{Batch, RowKey, Store as _, StoreError, StoreErrorKind, Table};
use agentcom_store_redb::testing::Disk;
use agentcom_store_redb::{Namespace, Options, RedbStore, salvage};

use super::files::{Everything, everything, runtime, verified};
use edit::{Damage, Edits};

/// The size of a page.
const PAGE: usize = 4096;
/// Where the log begins.
const LOG: usize = 4 * PAGE;
/// How long the log of the file is that has one.
const LOG_BYTES: usize = 6 * PAGE;

/// A good file.
struct Good {
    has_log: bool,
    bytes: Vec<u8>,
    /// What is read from it.
    expected: Everything,
    /// What was read from it at any time before.
    earlier: Vec<Everything>,
}

/// Edits of eight bytes each, of a file with a log whose latest batches are nowhere else, and of one
/// without, as earlier releases wrote it.
///
/// What is read is what was there, or an error says that it is not; what is saved of the file was
/// there at some time. Only an edit that seals what it forged may lead to something else. Whatever the
/// file is, a second look agrees with the first.
pub fn store_file(input: &[u8]) {
    for good in [&*WITH_LOG, &*WITHOUT_LOG] {
        let edits = Edits::of(input);
        let mut bytes = good.bytes.clone();
        let damage = edits.apply(&mut bytes);
        let disk = Disk::holding(bytes.clone());
        let first = runtime().block_on(read_disk(&disk));
        match &first {
            Ok(found) => assert!(good.may_be(found, damage), "damage was read as data"),
            Err(error) => assert!(is_typed(error), "{error}"),
        }
        good.judge_saved(&bytes, damage);
        let second = runtime().block_on(read_disk(&disk));
        assert!(agree(&first, &second), "{first:?}, and then {second:?}");
    }
}

impl Good {
    fn may_be(&self, found: &Everything, damage: Damage) -> bool {
        let loses_the_last = damage.to_a_mark && damage.to_the_log;
        // One flipped bit there makes the commit before the current one. Only a log tells.
        let turns_back = !self.has_log && damage.to_redbs_header;
        let brings_back = damage.moves_pages || loses_the_last || turns_back;
        damage.is_sealed || *found == self.expected || (brings_back && self.earlier.contains(found))
    }

    fn judge_saved(&self, bytes: &[u8], damage: Damage) {
        let namespace = options("main", 0).namespace;
        let saved = salvage::salvage_bytes(bytes, &namespace);
        let was_there = |key: &[u8], value: &[u8]| {
            let mut rows = self.earlier.iter().flat_map(|(_, rows)| rows);
            rows.any(|(_, had, was)| had == key && was == value)
        };
        let is_right = saved.rows.iter().all(|(row, value)| was_there(&row.key, value));
        assert!(damage.is_sealed || is_right, "damage was saved as data");
    }
}

fn is_typed(error: &StoreError) -> bool {
    match error.kind {
        StoreErrorKind::Corrupt | StoreErrorKind::Unavailable => true,
        StoreErrorKind::Fenced | StoreErrorKind::Unknown => false,
    }
}

fn agree(first: &Result<Everything, StoreError>, second: &Result<Everything, StoreError>) -> bool {
    match (first, second) {
        (Ok(first), Ok(second)) => first == second,
        (Err(first), Err(second)) => first.kind == second.kind,
        (Ok(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

fn options(namespace: &str, log_bytes: usize) -> Options {
    Options {
        namespace: Namespace::new(namespace).expect("it is a name"),
        log_bytes: log_bytes as u64,
        cache_bytes: 1 << 20,
        ..Options::default()
    }
}

async fn read_disk(disk: &Disk) -> Result<Everything, StoreError> {
    verified(RedbStore::on(disk, options("main", 0)).await?).await
}

static WITH_LOG: LazyLock<Good> = LazyLock::new(|| good(LOG_BYTES));
static WITHOUT_LOG: LazyLock<Good> = LazyLock::new(|| good(0));

/// A file of two stores. The latest batches of one are in its log, if it has one, before some that
/// are in the rows; one of them is longer than a page.
fn good(log_bytes: usize) -> Good {
    let disk = Disk::new();
    let mut earlier = vec![(None, Vec::new())];
    runtime().block_on(async {
        // One that is opened writes all batches to the rows, and its log from the beginning.
        for (namespace, batches) in [("main", 1..=7), ("other", 1..=2), ("main", 8..=10)] {
            let store = RedbStore::on(&disk, options(namespace, log_bytes)).await;
            let store = store.expect("a good disk is opened");
            for seq in batches {
                store.commit(batch(seq)).await.expect("there is room");
                if namespace == "main" {
                    earlier.push(everything(&store).await.expect("it is good"));
                }
            }
        }
    });
    let bytes = disk.bytes();
    let read = runtime().block_on(read_disk(&Disk::holding(bytes.clone())));
    let expected = read.expect("it is good");
    assert_eq!(earlier.last(), Some(&expected), "all that was confirmed is there");
    Good { has_log: log_bytes > 0, bytes, expected, earlier }
}

fn batch(seq: u64) -> Batch {
    let byte = seq as u8;
    let row = |n: u8, turn: u8| RowKey::new(Table::LIVE[usize::from(n % 3)], [n, turn % 3]);
    let length = if seq == 9 { PAGE } else { 40 };
    let value = |n: u8| if n == 0 { vec![byte; length] } else { vec![n ^ byte; 8] };
    let puts = (0..4).map(|n| (row(n, byte), value(n))).collect();
    let deletes = if seq == 10 { vec![row(1, byte + 1)] } else { Vec::new() };
    Batch { seq, puts, deletes }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages of the log on which a record begins.
    const RECORDS: [u8; 5] = [0, 1, 3, 4, 5];

    fn seal(part: u8) -> [u8; 8] {
        [5, part, 0, 0, 0, 3, 0, 0]
    }

    #[test]
    fn a_good_file_that_is_sealed_anew_is_the_same() {
        let records = RECORDS.into_iter().flat_map(|page| [8 * page + 5, 8 * page + 4]);
        let input: Vec<u8> = (0..4).chain(records).flat_map(seal).collect();
        let mut bytes = WITH_LOG.bytes.clone();
        assert!(Edits::of(&input).apply(&mut bytes).is_sealed);
        assert!(bytes == WITH_LOG.bytes);
    }

    #[test]
    fn a_value_that_was_forged_is_read_if_all_around_it_is_sealed() {
        let forge = [0, 5, 30, 0, 4, 7, 0, 0];
        let read = |edits: &[[u8; 8]]| {
            let mut bytes = WITH_LOG.bytes.clone();
            Edits::of(edits.as_flattened()).apply(&mut bytes);
            runtime().block_on(read_disk(&Disk::holding(bytes)))
        };
        for some in [&[forge][..], &[forge, seal(5)], &[forge, seal(4)]] {
            assert!(read(some).is_err());
        }
        let found = read(&[forge, seal(5), seal(4)]).expect("it is sealed");
        assert_eq!(found.0, WITH_LOG.expected.0);
        assert!(found != WITH_LOG.expected);
    }
}
