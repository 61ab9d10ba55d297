//! This file reads the configuration: one TOML file, and the environment above it.

mod confine;
mod foreign;
mod publishing;
mod risk;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use agentcom_core::config::{Secret, SidecarConfig};
use agentcom_core::endpoint::{Calls, ContextTokens, ModelOptions, Think, Tuning};
use agentcom_core::name::{AgentId, Capability};
use agentcom_core::time::Span;
use agentcom_exec::claude_code::{ClaudeCode, Program};
use agentcom_exec::coding::{self, Drafts};
use agentcom_exec::egress::Destination;
use agentcom_exec::keys::Keys;
use agentcom_exec::model::Ollama;
use agentcom_exec::sandbox::{Network, Sandbox};
use agentcom_exec::{github, mcp};
use anyhow::{Context as _, bail};
use serde::{Deserialize, Deserializer};

pub use confine::Confine;
pub use foreign::Foreign;
pub use publishing::Publishing;
pub use risk::Risk;

/// Everything that can be configured.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The hub: `ws://HOST:PORT/ws`, or its HTTP address.
    pub url: String,
    /// The name that the hub knows this agent by.
    agent_id: Option<String>,
    /// What proves that name. A file is safer.
    #[serde(deserialize_with = "secret")]
    token: Option<Secret>,
    /// The file that holds the token.
    token_file: Option<PathBuf>,
    /// A name for people.
    name: Option<String>,
    /// What this agent can do.
    capabilities: Vec<String>,
    /// Free labels.
    labels: BTreeMap<String, String>,
    /// How many tasks it works on at once.
    slots: u32,
    /// How many seconds running work may go on after a signal.
    drain_secs: u64,
    /// Where the journal is.
    pub state_dir: PathBuf,
    /// Shell work.
    pub shell: Shell,
    /// How the commands of shell work are confined; not at all unless said.
    pub sandbox: Option<Confine>,
    /// Coding tasks; none are done unless said.
    pub coding: Option<Code>,
    /// Wake work.
    pub wake: Wake,
    /// Logs.
    pub log: Log,
}

/// Shell work.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shell {
    /// Whether to do it.
    pub enabled: bool,
    /// The directory in which commands run.
    pub root: PathBuf,
}

/// Coding tasks by models. Their commands are confined as `sandbox` says, or else in the strongest
/// sandbox that is proved; where that is one for files only, none are run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Code {
    /// The clone whose remote tasks are done for.
    pub repository: PathBuf,
    /// The Ollama server.
    #[serde(default = "ollama")]
    pub ollama: String,
    /// Its model for tasks that name none; without one, no model of it is asked.
    pub model: Option<String>,
    /// How long worktrees stay that attempts have left, in days.
    #[serde(default = "worktrees_kept_days")]
    pub worktrees_kept_days: u32,
    /// How many tokens models of Ollama servers read and write at once.
    context_tokens: Option<ContextTokens>,
    /// How much they think.
    think: Option<Think>,
    /// How they call tools.
    calls: Option<Calls>,
    /// What is otherwise for some of them, by their names.
    #[serde(default)]
    models: BTreeMap<Box<str>, Options>,
    /// The Claude Code CLI; it does none unless said.
    pub claude_code: Option<Claude>,
    /// Variables of the environment that are handed on to commands.
    #[serde(default)]
    pub env: Vec<String>,
    /// A file with MCP servers, whose tools models have.
    pub mcp: Option<PathBuf>,
    /// Keys to models that the hub chooses: their names, and the variables of the environment that
    /// they are in.
    #[serde(default)]
    keys: BTreeMap<String, String>,
    /// Where GitHub's API is; the token for it is in GITHUB_TOKEN.
    #[serde(default = "github_api")]
    pub github_api: String,
    /// When branches are pushed.
    #[serde(default)]
    pub publishing: Publishing,
    /// Which changes are proposed as drafts.
    #[serde(default)]
    pub drafts: Drafts,
    /// By what it is judged how closely a person should look at a change.
    #[serde(default)]
    pub risk: Risk,
    /// A foreign agent for tasks of the kind `acp`.
    pub acp: Option<Foreign>,
}

/// How a model is asked.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    context_tokens: Option<ContextTokens>,
    think: Option<Think>,
    calls: Option<Calls>,
}

impl From<Options> for ModelOptions {
    fn from(Options { context_tokens, think, calls }: Options) -> Self {
        Self { context_tokens, think, calls }
    }
}

impl Code {
    /// How models of Ollama servers are asked.
    #[must_use]
    pub fn tuning(&self) -> Tuning {
        let Self { context_tokens, think, calls, .. } = *self;
        let models = self.models.iter();
        Tuning {
            all: ModelOptions { context_tokens, think, calls },
            models: models.map(|(model, &options)| (model.clone(), options.into())).collect(),
        }
    }
}

