//! This file starts and stops the hubs of a fleet, of which several may contend for one disk.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::fleet::Fleet;
use super::marks::Mark;
use super::money;
use super::net::Net;
use super::oracle::Oracle;
use super::store::SimStore;
use super::world::{Process, SimClock};
use crate::change::Genesis;
use crate::command::Command;
use crate::driver::Handle;
use crate::driver::hub::HubBuilder;
use crate::driver::token::hash_of;
use crate::id::Incarnation;
use crate::name::{AgentId, Principal};
use crate::port::store::StoreErrorKind;
use crate::time::Span;

/// What a hub is at, as its store sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Doing {
    /// It reads its store.
    #[default]
    Opening,
    Nothing,
    /// A commit is under way that is not durable yet.
    Committing,
    /// A commit is under way that is durable, and the hub has not heard of it.
    Committed,
}

/// What is known of a hub while it lives.
#[derive(Debug, Default)]
pub(super) struct Life {
    pub(super) handle: Option<Handle>,
    pub(super) doing: Doing,
}

/// A hub.
#[derive(Debug)]
pub(super) struct SimHub {
    pub(super) id: u64,
    pub(super) process: Process,
    pub(super) life: Arc<Mutex<Life>>,
}

/// Where clients find hubs that run, the latest last.
pub(super) type Doors = Arc<Mutex<Vec<(u64, Handle)>>>;

/// How often the state of a running hub is checked against a full scan.
const CHECK_EVERY: Span = Span::from_secs(60);

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimHub {
    pub(super) fn doing(&self) -> Doing {
        lock(&self.life).doing
    }
}

/// Closes what a hub has open, however it ends.
struct Closing {
    hub: u64,
    net: Net,
    doors: Doors,
    oracle: Oracle,
    life: Arc<Mutex<Life>>,
    /// Whether it ended by itself.
    ended: bool,
}

impl Drop for Closing {
    fn drop(&mut self) {
        let doing = lock(&self.life).doing;
        self.oracle
            .note("hub ends", || format!("{}, killed: {}, {doing:?}", self.hub, !self.ended));
        if !self.ended {
            self.oracle.mark(match doing {
                Doing::Opening => Mark::KilledInRecovery,
                Doing::Nothing => Mark::KilledIdle,
                Doing::Committing => Mark::KilledInFlight,
                Doing::Committed => Mark::KilledBeforeWord,
            });
        }
        lock(&self.life).handle = None;
        self.net.down(self.hub);
        lock(&self.doors).retain(|(hub, _)| *hub != self.hub);
    }
}

impl Fleet {
    /// Starts a hub; one that runs is fenced by it.
    pub(super) fn start_hub(&mut self) {
        self.hub_starts += 1;
        self.hub_back_at = None;
        if self.set_back.0 > 0 {
            // A hub holds the time that it has shown; the next one starts from what the clock shows.
            self.oracle.clock_set_back();
        }
        let (id, seed, life) = (self.hub_starts, self.seed, Arc::<Mutex<Life>>::default());
        self.oracle.note("hub starts", || format!("{id}"));
        let listener = Arc::new(self.net.listen(id));
        let (clock, oracle) = (self.clock.clone(), self.oracle.clone());
        let inner = self.disk.open();
        self.replay.read(id, &self.disk);
        let store = SimStore {
            inner,
            hub: id,
            life: life.clone(),
            weakness: self.weakness.clone(),
            clock: clock.clone(),
            oracle: oracle.clone(),
            replay: self.replay.clone(),
            forgets: self.options.forgets,
        };
        let genesis = Genesis { incarnation: Incarnation(9), seed, admin: hash_of("admin") };
        let builder = HubBuilder::new(Arc::new(store), Arc::new(clock.clone()))
            .config(self.plan.config.clone())
            .transport(listener);
        let builder = (self.build)(builder);
        let (doors, net) = (self.doors.clone(), self.net.clone());
        let closing = Closing {
            hub: id,
            net,
            doors: doors.clone(),
            oracle: oracle.clone(),
            life: life.clone(),
            ended: false,
        };
        let names: Vec<String> = self.agents.iter().map(|agent| agent.name.clone()).collect();
        let alive = life.clone();
        let process = self.world.spawn(async move {
            let mut closing = closing;
            let (handle, driver) = match builder.open(genesis).await {
                Ok(opened) => opened,
                Err(error) => {
                    closing.ended = true;
                    return ended(&oracle, id, error.kind, &error.to_string());
                }
            };
            (lock(&alive).handle, lock(&alive).doing) = (Some(handle.clone()), Doing::Nothing);
            lock(&doors).push((id, handle.clone()));
            clock.spawn(register(handle.clone(), names));
            clock.spawn(check(handle, oracle.clone(), clock.clone()));
            let result = driver.run().await;
            closing.ended = true;
            if let Err(error) = result {
                ended(&oracle, id, error.kind, &error.to_string());
            }
        });
        self.hubs.push(SimHub { id, process, life });
    }

