//! This file runs the suite that every store has to pass: with the usual tail, and with one so
//! short that each commit folds batches into rows.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use agentcom_core::port::store::{Store, StoreError};
use agentcom_core::testing::store_suite::StoreFixture;
use agentcom_store_redb::{Options, RedbStore};
use tempfile::TempDir;

/// A directory of its own for each test.
struct Fixture {
    dir: TempDir,
    options: Options,
}

impl Fixture {
    fn usual() -> Self {
        Self { dir: TempDir::new().unwrap(), options: Options::default() }
    }

    fn short() -> Self {
        let options = Options { tail_batches: 2, ..Options::default() };
        Self { options, ..Self::usual() }
    }
}

#[async_trait::async_trait]
impl StoreFixture for Fixture {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        let path = self.dir.path().join("store.redb");
        Ok(Box::new(RedbStore::open_with(path, self.options.clone()).await?))
    }
}

agentcom_core::store_conformance!(
    #[tokio::test]
    Fixture::usual()
);

mod short_tail {
    use super::Fixture;

    agentcom_core::store_conformance!(
        #[tokio::test]
        Fixture::short()
    );
}
