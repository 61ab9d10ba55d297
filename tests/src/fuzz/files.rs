//! This file tries bytes as damage to the files of a hub and of a sidecar.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use agentcom_core::port::store::{Batch, Range, RowKey, Store, StoreError, StoreErrorKind, Table};
use agentcom_exec::journal::{FileJournal, JournalLimits, describe};
use agentcom_store_redb::{Options, RedbStore};
use redb::{Database, ReadableDatabase as _, TableDefinition, TableHandle as _};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Everything in a store: its last batch, and each row with its table.
pub(super) type Everything = (Option<u64>, Vec<(Table, Vec<u8>, Vec<u8>)>);

/// A key, its length in front of it, and a record: put into a good database file, behind the
/// store's back. What was there is read as it was, or the damage is named. With the highest bit of
/// the length set the record is sealed as the store does it, so that its inside is looked at: then
/// whatever is read or said is fine, as long as it is said.
pub fn store_record(input: &[u8]) {
    let Some((length, rest)) = input.split_first() else { return };
    let (sealed, length) = (*length >= 0x80, usize::from(*length & 0x7F));
    let Some((place, record)) = rest.split_at_checked(length) else { return };
    let record = if sealed { &*seal(place, record) } else { record };
    let (good, expected) = &*GOOD;
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("store.redb");
    fs::write(&path, good).expect("a file");
    if !put(&path, place, record) {
        return;
    }
    match runtime().block_on(read_file(&path)) {
        Ok(found) => assert!(sealed || found == *expected, "a forged record was read as data"),
        Err(error) => assert_ne!(error.kind, StoreErrorKind::Fenced, "{error}"),
    }
}

/// The bytes of a journal. It is opened with what can be read of it, and then is a good one; or it
/// is refused and left alone.
pub fn journal(input: &[u8]) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("journal");
    fs::write(&path, input).expect("a file");
    let described = describe(&path);
    runtime().block_on(async {
        let opened = FileJournal::open(&path, JournalLimits::default());
        let journal = match opened {
            Ok(journal) => journal,
            Err(error) => {
                assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
                let left = fs::read(&path).expect("the file is there");
                assert!(left == input, "a file that is no journal is left alone");
                return;
            }
        };
        assert!(described.is_ok(), "what can be opened can be described");
        let before = everything(&journal).await.expect("a journal reads from memory");
        drop(journal);
        let journal = FileJournal::open(&path, JournalLimits::default()).expect("it was mended");
        assert_eq!(journal.reports(), [], "it was mended");
        assert!(everything(&journal).await.expect("memory") == before, "mending changes nothing");
        let seq = before.0.map_or(1, |seq| seq.saturating_add(1));
        let puts = vec![(RowKey::new(Table::Job, b"more"), b"{}".to_vec())];
        let more = journal.commit(Batch { seq, puts, deletes: Vec::new() }).await;
        drop(journal);
        if before.0 == Some(u64::MAX) {
            return;
        }
        more.expect("a mended journal goes on");
        let journal = FileJournal::open(&path, JournalLimits::default()).expect("it is good");
        assert_eq!(journal.reports(), [], "it is good");
        assert_eq!(everything(&journal).await.expect("memory").0, Some(seq));
    });
}

/// The record of a value at a place in the namespace `main`, in the format 1.
fn seal(place: &[u8], value: &[u8]) -> Vec<u8> {
    let sum = sum_of(xxh3_64(b"main"), place, value);
    [&[1][..], &sum.to_le_bytes(), value].concat()
}

/// The checksum of a value at a place in the namespace of this number, in the format 1.
pub(super) fn sum_of(namespace: u64, place: &[u8], value: &[u8]) -> u64 {
    xxh3_64_with_seed(value, xxh3_64_with_seed(place, namespace))
}

/// One for all inputs: its thread for what blocks is made once.
pub(super) fn runtime() -> &'static Runtime {
    static RUNTIME: LazyLock<Runtime> =
        LazyLock::new(|| Builder::new_current_thread().enable_all().build().expect("a runtime"));
    &RUNTIME
}

/// A file, and what is in it.
type Good = LazyLock<(Vec<u8>, Everything)>;

static GOOD: Good = LazyLock::new(good_file);

/// A database file with rows, as earlier releases wrote it; and what is in it.
fn good_file() -> (Vec<u8>, Everything) {
    let dir = TempDir::new().expect("a directory");
    let path = dir.path().join("store.redb");
    runtime().block_on(async {
        let options = Options { tail_batches: 2, log_bytes: 0, ..Options::default() };
        let store = RedbStore::open_with(&path, options).await.expect("it is created");
        for seq in 1..=6_u8 {
            let row =
                |n: u8| (RowKey::new(Table::LIVE[usize::from(n % 3)], [n, seq % 3]), vec![n; 40]);
            let puts = (0..6).map(row).collect();
            let batch = Batch { seq: seq.into(), puts, deletes: Vec::new() };
            store.commit(batch).await.expect("there is room");
        }
    });
    let bytes = fs::read(&path).expect("the file is there");
    let expected = runtime().block_on(read_file(&path)).expect("it is good");
    (bytes, expected)
}

fn put(path: &Path, place: &[u8], record: &[u8]) -> bool {
    let database = Database::open(path).expect("the file is good");
    let name = {
        let reading = database.begin_read().expect("it is good");
        let mut names = reading.list_tables().expect("it is good");
        names.next().expect("there is a table").name().to_owned()
    };
    let tree: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&name);
    let writing = database.begin_write().expect("there is room");
    let same = {
        let mut table = writing.open_table(tree).expect("the table is there");
        let before = table.insert(place, record).expect("there is room");
        before.is_some_and(|before| before.value() == record)
    };
    writing.commit().expect("there is room");
    !same
}

async fn read_file(path: &Path) -> Result<Everything, StoreError> {
    verified(RedbStore::open(path, "main").await?).await
}

/// All that is in a store, if all of it is good.
pub(super) async fn verified(store: RedbStore) -> Result<Everything, StoreError> {
    store.verify().await?;
    everything(&store).await
}

pub(super) async fn everything(store: &dyn Store) -> Result<Everything, StoreError> {
    let mut live = Vec::new();
    let seq = store
        .load(&mut |table, key, value| {
            live.push((table, key.to_vec(), value.to_vec()));
            Ok(())
        })
        .await?;
    let mut rows = Vec::new();
    for table in Table::ALL {
        let (prefix, after, limit) = (Vec::new(), None, usize::MAX);
        let range = Range { table, prefix, after, backwards: false, limit };
        let found = store.history(range).await?;
        rows.extend(found.into_iter().map(|(key, value)| (table, key, value)));
    }
    let is_live = |(table, ..): &&(Table, Vec<u8>, Vec<u8>)| Table::LIVE.contains(table);
    assert!(live.iter().eq(rows.iter().filter(is_live)), "a load and a range agree");
    Ok((seq, rows))
}
