//! This file alone turns refusals and failures into status codes and problem documents.
//!
//! Problem documents follow RFC 9457 (`application/problem+json`). The members of the original's
//! error bodies (`error`, `errors`, `hint`, `retry_after_ms`) are there as extensions, so that
//! tools written for either find what they look for.

use std::any::Any;

use agentcom_core::command::Rejected;
use agentcom_core::driver::CallError;
use agentcom_core::driver::token::{BadToken, NoEntropy};
use agentcom_core::name::OperatorId;
use agentcom_core::operator::Right;
use agentcom_core::port::store::StoreErrorKind;
use agentcom_core::task::{BadDraft, Refused};
use agentcom_core::time::{Span, Wall};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::{Value, json};

use crate::backups::NoBackup;

/// One field of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct FieldError {
    /// Where it is, such as `tasks[2].priority`.
    pub(crate) field: String,
    /// The kind of mistake: `required`, `wrong_type`, `unknown_field`, `syntax` or
    /// `invalid_value`.
    pub(crate) error: &'static str,
    /// What is wrong with it, for people.
    pub(crate) detail: String,
}

impl FieldError {
    /// A value that breaks a rule.
    pub(crate) fn invalid(field: impl Into<String>, detail: impl ToString) -> Self {
        Self { field: field.into(), error: "invalid_value", detail: detail.to_string() }
    }
}

/// Why a request was not carried out, as the client is told.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Problem(Box<Told>);

#[derive(Clone, Debug, PartialEq)]
struct Told {
    status: StatusCode,
    error: &'static str,
    detail: String,
    hint: Option<&'static str>,
    retry_after: Option<Span>,
    errors: Vec<FieldError>,
    more: Vec<(&'static str, Value)>,
}

/// Where the drafts of a command came from in the body, for the names of fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The body is the draft.
    Body,
    /// The body holds a list `tasks`.
    Batch,
}

impl Problem {
    fn new(status: StatusCode, error: &'static str, detail: impl ToString) -> Self {
        Self(Box::new(Told {
            status,
            error,
            detail: detail.to_string(),
            hint: None,
            retry_after: None,
            errors: Vec::new(),
            more: Vec::new(),
        }))
    }

    fn hint(mut self, hint: &'static str) -> Self {
        self.0.hint = Some(hint);
        self
    }

    fn retry_after(mut self, span: Span) -> Self {
        self.0.retry_after = Some(span);
        self
    }

    fn errors(mut self, errors: Vec<FieldError>) -> Self {
        self.0.errors = errors;
        self
    }

    fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.more.push((name, value.into()));
        self
    }

    /// The word for the problem.
    #[cfg(test)]
    pub(crate) fn error(&self) -> &'static str {
        self.0.error
    }

    /// The status code.
    #[cfg(test)]
    pub(crate) fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The document.
    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "type": format!("urn:agentcom:problem:{}", self.0.error),
            "title": self.0.error.replace('_', " "),
            "status": self.0.status.as_u16(),
            "detail": self.0.detail,
            "error": self.0.error,
        });
        if !self.0.errors.is_empty() {
            document["errors"] = json!(self.0.errors);
        }
        if let Some(hint) = self.0.hint {
            document["hint"] = json!(hint);
        }
        if let Some(span) = self.0.retry_after {
            document["retry_after_ms"] = json!(span);
        }
        for (name, value) in &self.0.more {
            document[*name] = value.clone();
        }
        document
    }
}

