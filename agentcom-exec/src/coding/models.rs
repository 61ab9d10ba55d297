//! This file says where the models for coding tasks come from, and which is asked first.

use std::sync::Arc;

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Tuning;
use agentcom_core::port::executor::Executor;
use agentcom_core::route::{Class, order};
use agentcom_core::task::Tier;

use super::announced;
use super::routed::Programs;
use super::worker::{WithTools, Worker, Workers};
use super::{Coding, Settings};
use crate::acp::Acp;
use crate::claude_code::ClaudeCode;
use crate::keys::Keys;
use crate::model::{Messages, Ollama, Patience};
use crate::probe::Probe;

/// Models of an Ollama server.
#[derive(Clone, Debug)]
pub struct OllamaModels {
    /// Where it is.
    pub url: String,
    /// The model for tasks that name none.
    pub model: String,
    /// How models are asked.
    pub tuning: Tuning,
    /// How long models may say nothing.
    pub patience: Patience,
}

impl OllamaModels {
    /// The kind of operation.
    pub const KIND: &str = "ollama";
}

impl Workers for OllamaModels {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let name = model.unwrap_or(&self.model);
        let model = Ollama::new(&self.url, name).map_err(|error| error.to_string())?;
        let model = model.with_options(self.tuning.of(name)).with_patience(self.patience);
        Ok(vec![Box::new(WithTools(Box::new(model)))])
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
    /// How long models may say nothing.
    pub patience: Patience,
}

impl MessagesModels {
    /// The kind of operation.
    pub const KIND: &str = "claude";
}

impl Workers for MessagesModels {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let model = Messages::new(&self.url, self.key.clone(), model.unwrap_or(&self.model));
        let model = model.map_err(|error| error.to_string())?;
        let model = model.with_context(self.context_tokens).with_patience(self.patience);
        Ok(vec![Box::new(WithTools(Box::new(model)))])
    }
}

/// Models of all kinds, in the order that the tier of a task calls for.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    /// Those on machines of one's own.
    pub local: Option<OllamaModels>,
    /// Those elsewhere.
    pub cloud: Option<MessagesModels>,
    /// Programs with models of their own, which count as elsewhere, and come behind those.
    pub programs: Programs,
}

impl Chain {
    /// The kind of operation.
    pub const KIND: &str = "code";

    /// All executors of coding tasks, of the kind of each of these models and of [`Chain::KIND`], and
    /// one that looks at endpoints. They have `keys` to the models that the hub chooses, and ask those of
    /// Ollama servers as `tuning` says, where the hub does not.
    #[must_use]
    pub fn executors(
        self,
        settings: &Settings,
        keys: Keys,
        tuning: Tuning,
    ) -> Vec<Arc<dyn Executor>> {
        let place = || settings.clone();
        let Self { local, cloud, programs: Programs { acp, claude_code } } = self.clone();
        let own = [
            local.map(|models| Coding::with_ollama(models, place())),
            cloud.map(|models| Coding::with_messages(models, place())),
            acp.map(|acp| Coding::with_acp(acp, place())),
            claude_code.map(|claude| Coding::with_claude_code(claude, place())),
        ];
        let key = self
            .cloud
            .as_ref()
            .and_then(|cloud| Some((announced::name_of_key(&cloud.key)?, cloud.key.clone())));
        let keys = key.into_iter().fold(keys, |keys, (name, key)| keys.with(name, key));
        let probe = Probe::new(keys.clone());
        let any = Coding::with_chain(self, place()).with_keys(keys, tuning);
        let own = own.into_iter().flatten().chain([any]);
        let own = own.map(|coding| Arc::new(coding) as Arc<dyn Executor>);
        own.chain([Arc::new(probe) as Arc<dyn Executor>]).collect()
    }

    fn sources(&self, class: Class) -> Vec<&dyn Workers> {
        fn one<T: Workers>(source: &Option<T>) -> Option<&dyn Workers> {
            source.as_ref().map(|source| source as &dyn Workers)
        }
        let Programs { acp, claude_code } = &self.programs;
        match class {
            Class::Local => one(&self.local).into_iter().collect(),
            Class::Cloud => {
                [one(&self.cloud), one(claude_code), one(acp)].into_iter().flatten().collect()
            }
        }
    }
}

impl Workers for Chain {
    fn workers(&self, model: Option<&str>, tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        if let Some(name) = model {
            let kinds = [OllamaModels::KIND, MessagesModels::KIND, ClaudeCode::KIND, Acp::KIND];
            let kinds = kinds.map(|kind| format!("`{kind}`")).join(" or ");
            return Err(format!("a task that names its model, `{name}`, is of the kind {kinds}"));
        }
        let mut workers = Vec::new();
        for class in order(tier) {
            for source in self.sources(class) {
                workers.extend(source.workers(None, tier)?);
            }
        }
        Ok(workers)
    }
}
