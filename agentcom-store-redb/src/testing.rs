//! This file offers what a store can be tested with: a disk and a file system in memory that
//! lose their power, fail and lie.
//!
//! ```
//! use agentcom_core::port::store::{Batch, RowKey, Store as _, Table};
//! use agentcom_store_redb::testing::Disk;
//! use agentcom_store_redb::{Options, RedbStore};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let disk = Disk::new();
//! let store = RedbStore::on(&disk, Options::default()).await?;
//! let puts = vec![(RowKey::new(Table::Meta, "head"), b"1".to_vec())];
//! store.commit(Batch { seq: 1, puts, deletes: vec![] }).await?;
//!
//! let after = disk.power_loss(42);
//! let store = RedbStore::on(&after, Options::default()).await?;
//! assert_eq!(store.get(&[RowKey::new(Table::Meta, "head")]).await?, [Some(b"1".to_vec())]);
//! # Ok(())
//! # }
//! ```

mod disk;
mod folder;
mod meter;

pub use disk::{Disk, chance};
pub use folder::Folder;
pub use meter::{Call, Fault};
