//! This file accepts sockets for a router, with bounds on what has not become a WebSocket.

use core::convert::Infallible;
use core::pin::pin;
use core::time::Duration;
use std::io::ErrorKind;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

/// The bounds of sockets that speak HTTP: all of them at first, and those that never become a
/// WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// The most of these sockets at once; further ones wait to be accepted.
    pub sockets_max: usize,
    /// How long a client may take to send the head of its request, or to send another one.
    pub head_within: Duration,
    /// The most headers in a request.
    pub headers_max: usize,
    /// The longest head of a request, in bytes; at least 8 KiB.
    pub head_bytes_max: usize,
    /// How long requests may go on once the server is stopped.
    pub close_within: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            sockets_max: 4096,
            head_within: Duration::from_secs(10),
            headers_max: 64,
            head_bytes_max: 16 << 10,
            close_within: Duration::from_secs(5),
        }
    }
}

/// Serves `router` over HTTP/1.1 until `stop` ends; then requests that have begun may end.
///
/// It does what `axum::serve` does, which has none of these [limits](ServeLimits), and tells the
/// router each client's address ([`ConnectInfo`]). Sockets that become WebSockets leave its care
/// and count no more. Dropping the future drops all others.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    stop: impl Future<Output = ()>,
) {
    let stopping = CancellationToken::new();
    let mut sockets = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_) = sockets.join_next() => {}
            (socket, peer) = accept(&listener), if sockets.len() < limits.sockets_max => {
                let socket = talk(socket, peer, router.clone(), limits.clone(), stopping.clone());
                sockets.spawn(socket);
            }
        }
    }
    drop(listener);
    stopping.cancel();
    let ended = async { while sockets.join_next().await.is_some() {} };
    if timeout(limits.close_within, ended).await.is_err() {
        tracing::debug!("requests that did not end in time are cut");
    }
}

/// The next socket. Errors are those of a client that has gone already, or the machine has no
/// room at the moment; neither is a reason to stop.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections; trying again");
                sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn talk(
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    stopping: CancellationToken,
) {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "small answers to this client will be delayed");
    }
    let service = service_fn(move |request| answer(router.clone(), peer, request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_within)
        .max_headers(limits.headers_max)
        .max_buf_size(limits.head_bytes_max.max(8 << 10))
        .serve_connection(TokioIo::new(socket), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        () = stopping.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        ended = &mut connection => ended,
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended early");
    }
}

async fn answer(
    router: Router,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer));
    router.oneshot(request).await
}
