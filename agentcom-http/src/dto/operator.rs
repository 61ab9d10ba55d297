//! This file reads what the admin says about operators' tokens, and shows what there are.

use std::collections::BTreeSet;

use agentcom_core::operator::{BadValidity, Issued, Operator, Right, Validity};
use agentcom_core::time::{Span, Wall};
use serde::{Deserialize, Serialize};

use crate::dto::text::NumberOrText;
use crate::error::FieldError;

const VALIDITY: &str = "expires_after_ms";

/// Adds an operator.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorBody {
    pub(crate) name: String,
    rights: Vec<String>,
    expires_after_ms: Option<NumberOrText>,
}

/// Gives an operator another token.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    expires_after_ms: Option<NumberOrText>,
}

impl OperatorBody {
    /// The rights, of which there is at least one, and for how long tokens are valid.
    pub(crate) fn terms(&self) -> Result<(BTreeSet<Right>, Validity), Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut rights = BTreeSet::new();
        for (n, text) in self.rights.iter().enumerate() {
            match text.parse::<Right>() {
                Ok(right) => drop(rights.insert(right)),
                Err(bad) => errors.push(FieldError::invalid(format!("rights[{n}]"), bad)),
            }
        }
        if self.rights.is_empty() {
            errors.push(FieldError::invalid("rights", "must name at least one right"));
        }
        match validity(self.expires_after_ms.as_ref()) {
            Ok(validity) if errors.is_empty() => Ok((rights, validity.unwrap_or(Validity::USUAL))),
            Ok(_) => Err(errors),
            Err(bad) => {
                errors.push(bad);
                Err(errors)
            }
        }
    }
}

impl RotateBody {
    /// For how long the token is valid, if that is said.
    pub(crate) fn validity(&self) -> Result<Option<Validity>, Vec<FieldError>> {
        validity(self.expires_after_ms.as_ref()).map_err(|bad| vec![bad])
    }
}

fn validity(said: Option<&NumberOrText>) -> Result<Option<Validity>, FieldError> {
    let Some(NumberOrText(text)) = said else { return Ok(None) };
    if text == "never" {
        return Ok(Some(Validity::ENDLESS));
    }
    let span = text.parse().map(Span).map_err(|_| BadValidity);
    let validity = span.and_then(Validity::of);
    validity.map(Some).map_err(|bad| FieldError::invalid(VALIDITY, bad))
}

/// An operator as it is listed: its tokens by their fingerprints, and how long they last.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct OperatorView {
    name: String,
    rights: BTreeSet<Right>,
    added_at: Wall,
    tokens: Vec<TokenView>,
}

#[derive(Clone, Debug, Serialize)]
struct TokenView {
    fingerprint: String,
    issued_at: Wall,
    expires_at: Option<Wall>,
    expired: bool,
}

impl OperatorView {
    pub(crate) fn of(operator: Operator, fingerprint: impl Fn(&Issued) -> String) -> Self {
        let view = |token: &Issued| TokenView {
            fingerprint: fingerprint(token),
            issued_at: token.issued_at,
            expires_at: token.expires_at,
            expired: token.expired,
        };
        Self {
            name: operator.id.to_string(),
            rights: operator.rights,
            added_at: operator.added_at,
            tokens: operator.tokens.iter().map(view).collect(),
        }
    }
}
