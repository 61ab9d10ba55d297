//! This file reads which foreign agent does coding tasks, and what it may.

use std::path::PathBuf;
use std::time::Duration;

use agentcom_exec::acp::{Acp, Patience, Permissions, Rule};
use agentcom_exec::egress::Destination;
use anyhow::{Context as _, bail};
use serde::Deserialize;

/// A program that speaks the Agent Client Protocol.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Foreign {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// Variables of the environment that are handed on to it, such as the key for its model.
    #[serde(default)]
    pub env: Vec<String>,
    /// Its home, which it may change; a fresh one for each task unless said.
    pub home: Option<PathBuf>,
    /// What it may change beside the worktree and its home.
    #[serde(default)]
    pub write: Vec<PathBuf>,
    /// The hosts that it reaches, where its model is.
    #[serde(default)]
    pub hosts: Vec<Destination>,
    /// Whether it reaches all that this machine reaches.
    #[serde(default)]
    pub open_network: bool,
    /// Whether files are read and written for it, since it works elsewhere.
    #[serde(default)]
    pub files: bool,
    /// How it is logged in when it wants a login, by the name of one of the ways that it offers.
    pub auth: Option<String>,
    /// What it may cost in each round, in dollars, as far as it says.
    pub cost_max: Option<String>,
    /// What is said when it asks for permission: `fetch=allow`, `execute=ask`, `other=reject`.
    #[serde(default)]
    pub permissions: Vec<Rule>,
    /// How many seconds people have to answer before that counts as a no.
    #[serde(default = "answer_secs")]
    pub ask_secs: u64,
    /// How many seconds it may say nothing.
    #[serde(default = "silence_secs")]
    pub silence_secs: u64,
}

fn answer_secs() -> u64 {
    Patience::default().answer.as_secs()
}

fn silence_secs() -> u64 {
    Patience::default().silence.as_secs()
}

impl Foreign {
    /// The agent. Its home is made if it is not there.
    ///
    /// # Errors
    ///
    /// If there is no program, a folder is not there, or both all hosts and some are named.
    pub fn agent(&self) -> anyhow::Result<Acp> {
        if self.command.is_empty() {
            bail!("coding.acp.command is empty; it is the program and its arguments");
        }
        if let Some(home) = &self.home {
            std::fs::create_dir_all(home).with_context(|| home.display().to_string())?;
        }
        let there =
            |path: &PathBuf| path.canonicalize().with_context(|| path.display().to_string());
        let permissions = self.permissions.iter().copied();
        Ok(Acp {
            env: self.env.clone(),
            home: self.home.as_ref().map(there).transpose()?,
            write: self.write.iter().map(there).collect::<Result<_, _>>()?,
            network: super::network("coding.acp", self.open_network, &self.hosts)?,
            files: self.files,
            auth: self.auth.clone(),
            cost_max: self.cost_max.as_deref().map(str::parse).transpose()?,
            permissions: permissions.fold(Permissions::default(), Permissions::with),
            patience: Patience {
                answer: Duration::from_secs(self.ask_secs),
                silence: Duration::from_secs(self.silence_secs),
                ..Patience::default()
            },
            ..Acp::new(self.command.clone())
        })
    }
}
