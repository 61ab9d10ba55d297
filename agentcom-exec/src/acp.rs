//! This file has foreign agents do coding tasks: any program that speaks the Agent Client Protocol,
//! version 1, over its standard input and output.
//!
//! ```text
//!              ┌─ session/update ─────────────▶ live feed, transcript
//! agent, in ───┼─ fs/read_…, fs/write_text_file ▶ worktree
//! a sandbox    └─ session/request_permission ─▶ rules ─▶ question to people, with a default
//! ```
//!
//! The agent runs under the guard and in the sandbox, with what is granted to it and nothing else, so
//! that its own tools are held by the kernel and not by its promises. Permission is for what the
//! sandbox cannot judge. What the agent says of its work does not count: the same commits and checks
//! follow as behind a model of our own.
//!
//! Of what the protocol offers, terminals are not: an agent runs commands by itself, in the same
//! sandbox.

mod conversation;
mod desk;
mod error;
mod files;
mod message;
mod permission;
mod story;
mod wire;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::agentic::Reach;
use agentcom_core::ledger::{NotGranted, Payment, Spending};
use agentcom_core::money::Micros;
use agentcom_core::port::executor::News;
use agentcom_core::task::Tier;
use async_trait::async_trait;

use crate::agentic::bill::named;
use crate::agentic::{Brief, Ended, How};
use crate::coding::{Bench, Worker, Workers, reach_of_program};
use crate::guard::{GuardCommand, Leftovers};
use crate::model::{ModelError, Usage};
use crate::sandbox::{Network, Sandbox};

use conversation::Conversation;
pub use error::AcpError;
#[cfg(feature = "stand-in")]
pub use message::messages_in;
pub use permission::{BadRule, Inside, Permissions, Rule, Ruling, ToolKind};

/// How long an agent may take to stop in good order.
const GRACE: Duration = Duration::from_millis(400);

/// A program that speaks the Agent Client Protocol.
#[derive(Clone, Debug)]
pub struct Acp {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Names of variables that are handed on to it from this process's environment, beside what
    /// commands see: the key for its model, for example.
    pub env: Vec<String>,
    /// Its home, which it may change: where its settings are, and who is logged in. A folder of its own
    /// in each task unless said.
    pub home: Option<PathBuf>,
    /// What it may change beside the worktree and its home.
    pub write: Vec<PathBuf>,
    /// What it reaches of the network.
    pub network: Network,
    /// What a turn may cost at most, in each round: that is reserved before, and what it says that it
    /// cost is booked after. Without it there is nothing to reserve, and where there are caps on what
    /// is spent it is not put to work.
    pub cost_max: Option<Micros>,
    /// Whether files are read and written for it, by requests of the protocol. An agent that works where
    /// the worktree is does that itself, and Gemini CLI 0.61 makes no new files where it is offered; one
    /// that works elsewhere has no other way.
    pub files: bool,
    /// How it is logged in, by the id of one of the ways that it offers, when it wants a login.
    pub auth: Option<String>,
    /// What is said when it asks for permission.
    pub permissions: Permissions,
    /// How long it is waited for.
    pub patience: Patience,
}

/// How long an agent is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Until it answers what it is asked at the beginning.
    pub start: Duration,
    /// Between one message and the next; it may be running tests meanwhile.
    pub silence: Duration,
    /// In all, for each round.
    pub whole: Duration,
    /// Until the default counts where it asks for permission and nobody answers.
    pub answer: Duration,
    /// Until it has called its turn off.
    pub call_off: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            start: Duration::from_secs(120),
            silence: Duration::from_secs(900),
            whole: Duration::from_secs(4 * 3600),
            answer: Duration::from_secs(600),
            call_off: Duration::from_secs(5),
        }
    }
}

impl Acp {
    /// The kind of operation.
    pub const KIND: &str = "acp";

    /// The agent that this command line starts, with nothing granted.
    #[must_use]
    pub fn new(command: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            home: None,
            write: Vec::new(),
            network: Network::None,
            cost_max: None,
            files: false,
            auth: None,
            permissions: Permissions::default(),
            patience: Patience::default(),
        }
    }

    /// The name of its program, which others may run.
    fn name(&self) -> String {
        /// They run what their first word names.
        const RUNNERS: [&str; 8] = ["bun", "bunx", "deno", "node", "npx", "python3", "uv", "uvx"];
        let named = |word: &String| {
            let name = Path::new(word).file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let words = self.command.iter().filter(|word| !word.starts_with('-')).map(named);
        let name = words.clone().find(|name| !RUNNERS.contains(&name.as_str()));
        name.or_else(|| words.into_iter().next()).unwrap_or_default()
    }

    /// The sandbox for it: that of commands, and what is granted. It may use more than one command.
    #[must_use]
    pub fn sandbox(&self, of_commands: &Sandbox) -> Sandbox {
        let limits = of_commands.limits.for_agent(self.patience.whole);
        let write = of_commands.write.iter().chain(&self.write).chain(&self.home).cloned();
        let (level, network) = (of_commands.level, self.network.clone());
        Sandbox {
            level: network.level_from(level),
            network,
            write: write.collect(),
            limits,
            ..of_commands.clone()
        }
    }

    /// What it sees of the environment.
    fn environment(&self, of_commands: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let more = self.env.iter();
        let more = more.filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
        let home = self.home.iter().map(|home| ("HOME".to_owned(), home.display().to_string()));
        of_commands.clone().into_iter().chain(more).chain(home).collect()
    }
}

