//! This file opens a database file that another process holds, and again when that was killed.
//!
//! It runs without a test harness, because it starts itself as the other process, and lists its only
//! test as a harness would.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test may panic and print")]

use std::env;
use std::io::{BufRead as _, BufReader, Write as _, stdin};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use agentcom_core::port::store::{Batch, RowKey, Store as _, StoreErrorKind, Table};
use agentcom_store_redb::RedbStore;

/// Tells a process that it is the other one, and where the file is.
const OTHER: &str = "AGENTCOM_TEST_HOLDS";

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let is_asked = |flag: &str| env::args().any(|arg| arg == flag);
    match env::var_os(OTHER) {
        Some(path) => hold(Path::new(&path)).await,
        None if is_asked("--list") => {
            if !is_asked("--ignored") {
                println!("a_file_held_by_another_process_is_refused_until_that_is_killed: test");
            }
        }
        None => a_file_held_by_another_process_is_refused_until_that_is_killed().await,
    }
}

async fn hold(path: &Path) {
    let store = RedbStore::open(path, "main").await.unwrap();
    let puts = vec![(RowKey::new(Table::Spec, "k"), b"of the other".to_vec())];
    store.commit(Batch { seq: 1, puts, deletes: vec![] }).await.unwrap();
    println!("held");
    std::io::stdout().flush().unwrap();
    // Ends when the first process kills this one, or is killed itself.
    stdin().lines().for_each(drop);
}

async fn a_file_held_by_another_process_is_refused_until_that_is_killed() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("store.redb");
    let mut other = Command::new(env::current_exe().unwrap())
        .env(OTHER, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = String::new();
    BufReader::new(other.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "held\n");

    let start = Instant::now();
    let error = RedbStore::open(&path, "main").await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Fenced, "{error}");
    assert!(error.message.contains("in use"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "it took {:?}", start.elapsed());

    other.kill().unwrap();
    other.wait().unwrap();
    let store = RedbStore::open(&path, "main").await.unwrap();
    let values = store.get(&[RowKey::new(Table::Spec, "k")]).await.unwrap();
    assert_eq!(values, [Some(b"of the other".to_vec())], "what it confirmed is there");
    println!("test a_file_held_by_another_process_is_refused_until_that_is_killed ... ok");
}
