//! This file reads from the command line with which models an agent does coding tasks.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use agentcom_core::config::Secret;
use agentcom_core::endpoint::Announced;
use agentcom_core::port::executor::Executor;
use agentcom_exec::coding::{Chain, Drafts, MessagesModels, OllamaModels, Programs, Settings};
use agentcom_exec::environment::Environment;
use agentcom_exec::github::{self, GitHub};
use agentcom_exec::guard::Spawner;
use agentcom_exec::host::Host;
use agentcom_exec::keys::Keys;
use agentcom_exec::mcp;
use agentcom_exec::model::{Messages, Ollama, Patience};
use agentcom_exec::sandbox::Sandbox;
use agentcom_exec::transcripts::Transcripts;

use crate::acp::Foreign;
use crate::claude_code;
use crate::command::git::github_token;
use crate::exit::{Exit, Failure};
use crate::ollama::Server;
use crate::print::Printer;
use crate::publishing::Push;
use crate::risk::Risk;
use crate::tuning::Tune;

/// The name of the folder in an agent's directory for all that models say.
pub(crate) const TRANSCRIPTS: &str = "transcripts";

/// With which models coding tasks are done.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Coder {
    /// Do coding tasks with models of the Ollama server at this address, in the repository that is at
    /// --workdir, always in a sandbox
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = Ollama::URL)]
    ollama: Option<String>,
    /// The model for tasks that name none
    #[arg(long, value_name = "MODEL", default_value = "qwen3:8b")]
    model: String,
    #[command(flatten)]
    tune: Tune,
    /// Do coding tasks with models of the server at this address that speaks the Messages API of
    /// Anthropic; the key is in ANTHROPIC_API_KEY
    #[arg(long, value_name = "URL", num_args = 0..=1, default_missing_value = Messages::URL, requires = "claude_model")]
    claude: Option<String>,
    /// Its model for tasks that name none
    #[arg(long, value_name = "MODEL")]
    claude_model: Option<String>,
    #[command(flatten)]
    foreign: Foreign,
    #[command(flatten)]
    claude_code: claude_code::Cli,
    /// Do coding tasks with the models that the hub chooses; see `agentcom endpoint`
    #[arg(long)]
    code: bool,
    /// Have the key that is in a variable of the environment, for models that the hub chooses
    /// (repeatable)
    #[arg(long = "key", value_name = "NAME=VARIABLE")]
    keys: Vec<String>,
    /// Hand a variable of the environment on to commands (repeatable)
    #[arg(long = "env", value_name = "NAME")]
    env: Vec<String>,
    /// Give models the tools of the MCP servers in this file; `agentcom mcp FILE` shows them
    #[arg(long, value_name = "FILE")]
    mcp: Option<PathBuf>,
    /// How many days worktrees stay that attempts have left; then what is not committed there is saved
    /// as a patch
    #[arg(long, value_name = "DAYS", default_value_t = Settings::WORKTREES_KEPT_DAYS)]
    worktrees_kept: u32,
    /// Which changes to propose as drafts: `never`, `partial` for those of tasks that are done in
    /// part, `risky` for those of tier 3 as well, or `always`
    #[arg(long, value_name = "WHICH", default_value = "partial")]
    drafts: Drafts,
    #[command(flatten)]
    push: Push,
    #[command(flatten)]
    risk: Risk,
    /// Where GitHub's API is
    #[arg(long, value_name = "URL", default_value = github::API, env = "AGENTCOM_GITHUB_API", hide_env_values = true)]
    github_api: String,
    /// The token for it, in place of the environment's.
    #[arg(skip)]
    github_token: Option<String>,
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            ollama: None,
            model: String::new(),
            claude: None,
            claude_model: None,
            claude_code: claude_code::Cli::default(),
            tune: Tune::default(),
            foreign: Foreign::default(),
            code: false,
            keys: Vec::new(),
            env: Vec::new(),
            mcp: None,
            worktrees_kept: Settings::WORKTREES_KEPT_DAYS,
            push: Push::default(),
            drafts: Drafts::default(),
            risk: Risk::default(),
            github_api: github::API.to_owned(),
            github_token: None,
        }
    }
}

impl Coder {
    /// The scripted model at `ollama`, and pull requests at `github_api` for whoever has `token`.
    pub(crate) fn scripted(ollama: String, github_api: String, token: &str) -> Self {
        Self {
            ollama: Some(ollama),
            model: "scripted".to_owned(),
            github_api,
            github_token: Some(token.to_owned()),
            ..Self::default()
        }
    }

