//! This file is the transport within one process: a hub and its agents in the same program.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures_channel::mpsc;
use futures_util::StreamExt as _;
use futures_util::lock::Mutex as AsyncMutex;

use super::queue::{Capacity, FrameQueue, halves};
use crate::port::transport::{Connection, Transport, TransportError};
use crate::wire::Dialect;

/// Connections that may wait to be taken by the hub.
const BACKLOG: usize = 1024;

/// Makes the two ends of a transport within one process: the hub opens the listener, agents open
/// the connector or clones of it. `capacity` is that of each direction of each connection.
///
/// A connection has no task of its own and no buffers beside its two queues.
#[must_use]
pub fn local(capacity: Capacity) -> (LocalListener, LocalConnector) {
    let (knock, knocks) = mpsc::channel(BACKLOG);
    let door = Door {
        capacity,
        knock: Mutex::new(knock),
        stopped: AtomicBool::new(false),
        opened: AtomicU64::new(0),
    };
    let door = Arc::new(door);
    let listener = LocalListener { door: Arc::clone(&door), knocks: AsyncMutex::new(knocks) };
    (listener, LocalConnector { door, dialect: Dialect::V1 })
}

/// Makes a single connection: what one side sends, the other receives.
#[must_use]
pub fn pair(dialect: Dialect, capacity: Capacity) -> (Connection, Connection) {
    named_pair(dialect, capacity, ["local", "local"])
}

fn named_pair(dialect: Dialect, capacity: Capacity, peers: [&str; 2]) -> (Connection, Connection) {
    let [there, back] = [(); 2].map(|()| Arc::new(FrameQueue::new(capacity)));
    let side = |out, back, peer: &str| {
        let (outgoing, incoming) = halves(out, back);
        Connection { dialect, peer: peer.to_string(), outgoing, incoming }
    };
    (side(&there, &back, peers[0]), side(&back, &there, peers[1]))
}

#[derive(Debug)]
struct Door {
    capacity: Capacity,
    knock: Mutex<mpsc::Sender<Connection>>,
    stopped: AtomicBool,
    opened: AtomicU64,
}

impl Door {
    fn knock(&self) -> MutexGuard<'_, mpsc::Sender<Connection>> {
        self.knock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hub's end of [`local`]. Dropping it refuses all further connections; those that were
/// opened live on.
#[derive(Debug)]
pub struct LocalListener {
    door: Arc<Door>,
    knocks: AsyncMutex<mpsc::Receiver<Connection>>,
}

impl LocalListener {
    /// A connector to this listener, as v1.
    #[must_use]
    pub fn connector(&self) -> LocalConnector {
        LocalConnector { door: Arc::clone(&self.door), dialect: Dialect::V1 }
    }

    /// Refuses all further connections and ends those that the hub has not taken; those that it
    /// has live on.
    pub fn shutdown(&self) {
        self.door.stopped.store(true, Ordering::Release);
        self.door.knock().close_channel();
        // Whoever holds the lock is waiting for a connection, so there is none to end.
        if let Some(mut knocks) = self.knocks.try_lock() {
            while knocks.try_recv().is_ok() {}
        }
    }
}

#[async_trait]
impl Transport for LocalListener {
    async fn open(&self) -> Result<Connection, TransportError> {
        let knock = self.knocks.lock().await.next().await;
        let stopped = self.door.stopped.load(Ordering::Acquire);
        knock.filter(|_| !stopped).ok_or(TransportError::Stopped)
    }
}

/// The agents' end of [`local`]. Clones reach the same hub.
#[derive(Clone, Debug)]
pub struct LocalConnector {
    door: Arc<Door>,
    dialect: Dialect,
}

impl LocalConnector {
    /// The same connector for clients that follow `dialect`.
    #[must_use]
    pub fn speaking(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }
}

#[async_trait]
impl Transport for LocalConnector {
    async fn open(&self) -> Result<Connection, TransportError> {
        let number = self.door.opened.fetch_add(1, Ordering::Relaxed);
        let agent = format!("local-{number}");
        let (hubs, ours) = named_pair(self.dialect, self.door.capacity, [&agent, "local hub"]);
        match self.door.knock().try_send(hubs) {
            Ok(()) => Ok(ours),
            Err(refused) if refused.is_full() => {
                Err(TransportError::Unreachable(String::from("the hub takes no connections")))
            }
            Err(_) => Err(TransportError::Stopped),
        }
    }
}
