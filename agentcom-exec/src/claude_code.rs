//! This file has the Claude Code CLI do coding tasks: the program itself, without a terminal, with JSON
//! lines over its standard input and output.
//!
//! ```text
//!               ┌─ assistant, user ──▶ live feed, transcript
//! claude, in ───┼─ control_request ──▶ the list of tools: yes or no, at once
//! a sandbox     ├─ rate_limit_event ─▶ until when its credential is spent
//!               └─ result ───────────▶ how it ended, tokens, dollars
//! ```
//!
//! It runs under the guard and in the sandbox, and reaches its API at a [gate] that has its key:
//! it reads what strangers wrote, and so is given nothing to lose.
//! What its tools may do is held by the kernel and not by its promises; the list of tools says what it
//! is to try at all. It loads no settings, hooks, servers or instructions from the repository or from
//! the home of whoever runs the sidecar. What it says of its work does not count: the same commits and
//! checks follow as behind a model of our own.
//!
//! What is spoken was read off version 2.1 of the program.

mod course;
mod gate;
mod line;
mod program;
mod talk;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::config::Secret;
use agentcom_core::ledger::{Payment, Spending};
use agentcom_core::money::{Micros, Usage};
use agentcom_core::port::executor::News;
use agentcom_core::task::Tier;
use async_trait::async_trait;

use crate::agentic::bill::named;
use crate::agentic::{Brief, Ended, How};
use crate::coding::{Bench, Worker, Workers, reach_of_program};
use crate::egress::Destination;
use crate::guard::{GuardCommand, Leftovers};
use crate::model::{ModelError, Patience};
use crate::sandbox::{Network, Sandbox};

use course::Course;
use gate::Gate;
pub use program::{NoProgram, Program};

/// The Claude Code CLI of this machine.
#[derive(Clone, Debug)]
pub struct ClaudeCode {
    /// The program.
    pub program: Program,
    /// Its model for tasks that name none; without one it chooses.
    pub model: Option<String>,
    /// The folder for what it keeps, its login among that; made by `CLAUDE_CONFIG_DIR=… claude`.
    /// Without one nothing is kept, and its credential is a variable. What a task leaves there, the
    /// next one finds, so it is not to be the home of anybody's own `claude`.
    pub state: Option<PathBuf>,
    /// Variables of the environment for it alone: its credential, which it has the use of and does not
    /// see, and where its service is.
    pub env: BTreeMap<String, Secret>,
    /// What it reaches beside the hosts of its API and of its login; or [`Network::Open`].
    pub network: Network,
    /// The tools that it may use, as its `--allowedTools` names them: `Edit`, `Bash(cargo *)`.
    pub tools: Vec<String>,
    /// What a round may cost by its own reckoning; then it stops.
    pub budget: Micros,
    /// How long it is waited for: until it begins, between one line and the next, and in all for each
    /// round. It may be running tests between two lines.
    pub patience: Patience,
}

impl ClaudeCode {
    /// The kind of operation.
    pub const KIND: &str = "claude-code";

    /// The tools that it may use unless said otherwise: those which work on files and run commands in
    /// the sandbox. None reads pages of strangers, and none asks people.
    pub const TOOLS: [&str; 11] = [
        "Bash",
        "BashOutput",
        "Edit",
        "Glob",
        "Grep",
        "KillShell",
        "LS",
        "MultiEdit",
        "Read",
        "TodoWrite",
        "Write",
    ];

    /// What a round may cost unless said otherwise.
    pub const BUDGET: Micros = Micros(10 * Micros::DOLLAR.0);

    /// Variables that name its credential, the one that counts first.
    pub const CREDENTIALS: [&str; 3] =
        ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"];

    /// Where its API is, unless [`ClaudeCode::BASE_URL`] says otherwise.
    pub const API: &str = "https://api.anthropic.com";

    /// Where a login that it keeps is renewed.
    pub const LOGIN: &str = "https://platform.claude.com";

    /// The variable that says where its API is.
    pub const BASE_URL: &str = "ANTHROPIC_BASE_URL";

