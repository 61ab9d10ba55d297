//! This file runs a hub with all its doors over a store that outlives it, under a clock that
//! stands still until a test moves it.

use std::future::pending;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use agentcom_core::change::Genesis;
use agentcom_core::config::HubConfig;
use agentcom_core::driver::hub::HubBuilder;
use agentcom_core::driver::token::Token;
use agentcom_core::port::clock::Clock;
use agentcom_core::testing::memory::MemoryDisk;
use agentcom_core::time::{Mono, Now, Wall};
use agentcom_http::{Options, router};
use agentcom_transport_ws::{ServeLimits, ServerLimits, listen, serve};
use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::client::Client;

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct HandClock(watch::Sender<u64>);

#[async_trait]
impl Clock for HandClock {
    fn now(&self) -> Now {
        let at = *self.0.borrow();
        Now { mono: Mono(at), wall: Wall(1_800_000_000_000 + at) }
    }

    async fn sleep_until(&self, at: Mono) {
        // The clock lives for as long as somebody can sleep by it.
        let _ = self.0.subscribe().wait_for(|now| *now >= at.0).await;
    }
}

/// A hub that runs.
struct Running {
    router: Router,
    address: SocketAddr,
    parts: JoinSet<()>,
}

/// A hub on loopback, with what outlives it.
pub(crate) struct Scene {
    disk: MemoryDisk,
    clock: Arc<HandClock>,
    config: HubConfig,
    admin: String,
    genesis: Genesis,
    hub: Running,
}

impl Scene {
    /// A hub with the usual figures.
    pub(crate) async fn set() -> Self {
        Self::with(HubConfig::default()).await
    }

    /// A hub with other figures.
    pub(crate) async fn with(config: HubConfig) -> Self {
        let (disk, clock) = (MemoryDisk::new(), Arc::new(HandClock(watch::Sender::new(1_000))));
        let admin = Token::generate().unwrap();
        let genesis = Genesis::random(admin.hash()).unwrap();
        let hub = run(&disk, &clock, &config, &genesis).await;
        Self { disk, clock, config, admin: admin.reveal().to_owned(), genesis, hub }
    }

    /// Ends the hub where it stands and starts another one on the same store.
    pub(crate) async fn restart(&mut self) {
        self.hub.parts.shutdown().await;
        self.hub = run(&self.disk, &self.clock, &self.config, &self.genesis).await;
    }

    /// Moves the clock, and lets the hub do what is due.
    pub(crate) async fn pass(&self, seconds: u64) {
        self.pass_ms(seconds * 1_000).await;
    }

    /// As [`Scene::pass`], to the millisecond. A hub that finds more time gone at once than it ever
    /// sleeps takes it that it stood still.
    pub(crate) async fn pass_ms(&self, ms: u64) {
        const AT_ONCE: u64 = 5_000;
        let whole = std::iter::repeat_n(AT_ONCE, (ms / AT_ONCE) as usize);
        for gone in whole.chain([ms % AT_ONCE]) {
            self.clock.0.send_modify(|now| *now += gone);
            self.settle().await;
        }
    }

    /// Returns when the hub has done what is due: a command is a step, which does that first.
    pub(crate) async fn settle(&self) {
        let body = json!({ "weight": 1 });
        for _ in 0..2 {
            let (status, told) = self.ask("PUT", "/api/admin/weights/settle", body.clone()).await;
            assert_eq!(status, 200, "{told}");
        }
    }

    /// Where agents connect.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.hub.address
    }

    /// Asks the API as the operator.
    pub(crate) async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.ask_as(&self.admin, method, path, body).await
    }

    /// Asks the API with a token, or with none if it is empty.
    pub(crate) async fn ask_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Value,
    ) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .header("content-type", "application/json");
        let request = match token {
            "" => request,
            token => request.header("authorization", format!("Bearer {token}")),
        };
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let response = self.hub.router.clone().oneshot(request.body(body).unwrap());
        let response = tokio::time::timeout(PATIENCE, response).await.unwrap().unwrap();
        let status = response.status().as_u16();
        let bytes = to_bytes(response.into_body(), 1 << 24).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    /// Queues a task and returns its id.
    pub(crate) async fn submit(&self, task: Value) -> String {
        let (status, told) = self.ask("POST", "/api/tasks", task).await;
        assert_eq!(status, 201, "{told:#}");
        told["task_id"].as_str().unwrap().to_owned()
    }

    /// A task as the API shows it.
    pub(crate) async fn task(&self, id: &str) -> Value {
        let (status, task) = self.ask("GET", &format!("/api/tasks/{id}"), Value::Null).await;
        assert_eq!(status, 200, "{task:#}");
        task
    }

    /// The state of a task.
    pub(crate) async fn state(&self, id: &str) -> String {
        self.task(id).await["state"].as_str().unwrap().to_owned()
    }

    /// An agent as the API shows it.
    pub(crate) async fn agent(&self, name: &str) -> Value {
        self.ask("GET", &format!("/api/agents/{name}/state"), Value::Null).await.1
    }

    /// Registers an agent and returns its token.
    pub(crate) async fn register(&self, name: &str) -> String {
        let (status, told) = self.ask("POST", "/admin/tokens", json!({ "agent_id": name })).await;
        assert_eq!(status, 201, "{told:#}");
        told["token"].as_str().unwrap().to_owned()
    }

    /// A client under a name that has to be registered first.
    pub(crate) async fn join(&self, name: &str) -> Client {
        let token = self.register(name).await;
        Client::join(self.address(), name, &token).await
    }

    /// The same client again, on a connection of its own.
    pub(crate) async fn rejoin(&self, before: &Client) -> Client {
        Client::join(self.address(), &before.name, &before.token).await
    }
}

async fn run(
    disk: &MemoryDisk,
    clock: &Arc<HandClock>,
    config: &HubConfig,
    genesis: &Genesis,
) -> Running {
    let (sockets, transport) = listen(ServerLimits::default(), Default::default());
    let builder = HubBuilder::new(Arc::new(disk.open()), clock.clone()).config(config.clone());
    let builder = builder.transport(Arc::new(transport));
    let (handle, driver) = builder.open(*genesis).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = router(handle, Options::default());
    let mut parts = JoinSet::new();
    parts.spawn(async move { driver.run().await.unwrap() });
    parts.spawn(serve(listener, sockets, ServeLimits::default(), pending()));
    Running { router, address, parts }
}
