//! This file runs a hub in this process, for benches that go through its driver.

use std::path::Path;
use std::sync::Arc;

use agentcom_core::agent::TokenHash;
use agentcom_core::change::Genesis;
use agentcom_core::command::{Command, Reply};
use agentcom_core::config::HubConfig;
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::{Handle, token};
use agentcom_core::id::Incarnation;
use agentcom_core::name::{AgentId, Principal};
use agentcom_core::port::store::{Store, StoreError};
use agentcom_core::port::transport::Transport;
use agentcom_core::task::Draft;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_store_redb::RedbStore;
use tokio::task::JoinSet;

use crate::Outcome;
use crate::append::AppendOnly;
use crate::counting::{Commits, Counting};

/// The data set of all benches.
pub const GENESIS: Genesis =
    Genesis { incarnation: Incarnation(7), seed: 42, admin: TokenHash([1; 32]) };

/// Where a hub keeps what it knows.
#[derive(Clone, Copy, Debug)]
pub enum Kept<'a> {
    /// In memory.
    Memory,
    /// In a file that is only appended to, in this directory.
    Append(&'a Path),
    /// In the file `hub.redb` in this directory.
    Redb(&'a Path),
}

impl Kept<'_> {
    /// The store, and what it is asked.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn open(self) -> Outcome<(Counting, Commits)> {
        let store: Box<dyn Store> = match self {
            Self::Memory => Box::new(MemoryDisk::new().open()),
            Self::Append(dir) => Box::new(AppendOnly::create(&dir.join("hub.log"))?),
            Self::Redb(dir) => Box::new(RedbStore::open(dir.join("hub.redb"), "main").await?),
        };
        Ok(Counting::new(store))
    }
}

/// A hub that runs until it is dropped.
#[derive(Debug)]
pub struct Running {
    /// Talks to it.
    pub handle: Handle,
    /// What its store was asked.
    pub commits: Commits,
    loops: JoinSet<Result<(), StoreError>>,
}

impl Running {
    /// A fresh hub.
    ///
    /// # Errors
    ///
    /// Those of the store.
    pub async fn start(
        kept: Kept<'_>,
        config: HubConfig,
        transports: Vec<Arc<dyn Transport>>,
    ) -> Outcome<Self> {
        let (store, commits) = kept.open().await?;
        let mut builder =
            HubBuilder::new(Arc::new(store), Arc::new(SystemClock::new())).config(config);
        for transport in transports {
            builder = builder.transport(transport);
        }
        let (handle, driver) = builder.open(GENESIS).await?;
        let mut loops = JoinSet::new();
        loops.spawn(driver.run());
        Ok(Self { handle, commits, loops })
    }

    /// Stops it in good order.
    ///
    /// # Errors
    ///
    /// What it ended with.
    pub async fn stop(mut self) -> Outcome<()> {
        self.handle.stop();
        while let Some(ended) = self.loops.join_next().await {
            ended??;
        }
        Ok(())
    }
}

/// Registers an agent whose token is its name.
///
/// # Errors
///
/// If the hub refuses.
pub async fn register(handle: &Handle, name: &str) -> Outcome<()> {
    let command = Command::AddAgent { id: AgentId::new(name)?, token: token::hash_of(name) };
    let reply = handle.call(Principal::Admin, command).await?;
    if reply == Reply::Done { Ok(()) } else { Err(format!("not registered: {reply:?}").into()) }
}

/// Submits a task.
///
/// # Errors
///
/// If the hub refuses.
pub async fn submit(handle: &Handle, draft: Draft) -> Outcome<()> {
    let reply = handle.call(Principal::Admin, Command::Submit(Box::new(draft))).await?;
    taken_in(matches!(reply, Reply::Submitted(_)), &reply)
}

/// Submits tasks in one go.
///
/// # Errors
///
/// If the hub refuses.
pub async fn submit_batch(handle: &Handle, drafts: Vec<Draft>) -> Outcome<()> {
    let reply = handle.call(Principal::Admin, Command::SubmitBatch(drafts)).await?;
    taken_in(matches!(reply, Reply::SubmittedBatch(_)), &reply)
}

fn taken_in(is: bool, reply: &Reply) -> Outcome<()> {
    if is { Ok(()) } else { Err(format!("not submitted: {reply:?}").into()) }
}
