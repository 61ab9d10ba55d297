//! This file puts an app together: store, rules, handlers, and the agent that calls them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use std::sync::Mutex;

use futures_channel::oneshot;
use futures_util::future::{Either, FutureExt as _, Shared, select};

use super::handler::{self, Handler};
use super::{App, AppError};
use crate::agent::TokenHash;
use crate::change::Genesis;
use crate::config::{HubConfig, Secret, SidecarConfig};
use crate::driver::clock::SystemClock;
use crate::driver::hub::HubBuilder;
use crate::driver::local::{LocalConnector, local};
use crate::driver::memory::MemoryDisk;
use crate::driver::queue::Capacity;
use crate::driver::sidecar::{Entropy, SidecarDriver};
use crate::driver::token::{NoEntropy, Token};
use crate::hub::schedule::{FairPolicy, Policy};
use crate::name::{AgentId, Capability, Kind};
use crate::port::clock::Clock;
use crate::port::executor::Executor;
use crate::port::store::Store;
use crate::port::transport::Transport;
use crate::sidecar::Exit;

/// The name of the agent that runs beside the hub, unless another is given.
const AGENT: &str = "local";
/// How many handlers it runs at once, unless another number is given.
const SLOTS: u32 = 8;

/// An app that is being put together. A mistake in a name is told by [`AppBuilder::open`].
#[derive(Debug)]
#[must_use = "nothing runs before `open`"]
pub struct AppBuilder {
    store: Arc<dyn Store>,
    clock: Option<Arc<dyn Clock>>,
    config: HubConfig,
    policy: Box<dyn Policy>,
    transports: Vec<Arc<dyn Transport>>,
    admin: Option<TokenHash>,
    agent: Agent,
    mistake: Option<AppError>,
}

#[derive(Debug)]
struct Agent {
    id: Option<AgentId>,
    slots: u32,
    capabilities: Vec<Capability>,
    executors: Vec<Arc<dyn Executor>>,
}

impl AppBuilder {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let agent =
            Agent { id: None, slots: SLOTS, capabilities: Vec::new(), executors: Vec::new() };
        Self {
            store,
            clock: None,
            config: HubConfig::default(),
            policy: Box::new(FairPolicy),
            transports: Vec::new(),
            admin: None,
            agent,
            mistake: None,
        }
    }

    /// Work of `kind` is done by this function; see [`Handler`] for its forms.
    pub fn handler<M: 'static>(self, kind: &str, handler: impl Handler<M>) -> Self {
        self.try_with(|app| {
            let executor = handler::executor(Kind::new(kind)?, handler);
            app.agent.executors.push(Arc::new(executor));
            Ok(())
        })
    }

    /// Work of its kind is done by this executor.
    pub fn executor(mut self, executor: impl Executor + 'static) -> Self {
        self.agent.executors.push(Arc::new(executor));
        self
    }

    /// How many handlers run at once, at least 1; 8 unless said.
    pub fn slots(mut self, slots: u32) -> Self {
        self.agent.slots = slots.max(1);
        self
    }

    /// The name of the agent that calls the handlers; `local` unless said.
    pub fn agent_name(self, name: &str) -> Self {
        self.try_with(|app| {
            app.agent.id = Some(AgentId::new(name)?);
            Ok(())
        })
    }

    /// Something that the agent can do besides its kinds of work, for tasks that need it.
    pub fn capability(self, name: &str) -> Self {
        self.try_with(|app| {
            app.agent.capabilities.push(Capability::new(name)?);
            Ok(())
        })
    }

    /// Takes connections of further agents from this transport.
    pub fn transport(mut self, transport: impl Transport + 'static) -> Self {
        self.transports.push(Arc::new(transport));
        self
    }

    /// Decides by these figures.
    pub fn config(mut self, config: HubConfig) -> Self {
        self.config = config;
        self
    }

    /// Orders and matches by this policy.
    pub fn policy(mut self, policy: impl Policy + 'static) -> Self {
        self.policy = Box::new(policy);
        self
    }

    /// Takes the time from this clock; from the machine's unless said.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Who may administer the data set, should this call make it. Without, nobody from outside of
    /// the program can.
    pub fn admin(mut self, token: TokenHash) -> Self {
        self.admin = Some(token);
        self
    }

    /// Reads the store, or makes the data set, and registers the agent that calls the handlers.
    /// Nothing runs before something of the app is awaited.
    ///
    /// # Errors
    ///
    /// The first mistake in what was said, or what the store says.
    pub async fn open(self) -> Result<App, AppError> {
        if let Some(mistake) = self.mistake {
            return Err(mistake);
        }
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let admin = self.admin.map_or_else(|| Token::generate().map(|token| token.hash()), Ok);
        let genesis = Genesis::random(admin?).map_err(|_| NoEntropy)?;
        let (listener, connector) = local(capacity(self.agent.slots));
        let mut hub = HubBuilder::new(self.store, Arc::clone(&clock)).config(self.config);
        hub = self.transports.into_iter().fold(hub, HubBuilder::transport);
        hub = hub.transport(Arc::new(listener)).policy(self.policy);
        let (handle, driver) = hub.open(genesis).await?;
        let (stop, stopped) = oneshot::channel();
        let hub = async move { driver.run().await.map_err(AppError::from) }.boxed().shared();
        let stop = Arc::new(Mutex::new(Some(stop)));
        let idle = async { Ok(()) }.boxed().shared();
        let id = self.agent.id.clone().map_or_else(|| AgentId::new(AGENT), Ok)?;
        // There is no agent where nothing can be done.
        let id = (!self.agent.executors.is_empty()).then_some(id);
        let mut app = App { handle, hub, agent: idle, id, clock, stop };
        let agent = self.agent.open(&app, connector).await?;
        app.agent = run(agent, stopped.shared()).boxed().shared();
        Ok(app)
    }

    fn try_with(mut self, change: impl FnOnce(&mut Self) -> Result<(), AppError>) -> Self {
        if let Err(mistake) = change(&mut self) {
            self.mistake.get_or_insert(mistake);
        }
        self
    }
}