    /// Variables that are handed on to it where they are set, beside its credential. Those of proxies
    /// count only where the whole network is granted: otherwise the broker is its proxy.
    pub const HANDED_ON: [&str; 6] = [
        Self::BASE_URL,
        "HTTPS_PROXY",
        "HTTP_PROXY",
        "NO_PROXY",
        "NODE_EXTRA_CA_CERTS",
        "SSL_CERT_FILE",
    ];

    /// The CLI with the variables of this process's environment that are meant for it.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let names = Self::CREDENTIALS.into_iter().chain(Self::HANDED_ON);
        let set = names.filter_map(|name| {
            let value = std::env::var(name).ok().filter(|value| !value.trim().is_empty())?;
            Some((name.to_owned(), Secret::new(value.trim())))
        });
        Self {
            program,
            model: None,
            state: None,
            env: set.collect(),
            network: Network::None,
            tools: Self::TOOLS.map(str::to_owned).into(),
            budget: Self::BUDGET,
            patience: Patience {
                first: Duration::from_secs(120),
                next: Duration::from_secs(900),
                whole: Duration::from_secs(2 * 3600),
            },
        }
    }

    /// What it reaches in all. An address of its API that cannot be read grants nothing.
    #[must_use]
    pub fn reaches(&self) -> Network {
        if self.network.is_open() {
            return Network::Open;
        }
        let api = self.env.get(Self::BASE_URL).map_or(Self::API, Secret::reveal);
        let login = self.state.is_some().then_some(Self::LOGIN);
        let own = [Some(api), login].into_iter().flatten();
        let own = own.filter_map(|url| Destination::of_url(url).ok());
        Network::Hosts(own.chain(self.network.hosts().iter().cloned()).collect())
    }

    /// The sandbox for it: that of commands, with what it reaches and its state granted. It may use
    /// more than one command, and runs for longer.
    #[must_use]
    pub fn sandbox(&self, of_commands: &Sandbox) -> Sandbox {
        let Sandbox { level, user, limits, .. } = *of_commands;
        let network = self.reaches();
        Sandbox {
            level: network.level_from(level),
            user,
            network,
            read: [&*of_commands.read, self.program.reads()].concat(),
            write: of_commands.write.iter().chain(&self.state).cloned().collect(),
            limits: limits.for_agent(self.patience.whole),
        }
    }

    /// Whether there is anything that could let it in.
    #[must_use]
    pub fn has_credential(&self) -> bool {
        self.state.is_some() || Self::CREDENTIALS.iter().any(|&name| self.env.contains_key(name))
    }

    /// Whose quota is spent.
    fn credential(&self) -> String {
        let named = Self::CREDENTIALS.into_iter().find(|&name| self.env.contains_key(name));
        match (named, &self.state) {
            (Some(name), _) => name.to_owned(),
            (None, Some(state)) => format!("the login in {}", state.display()),
            (None, None) => "no credential".to_owned(),
        }
    }

    /// What lets it in, if that is a variable.
    pub(crate) fn key(&self) -> Option<Secret> {
        let mut named = Self::CREDENTIALS.into_iter().filter_map(|name| self.env.get(name));
        named.next().cloned()
    }

    /// A gate at which it has the use of its key, if that is a variable. What is behind an outer proxy
    /// it has to reach itself, for which all of the network is granted.
    async fn gate(&self) -> io::Result<Option<Gate>> {
        let by_proxy = self.network.is_open()
            && ["HTTPS_PROXY", "HTTP_PROXY"].iter().any(|&name| self.env.contains_key(name));
        let Some(key) = self.key().filter(|_| !by_proxy) else { return Ok(None) };
        let api = self.env.get(Self::BASE_URL).map_or(Self::API, Secret::reveal);
        Gate::open(api, key).await.map(Some)
    }

    /// The same, but for finding its API at a gate, where a word takes the place of its key.
    fn through(&self, gate: &Gate) -> Self {
        let mut held = self.clone();
        let mut names = Self::CREDENTIALS.into_iter().filter(|&name| self.env.contains_key(name));
        if let Some(name) = names.next() {
            held.env.insert(name.to_owned(), gate.word());
        }
        names.for_each(|name| drop(held.env.remove(name)));
        held.env.insert(Self::BASE_URL.to_owned(), gate.url());
        held
    }

    /// Its command line. What it is to do is not there: others on the machine can read it.
    fn argv(&self, turns: u32) -> Vec<String> {
        let names = self.tools.iter().map(|rule| rule.split('(').next().unwrap_or(rule));
        let names = names.collect::<Vec<_>>().join(",");
        let mut argv = vec![self.program.path().to_string_lossy().into_owned()];
        let mut say = |words: &[&str]| argv.extend(words.iter().map(|&word| word.to_owned()));
        say(&["-p", "--verbose"]);
        say(&["--output-format", "stream-json", "--input-format", "stream-json"]);
        say(&["--permission-prompt-tool", "stdio", "--permission-mode", "default"]);
        say(&["--tools", &names, "--allowedTools", &self.tools.join(",")]);
        let budget = self.budget.to_string();
        let dollars = budget.trim_start_matches('$');
        say(&["--max-turns", &turns.to_string(), "--max-budget-usd", dollars]);
        say(&["--setting-sources", "", "--strict-mcp-config", "--no-session-persistence"]);
        if let Some(model) = &self.model {
            say(&["--model", model]);
        }
        argv
    }

    /// Its environment: that of commands, and what is meant for it alone.
    fn environment(&self, of_commands: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        /// It neither replaces itself nor reports about itself.
        const QUIET: [&str; 2] =
            ["DISABLE_AUTOUPDATER", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"];
        let mut env = of_commands.clone();
        env.extend(QUIET.map(|name| (name.to_owned(), "1".to_owned())));
        env.extend(self.env.iter().map(|(name, value)| (name.clone(), value.reveal().to_owned())));
        if let Some(state) = &self.state {
            env.insert("CLAUDE_CONFIG_DIR".to_owned(), state.to_string_lossy().into_owned());
        }
        env
    }
}

