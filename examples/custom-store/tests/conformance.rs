//! This file holds the store of this example to the contract of stores.
#![expect(clippy::unwrap_used, clippy::unwrap_in_result, reason = "a test may panic")]

use std::fs;
use std::path::PathBuf;

use agentcom_core::port::store::{Batch, RowKey, Store, StoreError, StoreErrorKind, Table};
use agentcom_core::testing::store_suite::StoreFixture;
use agentcom_custom_store::LogStore;
use futures_executor::block_on;
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("store.log")
    }
}

#[async_trait::async_trait]
impl StoreFixture for Fixture {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(LogStore::open(self.path())?))
    }
}

agentcom_core::store_conformance!(Fixture::new());

/// A log of two batches, and the number of the last batch that a store finds in it after `damage`.
fn check(damage: impl FnOnce(&mut Vec<u8>)) -> Result<Option<u64>, StoreErrorKind> {
    let fixture = Fixture::new();
    let store = LogStore::open(fixture.path()).unwrap();
    for seq in [1, 2] {
        let puts = vec![(RowKey::new(Table::Spec, "k"), vec![seq as u8; 20])];
        block_on(store.commit(Batch { seq, puts, deletes: vec![] })).unwrap();
    }
    drop(store);
    let mut log = fs::read(fixture.path()).unwrap();
    damage(&mut log);
    fs::write(fixture.path(), log).unwrap();
    let store = LogStore::open(fixture.path()).map_err(|error| error.kind)?;
    Ok(block_on(store.load(&mut |_, _, _| Ok(()))).unwrap())
}

#[test]
fn a_frame_cut_short_by_a_crash_is_dropped() {
    let length = 16 + 8 + 2 + 8 + 1 + 8 + 20;
    for cut in 1..length {
        assert_eq!(check(|log| log.truncate(2 * length - cut)), Ok(Some(1)), "{cut} bytes");
    }
    assert_eq!(check(|log| log.truncate(length)), Ok(Some(1)));
    assert_eq!(check(|log| log.extend([0; 40])), Ok(Some(2)), "grown, and never written");
}

#[test]
fn a_flipped_bit_in_a_confirmed_batch_is_corrupt() {
    for byte in 0..63 {
        assert_eq!(check(|log| log[byte] ^= 4), Err(StoreErrorKind::Corrupt), "byte {byte}");
    }
}
