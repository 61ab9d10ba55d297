//! This file serves the transport on a real socket of the loopback address, for all tests.

use std::net::SocketAddr;
use std::sync::Mutex;

use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::Transport;
use agentcom_core::testing::transport_suite::TransportFixture;
use agentcom_core::wire::Dialect;
use agentcom_transport_ws::{ClientOptions, ServerLimits, WsClient, WsTransport, listen};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A hub's end behind a real socket.
pub(crate) struct Served {
    pub(crate) address: SocketAddr,
    pub(crate) transport: WsTransport,
    pub(crate) server: Mutex<JoinSet<()>>,
}

/// Serves with the default limits.
pub(crate) fn served() -> Served {
    served_with(ServerLimits::default())
}

/// Serves on a free port.
pub(crate) fn served_with(limits: ServerLimits) -> Served {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = TcpListener::from_std(listener).unwrap();
    let (router, transport) = listen(limits, AllowList::default());
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut server = JoinSet::new();
    server.spawn(async move { axum::serve(listener, service).await.unwrap() });
    Served { address, transport, server: Mutex::new(server) }
}

impl Served {
    /// A client of this hub.
    pub(crate) fn client(&self, options: ClientOptions) -> WsClient {
        WsClient::new(&format!("ws://{}/ws", self.address), options).unwrap()
    }

    /// Takes no more requests, as a hub that is gone.
    pub(crate) fn unplug(&self) {
        self.server.lock().unwrap().abort_all();
    }
}

#[async_trait::async_trait]
impl TransportFixture for Served {
    fn hub(&self) -> &dyn Transport {
        &self.transport
    }

    fn agent(&self, dialect: Dialect) -> Box<dyn Transport> {
        Box::new(self.client(ClientOptions { dialect, ..ClientOptions::default() }))
    }

    async fn stop_hub(&self) {
        self.transport.shutdown().await;
    }
}
