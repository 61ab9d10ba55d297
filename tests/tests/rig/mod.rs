//! This file runs a hub and whole sidecars in one thread, on a clock that only the test moves, over
//! a store that outlives them and fails on cue.

pub(crate) mod agent;
pub(crate) mod sidecar;
mod time;

use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use agentcom_core::change::Genesis;
use agentcom_core::command::{Command, Reply};
use agentcom_core::config::HubConfig;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::local::{LocalConnector, local};
use agentcom_core::driver::queue::Capacity;
use agentcom_core::driver::{CallError, Handle, token};
use agentcom_core::id::{Incarnation, TaskId};
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Kind, Principal};
use agentcom_core::port::store::{Store, StoreError};
use agentcom_core::port::transport::{Connection, Transport, TransportError};
use agentcom_core::task::{Draft, Task};
use agentcom_core::testing::bench::Bench;
use agentcom_core::testing::faulty::{Faults, FaultyStore};
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::Span;
use agentcom_core::wire::{Dialect, Held};
use async_trait::async_trait;
use futures_util::FutureExt as _;

use sidecar::{Note, Sidecar};
pub(crate) use time::StillClock;

/// How often a rig is polled before it counts as spinning.
const TURNS_MAX: usize = 100_000;

/// A hub, its sidecars, and what outlives them.
pub(crate) struct Rig {
    pub(crate) disk: MemoryDisk,
    pub(crate) faults: Faults,
    pub(crate) clock: Arc<StillClock>,
    pub(crate) config: HubConfig,
    pub(crate) handle: Handle,
    /// How the hub ended, if it did by itself.
    pub(crate) ended: Option<Result<(), StoreError>>,
    pub(crate) sidecars: Vec<Sidecar>,
    pub(crate) notes: Arc<Mutex<Vec<Note>>>,
    hub: Option<Hub>,
    door: Arc<Door>,
    awake: Arc<Awake>,
}

/// The way to whichever hub runs.
#[derive(Debug, Default)]
struct Door(Mutex<Option<LocalConnector>>);

#[async_trait]
impl Transport for Door {
    async fn open(&self) -> Result<Connection, TransportError> {
        let connector = self.0.lock().unwrap().clone();
        let nobody = || TransportError::Unreachable("no hub runs".into());
        connector.ok_or_else(nobody)?.open().await
    }
}

/// Notes that something can go on.
#[derive(Debug, Default)]
struct Awake(AtomicBool);

impl Wake for Awake {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Rig {
    /// A hub with the usual figures.
    pub(crate) fn new() -> Self {
        Self::with(HubConfig::default())
    }

    /// A hub with other figures.
    pub(crate) fn with(config: HubConfig) -> Self {
        Self::over(MemoryDisk::new(), config)
    }

    /// A hub over what a disk holds.
    pub(crate) fn over(disk: MemoryDisk, config: HubConfig) -> Self {
        let (faults, clock, door) =
            (Faults::new(), Arc::new(StillClock::default()), Arc::default());
        let store = FaultyStore::new(disk.open(), &faults);
        let (hub, handle) = start(Arc::new(store), &clock, &config, &door);
        let (notes, awake) = (Arc::default(), Arc::default());
        let (sidecars, ended) = (Vec::new(), None);
        Self {
            disk,
            faults,
            clock,
            config,
            handle,
            ended,
            sidecars,
            notes,
            hub: Some(hub),
            door,
            awake,
        }
    }

    /// Ends the hub where it stands.
    pub(crate) fn kill(&mut self) {
        self.hub = None;
        *self.door.0.lock().unwrap() = None;
        self.turn();
    }

    /// Ends the hub where it stands and starts another one on the same store.
    pub(crate) fn restart(&mut self) {
        self.kill();
        let store = FaultyStore::new(self.disk.open(), &self.faults);
        let (hub, handle) = start(Arc::new(store), &self.clock, &self.config, &self.door);
        (self.hub, self.handle, self.ended) = (Some(hub), handle, None);
        self.turn();
    }

