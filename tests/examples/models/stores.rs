//! This file plays random histories on each store and on an ordered map.

use agentcom_core::port::store::{Store, StoreError};
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::testing::store_suite::StoreFixture;
use agentcom_core::testing::store_suite::random::histories_equal_the_model;
use agentcom_custom_store::LogStore;
use agentcom_exec::journal::{FileJournal, JournalLimits};
use agentcom_store_redb::{Options, RedbStore};
use async_trait::async_trait;
use tempfile::TempDir;
use tokio::runtime::Builder;

use crate::hubs::Player;

/// The stores by name.
pub(crate) const ALL: &[(&str, Player)] = &[
    ("store-memory", |count, seed| play(MemoryDisk::new, count, seed)),
    ("store-redb", |count, seed| play(|| Files::of(Kind::Redb(64)), count, seed)),
    ("store-redb-small", |count, seed| play(|| Files::of(Kind::Redb(2)), count, seed)),
    ("store-journal", |count, seed| play(|| Files::of(Kind::Journal), count, seed)),
    ("store-custom", |count, seed| play(|| Files::of(Kind::Custom), count, seed)),
];

fn play<F: StoreFixture>(make: impl Fn() -> F, count: u32, seed: u64) -> Result<(), String> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    runtime.block_on(histories_equal_the_model(make, count, seed))
}

#[derive(Clone, Copy)]
enum Kind {
    /// With so many batches in the tail.
    Redb(usize),
    Journal,
    Custom,
}

struct Files {
    dir: TempDir,
    kind: Kind,
}

impl Files {
    fn of(kind: Kind) -> Self {
        Self { dir: TempDir::new().expect("there is room for a directory"), kind }
    }
}

#[async_trait]
impl StoreFixture for Files {
    async fn open(&self) -> Result<Box<dyn Store>, StoreError> {
        let path = self.dir.path().join("store");
        Ok(match self.kind {
            Kind::Redb(tail_batches) => {
                let options = Options { tail_batches, ..Options::default() };
                Box::new(RedbStore::open_with(path, options).await?)
            }
            Kind::Journal => Box::new(FileJournal::open(path, JournalLimits::default())?),
            Kind::Custom => Box::new(LogStore::open(path)?),
        })
    }
}
