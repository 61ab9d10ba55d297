//! This file reads from the command line with which models an agent does coding tasks.

use std::path::Path;
use std::sync::Arc;

use agentcom_core::port::executor::Executor;
use agentcom_exec::coding::{Coding, OllamaModels, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::github::{self, GitHub};
use agentcom_exec::guard::Spawner;
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::Sandbox;

use crate::command::git::github_token;
use crate::exit::{Exit, Failure};

/// With which models coding tasks are done.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Coder {
    /// Do coding tasks with models of the Ollama server at this address, in the repository that is at
    /// --workdir, always in a sandbox
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = Ollama::URL)]
    pub(crate) ollama: Option<String>,
    /// The model for tasks that name none
    #[arg(long, value_name = "MODEL", default_value = "qwen3:8b")]
    pub(crate) model: String,
    /// How many tokens models read and write at once
    #[arg(long, value_name = "TOKENS", default_value_t = Ollama::CONTEXT_TOKENS, value_parser = clap::value_parser!(u64).range(2048..))]
    pub(crate) context: u64,
    /// Hand a variable of the environment on to commands (repeatable)
    #[arg(long = "env", value_name = "NAME")]
    pub(crate) env: Vec<String>,
    /// Where GitHub's API is
    #[arg(long, value_name = "URL", default_value = github::API, env = "AGENTCOM_GITHUB_API", hide_env_values = true)]
    pub(crate) github_api: String,
    /// The token for it, in place of the environment's.
    #[arg(skip)]
    pub(crate) github_token: Option<String>,
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            ollama: None,
            model: String::new(),
            context: Ollama::CONTEXT_TOKENS,
            env: Vec::new(),
            github_api: github::API.to_owned(),
            github_token: None,
        }
    }
}

impl Coder {
    /// Whether coding tasks are done at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.ollama.is_some()
    }

    /// What commands see of the environment.
    pub(crate) fn environment(&self) -> Environment {
        Environment::inherit(self.env.iter().map(String::as_str))
    }

    /// The executor of coding tasks in the clone at `repository`, with worktrees in `dir`.
    pub(crate) fn executor(
        &self,
        spawner: &Spawner,
        sandbox: Sandbox,
        repository: &Path,
        dir: &Path,
    ) -> Result<Option<Arc<dyn Executor>>, Failure> {
        let Some(url) = &self.ollama else { return Ok(None) };
        let token = self.github_token.clone().or_else(github_token);
        let github = token.map(|token| GitHub::at(&self.github_api, token)).transpose()?;
        let settings = Settings {
            spawner: spawner.clone(),
            sandbox,
            environment: self.environment(),
            repository: repository.to_owned(),
            worktrees: dir.join("worktrees"),
            github,
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            let bad = format_args!("`{url}` is no address of an Ollama server");
            return Err(
                Failure::new(Exit::Usage, bad).hint(format_args!("such as {}", Ollama::URL))
            );
        }
        let models = OllamaModels {
            url: url.clone(),
            model: self.model.clone(),
            context_tokens: self.context,
        };
        Ok(Some(Arc::new(Coding::with_ollama(models, settings))))
    }
}