    /// Whether coding tasks are done at all.
    pub(crate) fn is_wanted(&self) -> bool {
        let models = self.ollama.is_some() || self.claude.is_some() || self.code;
        models || self.foreign.is_wanted() || self.claude_code.is_wanted()
    }

    /// What whoever starts it should know.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        self.foreign.warning().into_iter().chain(self.claude_code.warning())
    }

    /// Tells people what keeps its Ollama server from doing tasks, and then waits for ever. Cancel
    /// safe.
    pub(crate) async fn warn(&self, print: Printer) -> Infallible {
        match self.ollama.clone() {
            Some(url) => {
                let (wanted, tuning) = (vec![self.model.clone()], self.tune.tuning());
                Server { url, wanted, tuning }.warn(print).await
            }
            None => std::future::pending().await,
        }
    }

    /// The keys that the agent has.
    pub(crate) fn keys(&self) -> Result<Keys, Failure> {
        let texts = self.keys.iter().map(String::as_str);
        Keys::read(texts, |name| std::env::var(name).ok())
            .map_err(|bad| Failure::new(Exit::Usage, bad))
    }

    /// What commands see of the environment.
    pub(crate) fn environment(&self) -> Environment {
        Environment::inherit(self.env.iter().map(String::as_str))
    }

    /// The executors of coding tasks in the clone at `repository`, with worktrees in `dir`, and their
    /// models, for the hub to choose among.
    pub(crate) fn executors(
        &self,
        spawner: &Spawner,
        sandbox: Sandbox,
        repository: &Path,
        dir: &Path,
    ) -> Result<(Vec<Arc<dyn Executor>>, Announced), Failure> {
        let token = self.github_token.clone().or_else(github_token);
        let settings = Settings {
            spawner: spawner.clone(),
            sandbox,
            environment: self.environment(),
            repository: repository.to_owned(),
            worktrees: dir.join("worktrees"),
            worktrees_kept: Settings::days(self.worktrees_kept),
            transcripts: Transcripts::at(dir.join(TRANSCRIPTS)),
            github: token.map(|token| GitHub::at(&self.github_api, token)).transpose()?,
            publishing: self.push.publishing(),
            drafts: self.drafts,
            risk: self.risk.rules(),
            mcp: self.mcp.as_deref().map_or(Ok(Vec::new()), servers)?,
            tools: Vec::new(),
        };
        let patience = Patience::default();
        let local = self.ollama.as_deref().map(|url| {
            let (url, model, tuning) = (address(url)?, self.model.clone(), self.tune.tuning());
            Ok::<_, Failure>(OllamaModels { url, model, tuning, patience })
        });
        let cloud = self.claude.as_deref().zip(self.claude_model.clone()).map(|(url, model)| {
            let (url, key) = (address(url)?, key()?);
            let context_tokens = Messages::CONTEXT_TOKENS;
            Ok::<_, Failure>(MessagesModels { url, key, model, context_tokens, patience })
        });
        let programs = Programs {
            acp: self.foreign.agent(spawner, &settings.sandbox)?,
            claude_code: self.claude_code.agent(&settings)?,
        };
        let chain = Chain { local: local.transpose()?, cloud: cloud.transpose()?, programs };
        let models = chain.endpoints(&Host::here().name());
        Ok((chain.executors(&settings, self.keys()?, self.tune.tuning()), models))
    }
}

/// The MCP servers in the file at `path`.
pub(crate) fn servers(path: &Path) -> Result<Vec<mcp::Server>, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format_args!("{}: {why}", path.display()))
            .hint("`agentcom mcp --preset github` prints a file to begin with")
    };
    let text = std::fs::read_to_string(path).map_err(|error| bad(&error))?;
    mcp::read(&text, &|name| std::env::var(name).ok()).map_err(|error| bad(&error))
}

/// The address of a server, which has to look like one.
fn address(url: &str) -> Result<String, Failure> {
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url.to_owned());
    }
    let bad = format_args!("`{url}` is no address of a server");
    Err(Failure::new(Exit::Usage, bad).hint(format_args!("such as {}", Ollama::URL)))
}

/// Who pays for models that cost something.
fn key() -> Result<Secret, Failure> {
    const NAME: &str = "ANTHROPIC_API_KEY";
    let key = std::env::var(NAME).unwrap_or_default();
    let key = key.trim();
    if key.is_empty() {
        let missing = format_args!("{NAME} is not set");
        return Err(Failure::new(Exit::NotAllowed, missing)
            .hint("put the key there; some servers of your own take any word"));
    }
    Ok(Secret::new(key))
}
