//! This file puts a fleet together, troubles it, leaves it in peace, and asks for the verdict.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::panic::AssertUnwindSafe;
use core::sync::atomic::AtomicBool;
use std::panic::catch_unwind;
use std::sync::Mutex;

use super::agents::{SimAgent, all};
use super::hubs::{Doors, SimHub};
use super::marks::Mark;
use super::net::Net;
use super::oracle::Oracle;
use super::replay::Replay;
use super::store::Weakness;
use super::swarm::{Fault, Options, Plan};
use super::world::{SimClock, World};
use crate::driver::hub::HubBuilder;
use crate::port::clock::Clock;
use crate::rng::Rng;
use crate::testing::memory::MemoryDisk;
use crate::time::{Mono, Span, Wall};

/// What became of a fleet.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// What it ran with.
    pub options: Options,
    /// Whether all is well, or everything that is not.
    pub verdict: Result<(), Vec<String>>,
    /// A digest of the whole trace: equal for equal seeds.
    pub digest: u64,
    /// How long the trouble lasted.
    pub troubled: Span,
    /// Frames that were sent.
    pub frames: u64,
    /// Batches that became durable.
    pub commits: u64,
    /// Faults that were made one by one; those of single frames and calls are not counted.
    pub faults: u64,
    /// Hubs that were killed, failed or were fenced.
    pub hub_crashes: u64,
    /// Restarts whose state was compared with the one before, and those that could not be.
    pub replays: [u64; 2],
    /// How often which notable situation came up.
    pub marks: BTreeMap<Mark, u64>,
    /// The latest lines of the trace, if [`Options::traced`].
    pub trace: Vec<String>,
}

impl Report {
    /// What went wrong, how to see it again, and how it came about.
    #[must_use]
    pub fn story(&self) -> String {
        let wrongs = self.verdict.clone().err().unwrap_or_default().join("\n  ");
        let (seed, options) = (self.seed, self.options.arguments());
        format!("seed {seed}{options}:\n  {wrongs}\ntrace:\n{}", self.trace.join("\n"))
    }
}

/// Runs the fleet of `seed`.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    run_with(seed, options, Arc::new(|builder| builder))
}

/// Runs the fleet of `seed` with hubs that are built in a way of your own: by other figures, or by
/// another policy. Store, clock and transports are those of the simulation.
#[must_use]
pub fn run_with(seed: u64, options: &Options, build: Build) -> Report {
    let mut fleet = Fleet::new(seed, options, build);
    let began = fleet.now();
    let mut end = began;
    let lived = catch_unwind(AssertUnwindSafe(|| {
        fleet.trouble();
        end = fleet.now();
        fleet.peace();
    }));
    if lived.is_err() {
        fleet.oracle.wrong("something panicked".into());
    }
    let troubled = end - began;
    let oracle = &fleet.oracle;
    let wrongs = oracle.wrongs();
    let [frames, commits, faults] = oracle.counts();
    Report {
        seed,
        options: options.clone(),
        verdict: if wrongs.is_empty() { Ok(()) } else { Err(wrongs) },
        digest: oracle.digest(),
        troubled,
        frames,
        commits,
        faults,
        hub_crashes: fleet.hub_crashes,
        replays: fleet.replay.counts(),
        marks: oracle.marks(),
        trace: oracle.trace(),
    }
}

/// How hubs are built, beyond what the simulation wants.
pub type Build = Arc<dyn Fn(HubBuilder) -> HubBuilder + Send + Sync>;

/// A fleet.
pub(super) struct Fleet {
    pub(super) build: Build,
    pub(super) seed: u64,
    pub(super) options: Options,
    pub(super) plan: Plan,
    pub(super) rng: Rng,
    pub(super) world: World,
    pub(super) clock: SimClock,
    pub(super) oracle: Oracle,
    pub(super) replay: Replay,
    pub(super) net: Net,
    pub(super) disk: MemoryDisk,
    pub(super) weakness: Arc<Mutex<Weakness>>,
    pub(super) doors: Doors,
    /// Hubs that were started and have not been seen to end, the latest last.
    pub(super) hubs: Vec<SimHub>,
    pub(super) hub_starts: u64,
    pub(super) hub_crashes: u64,
    /// When the latest hub comes back, if it is down and that was decided.
    pub(super) hub_back_at: Option<Mono>,
    pub(super) agents: Vec<SimAgent>,
    pub(super) submitted: usize,
    /// By how much the wall clock was set back in all, and ahead.
    pub(super) set_back: Span,
    pub(super) set_ahead: Span,
    /// The farthest that it was ahead of the true time, in milliseconds.
    pub(super) wall_high: i64,
    /// Tells the operator that there is peace.
    pub(super) peaceful: Arc<AtomicBool>,
}

impl Fleet {
    fn new(seed: u64, options: &Options, build: Build) -> Self {
        let plan = Plan::draw(seed, options);
        let world = World::new(Wall(1_700_000_000_000));
        let clock = world.clock();
        let oracle = Oracle::new(clock.clone(), options);
        oracle.note("plan", || format!("{plan:?}"));
        let net = Net::new(seed, plan.weather, plan.queue, clock.clone(), oracle.clone());
        Self {
            build,
            seed,
            options: options.clone(),
            rng: Rng::for_purpose(seed, "faults", 0),
            world,
            replay: Replay::new(oracle.clone(), options.traced),
            net,
            disk: MemoryDisk::new().guarded_by(options.guards),
            weakness: Arc::new(Mutex::new(Weakness::new(seed, plan.failures))),
            doors: Doors::default(),
            hubs: Vec::new(),
            hub_starts: 0,
            hub_crashes: 0,
            hub_back_at: None,
            agents: all(options, plan.has(Fault::Rogue)),
            submitted: 0,
            set_back: Span(0),
            set_ahead: Span(0),
            wall_high: 0,
            peaceful: Arc::default(),
            plan,
            clock,
            oracle,
        }
    }

    pub(super) fn now(&self) -> Mono {
        self.clock.now().mono
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.agents.iter().map(|agent| agent.name.clone()).collect()
    }
}