impl Workers for Acp {
    fn workers(&self, model: Option<&str>, _tier: Tier) -> Result<Vec<Box<dyn Worker>>, String> {
        let name = model.map_or_else(|| self.name(), str::to_owned);
        Ok(vec![Box::new(Agent { acp: self.clone(), model: model.map(str::to_owned), name })])
    }
}

/// An agent for one task.
#[derive(Debug)]
struct Agent {
    acp: Acp,
    /// The model that the task names.
    model: Option<String>,
    name: String,
}

#[async_trait]
impl Worker for Agent {
    fn name(&self) -> &str {
        &self.name
    }

    fn grace(&self) -> Duration {
        GRACE
    }

    fn reach(&self) -> Reach {
        let has_secret = !self.acp.env.is_empty() || self.acp.home.is_some();
        reach_of_program(&self.acp.network, has_secret)
    }

    async fn work(&self, brief: &Brief, bench: &Bench<'_>) -> io::Result<Ended> {
        let sandbox = self.acp.sandbox(bench.sandbox);
        let cell = sandbox.around(bench.workspace.path())?;
        let command = GuardCommand {
            argv: self.acp.command.clone(),
            env: self.acp.environment(bench.env),
            cwd: bench.workspace.path().to_owned(),
            stdin: None,
            leftovers: Leftovers::Kill,
            sandbox: Some(cell.policy()),
        };
        let model = named(&self.name);
        let at_most = Spending {
            model: model.clone(),
            usage: Usage { input_tokens: bench.limits.tokens.unwrap_or(0), ..Usage::default() },
            micros: self.acp.cost_max,
        };
        if let Err(why) = bench.ctx.pay(Payment::AtMost(at_most)).await {
            return Ok(not_paid(why));
        }
        let quota = cell.quota().await;
        let talk = bench.settings.spawner.spawn_talk(&command).await?;
        let prompt = brief.for_agent(bench.workspace.path());
        let ended = Conversation::new(self, bench, talk, &prompt, quota).run(&prompt).await;
        // Nobody waits for the books when the task is asked to stop; it counts at its worst then.
        // So does work that broke off: it has not told all.
        let is_told = match &ended.how {
            How::Failed(error) => error.is_free(),
            How::Answered | How::Stopped(_) => true,
        };
        if is_told {
            // Of one that does not say what it cost, that counts which it may cost.
            let micros = ended.cost.or(self.acp.cost_max);
            let came_to = Spending { model, usage: ended.usage, micros };
            tokio::select! {
                () = bench.ctx.cancelled() => {}
                _ = bench.ctx.pay(Payment::CameTo(came_to)) => {}
            }
        }
        if let Some(trace) = ended.trace() {
            bench.ctx.report(News::of_trace(trace));
        }
        Ok(ended)
    }
}

/// The end of work that may not be paid for.
fn not_paid(why: NotGranted) -> Ended {
    Ended::as_of(How::Failed(ModelError::NotPaid(why)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_named_by_its_program_whoever_runs_it() {
        let name = |line: &str| Acp::new(line.split(' ')).name();
        assert_eq!(name("gemini --acp"), "gemini");
        assert_eq!(name("/usr/bin/node /opt/bin/gemini --acp"), "gemini");
        assert_eq!(name("npx -y @zed-industries/claude-code-acp"), "claude-code-acp");
        assert_eq!(name("node"), "node");
    }

    #[test]
    fn an_agent_gets_what_is_granted_and_keeps_what_commands_may() {
        let commands =
            Sandbox { read: vec!["/opt".into()], ..Sandbox::new(crate::sandbox::Level::L3) };
        let bare = Acp::new(["x"]).sandbox(&commands);
        assert_eq!((&bare.read, &bare.write), (&commands.read, &Vec::new()));
        assert!(bare.network.is_none());
        let (home, write) = (Some("/home/agent".into()), vec!["/cache".into()]);
        let network = Network::of(vec!["api.example.org".parse().unwrap()]);
        let acp = Acp { network: network.clone(), home, write, ..Acp::new(["x"]) };
        let granted = acp.sandbox(&commands);
        assert_eq!(granted.write, [PathBuf::from("/cache"), "/home/agent".into()]);
        assert_eq!((&granted.network, granted.level), (&network, commands.level));
        // Named hosts cannot be held to at L2, so it is put into a stronger one.
        let weak = Sandbox::new(crate::sandbox::Level::L2);
        assert_eq!(acp.sandbox(&weak).level, crate::sandbox::Level::L3);
        assert_eq!(Acp::new(["x"]).sandbox(&weak).level, crate::sandbox::Level::L2);
        let env = acp.environment(&[("HOME".to_owned(), "/root".to_owned())].into());
        assert_eq!(env["HOME"], "/home/agent");
    }
}
