//! This file starts and stops the agents of a fleet, over all their lives.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::fleet::Fleet;
use super::marks::Mark;
use super::plain::{Plain, Queue};
use super::rogue::Rogue;
use super::swarm::{Fault, Options};
use super::work::SimExecutor;
use super::world::{Process, SimClock};
use crate::config::{Secret, SidecarConfig};
use crate::driver::sidecar::{Entropy, SidecarDriver, SidecarHandle};
use crate::id::Boot;
use crate::name::AgentId;
use crate::rng::Rng;
use crate::testing::memory::MemoryDisk;
use crate::time::{Mono, Span};
use crate::wire::Dialect;

/// What kind of agent it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Make {
    /// A sidecar of ours.
    Sidecar,
    /// A client of the original.
    Plain,
    /// One that breaks the rules.
    Rogue,
}

/// An agent, over all its lives.
pub(super) struct SimAgent {
    pub(super) name: String,
    pub(super) make: Make,
    pub(super) process: Option<Process>,
    /// When it comes back, if it is down and that was decided.
    pub(super) back_at: Option<Mono>,
    pub(super) handle: Option<SidecarHandle>,
    disk: MemoryDisk,
    queue: Queue,
    boots: u64,
}

/// The agents of a fleet: sidecars first, then plain clients, then the one that breaks the rules.
pub(super) fn all(options: &Options, rogue: bool) -> Vec<SimAgent> {
    // A client of the original does not notice that its hub stands still, and stays with it.
    let plain = if options.agents_well { 0 } else { options.plain };
    let makes = core::iter::repeat_n(Make::Sidecar, options.sidecars.max(1))
        .chain(core::iter::repeat_n(Make::Plain, plain))
        .chain(rogue.then_some(Make::Rogue));
    let agent = |(n, make): (usize, Make)| SimAgent {
        name: format!("agent-{n}"),
        make,
        process: None,
        back_at: None,
        handle: None,
        disk: MemoryDisk::new(),
        queue: Queue::default(),
        boots: 0,
    };
    makes.enumerate().map(agent).collect()
}

impl Fleet {
    /// Whether an agent's process runs.
    pub(super) fn agent_runs(&self, n: usize) -> bool {
        self.agents[n].process.is_some_and(|process| self.world.is_running(process))
    }

    /// The clock of an agent, which may be fast or slow.
    fn clock_of(&self, n: usize) -> SimClock {
        match (self.plan.drift, n % 3) {
            (0, _) | (_, 2) => self.clock.clone(),
            (drift, 0) => {
                self.oracle.mark(Mark::DriftFast);
                self.clock.drifting(drift)
            }
            (drift, _) => {
                self.oracle.mark(Mark::DriftSlow);
                self.clock.drifting(-drift)
            }
        }
    }

    pub(super) fn start_agent(&mut self, n: usize) {
        let (seed, clock, oracle) = (self.seed, self.clock_of(n), self.oracle.clone());
        let poison = self.plan.has(Fault::Poison);
        let agent = &mut self.agents[n];
        agent.boots += 1;
        agent.back_at = None;
        let (name, queue) = (agent.name.clone(), agent.queue.clone());
        oracle.booted(&name, agent.boots);
        let dialect = if agent.make == Make::Plain { Dialect::Plain } else { Dialect::V1 };
        let dialer = self.net.dialer(&name, dialect);
        agent.process = Some(match agent.make {
            Make::Plain => {
                self.world.spawn(Plain { name, seed, dialer, clock, oracle, queue, poison }.run())
            }
            Make::Rogue => {
                let rng = Rng::for_purpose(seed, "rogue", agent.boots);
                self.world.spawn(Rogue { name, rng, dialer, clock, oracle }.run())
            }
            Make::Sidecar => {
                let boot = agent.boots;
                let entropy = Entropy { boot: Boot(boot), seed: seed ^ (n as u64) << 8 ^ boot };
                let work = SimExecutor {
                    agent: name.clone(),
                    boot,
                    seed,
                    poison,
                    clock: clock.clone(),
                    oracle: oracle.clone(),
                };
                let driver = SidecarDriver::new(
                    config(&name, n),
                    Arc::new(dialer),
                    Box::new(agent.disk.open()),
                    Vec::from([Arc::new(work) as _]),
                    Arc::new(clock),
                    entropy,
                );
                let driver = driver.unwrap_or_else(|error| unreachable!("{error}"));
                agent.handle = Some(driver.handle());
                self.world.spawn(async move {
                    match driver.run().await {
                        Ok(exit) => oracle.note("exit", || format!("{name}: {exit:?}")),
                        Err(error) => oracle.wrong(format!("{name} ends: {error}")),
                    }
                })
            }
        });
    }

    pub(super) fn kill_agent(&mut self, n: usize) {
        if let Some(process) = self.agents[n].process.take() {
            let name = &self.agents[n].name;
            self.oracle.fault("agent is killed", || name.clone());
            self.world.kill(process);
        }
    }
}

fn config(name: &str, n: usize) -> SidecarConfig {
    let id = AgentId::new(name).unwrap_or_else(|bad| unreachable!("{bad}"));
    let mut config = SidecarConfig::new(id, Secret::new(name));
    config.slots = 1 + n as u32 % 3;
    config.refused_wait = Span::from_secs(20);
    config
}
