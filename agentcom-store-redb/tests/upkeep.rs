//! This file checks, backs up, restores and compacts files, and interrupts it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::path::{Path, PathBuf};

use agentcom_core::port::store::{Batch, Range, RowKey, Store as _, StoreErrorKind, Table};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::upkeep::{self, InTheWay, Stop};
use tempfile::TempDir;

async fn write(path: &Path, namespace: &str, batches: std::ops::RangeInclusive<u64>) -> RedbStore {
    let store = RedbStore::open(path, namespace).await.unwrap();
    for seq in batches {
        let row = |table| (RowKey::new(table, seq.to_be_bytes()), vec![seq as u8; 300]);
        let puts = Table::ALL.map(row).into();
        store.commit(Batch { seq, puts, deletes: vec![] }).await.unwrap();
    }
    store
}

async fn events(path: &Path) -> usize {
    let store = RedbStore::open(path, "main").await.unwrap();
    let table = Table::Event;
    let all = Range { table, prefix: vec![], after: None, backwards: false, limit: usize::MAX };
    store.history(all).await.unwrap().len()
}

fn place() -> (TempDir, PathBuf, PathBuf) {
    let dir = TempDir::new().unwrap();
    let (path, backup) = (dir.path().join("hub.redb"), dir.path().join("backup.redb"));
    (dir, path, backup)
}

fn names(dir: &TempDir) -> Vec<String> {
    let entries = fs::read_dir(dir.path()).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_backup_beside_other_work_is_of_one_moment_and_of_all_namespaces() {
    let (dir, path, backup) = place();
    drop(write(&path, "other", 1..=3).await);
    let store = write(&path, "main", 1..=100).await;
    let told = store.backup(&backup, &Stop::default()).await.unwrap();
    assert_eq!((told.rows(), told.namespaces.len()), (1_300 + 39, 2));
    assert_eq!(told.path, backup);
    drop(store);
    drop(write(&path, "main", 101..=110).await);
    assert_eq!(upkeep::verify(&backup, &Stop::default()).unwrap().rows(), 1_339);
    assert_eq!(events(&backup).await, 100);
    assert_eq!(names(&dir), ["backup.redb", "hub.redb"]);
}

#[tokio::test]
async fn a_backup_takes_nobodys_place() {
    let (dir, path, backup) = place();
    let store = write(&path, "main", 1..=3).await;
    fs::write(&backup, "precious").unwrap();
    let error = store.backup(&backup, &Stop::default()).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    assert!(error.message.ends_with("backup.redb: it exists already"), "{error}");
    drop(store);
    assert!(upkeep::backup(&path, &backup, &Stop::default()).is_err());
    assert_eq!(fs::read_to_string(&backup).unwrap(), "precious");
    assert_eq!(names(&dir).len(), 2);
}

#[tokio::test]
async fn what_is_interrupted_leaves_nothing_behind() {
    let (dir, path, backup) = place();
    let store = write(&path, "main", 1..=3).await;
    let stop = Stop::default();
    stop.ask();
    store.backup(&backup, &stop).await.unwrap_err();
    drop(store);
    upkeep::backup(&path, &backup, &stop).unwrap_err();
    upkeep::compact(&path, &stop).unwrap_err();
    upkeep::stage(&path, &backup, InTheWay::IsKept, &stop).unwrap_err();
    let error = upkeep::verify(&path, &stop).unwrap_err();
    assert!(error.message.contains("interrupted"), "{error}");
    assert_eq!(names(&dir), ["hub.redb"]);
    assert_eq!(events(&path).await, 3);
}

#[tokio::test]
async fn a_file_in_use_is_left_alone() {
    let (dir, path, backup) = place();
    let store = write(&path, "main", 1..=3).await;
    store.backup(&backup, &Stop::default()).await.unwrap();
    let stop = Stop::default();
    let errors = [
        upkeep::verify(&path, &stop).unwrap_err(),
        upkeep::backup(&path, &dir.path().join("b"), &stop).unwrap_err(),
        upkeep::compact(&path, &stop).unwrap_err(),
        upkeep::stage(&backup, &path, InTheWay::IsKept, &stop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Fenced, "{error}");
    }
    store.commit(Batch { seq: 4, ..Batch::default() }).await.unwrap();
    assert_eq!(names(&dir), ["backup.redb", "hub.redb"]);
}

#[tokio::test]
async fn what_is_not_there_is_not_made() {
    let (dir, path, backup) = place();
    fs::write(&backup, "").unwrap();
    let stop = Stop::default();
    let errors = [
        upkeep::verify(&path, &stop).unwrap_err(),
        upkeep::backup(&path, &dir.path().join("b"), &stop).unwrap_err(),
        upkeep::compact(&path, &stop).unwrap_err(),
        upkeep::stage(&path, &dir.path().join("b"), InTheWay::Stays, &stop).unwrap_err(),
    ];
    for error in errors {
        assert!(error.message.contains("hub.redb: there is no such file"), "{error}");
    }
    let error = upkeep::verify(&backup, &stop).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
    assert_eq!(names(&dir), ["backup.redb"]);
}

#[tokio::test]
async fn a_restored_file_takes_the_place_of_another_only_if_told_to_and_keeps_that() {
    let (dir, path, backup) = place();
    drop(write(&path, "main", 1..=3).await);
    let stop = Stop::default();
    upkeep::backup(&path, &backup, &stop).unwrap();
    drop(write(&path, "main", 4..=5).await);
    let error = upkeep::stage(&backup, &path, InTheWay::Stays, &stop).unwrap_err();
    assert!(error.message.ends_with("it exists already"), "{error}");
    for number in 1..=2 {
        let staged = upkeep::stage(&backup, &path, InTheWay::IsKept, &stop).unwrap();
        // What has to change is changed before it is in its place.
        drop(write(staged.path(), "main", 4..=4 + number).await);
        let kept = staged.publish().unwrap().unwrap();
        assert_eq!(kept, dir.path().join(format!("hub.redb.replaced-{number}")));
    }
    assert_eq!(events(&path).await, 6);
    assert_eq!(events(&dir.path().join("hub.redb.replaced-1")).await, 5);
    assert_eq!(events(&backup).await, 3, "the backup is as it was");
    assert_eq!(names(&dir).len(), 4);
}

#[tokio::test]
async fn a_damaged_file_is_neither_backed_up_nor_compacted_nor_restored() {
    let (dir, path, backup) = place();
    drop(write(&path, "main", 1..=200).await);
    let mut bytes = fs::read(&path).unwrap();
    // The value of one row of the table of events.
    let value = [77_u8; 300];
    let places: Vec<_> = bytes.windows(300).enumerate().filter(|(_, at)| *at == value).collect();
    let at: Vec<usize> = places.into_iter().map(|(at, _)| at).collect();
    at.iter().for_each(|at| bytes[*at] ^= 1);
    fs::write(&path, &bytes).unwrap();
    let stop = Stop::default();
    let errors = [
        upkeep::verify(&path, &stop).unwrap_err(),
        upkeep::backup(&path, &backup, &stop).unwrap_err(),
        upkeep::compact(&path, &stop).unwrap_err(),
        upkeep::stage(&path, &backup, InTheWay::Stays, &stop).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Corrupt, "{error}");
        assert!(error.message.contains("table meta, row "), "{error}");
    }
    assert_eq!(names(&dir), ["hub.redb"]);
    assert_eq!(fs::read(&path).unwrap().len(), bytes.len());
}

