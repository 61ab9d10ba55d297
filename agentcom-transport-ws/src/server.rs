//! This file is the hub's end: a route that upgrades requests, and the transport that gives them.

mod gate;
mod handshake;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use agentcom_core::origin::AllowList;
use agentcom_core::port::transport::{CloseReason, Connection, Transport, TransportError};
use async_trait::async_trait;
use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use hyper_util::server::conn::auto::upgrade::downcast;
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::gate::{Gate, Permit};
use self::handshake::{Handshake, Refusal};
use crate::guard;
use crate::limits::{Limits, ServerLimits};
use crate::link::{self, Queues};

/// Makes a route for `/ws` to merge into the hub's router, and the transport that gives the hub
/// the connections that come in there.
///
/// The route needs the client's address ([`ConnectInfo`]), which [`serve`](crate::serve()) tells
/// it; without it all clients count as one address. It speaks HTTP/1.1 only.
///
/// Requests are held against `allowed` before anything else; see [`AllowList`].
///
/// ```no_run
/// # async fn example() -> std::io::Result<()> {
/// use agentcom_core::origin::AllowList;
/// use agentcom_transport_ws::{ServeLimits, ServerLimits, listen, serve};
///
/// let (router, transport) = listen(ServerLimits::default(), AllowList::default());
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:4000").await?;
/// // Here `transport` goes to the hub's driver.
/// # drop(transport);
/// serve(listener, router, ServeLimits::default(), std::future::pending()).await;
/// # Ok(())
/// # }
/// ```
pub fn listen(limits: ServerLimits, allowed: AllowList) -> (Router, WsTransport) {
    let (backlog, accepted) = mpsc::channel(limits.backlog.max(1));
    let server = Server {
        gate: Arc::new(Gate::new(&limits)),
        link: Arc::new(limits.link.clone()),
        limits,
        allowed,
        backlog,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    };
    let transport = WsTransport {
        stop: server.stop.clone(),
        tasks: server.tasks.clone(),
        accepted: Mutex::new(accepted),
    };
    (Router::new().route("/ws", any(upgrade)).with_state(Arc::new(server)), transport)
}

/// The hub's end of the transport. Dropping it closes its connections, and refuses further ones.
#[derive(Debug)]
pub struct WsTransport {
    stop: CancellationToken,
    tasks: TaskTracker,
    accepted: Mutex<mpsc::Receiver<Connection>>,
}

impl WsTransport {
    /// Refuses further connections, closes all others as [`CloseReason::GoingAway`] after what is
    /// queued, and waits until they have ended: at most [`Limits::close_within`].
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// How many connections there are, those included that are being opened or closed.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.tasks.len()
    }
}

impl Drop for WsTransport {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Transport for WsTransport {
    async fn open(&self) -> Result<Connection, TransportError> {
        let mut accepted = self.accepted.lock().await;
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(TransportError::Stopped),
            connection = accepted.recv() => connection.ok_or(TransportError::Stopped),
        }
    }
}

#[derive(Debug)]
struct Server {
    limits: ServerLimits,
    link: Arc<Limits>,
    allowed: AllowList,
    gate: Arc<Gate>,
    backlog: mpsc::Sender<Connection>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

async fn upgrade(State(server): State<Arc<Server>>, request: Request) -> Response {
    let (mut parts, _) = request.into_parts();
    let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0);
    let address = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.ip());
    match server.answer(&mut parts, peer, address) {
        Ok(handshake) => handshake.into_response(),
        Err(refusal) if !refusal.is_fault() || server.gate.refuse(address) => {
            tracing::debug!(%address, %refusal, "handshake refused");
            refusal.into_response()
        }
        Err(_) => Refusal::TooMany.into_response(),
    }
}

impl Server {
    fn answer(
        &self,
        request: &mut Parts,
        peer: Option<SocketAddr>,
        address: IpAddr,
    ) -> Result<Handshake, Refusal> {
        guard::check(&self.allowed, request)?;
        let handshake = Handshake::read(request)?;
        let upgrade = request.extensions.remove::<OnUpgrade>().ok_or(Refusal::NotUpgradable)?;
        if self.stop.is_cancelled() {
            return Err(Refusal::Stopping);
        }
        let permit = self.gate.admit(address).ok_or(Refusal::Full)?;
        let slot = self.backlog.clone().try_reserve_owned().map_err(|_| Refusal::Full)?;
        let peer = peer.map_or_else(|| String::from("unknown"), |peer| peer.to_string());
        let (queues, connection) = Queues::open(&self.link, handshake.dialect(), peer);
        let opening = Opening { upgrade, permit, queues, connection, slot };
        let (within, stop) = (self.limits.upgrade_within, self.stop.clone());
        self.tasks.spawn(async move {
            if let Ok(Ok(upgraded)) = timeout(within, opening.upgrade).await {
                opening.slot.send(opening.connection);
                serve(upgraded, opening.queues, stop).await;
            }
            drop(opening.permit);
        });
        Ok(handshake)
    }
}

/// A connection whose client has still to be told that the protocol changes.
#[derive(Debug)]
struct Opening {
    upgrade: OnUpgrade,
    permit: Permit,
    queues: Queues,
    connection: Connection,
    slot: mpsc::OwnedPermit<Connection>,
}

async fn serve(upgraded: Upgraded, queues: Queues, stop: CancellationToken) {
    let config = Some(queues.websocket());
    match bare(upgraded) {
        Ok((socket, read)) => {
            let socket = queues.counting(&read, socket);
            let socket = WebSocketStream::from_partially_read(socket, read, Role::Server, config);
            link::run(socket.await, queues, stop, CloseReason::GoingAway).await;
        }
        Err(upgraded) => {
            let socket = queues.counting(&[], TokioIo::new(upgraded));
            let socket = WebSocketStream::from_raw_socket(socket, Role::Server, config);
            link::run(socket.await, queues, stop, CloseReason::GoingAway).await;
        }
    }
}

/// The socket itself and what was read from it too far, if it is TCP without TLS: without hyper's
/// wrappers and its read buffer a connection takes a third of the memory.
fn bare(upgraded: Upgraded) -> Result<(TcpStream, Vec<u8>), Upgraded> {
    let (io, read) = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => (parts.io, parts.read_buf),
        // What `axum::serve` uses has a wrapper of its own.
        Err(upgraded) => {
            let parts = downcast::<TokioIo<TcpStream>>(upgraded)?;
            (parts.io, parts.read_buf)
        }
    };
    let socket = io.into_inner();
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "small frames to this client will be delayed");
    }
    Ok((socket, read.to_vec()))
}
