//! This file says where the models for coding tasks come from, and which is asked first.

use std::fmt;

use agentcom_core::config::Secret;
use agentcom_core::route::{Class, order};
use agentcom_core::task::Tier;

use crate::model::{Messages, Model, Ollama};

/// Where models come from.
pub trait Models: fmt::Debug + Send + Sync {
    /// The models for a task of `tier`, or the one of that name; at least one. The first is asked,
    /// and the next if it cannot be.
    ///
    /// # Errors
    ///
    /// Why there is none, for people.
    fn models(&self, name: Option<&str>, tier: Tier) -> Result<Vec<Box<dyn Model>>, String>;
}

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

impl Models for OllamaModels {
    fn models(&self, name: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Model>>, String> {
        let model = Ollama::new(&self.url, name.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(vec![Box::new(model.with_context(self.context_tokens))])
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

impl Models for MessagesModels {
    fn models(&self, name: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Model>>, String> {
        let model = Messages::new(&self.url, self.key.clone(), name.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        Ok(vec![Box::new(model.with_context(self.context_tokens))])
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

impl Models for Chain {
    fn models(&self, name: Option<&str>, tier: Tier) -> Result<Vec<Box<dyn Model>>, String> {
        if let Some(name) = name {
            let kinds = format!("`{}` or `{}`", OllamaModels::KIND, MessagesModels::KIND);
            return Err(format!("a task that names its model, `{name}`, is of the kind {kinds}"));
        }
        let mut models = Vec::new();
        for class in order(tier) {
            models.extend(match (class, &self.local, &self.cloud) {
                (Class::Local, Some(local), _) => local.models(None, tier)?,
                (Class::Cloud, _, Some(cloud)) => cloud.models(None, tier)?,
                (Class::Local, None, _) | (Class::Cloud, _, None) => Vec::new(),
            });
        }
        if models.is_empty() {
            return Err("there are no models".to_owned());
        }
        Ok(models)
    }
}
