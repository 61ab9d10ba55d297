//! This file is what each request passes first and each response last: host and origin, bounds on
//! the head, the request id, a deadline, the net for panics, and the headers that browsers heed.

use std::any::Any;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, HOST, HeaderName, ORIGIN,
    REFERRER_POLICY, TRANSFER_ENCODING, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument as _;

use crate::Options;
use crate::error::Problem;

/// The most headers of a request.
pub(crate) const HEADERS_MAX: usize = 64;
/// The most bytes of a request's address and headers.
pub(crate) const HEAD_BYTES_MAX: usize = 16 * 1024;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Names a request, in logs, in events and in its response.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(pub(crate) Box<str>);

impl RequestId {
    /// The id that came with a request if it is a plain name, else one of our own.
    fn of(headers: &HeaderMap) -> Self {
        let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let good = |text: &&str| {
            !text.is_empty() && text.len() <= REQUEST_ID_BYTES_MAX && text.bytes().all(plain)
        };
        Self(given.filter(good).map_or_else(random, Into::into))
    }
}

fn random() -> Box<str> {
    let mut bytes = [0; 8];
    // Without entropy requests cannot be told apart in the log, but they are answered.
    let _ = getrandom::fill(&mut bytes);
    format!("req-{:016x}", u64::from_be_bytes(bytes)).into()
}

/// Lets a request in, and stamps its response.
pub(crate) async fn front(
    State(options): State<Arc<Options>>,
    mut request: Request,
    next: Next,
) -> Response {
    let id = RequestId::of(request.headers());
    let span = tracing::info_span!("http", request_id = &*id.0, method = %request.method(), path = request.uri().path());
    let response = match admit(&options, &request) {
        // What follows on the connection may be the rest of what is refused.
        Err(problem) => ([(CONNECTION, "close")], problem).into_response(),
        Ok(()) => {
            request.extensions_mut().insert(id.clone());
            let answering = tokio::time::timeout(options.answer_within, next.run(request));
            let answer = answering.instrument(span.clone()).await;
            answer.unwrap_or_else(|_| Problem::timeout().into_response())
        }
    };
    span.in_scope(|| tracing::debug!(status = response.status().as_u16(), "answered"));
    stamp(response, &id)
}

fn admit(options: &Options, request: &Request) -> Result<(), Problem> {
    let (headers, uri) = (request.headers(), request.uri());
    let host = single(headers, HOST);
    // A proxy's form of the address must not name another host than the header does.
    if uri.authority().is_some_and(|named| Some(named.as_str()) != host) {
        return Err(Problem::foreign("the address and the host header differ"));
    }
    options.allowed.check(host, single(headers, ORIGIN)).map_err(Problem::foreign)?;
    if !has_one_end(headers) {
        return Err(Problem::two_ends());
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if headers.len() > HEADERS_MAX || bytes + address_bytes(uri) > HEAD_BYTES_MAX {
        let most = format!(
            "a request may have {HEADERS_MAX} headers, and {HEAD_BYTES_MAX} bytes before its body"
        );
        return Err(Problem::large_head(&most));
    }
    Ok(())
}

/// Whether everybody who reads a request with these headers finds its end at the same place.
fn has_one_end(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return true };
    coding.as_bytes().eq_ignore_ascii_case(b"chunked")
        && codings.next().is_none()
        && !headers.contains_key(CONTENT_LENGTH)
}

/// The value of a header that must not be there twice; what cannot be trusted reads as empty.
fn single(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    let only = values.next().is_none();
    Some(first.to_str().ok().filter(|_| only).unwrap_or_default())
}

fn address_bytes(uri: &Uri) -> usize {
    uri.path_and_query().map_or(0, |address| address.as_str().len())
}

fn stamp(mut response: Response, id: &RequestId) -> Response {
    let headers = response.headers_mut();
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if let Ok(id) = HeaderValue::from_str(&id.0) {
        headers.insert(REQUEST_ID, id);
    }
    response
}

/// Answers for paths that lead nowhere.
pub(crate) async fn no_route(uri: Uri) -> Problem {
    Problem::no_route(uri.path())
}

/// Answers for methods that a path does not have.
pub(crate) async fn no_method(method: Method) -> Problem {
    Problem::no_method(method.as_str())
}

/// Answers for handlers that panicked.
pub(crate) fn caught(panic: Box<dyn Any + Send>) -> Response {
    Problem::panicked(&*panic).into_response()
}
