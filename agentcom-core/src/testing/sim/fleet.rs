//! This file puts a fleet together, troubles it, leaves it in peace, and asks for the verdict.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::clients::{Slot, draft, register, submit};
use super::net::{Net, Weather};
use super::oracle::Oracle;
use super::plain::{Plain, Queue};
use super::store::{Failures, SimStore};
use super::work::SimExecutor;
use super::world::{Process, SimClock, World};
use crate::change::Genesis;
use crate::config::{Secret, SidecarConfig};
use crate::driver::Handle;
use crate::driver::hub::HubBuilder;
use crate::driver::sidecar::{Entropy, SidecarDriver};
use crate::driver::token::hash_of;
use crate::id::{Boot, Incarnation};
use crate::name::AgentId;
use crate::port::clock::Clock;
use crate::rng::Rng;
use crate::task::TaskState;
use crate::testing::memory::MemoryDisk;
use crate::time::{Mono, Span, Wall};
use crate::wire::Dialect;

/// How large a simulated fleet is, and how long it is troubled.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sidecars of ours.
    pub sidecars: usize,
    /// Clients of the original.
    pub plain: usize,
    /// Tasks submitted during the trouble.
    pub tasks: usize,
    /// How long the trouble lasts.
    pub trouble: Span,
    /// How long everything may take to end in peace.
    pub peace: Span,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            sidecars: 3,
            plain: 1,
            tasks: 40,
            trouble: Span::from_mins(5),
            peace: Span::from_mins(60),
        }
    }
}

/// What became of a fleet.
#[derive(Clone, Debug)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// Whether all is well, or everything that is not.
    pub verdict: Result<(), Vec<String>>,
    /// A digest of the trace: equal for equal seeds.
    pub digest: u64,
    /// How many frames were sent.
    pub frames: u64,
    /// How often which notable situation came up.
    pub marks: BTreeMap<&'static str, u64>,
    /// The latest lines of the trace.
    pub trace: Vec<String>,
}

impl Report {
    /// What went wrong, the seed, and how it came about.
    #[must_use]
    pub fn story(&self) -> String {
        let wrongs = self.verdict.clone().err().unwrap_or_default().join("\n  ");
        format!("seed {}:\n  {wrongs}\ntrace:\n{}", self.seed, self.trace.join("\n"))
    }
}

/// Runs the fleet of `seed`.
#[must_use]
pub fn run(seed: u64, options: &Options) -> Report {
    let mut fleet = Fleet::new(seed, options);
    fleet.trouble();
    let verdict = fleet.peace();
    let oracle = &fleet.oracle;
    Report {
        seed,
        verdict,
        digest: oracle.digest(),
        frames: oracle.frames(),
        marks: oracle.marks(),
        trace: oracle.trace(),
    }
}

struct Fleet {
    seed: u64,
    options: Options,
    rng: Rng,
    world: World,
    clock: SimClock,
    oracle: Oracle,
    net: Net,
    disk: MemoryDisk,
    failures: Arc<Mutex<Failures>>,
    handle: Slot,
    hub: Option<Process>,
    hub_starts: u64,
    agents: Vec<Agent>,
    submitted: usize,
}

