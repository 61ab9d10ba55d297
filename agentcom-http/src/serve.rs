//! This file serves a router on a listener, with the bounds that keep slow and greedy clients from
//! harming others, and ends within a bound.

mod client;
mod flow;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tower::ServiceExt as _;

use crate::front::{HEAD_BYTES_MAX, HEADERS_MAX};
use flow::Flowing;

/// The bounds of a server.
#[derive(Clone, Debug)]
pub struct Serving {
    /// The most connections at once; more wait to be accepted.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive; an idle connection is closed as well
    /// after this time.
    pub head_within: Duration,
    /// How long a client may take to read at least some of what it is sent.
    pub write_within: Duration,
    /// How long connections may take to finish what they do when the server stops.
    pub stop_within: Duration,
    /// From where proxies ask that are believed when they say for whom: by `X-Forwarded-For`, of which the last
    /// address counts that is none of these.
    pub trusted_proxies: Arc<[IpAddr]>,
}

impl Default for Serving {
    fn default() -> Self {
        Self {
            connections_max: 20_000,
            head_within: Duration::from_secs(10),
            write_within: Duration::from_secs(30),
            stop_within: Duration::from_secs(5),
            trusted_proxies: Arc::default(),
        }
    }
}

/// Serves `router` until `stop` is ready, then lets open requests finish for a while, and returns
/// when no connection is left.
///
/// HTTP/1.1 only. The address of a client is an extension of its requests
/// (`ConnectInfo<SocketAddr>`), also behind a proxy that is trusted. Connections that were upgraded, to a WebSocket for instance, belong
/// to whoever upgraded them: end those first.
///
/// Dropping the future closes all connections at once.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    stop: impl Future<Output = ()>,
    serving: Serving,
) {
    let (stopping, stopped) = watch::channel(false);
    let places = Arc::new(Semaphore::new(serving.connections_max));
    let mut connections = JoinSet::new();
    let mut stop = pin!(stop);
    loop {
        // Ended connections are taken out on the way, so that the set stays as small as it can.
        while connections.try_join_next().is_some() {}
        let (stream, address, place) = tokio::select! {
            biased;
            () = &mut stop => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let service = service(router.clone(), address, serving.trusted_proxies.clone());
        let connection = connect(stream, service, serving.clone(), stopped.clone());
        connections.spawn(async move {
            connection.await;
            drop(place);
        });
    }
    drop(listener);
    // Nobody listens if there is no connection, which is fine.
    let _ = stopping.send(true);
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(serving.stop_within, all).await.is_err() {
        tracing::info!(left = connections.len(), "connections are closed before their end");
        connections.shutdown().await;
    }
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, address)) => return (stream, address, place),
            Err(error) if is_about_one_connection(&error) => {}
            Err(error) => {
                // Most likely there are no file descriptors left; some will be soon.
                tracing::warn!(%error, "no connection can be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn connect(
    stream: TcpStream,
    service: impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
    + Send,
    serving: Serving,
    mut stopped: watch::Receiver<bool>,
) {
    let stream = Flowing::new(stream, serving.write_within);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(serving.head_within)
        .max_headers(HEADERS_MAX)
        .max_buf_size(2 * HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { let _ = stopped.wait_for(|stopped| *stopped).await; } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The router as hyper asks it, for one client.
fn service(
    router: Router,
    peer: SocketAddr,
    trusted: Arc<[IpAddr]>,
) -> impl Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send {
    service_fn(move |request: Request<Incoming>| {
        let mut request = request.map(Body::new);
        let address = client::address(peer, request.headers(), &trusted);
        request.extensions_mut().insert(ConnectInfo(address));
        router.clone().oneshot(request)
    })
}

#[cfg(test)]
mod tests;
