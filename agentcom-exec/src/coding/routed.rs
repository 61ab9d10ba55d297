//! This file asks the model that the hub chose, and says what kept its endpoint from serving.

use agentcom_core::config::Secret;
use agentcom_core::endpoint::{Api, ContextTokens, Endpoint, Fault, Tuning};
use agentcom_core::ledger::NotGranted;
use agentcom_core::port::executor::JobOutcome;
use agentcom_core::task::Tier;
use agentcom_core::wire::Route;

use super::worker::{WithTools, Worker, Workers};
use crate::acp::Acp;
use crate::claude_code::ClaudeCode;
use crate::keys::Keys;
use crate::model::{Messages, Model, ModelError, Ollama, Usage};

/// What an agent has for the models that the hub chooses.
#[derive(Clone, Debug)]
pub(super) struct Means {
    /// Keys to servers.
    pub(super) keys: Keys,
    /// How models of Ollama servers are asked, where the hub does not say.
    pub(super) tuning: Tuning,
    /// Programs that have models of their own.
    pub(super) programs: Programs,
}

/// Programs of an agent that have models of their own.
#[derive(Clone, Debug, Default)]
pub struct Programs {
    /// One that speaks the Agent Client Protocol.
    pub acp: Option<Acp>,
    /// The Claude Code CLI.
    pub claude_code: Option<ClaudeCode>,
}

impl Programs {
    fn of(&self, api: Api) -> Option<&dyn Workers> {
        match api {
            Api::Ollama | Api::Messages => None,
            Api::ClaudeCode => self.claude_code.as_ref().map(|claude| claude as &dyn Workers),
            Api::Acp => self.acp.as_ref().map(|acp| acp as &dyn Workers),
        }
    }
}

/// The workers with the model that a route names.
///
/// # Errors
///
/// Why there is none, for people.
pub(super) fn workers(
    route: &Route,
    tier: Tier,
    means: &Means,
) -> Result<Vec<Box<dyn Worker>>, String> {
    let model: Box<dyn Model> = match route.api {
        Api::ClaudeCode | Api::Acp => {
            let program = means.programs.of(route.api);
            let program = program.ok_or("this agent does not have the program")?;
            let named = Some(&*route.model).filter(|model| *model != Endpoint::OWN);
            return program.workers(named, tier);
        }
        Api::Ollama => {
            let model = Ollama::new(&route.url, &route.model).map_err(|error| error.to_string())?;
            Box::new(model.with_options(route.options.or(means.tuning.of(&route.model))))
        }
        Api::Messages => {
            let key = match &route.credential {
                Some(credential) => {
                    let key = means.keys.of(credential).cloned();
                    key.ok_or_else(|| Keys::missing(credential))?
                }
                // Servers of one's own take any word.
                None => Secret::new("none"),
            };
            let model = Messages::new(&route.url, key, &route.model);
            let model = model.map_err(|error| error.to_string())?;
            let context = route.options.context_tokens.map(ContextTokens::get);
            Box::new(model.with_context(context.unwrap_or(Messages::CONTEXT_TOKENS)))
        }
    };
    Ok(vec![Box::new(WithTools(model))])
}

/// How a task ends whose endpoint did not serve it; `None` if the task is to blame, or this agent.
pub(super) fn unserved(api: Api, error: &ModelError, usage: Usage) -> Option<JobOutcome> {
    Some(JobOutcome::Unserved {
        fault: fault(api, error)?,
        error: error.to_string(),
        retry_after: error.retry_after().map(Into::into),
        tokens: Some(usage.total()),
    })
}

/// Whether a task goes on later or elsewhere whose endpoint does not serve it to its end. What nobody
/// pays for any more ends with what was done.
pub(super) fn goes_on(api: Api, error: &ModelError) -> bool {
    fault(api, error).is_some_and(|fault| fault != Fault::NotPaid)
}

/// What kept an endpoint from serving; `None` if the task is to blame, or this agent.
fn fault(api: Api, error: &ModelError) -> Option<Fault> {
    Some(match error {
        // That one agent cannot run it says nothing of the program that others have, and which
        // models it knows nobody has said.
        ModelError::NotRun(_) | ModelError::NoModel { .. } if api.program().is_some() => {
            return None;
        }
        ModelError::Unreachable { .. } => Fault::Unreachable,
        ModelError::Silent(_) | ModelError::Unfinished(_) | ModelError::Broken(_) => Fault::Broken,
        ModelError::Busy { .. } => Fault::Busy,
        ModelError::Quota { .. } => Fault::Quota,
        ModelError::Agent(error) if error.is_quota() => Fault::Quota,
        ModelError::NoModel { .. } | ModelError::NoTools(_) => Fault::NoModel,
        // Whoever does not know the key serves nobody who has it.
        ModelError::Refused { status: 401 | 403, .. } => Fault::Unreachable,
        ModelError::Counted { error, .. } => return fault(api, error),
        ModelError::NotPaid(NotGranted::Superseded | NotGranted::Unheard) => return None,
        ModelError::NotPaid(_) => Fault::NotPaid,
        ModelError::Refused { .. }
        | ModelError::Agent(_)
        | ModelError::NotRun(_)
        | ModelError::ThreeOfThree(_)
        | ModelError::Declined(_)
        // It was asked for what it cannot do.
        | ModelError::NoThinking(_)
        | ModelError::TooLong(_)
        | ModelError::Truncated { .. } => return None,
    })
}

/// How a task ends whose route this agent cannot follow.
pub(super) fn unreached(api: Api, error: String) -> JobOutcome {
    if api.program().is_some() {
        return JobOutcome::retryable(error);
    }
    JobOutcome::Unserved { fault: Fault::Unreachable, error, retry_after: None, tokens: None }
}