/// Requests that cannot be understood.
impl Problem {
    /// Fields are wrong.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let detail = errors.iter().map(|bad| format!("{}: {}", bad.field, bad.detail));
        let detail = detail.collect::<Vec<_>>().join("; ");
        let detail = detail.chars().take(2_000).collect::<String>();
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "validation_failed", detail).errors(errors)
    }

    /// The body is not JSON.
    pub(crate) fn not_json(why: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_json", why)
    }

    /// The body could not be read to its end.
    pub(crate) fn broken_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "incomplete_body", "the body ended early")
    }

    /// The body took too long to arrive.
    pub(crate) fn slow_body() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "slow_body", "the body took too long to arrive")
    }

    /// The body is too long.
    pub(crate) fn too_large(max: usize) -> Self {
        let detail = format!("the body may be at most {max} bytes long");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", detail)
    }

    /// The body is not declared to be JSON.
    pub(crate) fn media_type() -> Self {
        let detail = "the body has to be sent as `content-type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// The body is packed.
    pub(crate) fn packed() -> Self {
        let detail = "the body has to be sent as it is, without a `content-encoding`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
    }

    /// Where the body ends is said in two ways, or in one that is not known.
    pub(crate) fn two_ends() -> Self {
        let detail =
            "say how long the body is by `content-length`, or by `transfer-encoding: chunked`";
        Self::new(StatusCode::BAD_REQUEST, "ambiguous_length", detail)
    }

    /// The head is too large.
    pub(crate) fn large_head(what: &str) -> Self {
        Self::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "headers_too_large", what)
    }

    /// The request comes from a page, or for a host, that is not on the list.
    pub(crate) fn foreign(why: impl ToString) -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign_origin", why).hint(
            "configure the public host name of the hub; pages of other origins are never served",
        )
    }

    /// There is nothing at this path.
    pub(crate) fn no_route(path: &str) -> Self {
        let path: String = path.chars().take(200).collect();
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is nothing at {path}"))
            .hint("GET /api/schemas lists what there is")
    }

    /// There is something else at this path.
    pub(crate) fn no_method(method: &str) -> Self {
        let method: String = method.chars().take(20).collect();
        let detail = format!("{method} is not possible here; the `allow` header says what is");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail)
    }

    /// A thing in the path does not exist, or cannot.
    pub(crate) fn missing(error: &'static str, detail: impl ToString) -> Self {
        Self::new(StatusCode::NOT_FOUND, error, detail)
    }
}

/// Requests of somebody who may not make them.
impl Problem {
    /// Nobody knows who asks.
    pub(crate) fn unauthorized(hint: &'static str) -> Self {
        let detail = "this needs a valid token";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", detail).hint(hint)
    }

    /// The token cannot be one of ours.
    pub(crate) fn bad_token(bad: BadToken) -> Self {
        let mut problem = Self::unauthorized("copy the whole token, from agc_ to its end");
        problem.0.detail = bad.to_string();
        problem
    }

    /// The token is in the address.
    pub(crate) fn token_in_url() -> Self {
        let detail = "addresses end up in logs and histories, so a token in one is refused";
        Self::new(StatusCode::BAD_REQUEST, "token_in_url", detail)
            .hint("send it as `authorization: Bearer <token>`, and replace this one")
    }

    /// The token was valid until then.
    pub(crate) fn expired_token(name: &OperatorId, at: Wall) -> Self {
        let date = i64::try_from(at.0).ok();
        let date = date.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
        let date = date.map_or_else(|| at.0.to_string(), |date| date.to_string());
        let detail = format!("the token `{name}` expired on {date}");
        Self::new(StatusCode::UNAUTHORIZED, "token_expired", detail)
            .hint("POST /api/tokens/{name}/rotate, with the admin token, gives it another")
            .with("name", name.as_str())
            .with("expired_at", at.0)
    }

    /// Whoever asks may not: its token does not have this right, or no right would do.
    pub(crate) fn forbidden(who: impl std::fmt::Display, what: &str, right: Option<Right>) -> Self {
        let hint = match right {
            None => "use the admin token",
            Some(Right::TaskRead) => "use a token with the right task:read, or the admin token",
            Some(Right::TaskSubmit) => "use a token with the right task:submit, or the admin token",
            Some(Right::AdminRead) => "use a token with the right admin:read, or the admin token",
            Some(Right::AdminWrite) => "use a token with the right admin:write, or the admin token",
        };
        let detail = format!("{who} may not {what}");
        let problem = Self::new(StatusCode::FORBIDDEN, "forbidden", detail).hint(hint);
        right.into_iter().fold(problem, |problem, right| problem.with("needs", right.as_str()))
    }
}

