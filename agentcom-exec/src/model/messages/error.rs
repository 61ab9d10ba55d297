//! This file says what errors of the API mean, be they answers with a status or events of a stream.
//!
//! | status | type | is it worth another try? |
//! |---|---|---|
//! | 400, 401, 402, 403, 404, 413 | `invalid_request_error`, `authentication_error`, `billing_error`, `permission_error`, `not_found_error`, `request_too_large` | no |
//! | 429 | `rate_limit_error` | yes |
//! | 408, 500, 504, 529 | `api_error`, `timeout_error`, `overloaded_error` | yes |
//!
//! Source: Anthropic's API reference, "Errors".

use serde::Deserialize;

use crate::model::{ModelError, Refused};

/// What went wrong.
#[derive(Debug, Deserialize)]
pub(super) struct Wrong {
    #[serde(rename = "type", default)]
    kind: String,
    message: String,
}

/// What an answer that is none means.
pub(super) fn of_status(refused: Refused, model: &str) -> ModelError {
    #[derive(Deserialize)]
    struct Said {
        error: Wrong,
    }
    let Refused { status, after, text } = refused;
    let said = serde_json::from_str::<Said>(&text);
    let seen = said.map_or(text, |said| said.error.message);
    match status {
        400 if seen.contains("too long") => ModelError::TooLong(seen),
        413 => ModelError::TooLong(seen),
        404 => ModelError::NoModel { model: model.to_owned(), seen },
        429 => ModelError::Quota { of: None, seen, after },
        408 | 500..=599 => ModelError::Busy { seen: format!("{status} {seen}"), after },
        _ => ModelError::Refused { status, seen },
    }
}

/// What an error in the middle of a stream means, whose status was one of success.
pub(super) fn of_kind(Wrong { kind, message }: Wrong, model: &str) -> ModelError {
    let status = match kind.as_str() {
        "rate_limit_error" => 429,
        "overloaded_error" | "api_error" | "timeout_error" => {
            return ModelError::Busy { seen: message, after: None };
        }
        "invalid_request_error" => 400,
        "authentication_error" => 401,
        "billing_error" => 402,
        "permission_error" => 403,
        "not_found_error" => 404,
        "request_too_large" => 413,
        _ => return ModelError::Broken(format!("{kind}: {message}")),
    };
    of_status(Refused { status, after: None, text: message }, model)
}
