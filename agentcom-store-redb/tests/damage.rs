//! This file damages database files and looks at what the store says.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use agentcom_core::port::store::{
    Batch, Range, Row, RowKey, Store as _, StoreError, StoreErrorKind, Table,
};
use agentcom_store_redb::{Options, RedbStore};
use redb::{Database, ReadableDatabase as _, TableDefinition};
use tempfile::TempDir;

const TREE: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("agentcom/main");

/// The number of the last batch in each file.
const LAST: u64 = 9;

/// A closed file with rows in a live table and in one that is not. It has no log, so that all is in
/// the rows, and is redb's.
async fn file() -> (TempDir, PathBuf) {
    written(Options { log_bytes: 0, ..Options::default() }).await
}

/// As [`file`], with all batches but the first in the log only.
async fn file_with_log() -> (TempDir, PathBuf) {
    written(Options { log_bytes: 128 * 1024, ..Options::default() }).await
}

async fn written(options: Options) -> (TempDir, PathBuf) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let store = RedbStore::open_with(&path, options).await.unwrap();
    for seq in 1..=LAST {
        let rows = |table| (0..40_u8).map(move |n| (RowKey::new(table, [n]), vec![n; 200]));
        let puts = rows(Table::Spec).chain(rows(Table::Event)).filter(|_| seq <= 3).collect();
        store.commit(Batch { seq, puts, deletes: vec![] }).await.unwrap();
    }
    drop(store);
    (dir, path)
}

/// Where the record of a batch begins in the log.
fn in_log(bytes: &[u8], seq: u64) -> usize {
    let is_it =
        |page: &&[u8]| page.starts_with(b"\xacbatch\x00\x01") && page[16..24] == seq.to_le_bytes();
    bytes.chunks(4096).position(|page| is_it(&page)).unwrap() * 4096
}

/// Changes a stored record behind the store's back.
fn tamper(path: &Path, place: &[u8], tamper: impl FnOnce(&mut Vec<u8>)) {
    let database = Database::open(path).unwrap();
    let tree = database.begin_read().unwrap().open_table(TREE).unwrap();
    let mut record = tree.get(place).unwrap().unwrap().value().to_vec();
    tamper(&mut record);
    let writing = database.begin_write().unwrap();
    writing.open_table(TREE).unwrap().insert(place, record.as_slice()).unwrap();
    writing.commit().unwrap();
}

fn all(table: Table) -> Range {
    Range { table, prefix: vec![], after: None, backwards: false, limit: usize::MAX }
}

type Everything = (Option<u64>, Vec<Row>, Vec<Row>);

/// All that is in a file, read in every way.
async fn read(path: &Path) -> Result<Everything, StoreError> {
    let store = RedbStore::open(path, "main").await?;
    let mut live = Vec::new();
    let seq = store
        .load(&mut |_, key, value| {
            live.push((key.to_vec(), value.to_vec()));
            Ok(())
        })
        .await?;
    store.verify().await?;
    let history = store.history(all(Table::Event)).await?;
    let keys: Vec<_> = (0..40_u8).map(|n| RowKey::new(Table::Event, [n])).collect();
    let values = store.get(&keys).await?;
    assert!(history.iter().map(|(_, value)| Some(value)).eq(values.iter().map(Option::as_ref)));
    Ok((seq, live, history))
}

#[tokio::test]
async fn a_flipped_bit_in_a_value_is_corrupt_and_names_the_row() {
    let (_dir, path) = file().await;
    tamper(&path, &[Table::Spec as u8, 7], |record| record[100] ^= 1);
    let expected = "table spec, row \\x07: the checksum does not match";
    let store = RedbStore::open(&path, "main").await.unwrap();
    let errors = [
        store.load(&mut |_, _, _| Ok(())).await.unwrap_err(),
        store.history(all(Table::Spec)).await.unwrap_err(),
        store.get(&[RowKey::new(Table::Spec, [7])]).await.unwrap_err(),
        store.verify().await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind, error.message.as_str()), (StoreErrorKind::Corrupt, expected));
    }
    let other = store.get(&[RowKey::new(Table::Spec, [8])]).await.unwrap();
    assert_eq!(other, [Some(vec![8; 200])], "rows that are not damaged are read");
}

#[tokio::test]
async fn a_flipped_bit_in_a_batch_that_is_not_in_the_rows_is_corrupt_and_names_the_row() {
    for seq in [2, 3] {
        let (_dir, path) = file_with_log().await;
        let mut bytes = fs::read(&path).unwrap();
        let record = in_log(&bytes, seq);
        bytes[record + 160] ^= 1;
        fs::write(&path, bytes).unwrap();
        let error = RedbStore::open(&path, "main").await.unwrap_err();
        let expected = "table spec, row \\x00: the checksum does not match";
        assert_eq!((error.kind, error.message.as_str()), (StoreErrorKind::Corrupt, expected));
    }
}

