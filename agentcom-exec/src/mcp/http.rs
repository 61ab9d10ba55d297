//! This file reaches servers over streamable HTTP.

use std::collections::BTreeMap;
use std::error::Error;

use agentcom_core::config::Secret;
use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::{
    StreamableHttpClientTransportConfig, StreamableHttpError,
};

use super::link::MESSAGE_BYTES_MAX;
use crate::web;

/// How often a request is sent elsewhere.
const REDIRECTS_MAX: usize = 5;

/// How much is told of an answer that is none.
const ERROR_BYTES_MAX: usize = 2048;

/// What carries messages to `url` and back.
pub(super) fn transport(
    url: &Secret,
    headers: &BTreeMap<String, Secret>,
) -> Result<StreamableHttpClientTransport<reqwest::Client>, String> {
    let client = web::client().redirect(Policy::custom(redirect)).build();
    let client = client.map_err(|error| error.to_string())?;
    let headers = headers.iter().map(|(name, value)| header(name, value));
    let headers = headers.collect::<Result<Vec<_>, _>>()?;
    let config = StreamableHttpClientTransportConfig::with_uri(url.reveal())
        .custom_headers(headers.into_iter().collect())
        .max_json_response_size(MESSAGE_BYTES_MAX)
        .max_sse_event_size(MESSAGE_BYTES_MAX)
        .max_error_response_size(ERROR_BYTES_MAX);
    Ok(StreamableHttpClientTransport::with_client(client, config))
}

/// A header, if it is one.
pub(super) fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue), String> {
    let bad = || format!("`{name}` is no name of a header, or its value cannot be sent");
    let header: HeaderName = name.parse().map_err(|_| bad())?;
    let mut value = HeaderValue::from_str(value.reveal()).map_err(|_| bad())?;
    value.set_sensitive(true);
    Ok((header, value))
}

/// What a server said that wants to be shown a token, or another one, if that is what went wrong.
pub(super) fn not_let_in<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a str> {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::AuthRequired(error)) => Some(&error.www_authenticate_header),
        Some(StreamableHttpError::InsufficientScope(error)) => Some(&error.www_authenticate_header),
        // Not all of them say what they want to be shown.
        Some(StreamableHttpError::UnexpectedServerResponse(said))
            if said.starts_with("HTTP 401") || said.starts_with("HTTP 403") =>
        {
            Some(said)
        }
        _ => None,
    }
}

/// What went wrong on the way, in the words of whoever knows.
pub(super) fn told(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<StreamableHttpError<reqwest::Error>>() {
        Some(StreamableHttpError::Client(error)) => chain(error),
        _ => chain(error),
    }
}

/// An error with all that led to it.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Follows to the same server only, which is sent the headers as well, and only as the same request.
fn redirect(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let same = [StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT];
    let from = attempt.previous().last().map(reqwest::Url::origin);
    let is_fine = attempt.previous().len() <= REDIRECTS_MAX
        && same.contains(&attempt.status())
        && from == Some(attempt.url().origin());
    if is_fine { attempt.follow() } else { attempt.stop() }
}
