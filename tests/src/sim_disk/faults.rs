//! This file lets each call of the disk fail in turn, in every way.

use std::collections::BTreeMap;

use agentcom_core::port::store::{Batch, RowKey, Store as _, StoreError, StoreErrorKind, Table};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Call, Disk, Fault, chance};

use super::losses::judge;
use super::model::{Model, all};
use super::options;

/// After how many batches without a failing call a run gives up: each takes many calls.
const BATCHES_MAX: u64 = 300;

/// What failing calls led to.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How many stores met a failing call.
    pub failures: u64,
    /// How many calls of each kind failed.
    pub by_call: BTreeMap<Call, u64>,
    /// What went wrong.
    pub found: Vec<String>,
}

impl Faults {
    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.failures += other.failures;
        for (call, count) in other.by_call {
            *self.by_call.entry(call).or_default() += count;
        }
        self.found.extend(other.found);
    }
}

/// Lets the calls `numbers` of a store fail, each in a store of its own, in every way, once and
/// for good.
pub async fn fail_each_call(numbers: impl Iterator<Item = u64>) -> Faults {
    let (base, model) = base().await;
    let mut told = Faults::default();
    for number in numbers {
        for fault in [Fault::Device, Fault::NoRoom, Fault::ShortWrite] {
            for for_good in [false, true] {
                let disk = Disk::holding(base.clone());
                disk.fail_after(number, fault, for_good);
                match fail(&disk, model.clone(), number).await {
                    Ok(Some(call)) => {
                        told.failures += 1;
                        *told.by_call.entry(call).or_default() += 1;
                    }
                    Ok(None) => told.found.push(format!("call {number} was not reached")),
                    Err(why) => {
                        let how = if for_good { "for good" } else { "once" };
                        told.found.push(format!("call {number} fails ({fault:?}, {how}): {why}"));
                    }
                }
            }
        }
    }
    told
}

/// A file in use, as a killed process leaves it.
async fn base() -> (Vec<u8>, Model) {
    let (disk, mut model) = (Disk::new(), Model::default());
    let store = RedbStore::on(&disk, options()).await.expect("an empty disk is opened");
    for seed in 0..40 {
        let batch = model.batch(seed, 12);
        store.commit(batch.clone()).await.expect("a good disk takes batches");
        model.apply(&batch);
    }
    (disk.bytes(), model)
}

/// Works on `disk` until a call fails. Returns which, or what the store did wrong.
async fn fail(disk: &Disk, mut sure: Model, seed: u64) -> Result<Option<Call>, String> {
    let mut doubt = None;
    match RedbStore::on(disk, options()).await {
        Ok(store) => {
            doubt = work(&store, disk, &mut sure, seed).await?;
            stopped(&store, &sure).await?;
        }
        Err(error) if disk.has_failed() => told(error)?,
        Err(error) => return Err(format!("a good disk is not opened: {error}")),
    }
    let failed = disk.heal();
    // The process starts again, or the machine does.
    let disk = if seed.is_multiple_of(2) { disk.clone() } else { disk.power_loss(seed) };
    let store = RedbStore::on(&disk, options()).await;
    let store = store.map_err(|error| format!("cannot be opened again: {error}"))?;
    let found = Model::of(&store).await.map_err(|error| error.to_string())?;
    judge(&found, &sure, doubt.as_ref())?;
    let next = found.batch(chance(seed, BATCHES_MAX), 6);
    store.commit(next).await.map_err(|error| format!("takes nothing any more: {error}"))?;
    Ok(failed)
}

/// Writes and reads until a call of the disk has failed, and holds that nothing succeeds in which
/// one did. Returns the batch that may or may not be there.
async fn work(
    store: &RedbStore,
    disk: &Disk,
    sure: &mut Model,
    seed: u64,
) -> Result<Option<Batch>, String> {
    for turn in 0..BATCHES_MAX {
        if disk.has_failed() {
            return Ok(None);
        }
        let batch = sure.batch(chance(seed, turn), 6);
        let outcome = store.commit(batch.clone()).await;
        match (outcome, disk.has_failed()) {
            (Ok(()), false) => sure.apply(&batch),
            (Ok(()), true) => return Err("a batch was confirmed although a call failed".into()),
            (Err(error), true) => return told(error).map(|()| Some(batch)),
            (Err(error), false) => return Err(format!("a good disk takes no batch: {error}")),
        }
        match (read(store, turn).await, disk.has_failed()) {
            (Ok(()), false) => {}
            (Ok(()), true) => return Err("reading was answered although a call failed".into()),
            (Err(error), true) => return told(error).map(|()| None),
            (Err(error), false) => return Err(format!("a good disk cannot be read: {error}")),
        }
    }
    Err("the call was not reached".into())
}

/// A disk that fails is no damage, for which one would go back to a backup.
fn told(error: StoreError) -> Result<(), String> {
    match error.kind {
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown => Ok(()),
        StoreErrorKind::Corrupt | StoreErrorKind::Fenced => {
            Err(format!("a failing call was reported as {error}"))
        }
    }
}

async fn read(store: &RedbStore, turn: u64) -> Result<(), StoreError> {
    match turn % 4 {
        0 => store.get(&[RowKey::new(Table::Ended, turn.to_be_bytes())]).await.map(drop),
        1 => store.history(all(Table::Event)).await.map(drop),
        2 => store.load(&mut |_, _, _| Ok(())).await.map(drop),
        _ => store.rows().await.map(drop),
    }
}

/// A store that met a failing call answers nothing any more.
async fn stopped(store: &RedbStore, sure: &Model) -> Result<(), String> {
    if store.commit(sure.batch(1, 6)).await.is_ok() {
        return Err("a batch was confirmed after a call had failed".into());
    }
    for turn in 0..4 {
        if read(store, turn).await.is_ok() {
            return Err(format!("reading (way {turn}) was answered after a call had failed"));
        }
    }
    Ok(())
}