/// Coding tasks by the Claude Code CLI. Its credential is in ANTHROPIC_API_KEY, in
/// CLAUDE_CODE_OAUTH_TOKEN, or in its state.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Claude {
    /// The program, by its name or path.
    pub program: Option<String>,
    /// Its model for tasks that name none; it chooses unless said.
    pub model: Option<String>,
    /// The folder for its login and all that it keeps.
    pub state: Option<PathBuf>,
    /// The hosts that it reaches beside those of its API.
    pub hosts: Vec<Destination>,
    /// Whether it reaches all that this machine reaches.
    pub open_network: bool,
    /// The tools that it may use, in place of the usual ones.
    pub tools: Option<Vec<String>>,
    /// What a round may cost by its own reckoning, in dollars: `"10.00"`.
    pub budget: Option<String>,
}

impl Claude {
    /// The CLI that is meant.
    ///
    /// # Errors
    ///
    /// If there is no such program or folder, or nothing that could let it in.
    pub fn cli(&self) -> anyhow::Result<ClaudeCode> {
        let program = Program::find(self.program.as_deref().unwrap_or(Program::NAME))?;
        let usual = ClaudeCode::new(program);
        let state = self.state.as_ref().map(|state| {
            state.canonicalize().with_context(|| format!("claude_code.state: {}", state.display()))
        });
        let budget = self.budget.as_deref().map(str::parse).transpose();
        let claude = ClaudeCode {
            budget: budget.context("claude_code.budget")?.unwrap_or(usual.budget),
            model: self.model.clone(),
            state: state.transpose()?,
            network: network("coding.claude_code", self.open_network, &self.hosts)?,
            tools: self.tools.clone().unwrap_or_else(|| usual.tools.clone()),
            ..usual
        };
        if !claude.has_credential() {
            let names = ClaudeCode::CREDENTIALS.join(", ");
            bail!("no credential for Claude Code: set one of {names}, or claude_code.state");
        }
        Ok(claude)
    }
}

/// What is granted of the network by the table `name`. All of it has to be said, and is told at the
/// start.
fn network(name: &str, is_open: bool, hosts: &[Destination]) -> anyhow::Result<Network> {
    if !is_open {
        return Ok(Network::of(hosts.to_vec()));
    }
    if !hosts.is_empty() {
        bail!("{name} has hosts and open_network, which grants all; say one of them");
    }
    tracing::warn!("{name}.open_network: what the program reads can leave by it, its secrets too");
    Ok(Network::Open)
}

fn ollama() -> String {
    Ollama::URL.to_owned()
}

const fn worktrees_kept_days() -> u32 {
    coding::Settings::WORKTREES_KEPT_DAYS
}

fn github_api() -> String {
    github::API.to_owned()
}

/// Wake work.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Wake {
    /// The program and its arguments; without it there is no wake work.
    pub command: Vec<String>,
    /// Where the program writes its results: `results` in the state directory unless said.
    pub results_dir: Option<PathBuf>,
}

/// Logs.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// What is logged, such as `info` or `agentcom_core=debug`.
    pub filter: String,
    /// As what.
    pub format: Format,
    /// Also into this file, which is rotated.
    pub file: Option<PathBuf>,
    /// Its length at which it is rotated.
    pub file_bytes_max: u64,
    /// How many older ones are kept.
    pub files_kept: usize,
}

/// As what logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    Text,
    /// For programs: an object a line.
    Json,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: "ws://127.0.0.1:4000/ws".to_owned(),
            agent_id: None,
            token: None,
            token_file: None,
            name: None,
            capabilities: Vec::new(),
            labels: BTreeMap::new(),
            slots: 1,
            drain_secs: 30,
            state_dir: PathBuf::from("agentcom-sidecar"),
            shell: Shell::default(),
            sandbox: None,
            coding: None,
            wake: Wake::default(),
            log: Log::default(),
        }
    }
}

impl Default for Shell {
    fn default() -> Self {
        Self { enabled: true, root: PathBuf::from(".") }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            filter: "info".to_owned(),
            format: Format::Text,
            file: None,
            file_bytes_max: 10 * 1024 * 1024,
            files_kept: 5,
        }
    }
}

