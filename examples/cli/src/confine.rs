//! This file reads from the command line how commands are confined.

use std::path::{Path, PathBuf};

use agentcom_exec::egress::Destination;
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::{
    BadLevel, Level, Limits, Network, NoCommands, Report, Sandbox, TooWeak,
};

use crate::exit::{Exit, Failure};

/// How commands are confined.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Confine {
    /// Confine the commands of shell tasks: L2 by Landlock and seccomp, L3 in namespaces of their own as
    /// well; or L1: run none at all, and let models work on files only
    #[arg(long = "sandbox", value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// Let confined commands read and execute what is there, beside the system's files (repeatable)
    #[arg(long = "sandbox-read", value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Run confined commands as this user, if this is root; the directory has to be that user's
    #[arg(long = "sandbox-user", value_name = "UID", value_parser = clap::value_parser!(u32).range(1..))]
    user: Option<u32>,
    /// How many MiB all files in the directory of a confined command, and its temporary ones, may take
    /// beside those that were there before [default: 2048]
    #[arg(long = "sandbox-disk", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=Limits::MIB_MAX))]
    disk: Option<u64>,
    /// How many MiB of memory a confined command may take, all that it starts among them [default: 4096]
    #[arg(long = "sandbox-memory", value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..=Limits::MIB_MAX))]
    memory: Option<u64>,
    /// How many processes and threads a confined command may be, all that it starts among them
    /// [default: 2048]
    #[arg(long = "sandbox-processes", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    processes: Option<u64>,
}

/// A level that something holds at.
fn level(text: &str) -> Result<Level, String> {
    match text.parse().map_err(|bad: BadLevel| bad.to_string())? {
        Level::L0 => {
            Err("nothing holds at L0; an agent works without a sandbox if it is run with \
                          --i-accept-no-sandbox"
                .to_owned())
        }
        level @ (Level::L1 | Level::L2 | Level::L3) => Ok(level),
    }
}

impl Confine {
    /// Whether a sandbox was asked for by its level.
    pub(crate) fn is_asked(&self) -> bool {
        self.level.is_some()
    }

    /// The sandbox that was asked for, or else, if there has to be one, the strongest, which may be one
    /// for files only; and what was proved of it.
    pub(crate) fn demanded(
        &self,
        spawner: &Spawner,
        has_to_be: bool,
    ) -> Result<Option<(Sandbox, Report)>, Failure> {
        if self.level.is_none() && !has_to_be {
            return Ok(None);
        }
        let proved = self.sandbox()?.proved(self.level, spawner);
        Ok(Some(proved.map_err(|weak| Failure::new(Exit::Failure, weak))?))
    }

    /// None, and what that means.
    pub(crate) fn none(&self, spawner: &Spawner) -> Result<(Sandbox, Report), Failure> {
        let proved = self.sandbox()?.proved(Some(Level::L0), spawner);
        proved.map_err(|weak| Failure::new(Exit::Failure, weak))
    }

    /// The same as it was asked for, with what it `grants`, or else the strongest that is proved.
    pub(crate) fn granting(
        &self,
        grants: &Grants,
        spawner: &Spawner,
    ) -> Result<(Sandbox, Report), Failure> {
        let write = there(&grants.write)?;
        let network = network(grants.open_network, &grants.hosts);
        let sandbox = Sandbox { network, write, ..self.sandbox()? };
        let proved = sandbox.proved(self.level, spawner);
        let (sandbox, report) = proved.map_err(|weak| too_weak(weak, "--open-network"))?;
        let exit = if self.is_asked() { Exit::Usage } else { Exit::Failure };
        sandbox
            .runs_commands()
            .map_err(|only| Failure::new(exit, only).hint(report.why(Level::L2)))?;
        Ok((sandbox, report))
    }

    fn sandbox(&self) -> Result<Sandbox, Failure> {
        let read = there(&self.read)?;
        let usual = Limits::default();
        let limits = self.disk.map_or(usual, |mib| usual.with_disk(mib));
        let limits = self.memory.map_or(limits, |mib| limits.with_memory(mib));
        let limits = Limits { processes: self.processes.unwrap_or(usual.processes), ..limits };
        Ok(Sandbox { read, user: self.user, limits, ..Sandbox::new(Level::L2) })
    }
}

/// What there is to rely on, in clear words.
pub(crate) fn told(report: &Report) -> String {
    if let Some(why) = &report.quarantine {
        return format!("in quarantine, so no commands are run: {why}");
    }
    match report.level {
        Level::L3 | Level::L2 => format!("{}; commands are confined", report.level),
        Level::L1 => format!(
            "L1, for files only: models get no commands, checks that need one are not made, and no shell \
             tasks are taken, since {}",
            report.why(Level::L2)
        ),
        Level::L0 => {
            "none, which was accepted: commands of models and of checks do all that the agent's \
                      user may"
                .to_owned()
        }
    }
}

