//! This file runs whole hubs over stores in memory, turn by turn, on a clock that only tests move.

mod damage;
mod keys;
mod pages;
mod panics;
mod restart;
mod restored;
mod stalls;
mod takeover;
mod turns;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::future::Future;
use core::pin::{Pin, pin};
use core::sync::atomic::{AtomicU64, Ordering};
use core::task::{Context, Poll, Waker};

use async_trait::async_trait;
use futures_util::FutureExt;

use super::*;
use crate::agent::TokenHash;
use crate::command::{Command, Reply};
use crate::driver::local::{LocalConnector, local};
use crate::driver::queue::Capacity;
use crate::driver::{CallError, token};
use crate::id::{Boot, Incarnation};
use crate::json::Json;
use crate::name::{AgentId, Key, Kind, Principal};
use crate::port::store::{Batch, Range, Row, RowKey, StoreErrorKind, Table, Visit};
use crate::port::transport::Connection;
use crate::task::Draft;
use crate::testing::faulty::{Faults, FaultyStore};
use crate::testing::memory::MemoryDisk;
use crate::time::{Mono, Now, Wall};
use crate::wire::{Identify, Ping, ToHub};

/// A clock that stands still until it is moved.
#[derive(Debug, Default)]
struct ManualClock(AtomicU64);

#[async_trait]
impl Clock for ManualClock {
    fn now(&self) -> Now {
        let ms = self.0.load(Ordering::Relaxed);
        Now { mono: Mono(ms), wall: Wall(ms) }
    }

    async fn sleep_until(&self, at: Mono) {
        // Whoever polls the hub does so again after the clock was moved.
        core::future::poll_fn(
            |_| if self.now().mono < at { Poll::Pending } else { Poll::Ready(()) },
        )
        .await;
    }
}

/// A store whose reads somebody is told of, who may refuse them: the table, and the keys of the rows.
struct Watched<F> {
    store: Arc<dyn Store>,
    watch: F,
}

impl<F> Watched<F>
where
    F: Fn(Table, &[&[u8]]) -> Result<(), StoreError> + Send + Sync + 'static,
{
    fn over(store: impl Store + 'static, watch: F) -> Arc<Self> {
        Arc::new(Self { store: Arc::new(store), watch })
    }
}