    /// Lets everything do what it can do at this time.
    pub(crate) fn turn(&mut self) {
        let waker = Waker::from(self.awake.clone());
        let mut context = Context::from_waker(&waker);
        for _ in 0..TURNS_MAX {
            self.awake.0.store(false, Ordering::SeqCst);
            if let Some(Poll::Ready(ended)) =
                self.hub.as_mut().map(|hub| hub.poll_unpin(&mut context))
            {
                (self.ended, self.hub) = (Some(ended), None);
            }
            self.sidecars.iter_mut().for_each(|sidecar| sidecar.turn(&mut context));
            if !self.awake.0.load(Ordering::SeqCst) {
                return;
            }
        }
        panic!("the rig does not come to rest");
    }

    /// Lets time pass; whatever is due on the way happens at its time.
    pub(crate) fn pass(&mut self, span: Span) {
        let end = self.clock.ms() + span.0;
        self.turn();
        while let Some(next) = self.clock.next_alarm().filter(|next| *next <= end) {
            self.clock.set(next);
            self.turn();
        }
        self.clock.set(end);
        self.turn();
    }

    /// Waits for an answer, for as long as it takes without time passing.
    pub(crate) fn ask<T>(&mut self, question: impl Future<Output = T>) -> T {
        let mut question = pin!(question);
        let waker = Waker::from(self.awake.clone());
        for _ in 0..TURNS_MAX {
            if let Poll::Ready(answer) = question.as_mut().poll(&mut Context::from_waker(&waker)) {
                return answer;
            }
            self.turn();
        }
        panic!("the hub does not answer");
    }

    /// Asks for something as the administrator.
    pub(crate) fn call(&mut self, command: Command) -> Result<Reply, CallError> {
        let handle = self.handle.clone();
        self.ask(handle.call(Principal::Admin, command))
    }

    /// Queues a task.
    pub(crate) fn submit(&mut self, draft: Draft) -> TaskId {
        match self.call(Command::Submit(draft.into())) {
            Ok(Reply::Submitted(submitted)) => submitted.id,
            other => panic!("not taken: {other:?}"),
        }
    }

    /// A task, living or ended.
    pub(crate) fn task(&mut self, id: TaskId) -> Task {
        let handle = self.handle.clone();
        self.ask(handle.task(id)).unwrap().expect("the task exists")
    }

    /// The word for where a task stands.
    pub(crate) fn word(&mut self, id: TaskId) -> &'static str {
        self.task(id).life.state.as_str()
    }

    /// Registers an agent whose token is its name.
    pub(crate) fn register(&mut self, name: &str) {
        let (id, token) = (AgentId::new(name).unwrap(), token::hash_of(name));
        assert_eq!(self.call(Command::AddAgent { id, token }), Ok(Reply::Done));
    }
}

type Hub = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

fn start(
    store: Arc<dyn Store>,
    clock: &Arc<StillClock>,
    config: &HubConfig,
    door: &Door,
) -> (Hub, Handle) {
    let (listener, connector) = local(Capacity { frames: 10_000, bytes: 1 << 26 });
    let builder = HubBuilder::new(store, clock.clone()).config(config.clone());
    let builder = builder.transport(Arc::new(listener));
    let admin = token::hash_of("admin");
    let genesis = Genesis { incarnation: Incarnation(7), seed: 42, admin };
    let (handle, driver) = builder.open(genesis).now_or_never().unwrap().unwrap();
    *door.0.lock().unwrap() = Some(connector);
    (Box::pin(driver.run()), handle)
}

/// A task that does as its word says; see [`sidecar::Doer`].
pub(crate) fn work(word: &str) -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::text(word))
}

/// A hub, and an agent that works on a task.
pub(crate) fn at_work(draft: Draft) -> (Bench, u64, Held) {
    let mut bench = Bench::new();
    let agent = bench.join("a", Dialect::V1, 1, &[]);
    bench.submit(draft);
    let held = bench.assigned(agent)[0];
    bench.accept(agent, held);
    bench.said(agent);
    (bench, agent, held)
}