#[tokio::test]
async fn a_batch_that_vanishes_is_missed() {
    for seq in [2, 5, LAST] {
        let (_dir, path) = file_with_log().await;
        let mut bytes = fs::read(&path).unwrap();
        let record = in_log(&bytes, seq);
        bytes[record..record + 4096].fill(0);
        fs::write(&path, bytes).unwrap();
        let error = RedbStore::open(&path, "main").await.unwrap_err();
        let expected = format!("batch {seq}: it is missing in the log");
        assert_eq!((error.kind, error.message), (StoreErrorKind::Corrupt, expected));
    }
}

#[tokio::test]
async fn a_batch_that_was_not_confirmed_may_be_torn() {
    let (_dir, path) = file_with_log().await;
    let mut bytes = fs::read(&path).unwrap();
    let record = in_log(&bytes, LAST);
    bytes[record + 60] ^= 1;
    // The marks are in two pages before the log; the last one tells of the batch.
    let mark = (2 + LAST as usize % 2) * 4096;
    bytes[mark..mark + 4096].fill(0);
    fs::write(&path, bytes).unwrap();
    let store = RedbStore::open(&path, "main").await.unwrap();
    assert_eq!(store.load(&mut |_, _, _| Ok(())).await.unwrap(), Some(LAST - 1));
}

#[tokio::test]
async fn a_record_that_turns_up_under_another_key_is_corrupt() {
    let (_dir, path) = file().await;
    let mut foreign = Vec::new();
    tamper(&path, &[Table::Spec as u8, 1], |record| foreign.clone_from(record));
    tamper(&path, &[Table::Event as u8, 1], |record| *record = foreign);
    let store = RedbStore::open(&path, "main").await.unwrap();
    let error = store.get(&[RowKey::new(Table::Event, [1])]).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
}

#[tokio::test]
async fn a_record_that_is_cut_off_is_corrupt() {
    let (_dir, path) = file().await;
    tamper(&path, &[Table::Event as u8, 1], |record| record.truncate(3));
    let error = read(&path).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert_eq!(error.message, "table event, row \\x01: the record is cut off");
}

#[tokio::test]
async fn a_flipped_bit_anywhere_in_the_file_is_never_read_as_data() {
    for (_dir, path) in [file().await, file_with_log().await] {
        flip_bits(&path).await;
    }
}

async fn flip_bits(path: &Path) {
    let good = fs::read(path).unwrap();
    let expected = read(path).await.unwrap();
    assert_eq!((expected.0, expected.1.len(), expected.2.len()), (Some(LAST), 40, 40));
    let used: Vec<usize> = (0..good.len()).filter(|at| good[*at] != 0).collect();
    let mut refused = 0;
    for at in used.iter().step_by(used.len() / 300) {
        let mut bad = good.clone();
        bad[*at] ^= 1 << (at % 8);
        fs::write(path, bad).unwrap();
        match read(path).await {
            Ok(found) => assert!(found == expected, "the bit at {at} was read as data"),
            Err(error) => {
                assert_ne!(error.kind, StoreErrorKind::Fenced, "the bit at {at}: {error}");
                refused += 1;
            }
        }
    }
    // Most of the file is what earlier batches left behind.
    assert!(refused > 20, "only {refused} flips were noticed");
}

#[tokio::test]
async fn a_store_whose_name_is_damaged_is_not_taken_for_a_fresh_one() {
    for name in ["agenucom/main", "agentcom/maim", "agentcom/MAIN"] {
        let (_dir, path) = file().await;
        let database = Database::open(&path).unwrap();
        let writing = database.begin_write().unwrap();
        writing.rename_table(TREE, TableDefinition::<&[u8], &[u8]>::new(name)).unwrap();
        writing.commit().unwrap();
        drop(database);
        let error = RedbStore::open(&path, "main").await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        assert!(error.message.contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_refused() {
    let (_dir, path) = file().await;
    let good = fs::read(&path).unwrap();
    check_cut(&path, &good).await;
    let (_dir, path) = file_with_log().await;
    let good = fs::read(&path).unwrap();
    check_cut(&path, &good).await;
}

async fn check_cut(path: &Path, good: &[u8]) {
    for length in [1, 100, 4_096, 5_000, 40_000, good.len() / 2, good.len() - 1] {
        fs::write(path, &good[..length]).unwrap();
        let error = read(path).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{length} bytes: {error}");
    }
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("letter.txt");
    let text = "Dear hub, ".repeat(1_000);
    fs::write(&path, &text).unwrap();
    let error = RedbStore::open(&path, "main").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert!(error.message.contains("letter.txt"), "{error}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
}
