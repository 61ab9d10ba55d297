//! This file asks the model that the hub chose, and says what kept its endpoint from serving.

use agentcom_core::config::Secret;
use agentcom_core::endpoint::{Api, Fault};
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::wire::Route;

use super::worker::{WithTools, Worker};
use crate::keys::Keys;
use crate::model::{Messages, Model, ModelError, Ollama, Usage};

/// The worker with the model that a route names.
///
/// # Errors
///
/// Why there is none, for people.
pub(super) fn worker(
    route: &Route,
    keys: &Keys,
    context_tokens: u64,
) -> Result<Box<dyn Worker>, String> {
    let model: Box<dyn Model> = match route.api {
        Api::Ollama => {
            let model = Ollama::new(&route.url, &route.model).map_err(|error| error.to_string())?;
            Box::new(model.with_context(context_tokens))
        }
        Api::Messages => {
            let key = match &route.credential {
                Some(credential) => {
                    keys.of(credential).cloned().ok_or_else(|| Keys::missing(credential))?
                }
                // Servers of one's own take any word.
                None => Secret::new("none"),
            };
            let model = Messages::new(&route.url, key, &route.model);
            Box::new(model.map_err(|error| error.to_string())?)
        }
    };
    Ok(Box::new(WithTools(model)))
}

/// How a task ends whose endpoint did not serve it; `None` if the task is to blame.
pub(super) fn unserved(error: &ModelError, usage: Usage) -> Option<JobOutcome> {
    let fault = match error {
        ModelError::Unreachable { .. } | ModelError::Silent(_) | ModelError::Broken(_) => {
            Fault::Unreachable
        }
        ModelError::Busy { .. } => Fault::Busy,
        ModelError::Quota { .. } | ModelError::Spent { .. } => Fault::Quota,
        ModelError::NoModel { .. } | ModelError::NoTools(_) => Fault::NoModel,
        // Whoever does not know the key serves nobody who has it.
        ModelError::Refused { status: 401 | 403, .. } => Fault::Unreachable,
        ModelError::Refused { .. }
        | ModelError::Declined(_)
        | ModelError::NotPaid(_)
        | ModelError::NotRun(_)
        | ModelError::Agent(_)
        | ModelError::TooLong(_)
        | ModelError::Truncated { .. } => return None,
    };
    Some(JobOutcome::Unserved {
        fault,
        error: error.to_string(),
        retry_after: error.retry_after().map(Into::into),
        tokens: Some(usage.total()),
    })
}

/// How a task ends whose route this agent cannot follow.
pub(super) const fn unreached(error: String) -> JobOutcome {
    JobOutcome::Unserved { fault: Fault::Unreachable, error, retry_after: None, tokens: None }
}
