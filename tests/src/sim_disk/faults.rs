//! This file lets each call of the disk fail in turn, in every way.

use std::collections::BTreeMap;

use agentcom_core::port::store::{RowKey, Store as _, Table};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Call, Disk, Fault, chance};

use super::losses::judge;
use super::model::{Model, all};
use super::options;

/// After how many batches without a failing call a run gives up.
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
                match fail(&disk, model.clone(), number, for_good).await {
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
async fn fail(
    disk: &Disk,
    mut sure: Model,
    seed: u64,
    for_good: bool,
) -> Result<Option<Call>, String> {
    let (mut doubt, mut told) = (None, false);
    if let Ok(store) = RedbStore::on(disk, options()).await {
        for turn in 0..BATCHES_MAX {
            let batch = sure.batch(chance(seed, turn), 6);
            if store.commit(batch.clone()).await.is_err() {
                (told, doubt) = (true, Some(batch));
                break;
            }
            sure.apply(&batch);
            if read(&store, turn).await.is_err() {
                told = true;
                break;
            }
        }
        // With a small cache redb writes pages early, and if that fails once writes them again
        // before they count. Then nothing is told, and nothing may be lost.
        if told {
            stopped(&store, &sure).await?;
        } else if for_good {
            return Err("nothing was told".into());
        }
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

async fn read(store: &RedbStore, turn: u64) -> Result<(), agentcom_core::port::store::StoreError> {
    match turn % 4 {
        0 => store.get(&[RowKey::new(Table::Ended, turn.to_be_bytes())]).await.map(drop),
        1 => store.history(all(Table::Event)).await.map(drop),
        2 => store.load(&mut |_, _, _| Ok(())).await.map(drop),
        _ => Ok(()),
    }
}

/// A store that met a failing call answers nothing any more.
async fn stopped(store: &RedbStore, sure: &Model) -> Result<(), String> {
    if store.commit(sure.batch(1, 6)).await.is_ok() {
        return Err("a batch was confirmed after a call had failed".into());
    }
    for turn in 0..3 {
        if read(store, turn).await.is_ok() {
            return Err(format!("reading (way {turn}) was answered after a call had failed"));
        }
    }
    Ok(())
}