/// Failures on our side.
impl Problem {
    /// A bug; the log says more.
    pub(crate) fn internal() -> Self {
        let detail = "something went wrong; the log of the hub says more under this request id";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// As [`Problem::internal`], for a panic, whose text is for the log only.
    pub(crate) fn panicked(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = text.unwrap_or("without text"), "a request handler panicked");
        Self::internal()
    }

    /// The store cannot be read.
    fn store(kind: StoreErrorKind, message: &str) -> Self {
        tracing::error!(?kind, message, "the store cannot be read");
        let detail = "the store cannot be read; the log of the hub says more under this request id";
        match kind {
            StoreErrorKind::Corrupt => {
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "store_corrupt", detail)
                    .hint("this does not mend itself; restore a backup")
            }
            StoreErrorKind::Fenced | StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable", detail)
                    .retry_after(Span::from_secs(1))
            }
        }
    }

    /// It took too long; nobody knows whether it was done.
    pub(crate) fn timeout() -> Self {
        Self::from(CallError::Indeterminate)
    }

    /// As many feeds are open as may be.
    pub(crate) fn too_many_feeds(max: usize) -> Self {
        let detail = format!("{max} event feeds are open, which is the most");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_feeds", detail)
            .retry_after(Span::from_secs(5))
    }

    /// The program that serves the routes makes no backups.
    pub(crate) fn no_backups() -> Self {
        Self::new(StatusCode::NOT_FOUND, "no_backups", "this hub makes no backups")
    }

    /// A backup was asked for, and there is none.
    pub(crate) fn backup_failed(why: &NoBackup) -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "backup_failed", why)
    }

    /// A refusal that names drafts by position.
    pub(crate) fn rejected(rejected: &Rejected, place: Place) -> Self {
        use Rejected as R;
        const UNFIT: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        const CLASH: StatusCode = StatusCode::CONFLICT;
        const ABSENT: StatusCode = StatusCode::NOT_FOUND;
        let at = |index: usize, field: &str| match place {
            Place::Body => field.to_owned(),
            Place::Batch => format!("tasks[{index}].{field}"),
        };
        let dependency =
            |index: usize| vec![FieldError::invalid(at(index, "depends_on"), rejected)];
        match rejected {
            R::Draft { index, bad: BadDraft { field, why } } => {
                Self::fields(vec![FieldError::invalid(at(*index, public_name(field)), why)])
            }
            R::BatchSize { .. } => Self::fields(vec![FieldError::invalid("tasks", rejected)]),
            R::UnknownDependency { index, .. } | R::UnknownSibling { index, .. } => {
                Self::new(UNFIT, "invalid_dependencies", rejected).errors(dependency(*index))
            }
            R::Cycle(positions) => {
                Self::new(UNFIT, "dependency_cycle", rejected).with("cycle", positions.clone())
            }
            R::DeadDependency { index, id, .. } => Self::new(CLASH, "dead_dependency", rejected)
                .errors(dependency(*index))
                .with("task_id", id.to_string()),
            R::KeyConflict { id } => {
                Self::new(CLASH, "idempotency_conflict", rejected).with("task_id", id.to_string())
            }
            R::RateConflict { .. } => Self::new(CLASH, "rate_conflict", rejected),
            R::QueueFull { retry_after } => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", rejected)
                    .retry_after(*retry_after)
            }
            R::UnknownTask(id) => {
                Self::new(ABSENT, "not_found", rejected).with("task_id", id.to_string())
            }
            R::Task { id, refused } => {
                Self::new(CLASH, refusal_word(*refused), rejected).with("task_id", id.to_string())
            }
            R::UnknownAgent(_) => Self::new(ABSENT, "agent_not_found", rejected),
            R::AgentExists(_) => Self::new(CLASH, "agent_exists", rejected)
                .hint("POST /api/admin/agents/{id}/reset-token gives it another token"),
            R::TooManyAgents { .. } => Self::new(CLASH, "too_many_agents", rejected),
            R::UnknownOperator(_) => Self::new(ABSENT, "token_not_found", rejected),
            R::OperatorExists(_) => Self::new(CLASH, "token_exists", rejected)
                .hint("POST /api/tokens/{name}/rotate gives it another secret"),
            R::TooManyOperators { .. } => Self::new(CLASH, "too_many_tokens", rejected),
            R::NotConnected(_) => Self::new(ABSENT, "agent_not_connected", rejected),
            R::UnknownQuestion(_) => Self::new(ABSENT, "question_not_found", rejected),
            R::UnclearAnswer { takes, .. } => {
                Self::new(UNFIT, "unclear_answer", rejected).with("takes", takes.clone())
            }
            R::NoPrice(_) => Self::new(UNFIT, "no_price", rejected)
                .hint("`agentcom price set`, or PUT /api/admin/prices, says what a model costs"),
            R::PriceInUse(_) => Self::new(CLASH, "price_in_use", rejected),
            R::TooManyCaps { .. } => Self::new(CLASH, "too_many_caps", rejected),
            R::BadEndpoint(bad) => Self::fields(vec![FieldError::invalid(bad.field, &bad.why)]),
            R::UnknownEndpoint(_) => Self::new(ABSENT, "endpoint_not_found", rejected),
            R::TooManyEndpoints { .. } => Self::new(CLASH, "too_many_endpoints", rejected),
            R::UnknownRepo(_) => Self::new(ABSENT, "repo_not_found", rejected),
            R::RepoSecret => Self::fields(vec![FieldError::invalid("url", rejected)]),
            R::RepoExists(_) => Self::new(CLASH, "repo_exists", rejected),
            R::TooManyRepos { .. } => Self::new(CLASH, "too_many_repos", rejected),
            R::TooManyExecutors { .. } => Self::new(UNFIT, "too_many_executors", rejected),
            R::BadExecutor(_) => Self::fields(vec![FieldError::invalid("kind", rejected)]),
            R::BadWeight(_) => Self::fields(vec![FieldError::invalid("weight", rejected)]),
            R::NotAllowed(_) => Self::new(StatusCode::FORBIDDEN, "forbidden", rejected),
        }
    }
}

