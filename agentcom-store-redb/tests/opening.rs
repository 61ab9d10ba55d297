//! This file opens and reopens database files.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{Batch, Range, RowKey, Store as _, StoreErrorKind, Table};
use agentcom_store_redb::{Namespace, Options, RedbStore};
use tempfile::TempDir;

async fn open(path: &Path, namespace: &str) -> RedbStore {
    RedbStore::open(path, namespace).await.unwrap()
}

fn put(seq: u64, value: &str) -> Batch {
    let puts = vec![(RowKey::new(Table::Spec, "k"), value.into())];
    Batch { seq, puts, deletes: vec![] }
}

async fn value(store: &RedbStore) -> Option<Vec<u8>> {
    store.get(&[RowKey::new(Table::Spec, "k")]).await.unwrap().remove(0)
}

#[tokio::test]
async fn a_second_opener_is_told_within_a_second_that_the_file_is_in_use() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let first = open(&path, "main").await;
    for namespace in ["main", "other"] {
        let start = Instant::now();
        let error = RedbStore::open(&path, namespace).await.unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(1));
        assert_eq!(error.kind, StoreErrorKind::Fenced);
        let expected = "store.redb: the file is in use by another process or store";
        assert!(error.message.ends_with(expected), "{error}");
    }
    first.commit(put(1, "undisturbed")).await.unwrap();
    drop(first);
    assert_eq!(value(&open(&path, "main").await).await, Some(b"undisturbed".to_vec()));
}

#[tokio::test]
async fn an_opener_gets_the_file_of_one_that_is_on_its_way_out() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let first = open(&path, "main").await;
    let (second, ()) = tokio::join!(RedbStore::open(&path, "main"), async { drop(first) });
    second.unwrap();
}

#[tokio::test]
async fn namespaces_do_not_see_each_other() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let hub = open(&path, "hub").await;
    hub.commit(put(9, "of the hub")).await.unwrap();
    drop(hub);
    let sidecar = open(&path, "sidecar").await;
    assert_eq!(sidecar.load(&mut |_, _, _| panic!("a row")).await.unwrap(), None);
    assert_eq!(value(&sidecar).await, None);
    sidecar.commit(put(1, "of the sidecar")).await.unwrap();
    drop(sidecar);
    let hub = open(&path, "hub").await;
    assert_eq!(value(&hub).await, Some(b"of the hub".to_vec()));
    assert_eq!(hub.load(&mut |_, _, _| Ok(())).await.unwrap(), Some(9));
}

#[tokio::test]
async fn the_file_and_a_directory_made_for_it_are_their_owners_alone() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("made/for/store.redb");
    let _store = open(&path, "main").await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&dir.path().join("made")), 0o700);
    assert_eq!(mode(&dir.path().join("made/for")), 0o700);
}

#[tokio::test]
async fn what_a_killed_process_leaves_is_opened_with_all_that_was_confirmed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let copy = dir.path().join("copy.redb");
    let store = open(&path, "main").await;
    for seq in 1..=20 {
        store.commit(put(seq, &format!("number {seq}"))).await.unwrap();
        // Nothing closed the file that is copied here.
        fs::copy(&path, &copy).unwrap();
        let killed = open(&copy, "main").await;
        assert_eq!(value(&killed).await, Some(format!("number {seq}").into()));
        killed.verify().await.unwrap();
    }
}

#[tokio::test]
async fn after_a_commit_that_failed_nothing_is_answered_until_the_file_is_opened_again() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    let store = open(&path, "main").await;
    store.commit(put(2, "kept")).await.unwrap();
    assert_eq!(store.commit(put(1, "stale")).await.unwrap_err().kind, StoreErrorKind::Fenced);

    let range =
        Range { table: Table::Spec, prefix: vec![], after: None, backwards: false, limit: 1 };
    let errors = [
        store.commit(put(3, "late")).await.unwrap_err(),
        store.load(&mut |_, _, _| Ok(())).await.unwrap_err(),
        store.get(&[RowKey::new(Table::Spec, "k")]).await.unwrap_err(),
        store.history(range).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(error.message.contains("batch 1 is not after the last one, 2"), "{error}");
    }
    drop(store);
    assert_eq!(value(&open(&path, "main").await).await, Some(b"kept".to_vec()));
}

#[tokio::test]
async fn rows_out_of_bounds_are_refused_and_nothing_is_changed() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    for key in [vec![], vec![0; RowKey::BYTES_MAX + 1]] {
        let store = open(&path, "main").await;
        let mut batch = put(1, "beside it");
        batch.puts.push((RowKey::new(Table::Spec, key), vec![]));
        let error = store.commit(batch).await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert!(error.message.contains("out of bounds"), "{error}");
        drop(store);
        assert_eq!(value(&open(&path, "main").await).await, None);
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let dir = TempDir::new().unwrap();
    let error = RedbStore::open(dir.path(), "main").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "a directory: {error}");
    let error = RedbStore::open(dir.path().join("store.redb"), "No Good").await.unwrap_err();
    let expected = "namespace may hold only lower-case ASCII letters, digits and ._-";
    assert_eq!((error.kind, error.message.as_str()), (StoreErrorKind::Unavailable, expected));
}

#[tokio::test]
async fn a_store_counts_its_rows() {
    let dir = TempDir::new().unwrap();
    let namespace = Namespace::new("small").unwrap();
    let options = Options { namespace, cache_bytes: 1 << 20, ..Options::default() };
    let store = RedbStore::open_with(dir.path().join("store.redb"), options).await.unwrap();
    store.commit(put(1, "one")).await.unwrap();
    store.commit(put(2, "the same")).await.unwrap();
    let rows = store.rows().await.unwrap();
    assert_eq!(rows.iter().map(|(_, rows)| rows).sum::<u64>(), 1);
    assert!(rows.contains(&(Table::Spec, 1)));
}

#[tokio::test]
async fn a_fresh_file_gets_its_name_whole_and_an_empty_one_is_not_taken_for_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("store.redb");
    drop(open(&path, "main").await);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left beside it");
    fs::write(&path, "").unwrap();
    let error = RedbStore::open(&path, "main").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert!(error.message.ends_with("the file is empty"), "{error}");
}