impl<F> core::fmt::Debug for Watched<F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Watched").field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl<F> Store for Watched<F>
where
    F: Fn(Table, &[&[u8]]) -> Result<(), StoreError> + Send + Sync + 'static,
{
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError> {
        self.store.load(visit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.store.commit(batch).await
    }

    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError> {
        keys.iter().try_for_each(|row| (self.watch)(row.table, &[&row.key]))?;
        self.store.get(keys).await
    }

    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError> {
        let table = range.table;
        let rows = self.store.history(range).await?;
        let keys: Vec<&[u8]> = rows.iter().map(|(key, _)| key.as_slice()).collect();
        (self.watch)(table, &keys)?;
        Ok(rows)
    }
}

/// A hub that runs only while somebody asks it something.
struct Rig {
    hub: Pin<Box<dyn Future<Output = Result<(), StoreError>>>>,
    handle: Handle,
    clock: Arc<ManualClock>,
    disk: MemoryDisk,
    faults: Faults,
    door: LocalConnector,
    ended: Option<Result<(), StoreError>>,
}

fn now_of<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    match future.poll_unpin(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

fn draft() -> Draft {
    Draft::new(Kind::new("shell").unwrap(), Json::parse(r#"{"command":"true"}"#).unwrap())
}

fn keyed(key: &str) -> Draft {
    Draft { idempotency_key: Key::new(key).ok(), ..draft() }
}

impl Rig {
    fn new() -> Self {
        Self::with(|builder| builder)
    }

    fn with(build: impl FnOnce(HubBuilder) -> HubBuilder) -> Self {
        let (disk, faults) = (MemoryDisk::new(), Faults::new());
        let store = Arc::new(FaultyStore::new(disk.open(), &faults));
        Self::over(store, disk, faults, build)
    }

    fn over(
        store: Arc<dyn Store>,
        disk: MemoryDisk,
        faults: Faults,
        build: impl FnOnce(HubBuilder) -> HubBuilder,
    ) -> Self {
        let clock = Arc::new(ManualClock(AtomicU64::new(1_000_000)));
        let (listener, door) = local(Capacity { frames: 10_000, bytes: 1 << 26 });
        let builder = build(HubBuilder::new(store, clock.clone()).transport(Arc::new(listener)));
        let genesis = Genesis { incarnation: Incarnation(7), seed: 42, admin: TokenHash([9; 32]) };
        let (handle, driver) = builder.open(genesis).now_or_never().unwrap().unwrap();
        Self { hub: Box::pin(driver.run()), handle, clock, disk, faults, door, ended: None }
    }

    /// Lets the hub do what it can do without waiting.
    fn turn(&mut self) {
        if self.ended.is_none() {
            self.ended = now_of(&mut self.hub);
        }
    }

    fn ask<T>(&mut self, question: impl Future<Output = T>) -> T {
        let mut question = pin!(question);
        for _ in 0..1_000 {
            if let Some(answer) = now_of(&mut question) {
                return answer;
            }
            self.turn();
        }
        panic!("the hub does not answer");
    }

    fn call(&mut self, command: Command) -> Result<Reply, CallError> {
        let handle = self.handle.clone();
        self.ask(handle.call(Principal::Admin, command))
    }

    fn submit(&mut self, draft: Draft) -> (TaskId, bool) {
        match self.call(Command::Submit(draft.into())) {
            Ok(Reply::Submitted(submitted)) => (submitted.id, submitted.existing),
            other => panic!("{other:?}"),
        }
    }

    /// A submission that waits for its answer.
    fn begin(
        &self,
        draft: Draft,
    ) -> impl Future<Output = Result<Reply, CallError>> + Unpin + use<> {
        let handle = self.handle.clone();
        let mut call =
            Box::pin(
                async move { handle.call(Principal::Admin, Command::Submit(draft.into())).await },
            );
        assert!(now_of(&mut call).is_none());
        call
    }

    fn pass(&mut self, ms: u64) {
        self.clock.0.fetch_add(ms, Ordering::Relaxed);
        self.turn();
    }

    /// A connection of an agent that is registered and has identified itself.
    fn join(&mut self, name: &str) -> Connection {
        let (id, token) = (AgentId::new(name).unwrap(), token::hash_of(name));
        assert!(self.call(Command::AddAgent { id, token }).is_ok());
        self.connect(name)
    }

    fn connect(&mut self, name: &str) -> Connection {
        let door = self.door.clone();
        let connection = self.ask(door.open()).unwrap();
        connection.outgoing.send(identify(name)).unwrap();
        self.turn();
        connection
    }
}

fn identify(name: &str) -> String {
    wire(&ToHub::Identify(Identify {
        agent_id: name.into(),
        token: name.into(),
        capabilities: Some(["sandbox-l2"].map(String::from).into()),
        boot: Some(Boot(1)),
        executors: Some(["shell", "code"].map(String::from).into()),
        slots: Some(1),
        ..Identify::default()
    }))
}

fn ping() -> String {
    wire(&ToHub::Ping(Ping::default()))
}

/// The acceptance of the first assignment of a task.
fn accept(id: TaskId) -> String {
    alloc::format!(r#"{{"type":"task_accepted","task_id":"{id}","generation":1}}"#)
}

fn wire(frame: &ToHub) -> String {
    serde_json::to_string(frame).unwrap()
}

/// The frames that a connection has been sent.
fn heard(connection: &mut Connection) -> Vec<String> {
    core::iter::from_fn(|| connection.incoming.recv().now_or_never().flatten()).collect()
}
