//! This file reads from the command line whether the Claude Code CLI does coding tasks, and how.

use std::path::PathBuf;

use agentcom_core::money::Micros;
use agentcom_exec::claude_code::{ClaudeCode, Program};
use agentcom_exec::coding::Settings;
use agentcom_exec::egress::Destination;

use crate::confine::{network, no_program, open_network, there};
use crate::exit::{Exit, Failure};

/// How the Claude Code CLI does coding tasks.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Cli {
    /// Do coding tasks with the Claude Code CLI, a program of this name or path, always in a sandbox of
    /// which only its API can be reached; its credential is in ANTHROPIC_API_KEY or CLAUDE_CODE_OAUTH_TOKEN
    #[arg(long, value_name = "PROGRAM", num_args = 0..=1, default_missing_value = Program::NAME)]
    claude_code: Option<String>,
    /// Its model for tasks that name none
    #[arg(long, value_name = "MODEL", requires = "claude_code")]
    claude_code_model: Option<String>,
    /// The folder for its login and all that it keeps, made by `CLAUDE_CONFIG_DIR=DIR claude`, in place
    /// of a variable; nobody else's `claude` is to use it
    #[arg(long, value_name = "DIR", requires = "claude_code")]
    claude_code_state: Option<PathBuf>,
    /// Let it reach this host beside those of its API: HOST, HOST:PORT, `*.HOST` or an address; the port is
    /// 443 unless said (repeatable)
    #[arg(long = "claude-code-host", value_name = "HOST[:PORT]", requires = "claude_code")]
    claude_code_hosts: Vec<Destination>,
    /// Let it reach all that this machine reaches: whatever it reads can leave by that, its login among it
    #[arg(long, requires = "claude_code", conflicts_with = "claude_code_hosts")]
    claude_code_open_network: bool,
    /// A tool that it may use, such as `Edit` or `Bash(cargo *)`, in place of the usual ones (repeatable)
    #[arg(long, value_name = "RULE", requires = "claude_code")]
    claude_code_tool: Vec<String>,
    /// What a round may cost, in dollars, by its own reckoning
    #[arg(long, value_name = "DOLLARS", requires = "claude_code", default_value_t = ClaudeCode::BUDGET)]
    claude_code_budget: Micros,
}

impl Default for Cli {
    fn default() -> Self {
        Self {
            claude_code: None,
            claude_code_model: None,
            claude_code_state: None,
            claude_code_hosts: Vec::new(),
            claude_code_open_network: false,
            claude_code_tool: Vec::new(),
            claude_code_budget: ClaudeCode::BUDGET,
        }
    }
}

impl Cli {
    /// What whoever starts it should know.
    pub(crate) fn warning(&self) -> Option<String> {
        let program = self.claude_code.as_ref().filter(|_| self.claude_code_open_network)?;
        Some(open_network(program, "--claude-code-host"))
    }

    /// Whether it is to do any.
    pub(crate) fn is_wanted(&self) -> bool {
        self.claude_code.is_some()
    }

    /// The program, if it is wanted; its sandbox is proved with what is granted to it.
    pub(crate) fn agent(&self, settings: &Settings) -> Result<Option<ClaudeCode>, Failure> {
        let Some(name) = &self.claude_code else { return Ok(None) };
        let program = Program::find(name).map_err(|missing| {
            Failure::new(Exit::Usage, missing)
                .hint("install it from https://code.claude.com, or name where it is")
        })?;
        let mut claude = ClaudeCode::new(program);
        claude.model.clone_from(&self.claude_code_model);
        claude.budget = self.claude_code_budget;
        claude.network = network(self.claude_code_open_network, &self.claude_code_hosts);
        claude.state = there(self.claude_code_state.as_slice())?.pop();
        if !self.claude_code_tool.is_empty() {
            claude.tools.clone_from(&self.claude_code_tool);
        }
        if !claude.has_credential() {
            let [key, _, token] = ClaudeCode::CREDENTIALS;
            let missing = format_args!("neither {key} nor {token} is set");
            return Err(Failure::new(Exit::NotAllowed, missing).hint(
                "put a credential there, or name the folder of a login with --claude-code-state",
            ));
        }
        let holds = claude.sandbox(&settings.sandbox).check_commands(&settings.spawner);
        holds.map_err(|why| no_program("--claude-code", "--claude-code-open-network", why))?;
        Ok(Some(claude))
    }
}
