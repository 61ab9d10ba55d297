//! This file loses power under a hub: its driver, its steps and its rows over the store.

use std::collections::BTreeMap;
use std::sync::Arc;

use agentcom_core::agent::TokenHash;
use agentcom_core::change::Genesis;
use agentcom_core::command::{Command, Reply};
use agentcom_core::driver::Handle;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::id::{Incarnation, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{Kind, Principal};
use agentcom_core::task::Draft;
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Disk, Fault, chance};
use futures_util::future::join_all;

use super::losses::Losses;
use super::options;

/// How many callers wait at once.
const CALLERS: u64 = 8;
/// Within how many calls of the disk power is lost.
const CALLS: u64 = 600;

/// Acknowledged tasks, and whether their cancellation was acknowledged.
type Acknowledged = BTreeMap<TaskId, bool>;

/// The life of one hub whose clients submit and cancel until the power fails, again and again.
pub async fn lose_power_under_a_hub(seed: u64, lives: u64) -> Losses {
    let mut told = Losses::default();
    let mut disk = Disk::new();
    let mut acknowledged = Acknowledged::new();
    for life in 0..lives {
        let seed_of = |what| chance(seed, 8 * life + what);
        let genesis = Genesis { incarnation: Incarnation(7), seed, admin: TokenHash([9; 32]) };
        let opened = match RedbStore::on(&disk, options()).await {
            Ok(store) => {
                let clock = Arc::new(SystemClock::new());
                HubBuilder::new(Arc::new(store), clock).open(genesis).await
            }
            Err(error) => Err(error),
        };
        let (handle, driver) = match opened {
            Ok(opened) => opened,
            Err(error) => return told.cannot_reopen(seed, error),
        };
        let clients = async {
            let checked = check(&handle, &acknowledged).await;
            disk.fail_after(seed_of(1) % CALLS, Fault::Device, true);
            let before = acknowledged.len();
            if checked.is_ok() {
                submit(&handle, &mut acknowledged, seed_of(2)).await;
            }
            handle.stop();
            checked.map(|()| (acknowledged.len() - before) as u64)
        };
        // How the driver ends is of no interest: the disk makes it.
        let (checked, _) = tokio::join!(clients, driver.run());
        match checked {
            Ok(more) => told.acknowledged += more,
            Err(why) => return told.lost(seed, why),
        }
        drop(handle);
        disk = disk.power_loss(seed_of(3));
        told.losses += 1;
    }
    told
}

async fn check(handle: &Handle, acknowledged: &Acknowledged) -> Result<(), String> {
    for (id, cancelled) in acknowledged {
        let task = handle.task(*id).await.map_err(|error| error.to_string())?;
        let task = task.ok_or_else(|| format!("{id} was acknowledged and is lost"))?;
        if *cancelled && task.life.state.as_str() != "cancelled" {
            return Err(format!("the acknowledged cancellation of {id} is lost"));
        }
    }
    Ok(())
}

/// Submits tasks and cancels some, many at a time, until something is not acknowledged.
async fn submit(handle: &Handle, acknowledged: &mut Acknowledged, seed: u64) {
    for turn in 0.. {
        let calls = (0..CALLERS).map(|caller| {
            let seed = chance(seed, CALLERS * turn + caller);
            let old = acknowledged.keys().nth((seed % 64) as usize);
            let old = old.copied().filter(|_| seed.is_multiple_of(3));
            let command = match old {
                Some(id) => Command::Cancel(id),
                None => Command::Submit(draft(seed).into()),
            };
            let call = handle.call(Principal::Admin, command);
            async move { (old, call.await) }
        });
        for (cancelled, reply) in join_all(calls).await {
            match (cancelled, reply) {
                (None, Ok(Reply::Submitted(submitted))) => {
                    acknowledged.insert(submitted.id, false);
                }
                (Some(id), Ok(Reply::Cancelled { .. })) => {
                    acknowledged.insert(id, true);
                }
                (_, Ok(_)) => {}
                (_, Err(_)) => return,
            }
        }
    }
}

fn draft(seed: u64) -> Draft {
    let kind = Kind::new("shell").expect("the kind is valid");
    let words = "x".repeat((seed % 700) as usize);
    let input = Json::parse(&format!(r#"{{"command":"{words}"}}"#)).expect("the input is valid");
    Draft::new(kind, input)
}
