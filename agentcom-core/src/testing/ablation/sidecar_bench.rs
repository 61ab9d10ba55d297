//! This file drives a sidecar step by step, over a journal that survives its restarts.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use crate::config::{Secret, SidecarConfig};
use crate::guard::Guards;
use crate::id::{Boot, Incarnation, Lease, TaskId};
use crate::json::Json;
use crate::name::{AgentId, Kind};
use crate::port::executor::JobOutcome;
use crate::port::store::RowKey;
use crate::sidecar::{Claim, Effect, Input, Journal, Sidecar, Step};
use crate::task::Op;
use crate::time::{Mono, Now, Span, Wall};
use crate::wire::{Assignment, Held, Identified, ToAgent, ToHub};

/// The life of the data set that the hub speaks for.
pub(super) const LIFE: Incarnation = Incarnation(7);

/// A sidecar with a clock and a journal.
pub(super) struct SidecarBench {
    config: SidecarConfig,
    sidecar: Sidecar,
    ms: u64,
    rows: BTreeMap<RowKey, Vec<u8>>,
    /// The number of the latest ping.
    nonce: Option<u64>,
    /// What it wanted done, in order.
    pub(super) effects: Vec<Effect>,
}

fn kind() -> Kind {
    Kind::new("shell").expect("a kind")
}

/// What the hub gives: a task, its lease, and how long that lasts.
pub(super) fn assignment(task: u64, lease: u64, ttl: Span) -> Assignment {
    let held = Held { task_id: TaskId(task), generation: Lease(lease) };
    let given = Assignment::new(held, LIFE, Op { kind: kind(), input: Json::null() });
    Assignment { lease_ttl_ms: ttl, ..given }
}

impl SidecarBench {
    /// Connected, identified, and with its first ping answered.
    pub(super) fn online(guards: Guards, slots: u32) -> Self {
        Self::over(|config| (config.guards, config.slots) = (guards, slots))
    }

    pub(super) fn over(set: impl FnOnce(&mut SidecarConfig)) -> Self {
        let agent = AgentId::new("a").expect("a name");
        let mut config = SidecarConfig::new(agent, Secret::new("secret"));
        set(&mut config);
        let sidecar = Self::boot(&config, 1, Journal::default());
        let rows = BTreeMap::new();
        let mut bench =
            Self { config, sidecar, ms: 1_000_000, rows, nonce: None, effects: Vec::new() };
        bench.identify(LIFE);
        bench.pong(bench.nonce);
        bench
    }

    fn boot(config: &SidecarConfig, boot: u64, journal: Journal) -> Sidecar {
        let kinds = Vec::from([kind()]);
        Sidecar::new(config.clone(), kinds.clone(), Boot(boot), boot, journal, 0)
            .running_commands(kinds)
    }

    /// Is killed, and starts on what its journal holds.
    pub(super) fn restart(&mut self) {
        let mut journal = Journal::default();
        for (key, value) in &self.rows {
            journal.visit(key.table, &key.key, value).expect("its own rows are readable");
        }
        self.sidecar = Self::boot(&self.config, 2, journal);
        self.effects.clear();
    }

    pub(super) fn step(&mut self, input: Input) {
        let now = Now { mono: Mono(self.ms), wall: Wall(self.ms) };
        let Step { batch, effects } = self.sidecar.step(now, input);
        if let Some(batch) = batch {
            self.rows.extend(batch.puts);
            batch.deletes.iter().for_each(|key| drop(self.rows.remove(key)));
        }
        for effect in &effects {
            if let Effect::Send(ToHub::Ping(ping)) = effect {
                self.nonce = ping.nonce;
            }
        }
        self.effects.extend(effects);
    }

    /// Lets time pass, a second at a time, or less.
    pub(super) fn pass(&mut self, span: Span) {
        let end = self.ms + span.0;
        while self.ms < end {
            self.ms = end.min(self.ms + 1_000);
            self.step(Input::Wake);
        }
    }

    /// Connects, and is told for which life of the data set the hub speaks.
    pub(super) fn identify(&mut self, life: Incarnation) {
        self.effects.clear();
        while !self.effects.contains(&Effect::Connect) {
            self.pass(Span::from_secs(1));
        }
        self.step(Input::Connected);
        self.hears(ToAgent::Identified(Identified {
            agent_id: self.config.agent.clone(),
            incarnation: Some(life),
            heartbeat_ms: Some(Span::from_secs(5)),
        }));
    }

    pub(super) fn hears(&mut self, frame: ToAgent) {
        self.step(Input::Frame(frame));
    }

    /// The latest ping.
    pub(super) const fn pinged(&self) -> Option<u64> {
        self.nonce
    }

    /// The hub answers a ping.
    pub(super) fn pong(&mut self, nonce: Option<u64>) {
        self.hears(ToAgent::Pong { timestamp: Wall(0), nonce, lost: Vec::new() });
    }

    pub(super) fn assign(&mut self, assignment: Assignment) {
        self.hears(ToAgent::TaskAssign(Box::new(assignment)));
    }

    /// A job ends well.
    pub(super) fn done(&mut self, task: u64, lease: u64) {
        let claim = Claim { incarnation: LIFE, task: TaskId(task), lease: Lease(lease) };
        let outcome = JobOutcome::done(Json::null());
        self.step(Input::JobEnded { claim, outcome });
    }

    /// How many effects are of a kind.
    pub(super) fn count(&self, of: impl Fn(&Effect) -> bool) -> usize {
        self.effects.iter().filter(|effect| of(effect)).count()
    }

    pub(super) fn starts(&self) -> usize {
        self.count(|effect| matches!(effect, Effect::Start(_)))
    }

    pub(super) fn stops(&self) -> usize {
        self.count(|effect| matches!(effect, Effect::Stop(_)))
    }

    pub(super) fn sent(&self, of: impl Fn(&ToHub) -> bool) -> usize {
        self.count(|effect| if let Effect::Send(frame) = effect { of(frame) } else { false })
    }
}
