//! This file reads from the command line which foreign agent does coding tasks, and what it may.

use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::money::Micros;
use agentcom_exec::acp::{Acp, BadRule, Patience, Permissions, Rule};
use agentcom_exec::egress::Destination;
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::Sandbox;

use crate::command::submit::span;
use crate::confine::{network, no_program, open_network, path_there, there};
use crate::exit::{Exit, Failure};

/// A foreign agent.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Foreign {
    /// Do coding tasks with this program, which speaks the Agent Client Protocol, and its arguments,
    /// ended by `;`; no shell reads them
    #[arg(long, value_name = "PROGRAM", num_args = 1.., allow_hyphen_values = true, value_terminator = ";")]
    acp: Option<Vec<String>>,
    /// Let it reach this host, where its model is, through a broker and at L3: HOST, HOST:PORT, `*.HOST`
    /// or an address; the port is 443 unless said (repeatable)
    #[arg(long = "acp-host", value_name = "HOST[:PORT]", requires = "acp")]
    acp_hosts: Vec<Destination>,
    /// Let it reach all that this machine reaches: whatever it reads can leave by that, also what it is
    /// given with --acp-env and --acp-home
    #[arg(long, requires = "acp", conflicts_with = "acp_hosts")]
    acp_open_network: bool,
    /// Its home, which it may change: made if it is not there; a fresh one for each task unless said
    #[arg(long, value_name = "DIR", requires = "acp")]
    acp_home: Option<PathBuf>,
    /// Let it change what is there, beside the worktree and its home (repeatable)
    #[arg(long, value_name = "PATH", requires = "acp")]
    acp_write: Vec<PathBuf>,
    /// Hand a variable of the environment on to it, such as the key for its model (repeatable)
    #[arg(long, value_name = "NAME", requires = "acp")]
    acp_env: Vec<String>,
    /// Read and write files for it: for one that works elsewhere and does not reach the worktree itself
    #[arg(long, requires = "acp")]
    acp_files: bool,
    /// Log it in by this of its ways, when it wants a login; a task that cannot go on for want of one says
    /// which there are
    #[arg(long, value_name = "METHOD", requires = "acp")]
    acp_auth: Option<String>,
    /// What is said when it asks for permission, such as `fetch=allow`, `execute=ask` or
    /// `other=reject` (repeatable)
    #[arg(long, value_name = "KIND=RULING", value_parser = rule, requires = "acp")]
    acp_permit: Vec<Rule>,
    /// What it may cost in each round, in dollars, as far as it says: reserved before, and needed where
    /// there are caps on what is spent
    #[arg(long, value_name = "DOLLARS", requires = "acp")]
    acp_cost_max: Option<Micros>,
    /// How long people have to answer it before that counts as a no [default: 10m]
    #[arg(long = "acp-ask-within", value_name = "SPAN", value_parser = span, requires = "acp")]
    acp_answer: Option<Duration>,
    /// How long it may say nothing [default: 15m]
    #[arg(long, value_name = "SPAN", value_parser = span, requires = "acp")]
    acp_silence: Option<Duration>,
}

fn rule(text: &str) -> Result<Rule, BadRule> {
    text.parse()
}

impl Foreign {
    /// What whoever starts it should know.
    pub(crate) fn warning(&self) -> Option<String> {
        let program = self.acp.as_ref().filter(|_| self.acp_open_network)?.first()?;
        Some(open_network(program, "--acp-host"))
    }

    /// Whether there is one.
    pub(crate) fn is_wanted(&self) -> bool {
        self.acp.is_some()
    }

    /// The agent, if there is one, in a sandbox that is proved with what it is granted.
    pub(crate) fn agent(
        &self,
        spawner: &Spawner,
        of_commands: &Sandbox,
    ) -> Result<Option<Acp>, Failure> {
        let Some(command) = &self.acp else { return Ok(None) };
        let home = self.acp_home.as_deref().map(made).transpose()?;
        let write = there(&self.acp_write)?;
        let usual = Patience::default();
        let permit = self.acp_permit.iter().copied();
        let acp = Acp {
            network: network(self.acp_open_network, &self.acp_hosts),
            home,
            write,
            cost_max: self.acp_cost_max,
            files: self.acp_files,
            auth: self.acp_auth.clone(),
            env: self.acp_env.clone(),
            permissions: permit.fold(Permissions::default(), Permissions::with),
            patience: Patience {
                answer: self.acp_answer.unwrap_or(usual.answer),
                silence: self.acp_silence.unwrap_or(usual.silence),
                ..usual
            },
            ..Acp::new(command)
        };
        let holds = acp.sandbox(of_commands).check_commands(spawner);
        holds.map_err(|why| no_program("--acp", "--acp-open-network", why))?;
        Ok(Some(acp))
    }
}

/// A folder that is there from now on.
fn made(dir: &Path) -> Result<PathBuf, Failure> {
    std::fs::create_dir_all(dir)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("{}: {error}", dir.display())))?;
    path_there(dir)
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_exec::acp::{Inside, Ruling, ToolKind};
    use agentcom_exec::sandbox::Level;
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Line {
        #[command(flatten)]
        foreign: Foreign,
        #[arg(long)]
        other: bool,
    }

    #[test]
    fn a_program_takes_all_words_up_to_a_semicolon() {
        let line = ["x", "--acp", "npx", "-y", "agent", "--acp", ";", "--other", "--acp-permit"];
        let line = Line::try_parse_from(
            [&line[..], &["fetch=allow", "--acp-ask-within", "5s"], &["--acp-auth", "key"]]
                .concat(),
        );
        let Line { foreign, other } = line.unwrap();
        assert!(other && foreign.is_wanted());
        assert_eq!(foreign.acp.unwrap(), ["npx", "-y", "agent", "--acp"]);
        assert_eq!(foreign.acp_auth.as_deref(), Some("key"));
        assert_eq!(foreign.acp_answer, Some(Duration::from_secs(5)));
        let rules = Permissions::default().with(foreign.acp_permit[0]);
        assert_eq!(rules.rule(ToolKind::Fetch, Inside::Yes), Ruling::Allow);
    }

    #[test]
    fn what_is_granted_is_granted_to_an_agent() {
        for bad in [
            &["x", "--acp-host", "a.example"][..],
            &["x", "--acp", "p", ";", "--acp-permit", "sing=allow"],
        ] {
            assert!(Line::try_parse_from(bad).is_err(), "{bad:?}");
        }
        let of = |more: &[&str]| {
            let line = [&["x", "--acp", "p", ";"], more].concat();
            Line::try_parse_from(line).map(|line| line.foreign)
        };
        let hosts = of(&["--acp-host", "a.example", "--acp-host", "*.b.example:80"]).unwrap();
        assert_eq!((hosts.acp_hosts.len(), hosts.warning()), (2, None));
        let open = of(&["--acp-open-network"]).unwrap().warning().unwrap();
        assert!(open.starts_with("p reaches the whole network"), "{open}");
        assert!(of(&["--acp-open-network", "--acp-host", "a.example"]).is_err());
        let missing = ["x", "--acp", "p", ";", "--acp-write", "/no/such/folder"];
        let foreign = Line::try_parse_from(missing).unwrap().foreign;
        let spawner = Spawner::at("/bin/true");
        let failure = foreign.agent(&spawner, &Sandbox::new(Level::L2)).unwrap_err();
        assert!(failure.message.contains("/no/such/folder"), "{}", failure.message);
    }
}
