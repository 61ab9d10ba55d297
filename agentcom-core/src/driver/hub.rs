//! This file is the loop around a hub: take in, step, store, and only then do.
//!
//! It needs no async runtime: it is one future that somebody polls, and it uses no clock but the
//! port. What waits while a commit is under way shares the next one (group commit), and is decided
//! on in the meantime.
//!
//! **Invariant:** nothing leaves the hub before the commit that covers it was confirmed: no reply,
//! no frame, no answer to a reader, no item of the feed. A hub that was taken over lets no agent in,
//! answers no command, and ends soon after an agent speaks to it.

mod commit;
mod facts;
mod group;
mod links;
mod load;
mod owned;
mod panics;
mod run;
mod trim;
mod waiters;

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use futures_channel::oneshot;
use futures_util::future::{BoxFuture, Fuse};

use super::feed::Listener;
use super::handle::{Handle, Inbox, Waiter};
use crate::change::Genesis;
use crate::config::HubConfig;
use crate::hub::Hub;
use crate::hub::schedule::{FairPolicy, Policy};
use crate::id::{CallId, TaskId};
use crate::port::clock::Clock;
use crate::port::store::{Store, StoreError};
use crate::port::transport::Transport;
use crate::time::{Mono, Span};
use group::Group;
use links::Links;
use panics::Panics;

/// How many inputs share one commit at most.
const GROUP_MAX: usize = 1_024;
/// How long inputs are taken in before those that were are stored.
const TAKEN_FOR: Span = Span(50);

/// What a hub is built from.
#[derive(Debug)]
pub struct HubBuilder {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    transports: Vec<Arc<dyn Transport>>,
    config: HubConfig,
    policy: Box<dyn Policy>,
}

/// A hub that is ready to run.
pub struct HubDriver {
    hub: Hub,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    inbox: Inbox,
    links: Links,
    /// What was decided since the last commit began.
    open: Group,
    /// What the commit under way covers.
    under_way: Option<Group>,
    /// A group that was said, empty, for the room that it has.
    said: Group,
    /// When the latest commit began.
    commit_began: Mono,
    committing: Option<Fuse<BoxFuture<'static, Result<(), StoreError>>>>,
    calls: BTreeMap<CallId, oneshot::Sender<super::handle::Answer>>,
    next_call: u64,
    waiters: BTreeMap<TaskId, Vec<Waiter>>,
    listeners: Vec<Listener>,
    commits: u64,
    /// Whether the last look at what is over did not see all of it.
    trimming: bool,
    panics: Panics,
    /// When the store last showed that it is this hub's.
    owned_at: Mono,
    stopping: bool,
}

impl HubBuilder {
    /// A hub over `store`, with the usual figures and the usual policy, and without connections.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        let policy = Box::new(FairPolicy);
        Self { store, clock, transports: Vec::new(), config: HubConfig::default(), policy }
    }

    /// Decides by these figures.
    #[must_use]
    pub fn config(mut self, config: HubConfig) -> Self {
        self.config = config;
        self
    }

    /// Orders and matches by this policy.
    #[must_use]
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Takes connections from this transport, too.
    #[must_use]
    pub fn transport(mut self, transport: Arc<dyn Transport>) -> Self {
        self.transports.push(transport);
        self
    }

    /// Reads the store, and makes the data set from `genesis` if there is none.
    ///
    /// # Errors
    ///
    /// What the store says; a row that cannot be read is named.
    pub async fn open(self, genesis: Genesis) -> Result<(Handle, HubDriver), StoreError> {
        let Self { store, clock, transports, config, policy } = self;
        let hub = load::open(&*store, &*clock, config, policy, &genesis).await?;
        let owned_at = clock.now().mono;
        let (handle, inbox) = Handle::new(store.clone(), clock.clone());
        let driver = HubDriver {
            hub,
            store,
            clock,
            inbox,
            links: Links::over(transports),
            open: Group::default(),
            under_way: None,
            said: Group::default(),
            commit_began: owned_at,
            committing: None,
            calls: BTreeMap::new(),
            next_call: 0,
            waiters: BTreeMap::new(),
            listeners: Vec::new(),
            commits: 0,
            trimming: false,
            panics: Panics::default(),
            owned_at,
            stopping: false,
        };
        Ok((handle, driver))
    }
}

/// Begins another life of the data in `store`, which was restored from a backup and is not in use:
/// it gets another incarnation; tasks that were under way are given back, their attempt unspent;
/// and no lease, task, question or event gets a number that was given out after the backup.
///
/// # Errors
///
/// What the store says; a row that cannot be read is named. If there is no data set,
/// [`Corrupt`](crate::port::store::StoreErrorKind::Corrupt).
pub async fn renew(
    store: &dyn Store,
    clock: &dyn Clock,
    incarnation: crate::id::Incarnation,
) -> Result<(), StoreError> {
    load::renew(store, clock, incarnation).await
}

impl Genesis {
    /// A data set with random numbers of its own, administered by whoever holds `admin`.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random numbers.
    pub fn random(admin: crate::agent::TokenHash) -> Result<Self, getrandom::Error> {
        let incarnation = crate::id::Incarnation::random()?;
        Ok(Self { incarnation, seed: getrandom::u64()?, admin })
    }
}

impl crate::id::Incarnation {
    /// One that no data set has had, as far as chance can tell.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random numbers.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self(getrandom::u64()?))
    }
}

impl core::fmt::Debug for HubDriver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("HubDriver")
            .field("store", &self.store)
            .field("links", &self.links)
            .field("open", &self.open)
            .field("under_way", &self.under_way)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[cfg(feature = "testing")]
mod tests;
