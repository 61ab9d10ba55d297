//! This file reads the request that opens a WebSocket and writes the answer (RFC 6455, 4.2).

use agentcom_core::origin::Foreign;
use agentcom_core::wire::{Dialect, PROTOCOL};
use axum::body::Body;
use axum::http::header::{
    CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
    UPGRADE,
};
use axum::http::request::Parts;
use axum::http::{Method, Response, StatusCode, Version};
use axum::response::IntoResponse;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request that is as it must be.
#[derive(Debug)]
pub(super) struct Handshake {
    accept: String,
    dialect: Dialect,
}

/// Why there is no WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(transparent)]
    Foreign(#[from] Foreign),
    #[error("this path speaks WebSocket: GET with `Upgrade: websocket` over HTTP/1.1")]
    NotUpgrade,
    #[error("this path speaks WebSocket version 13")]
    Version,
    #[error("the Sec-WebSocket-Key is not 16 bytes in Base64")]
    Key,
    #[error("this connection cannot change its protocol")]
    NotUpgradable,
    #[error("there is no room for another connection")]
    Full,
    #[error("the hub stops")]
    Stopping,
    #[error("too many bad requests")]
    TooMany,
}

impl Handshake {
    pub(super) fn read(request: &Parts) -> Result<Self, Refusal> {
        let headers = &request.headers;
        let upgrades = request.method == Method::GET
            && request.version == Version::HTTP_11
            && lists(headers, &CONNECTION, "upgrade")
            && lists(headers, &UPGRADE, "websocket");
        if !upgrades {
            return Err(Refusal::NotUpgrade);
        }
        if headers.get(SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Refusal::Version);
        }
        let key = headers.get(SEC_WEBSOCKET_KEY).ok_or(Refusal::Key)?.as_bytes();
        if !is_key(key) {
            return Err(Refusal::Key);
        }
        let v1 = lists(headers, &SEC_WEBSOCKET_PROTOCOL, PROTOCOL);
        let dialect = if v1 { Dialect::V1 } else { Dialect::Plain };
        Ok(Self { accept: derive_accept_key(key), dialect })
    }

    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }
}

impl IntoResponse for Handshake {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(accept) = HeaderValue::try_from(self.accept) {
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
        if self.dialect == Dialect::V1 {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
        }
        response
    }
}

impl Refusal {
    /// Whether the client did something wrong.
    pub(super) const fn is_fault(self) -> bool {
        match self {
            Self::Foreign(_)
            | Self::NotUpgrade
            | Self::Version
            | Self::Key
            | Self::NotUpgradable
            | Self::TooMany => true,
            Self::Full | Self::Stopping => false,
        }
    }

    const fn status(self) -> StatusCode {
        match self {
            Self::Foreign(_) => StatusCode::FORBIDDEN,
            Self::NotUpgrade | Self::Version => StatusCode::UPGRADE_REQUIRED,
            Self::Key | Self::NotUpgradable => StatusCode::BAD_REQUEST,
            Self::Full | Self::Stopping => StatusCode::SERVICE_UNAVAILABLE,
            Self::TooMany => StatusCode::TOO_MANY_REQUESTS,
        }
    }
}

impl IntoResponse for Refusal {
    /// A problem document (RFC 9457); none when it is about too many of them.
    fn into_response(self) -> Response<Body> {
        let status = self.status();
        let body = match self == Self::TooMany {
            true => Body::empty(),
            false => Body::from(problem(status, &self.to_string())),
        };
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UPGRADE_REQUIRED {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade, close"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        if !self.is_fault() || self == Self::TooMany {
            headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn problem(status: StatusCode, detail: &str) -> String {
    let title = status.canonical_reason().unwrap_or("Refused");
    let code = status.as_u16();
    serde_json::json!({
        "type": "about:blank", "title": title, "status": code, "detail": detail, "error": detail,
    })
    .to_string()
}

/// Whether a header that is a list of words holds `word`, in whatever case.
fn lists(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(word))
}

/// Whether this is 16 bytes in Base64: 22 of its characters and the padding.
fn is_key(key: &[u8]) -> bool {
    let digit = |c: &u8| c.is_ascii_alphanumeric() || b"+/".contains(c);
    key.len() == 24 && key.ends_with(b"==") && key[..22].iter().all(digit)
}
