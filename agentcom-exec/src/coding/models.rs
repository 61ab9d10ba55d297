//! This file says where the models for coding tasks come from, and which is asked first.

use agentcom_core::config::Secret;
use agentcom_core::route::{Class, order};
use agentcom_core::task::Tier;

use super::worker::{WithTools, Worker, Workers};
use crate::model::{Messages, Ollama};

/// Models of an Ollama server.
#[derive(Clone, Debug)]
pub struct OllamaModels {
    /// Where it is.
    pub url: String,
    /// The model for tasks that name none.
    pub model: String,
    /// How many tokens models read and write at once.
    pub context_tokens: u64,
}

impl OllamaModels {
    /// The kind of operation.
    pub const KIND: &str = "ollama";
}

impl Workers for OllamaModels {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let model = Ollama::new(&self.url, model.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(vec![Box::new(WithTools(Box::new(model.with_context(self.context_tokens))))])
    }
}

/// Models that are asked by the Messages API of Anthropic.
#[derive(Clone, Debug)]
pub struct MessagesModels {
    /// Where it is.
    pub url: String,
    /// Who pays.
    pub key: Secret,
    /// The model for tasks that name none.
    pub model: String,
    /// How many tokens models read and write at once.
    pub context_tokens: u64,
}

impl MessagesModels {
    /// The kind of operation.
    pub const KIND: &str = "claude";
}

impl Workers for MessagesModels {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let model = Messages::new(&self.url, self.key.clone(), model.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(vec![Box::new(WithTools(Box::new(model.with_context(self.context_tokens))))])
    }
}

/// Models of both kinds, in the order that the tier of a task calls for.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Those on machines of one's own.
    pub local: Option<OllamaModels>,
    /// Those elsewhere.
    pub cloud: Option<MessagesModels>,
}

impl Chain {
    /// The kind of operation.
    pub const KIND: &str = "code";
}

impl Workers for Chain {
    fn workers(&self, model: Option<&str>, tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        if let Some(name) = model {
            let kinds = format!("`{}` or `{}`", OllamaModels::KIND, MessagesModels::KIND);
            return Err(format!("a task that names its model, `{name}`, is of the kind {kinds}"));
        }
        let mut workers = Vec::new();
        for class in order(tier) {
            workers.extend(match (class, &self.local, &self.cloud) {
                (Class::Local, Some(local), _) => local.workers(None, tier)?,
                (Class::Cloud, _, Some(cloud)) => cloud.workers(None, tier)?,
                (Class::Local, None, _) | (Class::Cloud, _, None) => Vec::new(),
            });
        }
        if workers.is_empty() {
            return Err("there are no models".to_owned());
        }
        Ok(workers)
    }
}
