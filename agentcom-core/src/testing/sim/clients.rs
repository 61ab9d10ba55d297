//! This file plays those who submit tasks, and ask again until the hub has them.

use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, PoisonError};

use super::oracle::Oracle;
use super::world::SimClock;
use crate::command::{Command, Reply};
use crate::driver::Handle;
use crate::driver::token::hash_of;
use crate::id::TaskId;
use crate::json::Json;
use crate::name::{AgentId, Key, Kind, Principal};
use crate::rng::Rng;
use crate::task::{Concurrency, Dependency, Draft, LeaseLoss, Priority};
use crate::time::Span;

/// Where submitters find the hub while it runs.
pub(super) type Slot = Arc<Mutex<Option<Handle>>>;

pub(super) async fn register(handle: Handle, names: Vec<String>) {
    for name in names {
        let Ok(id) = AgentId::new(&name) else { continue };
        let token = hash_of(&name);
        // Agents that are registered stay so, and a hub that is gone is started again.
        let _ = handle.call(Principal::Admin, Command::AddAgent { id, token }).await;
    }
}

/// Submits until the hub has said that it has the task.
pub(super) async fn submit(draft: Draft, slot: Slot, oracle: Oracle, clock: SimClock) {
    loop {
        let handle = slot.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(handle) = handle {
            let command = Command::Submit(draft.clone().into());
            let call = handle.call(Principal::Admin, command);
            match call.await {
                Ok(Reply::Submitted(submitted)) => {
                    if submitted.existing {
                        oracle.mark("a repeated submission found the first");
                    }
                    return oracle.acknowledged(submitted.id);
                }
                Ok(Reply::Rejected(_)) => {
                    // A dependency has died; without it the task can be queued.
                    let draft =
                        Draft { depends_on: Vec::new(), idempotency_key: None, ..draft.clone() };
                    if let Ok(Reply::Submitted(submitted)) =
                        handle.call(Principal::Admin, Command::Submit(draft.into())).await
                    {
                        return oracle.acknowledged(submitted.id);
                    }
                }
                Ok(reply) => oracle.wrong(format!("a submission was answered with {reply:?}")),
                Err(_) => oracle.mark("a submitter had to ask again"),
            }
        }
        clock.sleep(Span(300)).await;
    }
}

pub(super) fn draft(rng: &mut Rng, number: usize, known: &[TaskId]) -> Draft {
    let kind = Kind::new("shell").unwrap_or_else(|bad| unreachable!("{bad}"));
    let input = Json::of(&[number]).unwrap_or_default();
    let mut draft = Draft::new(kind, input);
    draft.idempotency_key = Key::new(&format!("key-{number}")).ok();
    draft.priority = Priority::ALL[rng.below(4) as usize];
    if rng.below(3) == 0 {
        draft.share.concurrency = Key::new("limited").ok().map(|key| Concurrency { key, max: 2 });
    }
    if rng.below(5) == 0 {
        draft.on_lease_loss = LeaseLoss::Continue;
    }
    if rng.below(5) == 0 && !known.is_empty() {
        let on = known[rng.below(known.len() as u64) as usize];
        draft.depends_on.push(Dependency::Known(on));
    }
    if rng.below(10) == 0 {
        draft.times.timeout = Some(Span::from_secs(20));
    }
    if rng.below(10) == 0 {
        draft.times.lease_ttl = Some(Span::from_secs(5));
    }
    draft.share.fair_key = Key::new(["a", "b"][rng.below(2) as usize]).ok();
    draft
}