impl Workers for ClaudeCode {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let model = model.map(str::to_owned).or_else(|| self.model.clone());
        Ok(vec![Box::new(Self { model, ..self.clone() })])
    }
}

#[async_trait]
impl Worker for ClaudeCode {
    fn name(&self) -> &str {
        self.model.as_deref().unwrap_or(Self::KIND)
    }

    fn reach(&self) -> Reach {
        // A variable stays outside; what is in the folder it can read.
        reach_of_program(&self.network, self.state.is_some())
    }

    async fn work(&self, brief: &Brief, bench: &Bench<'_>) -> io::Result<Ended> {
        let gate = self.gate().await?;
        let held = gate.as_ref().map_or_else(|| self.clone(), |gate| self.through(gate));
        let cell = held.sandbox(bench.sandbox).around(bench.workspace.path())?;
        let command = GuardCommand {
            argv: held.argv(bench.limits.turns),
            env: held.environment(bench.env),
            cwd: bench.workspace.path().to_owned(),
            stdin: None,
            leftovers: Leftovers::Kill,
            sandbox: Some(cell.policy()),
        };
        let prompt = brief.for_agent(bench.workspace.path());
        let mut course = Course::new(self, bench, &prompt);
        // In the books all of it is one call: what it asks of models is its own affair.
        let model = named(self.name());
        let spending =
            |usage, micros| Spending { model: model.clone(), usage, micros: Some(micros) };
        let at_most = Payment::AtMost(spending(Usage::default(), self.budget));
        if let Err(why) = bench.ctx.pay(at_most).await {
            return Ok(course.ended(How::Failed(ModelError::NotPaid(why))));
        }
        let spawner = &bench.settings.spawner;
        let worked = async {
            let quota = cell.quota().await;
            let talk = spawner.spawn_talk(&command).await?;
            let whole = bench.time_at_most(self.patience.whole);
            let patience = Patience { whole, ..self.patience };
            talk::with(talk, &mut course, &prompt, patience, spawner.grace(), quota).await
        };
        let worked = worked.await;
        let came_to = match &worked {
            Ok(how) => course.came_to(how),
            // It has not begun.
            Err(_) => Some(Default::default()),
        };
        if let Some((usage, micros)) = came_to {
            // Nobody refuses to hear it.
            let _ = bench.ctx.pay(Payment::CameTo(spending(usage, micros))).await;
        }
        let ended = course.ended(worked?);
        if let Some(trace) = ended.trace() {
            bench.ctx.report(News::of_trace(trace));
        }
        Ok(ended)
    }
}
