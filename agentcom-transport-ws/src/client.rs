//! This file is the sidecar's end: it reaches the hub over TCP and asks for a WebSocket.

use core::fmt;
use core::time::Duration;
use std::sync::Arc;

use agentcom_core::port::transport::{CloseReason, Connection, Transport, TransportError};
use agentcom_core::time::Span;
use agentcom_core::wire::{Dialect, PROTOCOL};
use async_trait::async_trait;
use axum::http::header::{HeaderValue, RETRY_AFTER, SEC_WEBSOCKET_PROTOCOL};
use axum::http::{StatusCode, Uri};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, error::UrlError};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::limits::Limits;
use crate::link::{self, Queues};

/// Why a URL cannot be a hub's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// It is not a URL.
    #[error("the hub's address is not a URL such as ws://127.0.0.1:4000/ws")]
    Malformed,
    /// It begins with neither `ws://` nor `wss://`.
    #[error("the hub's address must begin with ws:// or wss://")]
    Scheme,
    /// It holds a user or a password.
    #[error("the hub's address must not hold a user or a password; tokens are sent in a frame")]
    Credentials,
}

/// How a client connects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientOptions {
    /// Which rules it follows: v1 asks for the sub-protocol and fails if the hub does not agree.
    pub dialect: Dialect,
    /// How long an attempt may take, from the look-up of the name to the end of the handshake.
    pub connect_within: Duration,
    /// The bounds of each connection.
    pub limits: Limits,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            dialect: Dialect::V1,
            connect_within: Duration::from_secs(10),
            limits: Limits::default(),
        }
    }
}

/// The sidecar's end of the transport. Dropping it closes its connections.
///
/// Redirects are not followed: an address that answers with one is not a hub's.
pub struct WsClient {
    uri: Uri,
    /// Host and port to connect to; IPv6 addresses without their brackets.
    host: String,
    port: u16,
    dialect: Dialect,
    connect_within: Duration,
    limits: Arc<Limits>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl fmt::Debug for WsClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let connections = self.tasks.len();
        f.debug_struct("WsClient")
            .field("uri", &self.uri)
            .field("connections", &connections)
            .finish()
    }
}

impl WsClient {
    /// A client of the hub at `url`, such as `ws://127.0.0.1:4000/ws`. Nothing is connected yet.
    ///
    /// # Errors
    ///
    /// What is wrong with `url`.
    pub fn new(url: &str, options: ClientOptions) -> Result<Self, BadUrl> {
        let uri: Uri = url.parse().map_err(|_| BadUrl::Malformed)?;
        let usual_port = match uri.scheme_str() {
            Some("ws") => 80,
            Some("wss") => {
                // Whoever was first has chosen, and any choice will do.
                let _ = rustls::crypto::ring::default_provider().install_default();
                443
            }
            Some(_) => return Err(BadUrl::Scheme),
            None => return Err(BadUrl::Malformed),
        };
        let authority = uri.authority().ok_or(BadUrl::Malformed)?;
        if authority.as_str().contains('@') {
            return Err(BadUrl::Credentials);
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(usual_port);
        Ok(Self {
            host,
            port,
            uri,
            dialect: options.dialect,
            connect_within: options.connect_within,
            limits: Arc::new(options.limits),
            stop: CancellationToken::new(),
            tasks: TaskTracker::new(),
        })
    }

    /// Connects no more, closes all connections as [`CloseReason::Normal`] after what is queued,
    /// and waits until they have ended: at most [`Limits::close_within`].
    pub async fn shutdown(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    /// Reaches the hub; over TLS, if its address says so, by the certificates that the machine trusts.
    async fn connect(&self) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>, Error> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        let mut request = self.uri.clone().into_client_request()?;
        if self.dialect == Dialect::V1 {
            let protocol = HeaderValue::from_static(PROTOCOL);
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let config = Some(self.limits.websocket());
        Ok(client_async_tls_with_config(request, socket, config, None).await?.0)
    }
}

impl Drop for WsClient {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[async_trait]
impl Transport for WsClient {
    async fn open(&self) -> Result<Connection, TransportError> {
        let connected = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(TransportError::Stopped),
            connected = timeout(self.connect_within, self.connect()) => connected,
        };
        let socket = match connected {
            Ok(Ok(socket)) => socket,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(TransportError::Unreachable(String::from("it took too long"))),
        };
        let (queues, connection) = Queues::open(&self.limits, self.dialect, self.uri.to_string());
        self.tasks.spawn(link::run(socket, queues, self.stop.clone(), CloseReason::Normal));
        Ok(connection)
    }
}

/// What a failed handshake means: a hub that says when to come again is there, and full.
fn failed(error: &Error) -> TransportError {
    match retry_after(error) {
        Some(retry_after) => TransportError::Full { retry_after },
        None => TransportError::Unreachable(explain(error)),
    }
}

/// The seconds in the `Retry-After` of a refusal; dates are not understood.
fn retry_after(error: &Error) -> Option<Span> {
    let Error::Http(response) = error else { return None };
    let status = response.status();
    let full = status == StatusCode::SERVICE_UNAVAILABLE || status == StatusCode::TOO_MANY_REQUESTS;
    let value = response.headers().get(RETRY_AFTER).filter(|_| full)?;
    value.to_str().ok()?.trim().parse().ok().map(Span::from_secs)
}

/// Says for the operator what went wrong.
fn explain(error: &Error) -> String {
    if let Error::Http(response) = error {
        let status = response.status();
        if status.is_redirection() {
            return format!("the hub answered {status}; redirects are not followed");
        }
        return format!("the hub answered {status}");
    }
    if let Error::Url(UrlError::UnableToConnect(_)) = error {
        return String::from("there is nothing at this address");
    }
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_before_anything_is_connected() {
        let check = |url| {
            WsClient::new(url, ClientOptions::default())
                .map(|client| (client.host.clone(), client.port))
        };
        assert_eq!(check("ws://localhost:4000/ws"), Ok((String::from("localhost"), 4000)));
        assert_eq!(check("ws://[::1]:4000/ws"), Ok((String::from("::1"), 4000)));
        assert_eq!(check("ws://hub.example.com/ws"), Ok((String::from("hub.example.com"), 80)));
        assert_eq!(check("wss://hub.example.com/ws"), Ok((String::from("hub.example.com"), 443)));
        assert_eq!(
            check("wss://hub.example.com:4000/ws"),
            Ok((String::from("hub.example.com"), 4000))
        );
        assert_eq!(check("http://localhost:4000/ws"), Err(BadUrl::Scheme));
        assert_eq!(check("localhost:4000"), Err(BadUrl::Malformed));
        assert_eq!(check("/ws"), Err(BadUrl::Malformed));
        assert_eq!(check(""), Err(BadUrl::Malformed));
        assert_eq!(check("ws://user:secret@localhost/ws"), Err(BadUrl::Credentials));
    }
}