/// By what commands are confined that are, and as whom; nothing where that was not told.
pub(crate) fn means(report: &Report) -> Option<String> {
    let (abi, user) = (report.landlock_abi?, report.user?);
    Some(format!("Landlock ABI {abi}; commands run as {user}"))
}

/// Why a program cannot do coding tasks in the sandbox that there is, and what to do about it.
/// `open` is the flag that grants it the whole network.
pub(crate) fn no_program(flag: &str, open: &str, why: NoCommands) -> Failure {
    let hosts = match &why {
        NoCommands::TooWeak(weak) => hosts_need_more(weak, open),
        NoCommands::FilesOnly(_) => None,
    };
    Failure::new(Exit::Failure, format_args!("{flag}: {why}")).hint(hosts.unwrap_or_else(|| {
        "`agentcom doctor` says how to have a stronger one; --i-accept-no-sandbox does without, and lets \
         the program do all that this user may"
            .to_owned()
    }))
}

/// What a command is given that others are not.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Grants {
    /// Let the command reach this host, through a broker and at L3: HOST, HOST:PORT, `*.HOST` or an
    /// address; the port is 443 unless said (repeatable)
    #[arg(long = "host", value_name = "HOST[:PORT]")]
    hosts: Vec<Destination>,
    /// Let the command reach all that this machine reaches, and carry there whatever it reads
    #[arg(long, conflicts_with = "hosts")]
    open_network: bool,
    /// Let the command change what is there, beside this directory (repeatable)
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
}

/// What is reached of the network: all, these hosts, or nothing.
pub(crate) fn network(is_open: bool, hosts: &[Destination]) -> Network {
    if is_open { Network::Open } else { Network::of(hosts.to_vec()) }
}

/// What is to be known of a program to which all of the network is granted; `hosts` is the flag that
/// grants less.
pub(crate) fn open_network(program: &str, hosts: &str) -> String {
    format!(
        "{program} reaches the whole network: what it reads can leave by that, its secrets too; {hosts} \
         grants less"
    )
}

/// A sandbox in which hosts are granted that cannot be held to them; `open` is the flag that does
/// without.
pub(crate) fn too_weak(weak: TooWeak, open: &str) -> Failure {
    let hint = hosts_need_more(&weak, open);
    let failure = Failure::new(Exit::Failure, weak);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// What to do where commands can be confined, and cannot be held to hosts.
fn hosts_need_more(weak: &TooWeak, open: &str) -> Option<String> {
    let needs_l3 = weak.demanded >= Level::L3 && weak.report.level >= Level::L2;
    needs_l3.then(|| {
        format!(
            "hosts can be granted by name at L3 only; {open} grants the whole network at L2, and whatever \
             the program reads can leave by it"
        )
    })
}

/// Paths as they are seen from the root; each has to lead somewhere.
pub(crate) fn there(paths: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    paths.iter().map(|path| path_there(path)).collect()
}

/// As [`there`], of one path.
pub(crate) fn path_there(path: &Path) -> Result<PathBuf, Failure> {
    std::fs::canonicalize(path)
        .map_err(|error| Failure::new(Exit::Usage, format_args!("{}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use agentcom_exec::sandbox::Missing;

    #[test]
    fn a_quarantine_is_told_whatever_was_proved() {
        for level in Level::ALL {
            let said = told(&Report::of(level).in_quarantine("2 processes are left".into()));
            assert_eq!(said, "in quarantine, so no commands are run: 2 processes are left");
        }
    }

    #[test]
    fn where_hosts_cannot_be_granted_it_is_said_what_that_takes_and_what_does_without() {
        let weak = |level| {
            let (seen, hint) = ("no namespaces".to_owned(), "allow them".to_owned());
            let missing = vec![Missing { level: Level::L3, seen, hint }];
            let report = Report { missing, ..Report::of(level) };
            too_weak(TooWeak { demanded: Level::L3, report }, "--open-network")
        };
        let failure = weak(Level::L2);
        let said = "the sandbox of this machine holds L2, not L3: no namespaces; allow them";
        assert_eq!(failure.message, said);
        assert!(failure.hint.unwrap().contains("--open-network grants the whole network"));
        // Where nothing is confined, that would not help.
        assert_eq!(weak(Level::L1).hint, None);
    }
}