/// An agent, over all its lives.
struct Agent {
    name: String,
    dialect: Dialect,
    disk: MemoryDisk,
    queue: Queue,
    boots: u64,
    process: Option<Process>,
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Fleet {
    fn new(seed: u64, options: &Options) -> Self {
        let mut rng = Rng::for_purpose(seed, "faults", 0);
        let world = World::new(Wall(1_700_000_000_000));
        let clock = world.clock();
        let oracle = Oracle::new(clock.clone());
        // Each seed first draws which faults exist, then how frequent they are.
        let mut maybe = |most: u64| if rng.below(2) == 0 { 0 } else { rng.below(most + 1) };
        let weather = Weather { loss: maybe(300), twice: maybe(500), delay: Span(maybe(1_500)) };
        let failures = Failures { one_of: [0, 50, 400][maybe(2) as usize], slow: Span(maybe(200)) };
        oracle.note(&format!("{weather:?} {failures:?}"));
        let net = Net::new(seed, weather, clock.clone(), oracle.clone());
        let agent = |n: usize| Agent {
            name: format!("agent-{n}"),
            dialect: if n < options.sidecars { Dialect::V1 } else { Dialect::Plain },
            disk: MemoryDisk::new(),
            queue: Queue::default(),
            boots: 0,
            process: None,
        };
        let agents = (0..options.sidecars + options.plain).map(agent).collect();
        let (options, failures) = (options.clone(), Arc::new(Mutex::new(failures)));
        let handle = Slot::default();
        let (disk, hub, hub_starts) = (MemoryDisk::new(), None, 0);
        Self {
            seed,
            options,
            rng,
            world,
            clock,
            oracle,
            net,
            disk,
            failures,
            handle,
            hub,
            hub_starts,
            agents,
            submitted: 0,
        }
    }

    fn start_hub(&mut self) {
        self.hub_starts += 1;
        self.oracle.note("hub starts");
        let listener = Arc::new(self.net.listen());
        let seed = self.seed ^ (self.hub_starts << 32);
        let store =
            SimStore::new(self.disk.open(), self.clock.clone(), seed, self.failures.clone());
        let genesis =
            Genesis { incarnation: Incarnation(9), seed: self.seed, admin: hash_of("admin") };
        let builder =
            HubBuilder::new(Arc::new(store), Arc::new(self.clock.clone())).transport(listener);
        let (slot, oracle, names) = (self.handle.clone(), self.oracle.clone(), self.names());
        let clock = self.clock.clone();
        self.hub = Some(self.world.spawn(async move {
            let Ok((handle, driver)) = builder.open(genesis).await else { return };
            *lock(&slot) = Some(handle.clone());
            clock.spawn(register(handle.clone(), names));
            clock.spawn(watch(handle, oracle.clone(), clock.clone()));
            if let Err(error) = driver.run().await {
                oracle.note(&format!("hub ends: {error}"));
                oracle.mark("the store failed and the hub ended");
            }
            *lock(&slot) = None;
        }));
    }

    fn names(&self) -> Vec<String> {
        self.agents.iter().map(|agent| agent.name.clone()).collect()
    }

    fn stop_hub(&mut self) {
        if let Some(hub) = self.hub.take() {
            self.oracle.note("hub is killed");
            self.world.kill(hub);
        }
        *lock(&self.handle) = None;
        self.net.down();
    }

    fn start_agent(&mut self, n: usize) {
        let (seed, clock, oracle) = (self.seed, self.clock.clone(), self.oracle.clone());
        let agent = &mut self.agents[n];
        agent.boots += 1;
        let name = agent.name.clone();
        let dialer = self.net.dialer(&name, agent.dialect);
        self.oracle.note(&format!("{name} starts"));
        let executor =
            SimExecutor { agent: name.clone(), seed, clock: clock.clone(), oracle: oracle.clone() };
        agent.process = Some(match agent.dialect {
            Dialect::Plain => {
                let queue = agent.queue.clone();
                self.world.spawn(Plain { name, seed, dialer, clock, oracle, queue }.run())
            }
            Dialect::V1 => {
                let id = AgentId::new(&name).unwrap_or_else(|bad| unreachable!("{bad}"));
                let mut config = SidecarConfig::new(id, Secret::new(&name));
                config.slots = 1 + n as u32 % 3;
                let entropy =
                    Entropy { boot: Boot(agent.boots), seed: seed ^ (n as u64) << 8 ^ agent.boots };
                let store = Box::new(agent.disk.open());
                let driver = SidecarDriver::new(
                    config,
                    Arc::new(dialer),
                    store,
                    Vec::from([Arc::new(executor) as _]),
                    Arc::new(clock),
                    entropy,
                );
                self.world.spawn(async move {
                    match driver {
                        Ok(driver) => match driver.run().await {
                            Ok(exit) => oracle.note(&format!("{name} ends: {exit:?}")),
                            Err(error) => oracle.wrong(format!("{name} ends: {error}")),
                        },
                        Err(error) => oracle.wrong(format!("{name} cannot start: {error}")),
                    }
                })
            }
        });
    }

    fn stop_agent(&mut self, n: usize) {
        if let Some(process) = self.agents[n].process.take() {
            self.oracle.note(&format!("{} is killed", self.agents[n].name));
            self.world.kill(process);
        }
    }

    /// Everything goes wrong that can.
    fn trouble(&mut self) {
        self.start_hub();
        (0..self.agents.len()).for_each(|n| self.start_agent(n));
        let end = self.now() + self.options.trouble;
        let every = Span(self.options.trouble.0 / (self.options.tasks as u64).max(1));
        let faults = self.rng.below(3);
        while self.now() < end {
            if self.submitted < self.options.tasks {
                self.submit(self.submitted);
                self.submitted += 1;
            }
            for _ in 0..faults {
                if self.rng.below(4) == 0 {
                    self.fault();
                }
            }
            let next = self.now() + Span(1 + self.rng.below(2 * every.0));
            self.world.run_until(next);
            self.revive();
        }
    }

    fn now(&self) -> Mono {
        self.clock.now().mono
    }

    fn fault(&mut self) {
        let n = self.rng.below(self.agents.len() as u64) as usize;
        match self.rng.below(10) {
            0..2 => {
                self.stop_hub();
                self.oracle.mark("the hub was killed");
            }
            2..5 => {
                self.stop_agent(n);
                self.oracle.mark("an agent was killed");
            }
            5..8 => {
                let span = Span(self.rng.below(60_000));
                let name = self.agents[n].name.clone();
                self.oracle.note(&format!("{name} is cut off for {span}"));
                self.net.part(&name, span);
                self.oracle.mark("an agent was cut off");
            }
            _ => {
                let span = Span(self.rng.below(3_600_000));
                let ahead = self.rng.below(2) == 0;
                self.oracle.note(&format!("the wall clock jumps by {span}, ahead: {ahead}"));
                self.world.jump(ahead, span);
                self.oracle.mark("the wall clock jumped");
            }
        }
    }

    /// What is down comes back at some time.
    fn revive(&mut self) {
        let hub_gone = self.hub.is_none_or(|hub| !self.world.is_running(hub));
        if hub_gone && self.rng.below(2) == 0 {
            self.stop_hub();
            self.start_hub();
        }
        for n in 0..self.agents.len() {
            let gone = self.agents[n].process.is_none_or(|process| !self.world.is_running(process));
            if gone && self.rng.below(3) == 0 {
                self.start_agent(n);
            }
        }
    }

    fn submit(&mut self, number: usize) {
        let known = self.oracle.known();
        let draft = draft(&mut self.rng, number, &known);
        let (slot, oracle, clock) = (self.handle.clone(), self.oracle.clone(), self.clock.clone());
        self.world.spawn(submit(draft, slot, oracle, clock));
    }

    /// The faults end, except that one agent may stay away; then everything has to end.
    fn peace(&mut self) -> Result<(), Vec<String>> {
        self.oracle.note("peace");
        self.net.set_weather(Weather::default());
        self.net.heal();
        *lock(&self.failures) = Failures { one_of: 0, slow: Span(5) };
        let away = self.rng.below(2 * self.options.sidecars as u64) as usize;
        for n in 0..self.agents.len() {
            let gone = self.agents[n].process.is_none_or(|process| !self.world.is_running(process));
            if n == away && self.options.sidecars > 1 {
                self.stop_agent(n);
                self.oracle.mark("an agent stays away for ever");
            } else if gone {
                self.start_agent(n);
            }
        }
        let end = self.now() + self.options.peace;
        let mut left = String::from("the hub did not start");
        while self.now() < end {
            if self.hub.is_none_or(|hub| !self.world.is_running(hub)) {
                self.stop_hub();
                self.start_hub();
            }
            let next = self.now() + Span::from_secs(20);
            self.world.run_until(next);
            match self.look() {
                Some(rest) if rest.is_empty() => return self.verdict(),
                Some(rest) => left = rest,
                None => {}
            }
        }
        self.oracle.wrong(format!("not everything ended in peace: {left}"));
        self.verdict()
    }

    /// What has not ended, or nothing; `None` if the hub does not answer.
    fn look(&mut self) -> Option<String> {
        let oracle = self.oracle.clone();
        let (known, completed) = (oracle.known(), oracle.completed());
        let disk = self.disk.clone();
        let answer: Arc<Mutex<Option<String>>> = Arc::default();
        let (handle, slot) = (lock(&self.handle).clone()?, answer.clone());
        let all = self.submitted;
        self.world.spawn(async move {
            let mut rest = String::new();
            if known.len() < all {
                rest.push_str("submissions are under way; ");
            }
            for id in known {
                match handle.task(id).await {
                    Ok(Some(task)) if task.life.state.is_over() => {
                        let done =
                            matches!(task.life.state, TaskState::Completed | TaskState::Partial);
                        if completed.contains_key(&id) && !done {
                            oracle.wrong(format!(
                                "the result of {id} counted, but it is {}",
                                task.life.state.as_str()
                            ));
                        }
                    }
                    Ok(Some(task)) => rest.push_str(&format!("{id} is {:?}; ", task.life.state)),
                    Ok(None) => oracle.wrong(format!("{id} was acknowledged and is lost")),
                    Err(error) => rest.push_str(&error.to_string()),
                }
            }
            if rest.is_empty() {
                compare(&handle, &disk, &oracle).await;
            }
            *lock(&slot) = Some(rest);
        });
        let next = self.now() + Span::from_secs(5);
        self.world.run_until(next);
        lock(&answer).take()
    }

    fn verdict(&self) -> Result<(), Vec<String>> {
        let wrongs = self.oracle.wrongs();
        if wrongs.is_empty() { Ok(()) } else { Err(wrongs) }
    }
}

/// What a restarted hub would know is what this one knows.
async fn compare(handle: &Handle, disk: &MemoryDisk, oracle: &Oracle) {
    let live = handle.view(|state| (format!("{:?}", state.durable()), state.check())).await;
    let Ok((live, checked)) = live else { return };
    if let Err(wrong) = checked {
        oracle.wrong(wrong);
    }
    let mut again = crate::state::State::default();
    let mut loader = crate::state::Loader::default();
    let mut rows: Vec<_> = disk.rows().into_iter().collect();
    let rank = |table| crate::port::store::Table::LIVE.iter().position(|live| *live == table);
    rows.sort_by(|(a, _), (b, _)| (rank(a.table), &a.key).cmp(&(rank(b.table), &b.key)));
    for (key, value) in rows {
        match loader.row(&again, key.table, &key.key, &value) {
            Ok(Some(change)) => again.apply(change),
            Ok(None) => {}
            Err(error) => oracle.wrong(error.to_string()),
        }
    }
    let loaded = format!("{:?}", again.durable());
    if loaded != live {
        oracle.wrong(format!("the store does not add up to the state:\n{loaded}\n{live}"));
    }
}

/// Checks the state from time to time while the hub runs.
async fn watch(handle: Handle, oracle: Oracle, clock: SimClock) {
    loop {
        clock.sleep(Span::from_secs(7)).await;
        match handle.view(|state| state.check()).await {
            Ok(Ok(())) => {}
            Ok(Err(wrong)) => oracle.wrong(wrong),
            Err(_) => return,
        }
    }
}