/// Room for all that hub and agent can have to say to each other at once, as when the agent
/// connects again with all slots taken: some frames for each slot, one of them with the input of
/// a task.
fn capacity(slots: u32) -> Capacity {
    let Capacity { frames, bytes } = Capacity::default();
    let slots = slots as usize;
    Capacity { frames: frames.max(8 * slots), bytes: bytes.max(slots.saturating_mul(256 * 1024)) }
}

/// What the agent of an app is started from, and started from again when the hub asks for it.
struct Start {
    config: SidecarConfig,
    connector: LocalConnector,
    executors: Vec<Arc<dyn Executor>>,
    clock: Arc<dyn Clock>,
    journal: MemoryDisk,
}

impl Agent {
    /// Registers the agent, if the app has one.
    async fn open(self, app: &App, connector: LocalConnector) -> Result<Option<Start>, AppError> {
        let Some(id) = app.id.clone() else { return Ok(None) };
        let token = app.register(id.clone()).await?;
        let mut config = SidecarConfig::new(id, Secret::new(token.reveal()));
        config.slots = self.slots;
        // Each slot may have a report that the hub has yet to acknowledge, and the next task.
        config.outbox_max = config.outbox_max.max(2 * self.slots as usize);
        config.capabilities = self.capabilities;
        let clock = Arc::clone(&app.clock);
        let start = Start {
            config,
            connector,
            executors: self.executors,
            clock,
            journal: MemoryDisk::new(),
        };
        // Two handlers of one kind are told here, and not by the first run.
        start.driver()?;
        Ok(Some(start))
    }
}

impl Start {
    fn driver(&self) -> Result<SidecarDriver, AppError> {
        let entropy = Entropy::of_the_system().map_err(|_| NoEntropy)?;
        let driver = SidecarDriver::new(
            self.config.clone(),
            Arc::new(self.connector.clone()),
            Box::new(self.journal.open()),
            self.executors.clone(),
            Arc::clone(&self.clock),
            entropy,
        );
        Ok(driver?)
    }
}

/// Runs the agent until the app is to stop. Its journal outlives a restart that the hub asks for.
async fn run(agent: Option<Start>, stopped: Shared<oneshot::Receiver<()>>) -> Result<(), AppError> {
    let Some(agent) = agent else {
        // An error means that the app is gone.
        let _ = stopped.await;
        return Ok(());
    };
    loop {
        let driver = agent.driver()?;
        let handle = driver.handle();
        // The stop comes first: what ends in the same moment then brings no more work.
        let exit = match select(stopped.clone(), driver.run().boxed()).await {
            Either::Left((_, running)) => {
                handle.drain();
                running.await?
            }
            Either::Right((exit, _)) => exit?,
        };
        match exit {
            Exit::Clean => return Ok(()),
            Exit::Restart => {}
        }
    }
}
