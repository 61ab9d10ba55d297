//! This file lets servers answer byte for byte: with whatever they like, and as slowly.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use futures_util::{StreamExt as _, stream};

/// An answer, byte for byte.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Its status.
    pub status: u16,
    /// Its headers.
    pub headers: Vec<(&'static str, String)>,
    /// Its body, in pieces.
    pub pieces: Vec<Bytes>,
    /// How long it waits before each of them.
    pub every: Duration,
    /// What comes after them.
    pub then: Then,
}

/// What comes after the pieces of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The end of the answer.
    Ends,
    /// Nothing, for ever.
    Hangs,
    /// The end of the connection, in the middle of the answer.
    Breaks,
    /// The same pieces again, for ever.
    Repeats,
}

impl Wire {
    /// An answer of success with a body of this type, all of it at once.
    #[must_use]
    pub fn of(mime: &str, text: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            headers: vec![("content-type", mime.to_owned())],
            pieces: vec![text.into()],
            every: Duration::ZERO,
            then: Then::Ends,
        }
    }

    /// With another status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        Self { status, ..self }
    }

    /// With one header more.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// With one piece more.
    #[must_use]
    pub fn and(mut self, piece: impl Into<Bytes>) -> Self {
        self.pieces.push(piece.into());
        self
    }

    /// Byte by byte, with so much time before each.
    #[must_use]
    pub fn dripping(self, every: Duration) -> Self {
        let bytes = self.pieces.concat().into_iter().map(|byte| Bytes::from(vec![byte]));
        Self { pieces: bytes.collect(), every, ..self }
    }

    /// With something else after it than its end.
    #[must_use]
    pub fn and_then(self, then: Then) -> Self {
        Self { then, ..self }
    }

    pub(super) fn into_response(self) -> Response {
        /// What was sent is on its way when the connection ends.
        const BEFORE_BREAKING: Duration = Duration::from_millis(20);
        let Self { status, headers, pieces, every, then } = self;
        let slow = move |piece| async move {
            if !every.is_zero() {
                tokio::time::sleep(every).await;
            }
            piece
        };
        let again = then == Then::Repeats;
        let rounds = if again { usize::MAX } else { pieces.len() };
        let pieces = pieces.into_iter().cycle().take(rounds);
        let pieces = stream::iter(pieces.map(Ok::<_, io::Error>)).then(slow);
        let body = match then {
            Then::Ends | Then::Repeats => Body::from_stream(pieces),
            Then::Hangs => Body::from_stream(pieces.chain(stream::pending())),
            Then::Breaks => {
                let breaks = stream::once(async {
                    tokio::time::sleep(BEFORE_BREAKING).await;
                    Err(io::Error::other("it dies"))
                });
                Body::from_stream(pieces.chain(breaks))
            }
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, body).into_response();
        for (name, value) in headers {
            // What cannot be a header is none.
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}
