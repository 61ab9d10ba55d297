//! This file plays many agents in this process: real sidecars over WebSocket, journals in memory.

use std::sync::Arc;
use std::time::Duration;

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::driver::clock::SystemClock;
use agentcom_core::driver::sidecar::{Entropy, SidecarDriver};
use agentcom_core::id::Boot;
use agentcom_core::json::Json;
use agentcom_core::name::{AgentId, Kind};
use agentcom_core::port::clock::Clock;
use agentcom_core::port::executor::{Executor, JobContext, JobOutcome};
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::wire::Assignment;
use agentcom_tests::real::api::Api;
use agentcom_transport_ws::{ClientOptions, WsClient};
use async_trait::async_trait;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

/// Threads that register agents.
const REGISTRARS: usize = 16;

/// Work that takes a while and does nothing.
#[derive(Debug)]
struct Busy {
    kind: Kind,
    takes: Duration,
}

#[async_trait]
impl Executor for Busy {
    fn kind(&self) -> Kind {
        self.kind.clone()
    }

    async fn run(&self, _: &Assignment, _: &dyn JobContext) -> JobOutcome {
        tokio::time::sleep(self.takes).await;
        JobOutcome::done(Json::null())
    }
}

/// Agents at work. Dropping them ends them.
pub(crate) struct Crowd {
    _agents: JoinSet<()>,
}

impl Crowd {
    /// Registers so many agents, and starts them; work takes each of their slots so long.
    pub(crate) fn start(
        runtime: &Runtime,
        api: &Api,
        agents: usize,
        slots: u32,
        takes: Duration,
    ) -> Self {
        let tokens = register(api, agents);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let kind = Kind::new("shell").expect("a name of a kind");
        let busy: Arc<dyn Executor> = Arc::new(Busy { kind, takes });
        let _inside = runtime.enter();
        let mut set = JoinSet::new();
        for (number, (name, token)) in tokens.into_iter().enumerate() {
            let agent = AgentId::new(&name).expect("a name of an agent");
            let config = SidecarConfig { slots, ..SidecarConfig::new(agent, Secret::new(&token)) };
            let url = format!("ws://{}/ws", api.listen);
            let client = WsClient::new(&url, ClientOptions::default()).expect("the hub's address");
            let driver = SidecarDriver::new(
                config,
                Arc::new(client),
                Box::new(MemoryDisk::new().open()),
                vec![busy.clone()],
                clock.clone(),
                Entropy { boot: Boot(1 + number as u64), seed: number as u64 },
            );
            let driver = driver.expect("its journal is empty");
            set.spawn(async move {
                // It ends with the crowd.
                let _ = driver.run().await;
            });
        }
        Self { _agents: set }
    }
}

/// Names and tokens of fresh agents.
fn register(api: &Api, agents: usize) -> Vec<(String, String)> {
    let one = |number: usize| {
        let name = format!("crowd-{number}");
        let answer = api.ask("POST", "/admin/tokens", Some(&json!({ "agent_id": name })));
        let Ok((201, told)) = answer else { panic!("{name} is not registered: {answer:?}") };
        (name, told["token"].as_str().expect("the token is shown once").to_owned())
    };
    std::thread::scope(|scope| {
        let some = |first: usize| {
            scope.spawn(move || (first..agents).step_by(REGISTRARS).map(one).collect::<Vec<_>>())
        };
        let threads: Vec<_> = (0..REGISTRARS).map(some).collect();
        let joined = threads.into_iter().map(|thread| thread.join().expect("all are registered"));
        joined.flatten().collect()
    })
}

/// What 99 of 100 took at most.
pub(crate) fn p99(mut took: Vec<Duration>) -> Duration {
    took.sort();
    took.get(took.len() * 99 / 100).copied().unwrap_or_default()
}

/// A runtime for clients.
pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started")
}

/// Lets this process and its children have so many sockets, and more for the rest.
pub(crate) fn allow_sockets(sockets: u64) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let wanted = sockets + 1_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("limits can be read");
    if soft < wanted {
        // Root may go beyond the hard limit.
        setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted))
            .unwrap_or_else(|error| panic!("{wanted} open files are needed: {error}"));
    }
}