impl From<Rejected> for Problem {
    fn from(rejected: Rejected) -> Self {
        Self::rejected(&rejected, Place::Body)
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        const AWAY: StatusCode = StatusCode::SERVICE_UNAVAILABLE;
        match error {
            CallError::Busy { retry_after } => {
                Self::new(AWAY, "busy", error).retry_after(retry_after)
            }
            CallError::Stopped => Self::new(AWAY, "stopped", error).retry_after(Span::from_secs(1)),
            CallError::Indeterminate => {
                Self::new(StatusCode::GATEWAY_TIMEOUT, "indeterminate", error)
                    .hint("send it again with the same Idempotency-Key")
            }
            CallError::Internal => Self::internal(),
            CallError::Gone { oldest } => {
                Self::new(StatusCode::GONE, "gone", error).with("oldest", oldest)
            }
            CallError::Store { kind, message } => Self::store(kind, &message),
            CallError::BadCursor => Self::fields(vec![FieldError::invalid("cursor", error)]),
        }
    }
}

impl From<NoEntropy> for Problem {
    fn from(error: NoEntropy) -> Self {
        tracing::error!(%error, "no token could be made");
        Self::internal()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.0.status, self.document().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(span) = self.0.retry_after {
            headers.insert(RETRY_AFTER, span.as_millis().div_ceil(1000).max(1).into());
        }
        if self.0.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The word for a refusal; the original knew `invalid_state`.
pub(crate) const fn refusal_word(refused: Refused) -> &'static str {
    match refused {
        Refused::Stale => "stale_generation",
        Refused::NotHolder => "not_holder",
        Refused::Over => "task_over",
        Refused::OutOfTurn => "invalid_state",
    }
}

/// What the API calls a field of a draft.
fn public_name(field: &'static str) -> &'static str {
    match field {
        "attempts_max" => "max_retries",
        "backoff_base" => "backoff_base_ms",
        "backoff_cap" => "backoff_cap_ms",
        "expires_after" => "expires_after_ms",
        "lease_ttl" => "lease_ttl_ms",
        "timeout" => "timeout_ms",
        _ => field,
    }
}

#[cfg(test)]
mod tests;