    /// Whether the latest hub runs.
    pub(super) fn hub_runs(&self) -> bool {
        self.hubs.last().is_some_and(|hub| self.world.is_running(hub.process))
    }

    /// The latest hub that answers.
    pub(super) fn door(&self) -> Option<(u64, Handle)> {
        lock(&self.doors).last().cloned()
    }

    /// Forgets hubs that have ended.
    pub(super) fn sweep_hubs(&mut self) {
        let (world, before) = (&self.world, self.hubs.len());
        self.hubs.retain(|hub| world.is_running(hub.process));
        self.hub_crashes += (before - self.hubs.len()) as u64;
        for hub in &self.hubs {
            // The loop survives a panic in a step, by closing its connections and reading its store.
            if self.oracle.seen().leaving.contains(&hub.id) {
                self.oracle.wrong(format!("a step of hub {} panicked", hub.id));
            }
        }
    }

    /// Kills the latest hub where it stands.
    pub(super) fn kill_hub(&mut self) {
        let Some(hub) = self.hubs.last() else { return };
        let (id, process) = (hub.id, hub.process);
        self.oracle.fault("hub is killed", || format!("{id}"));
        if self.rng.below(3) == 0 && self.net.silence(|_, hub| hub == id) {
            self.oracle.mark(Mark::HubSilent);
        }
        self.world.kill(process);
        self.sweep_hubs();
    }

    /// Kills the latest hub when it has been polled `polls` times more.
    pub(super) fn kill_hub_after(&mut self, polls: u64) {
        let Some(hub) = self.hubs.last() else { return };
        self.oracle.fault("hub is killed soon", || format!("{}", hub.id));
        self.world.kill_after(hub.process, polls);
    }
}

fn ended(oracle: &Oracle, hub: u64, kind: StoreErrorKind, words: &str) {
    oracle.note("hub fails", || format!("{hub}: {words}"));
    match kind {
        StoreErrorKind::Fenced => oracle.mark(Mark::Fenced),
        StoreErrorKind::Corrupt => {
            oracle.wrong(format!("hub {hub} finds its store damaged: {words}"))
        }
        StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {}
    }
}

/// Registers the agents, unless they are.
async fn register(handle: Handle, names: Vec<String>) {
    for name in names {
        let Ok(id) = AgentId::new(&name) else { continue };
        let token = hash_of(&name);
        // Agents that are registered stay so, and a hub that is gone is started again.
        let _ = handle.call(Principal::Admin, Command::AddAgent { id, token }).await;
    }
    for cap in money::caps() {
        let _ = handle.call(Principal::Admin, cap).await;
    }
}

/// Checks the state from time to time while the hub runs, and that readers see what is durable.
async fn check(handle: Handle, oracle: Oracle, clock: SimClock) {
    loop {
        match handle.view(|state| (state.check(), state.seq())).await {
            Ok((Ok(()), seq)) => oracle.read_up_to(seq),
            Ok((Err(wrong), _)) => oracle.wrong(wrong),
            Err(_) => return,
        }
        clock.sleep(CHECK_EVERY).await;
    }
}