#[tokio::test]
async fn compacting_gives_back_the_room_of_removed_rows_and_keeps_the_others() {
    let (_dir, path, _) = place();
    let store = write(&path, "main", 1..=20).await;
    let big =
        (0..2_000_u64).map(|n| (RowKey::new(Table::Artifact, n.to_be_bytes()), vec![1; 20_000]));
    store.commit(Batch { seq: 21, puts: big.collect(), deletes: vec![] }).await.unwrap();
    let gone = (0..2_000_u64).map(|n| RowKey::new(Table::Artifact, n.to_be_bytes())).collect();
    store.commit(Batch { seq: 22, puts: vec![], deletes: gone }).await.unwrap();
    for seq in 23..=120 {
        store.commit(Batch { seq, ..Batch::default() }).await.unwrap();
    }
    drop(store);
    let (told, before) = upkeep::compact(&path, &Stop::default()).unwrap();
    assert!(told.bytes * 2 < before, "{} after {before}", told.bytes);
    assert_eq!(fs::metadata(&path).unwrap().len(), told.bytes);
    assert_eq!(events(&path).await, 20);
}

#[cfg(unix)]
#[tokio::test]
async fn copies_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (dir, path, _) = place();
    let store = write(&path, "main", 1..=3).await;
    let backup = dir.path().join("made/for/backup.redb");
    store.backup(&backup, &Stop::default()).await.unwrap();
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(backup.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
}
