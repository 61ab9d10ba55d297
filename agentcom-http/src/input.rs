//! This file reads bodies, queries and path segments, and names each field that is wrong.

use std::str::FromStr;
use std::time::Duration;

use agentcom_core::json::{NUMBER_OUT_OF_RANGE, has_good_numbers};
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Uri};
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;

use crate::auth::App;
use crate::error::{FieldError, Problem};

/// The deepest nesting of arrays and objects in a body.
const DEPTH_MAX: usize = 32;
/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(30);

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Body<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<App> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::media_type());
        }
        parse(&gather(request, app.options.body_bytes_max).await?).map(Self)
    }
}

/// A JSON body that may be left out.
#[derive(Debug)]
pub(crate) struct MaybeBody<T>(pub(crate) T);

impl<T: DeserializeOwned + Default> FromRequest<App> for MaybeBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &App) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        let bytes = gather(request, app.options.body_bytes_max).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        if !is_json {
            return Err(Problem::media_type());
        }
        parse(&bytes).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = declared.unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The whole body, if it is short enough and arrives in time.
async fn gather(request: Request, max: usize) -> Result<Bytes, Problem> {
    let encodings = request.headers().get_all(CONTENT_ENCODING);
    if encodings.iter().any(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(Problem::packed());
    }
    let declared = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    if declared.and_then(|text| text.parse::<usize>().ok()).is_some_and(|bytes| bytes > max) {
        return Err(Problem::too_large(max));
    }
    let mut chunks = request.into_body().into_data_stream();
    let reading = async {
        let mut whole = Vec::new();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Problem::broken_body())?;
            if whole.len() + chunk.len() > max {
                return Err(Problem::too_large(max));
            }
            whole.extend_from_slice(&chunk);
        }
        Ok(Bytes::from(whole))
    };
    tokio::time::timeout(BODY_WITHIN, reading).await.map_err(|_| Problem::slow_body())?
}

/// Reads JSON text; wrong data is told from what is no JSON.
pub(crate) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if is_too_deep(bytes) {
        return Err(Problem::not_json(format!("the body nests deeper than {DEPTH_MAX} levels")));
    }
    // A payload is kept as it is written, so that nobody else would look at its numbers.
    if std::str::from_utf8(bytes).is_ok_and(|text| !has_good_numbers(text)) {
        return Err(Problem::not_json(NUMBER_OUT_OF_RANGE));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(blame)?;
    // Serde would take a list for an object, by position.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(not_an_object());
    }
    reader.end().map_err(Problem::not_json)?;
    Ok(value)
}

/// Whether brackets outside of strings nest too deeply.
fn is_too_deep(bytes: &[u8]) -> bool {
    let (mut in_string, mut escaped, mut depth) = (false, false, 0_usize);
    for byte in bytes {
        if in_string {
            in_string = escaped || *byte != b'"';
            escaped = !escaped && *byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEPTH_MAX {
            return true;
        }
    }
    false
}

fn blame(error: serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let path = error.path().to_string();
    let inner = error.into_inner();
    if !inner.is_data() {
        return Problem::not_json(inner);
    }
    if path == "." && !inner.to_string().contains(" field `") {
        return not_an_object();
    }
    Problem::fields(vec![field_error(&path, &inner.to_string())])
}

fn not_an_object() -> Problem {
    let detail = "expected an object".to_owned();
    Problem::fields(vec![FieldError { field: "body".into(), error: "wrong_type", detail }])
}

/// Turns serde's sentence and path into the field and the kind of mistake.
fn field_error(path: &str, sentence: &str) -> FieldError {
    let detail = without_position(sentence);
    let named = detail.split('`').nth(1).unwrap_or_default();
    let path = if path == "." || path == "?" { "" } else { path };
    let (error, field) = if detail.starts_with("missing field") {
        ("required", join(path, named))
    } else if detail.starts_with("unknown field") {
        // The path ends with the unknown field already.
        ("unknown_field", if path.is_empty() { named.to_owned() } else { path.to_owned() })
    } else if detail.starts_with("duplicate field") {
        ("invalid_value", join(path, named))
    } else if detail.starts_with("invalid type") {
        ("wrong_type", path.to_owned())
    } else {
        ("invalid_value", path.to_owned())
    };
    let field = if field.is_empty() { "body".to_owned() } else { field };
    FieldError { field, error, detail }
}

/// Serde's sentence, in words for people and bounded.
pub(crate) fn without_position(sentence: &str) -> String {
    let detail = sentence.split(" at line ").next().unwrap_or(sentence);
    let detail = detail.replace("expected u64", "expected a whole number from 0");
    let detail = detail.replace("expected u32", "expected a whole number from 0");
    detail.chars().take(1_000).collect()
}

fn join(path: &str, field: &str) -> String {
    if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") }
}

/// The query of a request.
#[derive(Debug)]
pub(crate) struct Query<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequestParts<App> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Problem> {
        query(&parts.uri).map(Self)
    }
}

/// Reads the query of an address.
pub(crate) fn query<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let read = axum::extract::Query::<T>::try_from_uri(uri);
    read.map(|axum::extract::Query(value)| value).map_err(|rejection| {
        let sentence =
            std::error::Error::source(&rejection).map_or_else(String::new, ToString::to_string);
        let (path, detail) = sentence.split_once(": ").unwrap_or(("query", &sentence));
        Problem::fields(vec![field_error(path, detail)])
    })
}

/// The name in a path, of a thing that exists or not.
#[derive(Debug)]
pub(crate) struct Named<T>(pub(crate) T);

impl<T> FromRequestParts<App> for Named<T>
where
    T: FromStr,
    T::Err: ToString,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Problem> {
        let text = Path::<String>::from_request_parts(parts, app).await;
        let Path(text) = text.map_err(|bad| Problem::missing("not_found", bad.body_text()))?;
        let named = text.parse().map(Self);
        named.map_err(|bad: T::Err| Problem::missing("not_found", bad.to_string()))
    }
}

/// The headers of a request.
#[derive(Debug)]
pub(crate) struct Headers(pub(crate) HeaderMap);

impl FromRequestParts<App> for Headers {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, Self::Rejection> {
        Ok(Self(parts.headers.clone()))
    }
}

#[cfg(test)]
mod tests;