/// Looks a variable of the environment up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Settings {
    /// Reads `file`, if there is one, and what `env` says above it.
    ///
    /// # Errors
    ///
    /// The first rule that is broken, and where.
    pub fn load(file: Option<&Path>, env: Env<'_>) -> anyhow::Result<Self> {
        let Some(path) = file else { return Self::parse("", env) };
        let place = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(place)?;
        Self::parse(&text, env).with_context(place)
    }

    /// Reads the `text` of a file, and what `env` says above it.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub fn parse(text: &str, env: Env<'_>) -> anyhow::Result<Self> {
        let mut settings: Self = toml::from_str(text)?;
        settings.overlay(env)?;
        settings.url = websocket(&settings.url);
        Ok(settings)
    }

    fn overlay(&mut self, env: Env<'_>) -> anyhow::Result<()> {
        // A token that the environment gives in either way stands above both of the file's.
        let (token, token_file) = (env("AGENTCOM_TOKEN"), env("AGENTCOM_TOKEN_FILE"));
        if token.is_some() || token_file.is_some() {
            self.token = token.map(|token| Secret::new(token.trim()));
            self.token_file = token_file.map(PathBuf::from);
        }
        self.url = env("AGENTCOM_URL").unwrap_or_else(|| self.url.clone());
        self.agent_id = env("AGENTCOM_AGENT_ID").or_else(|| self.agent_id.take());
        if let Some(dir) = env("AGENTCOM_STATE_DIR") {
            self.state_dir = PathBuf::from(dir);
        }
        if let Some(words) = env("AGENTCOM_CAPABILITIES") {
            let words = words.split(',').map(str::trim).filter(|word| !word.is_empty());
            self.capabilities = words.map(str::to_owned).collect();
        }
        if let Some(slots) = env("AGENTCOM_SLOTS") {
            self.slots = slots.parse().context("AGENTCOM_SLOTS must be a number")?;
        }
        self.log.filter = env("AGENTCOM_LOG").unwrap_or_else(|| self.log.filter.clone());
        match env("AGENTCOM_LOG_FORMAT").as_deref() {
            None => {}
            Some("json") => self.log.format = Format::Json,
            Some("text") => self.log.format = Format::Text,
            Some(other) => bail!("AGENTCOM_LOG_FORMAT is `{other}`; allowed are text and json"),
        }
        Ok(())
    }

    /// Where the journal is.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.state_dir.join("journal")
    }

    /// How commands are confined, if they are.
    ///
    /// # Errors
    ///
    /// If there is to be no sandbox and nobody accepts that, or the user is root.
    pub fn sandbox(&self) -> anyhow::Result<Option<Sandbox>> {
        self.sandbox.as_ref().map(Confine::sandbox).transpose()
    }

    /// The MCP servers for coding tasks.
    ///
    /// # Errors
    ///
    /// If their file cannot be read, or what is wrong in it.
    pub fn mcp(&self, env: Env<'_>) -> anyhow::Result<Vec<mcp::Server>> {
        let file = self.coding.as_ref().and_then(|coding| coding.mcp.as_ref());
        let Some(path) = file else { return Ok(Vec::new()) };
        let place = || path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(place)?;
        mcp::read(&text, env).with_context(place)
    }

    /// How coding tasks are done, if they are.
    ///
    /// # Errors
    ///
    /// If nobody does them.
    pub fn coding(&self) -> anyhow::Result<Option<&Code>> {
        match &self.coding {
            Some(Code { model: None, acp: None, claude_code: None, keys, .. })
                if keys.is_empty() =>
            {
                bail!(
                    "coding needs somebody to do it: set coding.model, or one of the tables coding.acp, coding.claude_code and coding.keys"
                )
            }
            coding => Ok(coding.as_ref()),
        }
    }

    /// The keys to models that the hub chooses.
    ///
    /// # Errors
    ///
    /// The first that cannot be had.
    pub fn keys(&self) -> anyhow::Result<Keys> {
        let named = self.coding.iter().flat_map(|coding| &coding.keys);
        let texts: Vec<_> = named.map(|(name, variable)| format!("{name}={variable}")).collect();
        Ok(Keys::read(texts.iter().map(String::as_str), |name| std::env::var(name).ok())?)
    }

    /// What the core needs to know.
    ///
    /// # Errors
    ///
    /// What is missing or breaks a rule.
    pub fn sidecar(&self) -> anyhow::Result<SidecarConfig> {
        let agent = self.agent_id.as_deref();
        let agent = agent.context("no agent id: set agent_id or AGENTCOM_AGENT_ID")?;
        let mut config = SidecarConfig::new(AgentId::new(agent)?, self.secret()?);
        let capabilities = self.capabilities.iter().map(|word| Capability::new(word));
        config.capabilities = capabilities.collect::<Result<_, _>>()?;
        config.capabilities.extend(self.keys()?.capabilities());
        config.name.clone_from(&self.name);
        config.labels.clone_from(&self.labels);
        config.version = Some(env!("CARGO_PKG_VERSION").to_owned());
        if self.slots == 0 {
            bail!("slots must be at least 1");
        }
        config.slots = self.slots;
        config.drain_within = Span::from_secs(self.drain_secs);
        Ok(config)
    }

    fn secret(&self) -> anyhow::Result<Secret> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let file = self.token_file.as_ref();
        let file =
            file.context("no token: set token_file, AGENTCOM_TOKEN or AGENTCOM_TOKEN_FILE")?;
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        Ok(Secret::new(text.trim()))
    }
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Secret>, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(Some(Secret::new(text.trim())))
}

/// The address of the hub's WebSocket, also where its HTTP address is given.
fn websocket(url: &str) -> String {
    let secure = url.strip_prefix("https://").map(|rest| ("wss", rest));
    let Some((scheme, rest)) = url.strip_prefix("http://").map(|rest| ("ws", rest)).or(secure)
    else {
        return url.to_owned();
    };
    let rest = rest.trim_end_matches('/');
    let path = if rest.contains('/') { "" } else { "/ws" };
    format!("{scheme}://{rest}{path}")
}

#[cfg(test)]
mod tests;
