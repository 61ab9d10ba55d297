//! This file plays an operator who interferes: cancels, revives, pauses, drains and removes.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use super::clients::pick;
use super::hubs::Doors;
use super::ledger::Stand;
use super::marks::Mark;
use super::oracle::Oracle;
use super::world::SimClock;
use crate::command::{Command, Rejected, Reply, Scope};
use crate::driver::Handle;
use crate::driver::token::hash_of;
use crate::json::Json;
use crate::name::{AgentId, Key, Principal};
use crate::rng::Rng;
use crate::task::Refused;
use crate::time::Span;

/// An operator.
pub(super) struct Operator {
    pub(super) rng: Rng,
    pub(super) doors: Doors,
    pub(super) oracle: Oracle,
    pub(super) clock: SimClock,
    pub(super) agents: Vec<String>,
    /// Set when there is to be peace.
    pub(super) done: Arc<AtomicBool>,
}

/// How many dead tasks one operator gives another life: each costs the fleet as much as a new one.
const REVIVALS_MAX: u32 = 10;

impl Operator {
    /// Interferes until there is peace.
    pub(super) async fn run(mut self) {
        let mut revivals = 0;
        loop {
            let wait = Span(self.rng.below(60_000));
            self.clock.sleep(wait).await;
            if self.done.load(Ordering::Relaxed) {
                return;
            }
            let Some(handle) = pick(&self.doors, &mut self.rng) else { continue };
            match self.rng.below(11) {
                0..3 => self.cancel(&handle).await,
                3..5 if revivals < REVIVALS_MAX => {
                    revivals += 1;
                    self.revive(&handle).await;
                }
                3..6 => self.answer(&handle).await,
                6 => {
                    ask(&handle, Command::Pause(Scope::All)).await;
                    self.clock.sleep(Span::from_secs(20)).await;
                    ask(&handle, Command::Unpause(Scope::All)).await;
                }
                7 => {
                    let weight = 1 + self.rng.below(1_000) as u32;
                    if let Ok(key) = Key::new("a") {
                        ask(&handle, Command::SetWeight { key, weight }).await;
                    }
                    let every = self.rng.below(4) as u32;
                    ask(&handle, Command::SetOldestFirst { every }).await;
                }
                _ => self.bother_agent(&handle).await,
            }
        }
    }

    async fn cancel(&mut self, handle: &Handle) {
        // One that has ended is tried as well.
        let any = self.rng.below(4) == 0;
        let living = |stand: Stand| any || !stand.is_over();
        let Some(id) = self.oracle.some_task(self.rng.next_u64(), living) else { return };
        match ask(handle, Command::Cancel(id)).await {
            Some(Reply::Cancelled { .. }) => self.oracle.cancelled(id),
            Some(Reply::Rejected(Rejected::Task { refused: Refused::Over, .. })) => {
                self.oracle.mark(Mark::CancelTooLate);
            }
            _ => {}
        }
    }

    async fn revive(&mut self, handle: &Handle) {
        let dead = |stand: Stand| stand == Stand::Dead;
        let Some(id) = self.oracle.some_task(self.rng.next_u64(), dead) else { return };
        if let Some(Reply::Revived { revived, .. }) =
            ask(handle, Command::Revive(Vec::from([id]))).await
        {
            revived.into_iter().for_each(|id| self.oracle.revived(id));
        }
    }

    async fn answer(&self, handle: &Handle) {
        for question in handle.questions().await.unwrap_or_default() {
            // Caps stay as they are, so that what is spent can be held against them.
            let answer = Json::text(if question.spend.is_some() { "no" } else { "yes" });
            ask(handle, Command::Answer { id: question.id, answer }).await;
        }
    }

    async fn bother_agent(&mut self, handle: &Handle) {
        let name = &self.agents[self.rng.below(self.agents.len() as u64) as usize];
        let Ok(id) = AgentId::new(name) else { return };
        match self.rng.below(4) {
            0 => {
                ask(handle, Command::RemoveAgent(id.clone())).await;
                self.clock.sleep(Span::from_secs(5)).await;
                let token = hash_of(name);
                ask(handle, Command::AddAgent { id, token }).await;
            }
            1 => {
                ask(handle, Command::Restart { id, reason: "for a change".into() }).await;
            }
            _ => {
                ask(handle, Command::Drain(id.clone())).await;
                self.clock.sleep(Span::from_secs(20)).await;
                ask(handle, Command::Resume(id)).await;
            }
        }
    }
}

/// Undoes what an operator did, so that everything can end.
pub(super) async fn mend(handle: Handle, agents: Vec<String>) {
    ask(&handle, Command::Unpause(Scope::All)).await;
    for name in agents {
        let Ok(id) = AgentId::new(&name) else { continue };
        ask(&handle, Command::AddAgent { id: id.clone(), token: hash_of(&name) }).await;
        ask(&handle, Command::Resume(id)).await;
    }
}

/// Asks, and takes what comes: a hub that is gone cannot be asked.
async fn ask(handle: &Handle, command: Command) -> Option<Reply> {
    handle.call(Principal::Admin, command).await.ok()
}
