//! This file proves that the journal keeps the contract of stores, and what it adds to it.

#![expect(clippy::unwrap_used, reason = "a test that panics fails")]

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{Batch, RowKey, Store, StoreError, StoreErrorKind, Table};
use agentcom_core::testing::store_suite::StoreFixture;
use agentcom_exec::journal::{FileJournal, JournalLimits, describe};
use async_trait::async_trait;
use tempfile::TempDir;

#[derive(Debug)]
struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn open(&self) -> Result<FileJournal, StoreError> {
        FileJournal::open(self.dir.path().join("journal"), JournalLimits::default())
    }
}

#[async_trait]
impl StoreFixture for Fixture {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(self.open()?))
    }
}

agentcom_core::store_conformance!(
    #[tokio::test]
    Fixture::new()
);

fn batch(seq: u64) -> Batch {
    let puts = vec![(RowKey::new(Table::Job, format!("{seq}")), b"{}".to_vec())];
    Batch { seq, puts, deletes: Vec::new() }
}

#[tokio::test]
async fn a_second_opener_is_refused_within_a_second() {
    let fixture = Fixture::new();
    let _first = fixture.open().unwrap();
    let asked = Instant::now();
    assert_eq!(fixture.open().unwrap_err().kind, StoreErrorKind::Fenced);
    assert!(asked.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn the_files_are_nobody_elses_to_read() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("journal");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let journal = fixture.open().unwrap();
    journal.commit(batch(1)).await.unwrap();
    for entry in std::fs::read_dir(fixture.dir.path()).unwrap() {
        let mode = entry.unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}

#[tokio::test]
async fn an_open_journal_can_be_described() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("journal");
    let journal = fixture.open().unwrap();
    journal.commit(batch(1)).await.unwrap();
    journal.commit(batch(2)).await.unwrap();
    let description = describe(&path).unwrap();
    assert_eq!((description.seq, description.records, description.damage), (Some(2), 2, vec![]));
    assert_eq!(description.rows[1], batch(2).puts[0]);
    assert_eq!(describe("/no/such/journal").unwrap_err().kind, StoreErrorKind::Unavailable);
}

#[tokio::test]
async fn damage_is_reported() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join("journal");
    let journal = fixture.open().unwrap();
    journal.commit(batch(1)).await.unwrap();
    let first_end = std::fs::metadata(&path).unwrap().len();
    journal.commit(batch(2)).await.unwrap();
    drop(journal);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[first_end as usize - 1] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let described = describe(&path).unwrap().damage;
    let journal = fixture.open().unwrap();
    assert_eq!(journal.reports(), described);
    assert!(described[0].to_string().ends_with("cannot be read"));
    assert!(fixture.dir.path().join("journal.quarantine").exists());
}
