//! This file loses power at any moment, also while the file is opened after a power loss.

use agentcom_core::port::store::{Batch, Store as _};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Disk, Fault, chance};

use super::model::Model;
use super::options;

/// How often power is lost in a row at most, while the file is opened.
const RECOVERIES: u64 = 30;
/// Within how many calls of the disk power is lost: at work, and while the file is opened.
const CALLS: (u64, u64) = (800, 60);

/// What power losses led to.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    /// Power losses in all.
    pub losses: u64,
    /// Those of them that came while the file was opened.
    pub in_recovery: u64,
    /// Changes that were confirmed.
    pub acknowledged: u64,
    /// How often something confirmed was not there, or something else was.
    pub lost: u64,
    /// How often the file could not be opened or read.
    pub reopen_failures: u64,
    /// What went wrong, with the seed.
    pub found: Vec<String>,
}

impl Losses {
    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.losses += other.losses;
        self.in_recovery += other.in_recovery;
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.reopen_failures += other.reopen_failures;
        self.found.extend(other.found);
    }

    pub(super) fn cannot_reopen(mut self, seed: u64, why: impl core::fmt::Display) -> Self {
        self.reopen_failures += 1;
        self.found.push(format!("seed {seed}, loss {}: {why}", self.losses));
        self
    }

    pub(super) fn lost(mut self, seed: u64, why: impl core::fmt::Display) -> Self {
        self.lost += 1;
        self.found.push(format!("seed {seed}, loss {}: {why}", self.losses));
        self
    }
}

/// The life of one store: commits until the power fails, again and again. Ends early when
/// something is found. With `lies` one sync in so many does nothing.
pub async fn lose_power(seed: u64, lives: u64, lies: Option<u64>) -> Losses {
    let mut told = Losses::default();
    let mut disk = disk_of(Disk::new(), lies);
    let (mut sure, mut doubt) = (Model::default(), None);
    for life in 0..lives {
        let seed_of = |what| chance(seed, 8 * life + what);
        disk = in_recovery(disk, seed_of(0), lies, &mut told).await;
        let store = match RedbStore::on(&disk, options()).await {
            Ok(store) => store,
            Err(error) => return told.cannot_reopen(seed, error),
        };
        let found = match Model::of(&store).await {
            Ok(found) => found,
            Err(error) => return told.cannot_reopen(seed, error),
        };
        if let Err(why) = judge(&found, &sure, doubt.as_ref()) {
            return told.lost(seed, why);
        }
        sure = found;
        disk.fail_after(seed_of(1) % CALLS.0, Fault::Device, true);
        doubt = Some(work(&store, &mut sure, seed_of(2), &mut told).await);
        drop(store);
        disk = disk_of(disk.power_loss(seed_of(3)), lies);
        told.losses += 1;
    }
    told
}

fn disk_of(disk: Disk, lies: Option<u64>) -> Disk {
    if let Some(syncs) = lies {
        disk.lie_about_one_sync_in(syncs);
    }
    disk
}

/// Opens the store, and loses the power meanwhile or soon after: not at all, a few times, or very
/// often in a row.
async fn in_recovery(mut disk: Disk, seed: u64, lies: Option<u64>, told: &mut Losses) -> Disk {
    let times = match seed % 64 {
        0 => RECOVERIES,
        1..=16 => seed / 64 % 4,
        _ => 0,
    };
    for time in 0..times {
        disk.fail_after(chance(seed, 2 * time) % CALLS.1, Fault::Device, true);
        // Whether it opens in time does not matter.
        drop(RedbStore::on(&disk, options()).await);
        disk = disk_of(disk.power_loss(chance(seed, 2 * time + 1)), lies);
        told.losses += 1;
        told.in_recovery += 1;
    }
    disk
}

/// Commits until that fails. Returns the batch that may or may not be there.
async fn work(store: &RedbStore, sure: &mut Model, seed: u64, told: &mut Losses) -> Batch {
    for turn in 0.. {
        let batch = sure.batch(chance(seed, turn), 12);
        if store.commit(batch.clone()).await.is_err() {
            return batch;
        }
        told.acknowledged += 1;
        sure.apply(&batch);
    }
    unreachable!("every commit takes calls of the disk, which fails in the end")
}

/// What is found has to be what was confirmed, or that and the batch whose outcome is not known.
pub(super) fn judge(found: &Model, sure: &Model, doubt: Option<&Batch>) -> Result<(), String> {
    if found == sure || doubt.is_some_and(|batch| *found == sure.with(batch)) {
        return Ok(());
    }
    Err(found.difference(sure))
}
