//! This file holds the redb store to the contract of stores.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use agentcom_core::port::store::{Store, StoreError};
use agentcom_core::testing::store_suite::StoreFixture;
use agentcom_store_redb::RedbStore;
use tempfile::TempDir;

struct Fixture {
    dir: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }
}

#[async_trait::async_trait]
impl StoreFixture for Fixture {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(RedbStore::open(self.dir.path().join("store.redb"), "main").await?))
    }
}

agentcom_core::store_conformance!(
    #[tokio::test]
    Fixture::new()
);
