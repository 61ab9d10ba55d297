//! This file reads from the command line how commands are confined.

use std::path::{Path, PathBuf};

use agentcom_exec::egress::Destination;
use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::{BadLevel, Level, Network, Report, Sandbox, TooWeak};

use crate::exit::{Exit, Failure};

/// How commands are confined.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Confine {
    /// Confine the commands of shell tasks: L2 by Landlock and seccomp, L3 in namespaces of their own as well
    #[arg(long = "sandbox", value_name = "LEVEL", value_parser = level)]
    level: Option<Level>,
    /// Let confined commands read and execute what is there, beside the system's files (repeatable)
    #[arg(long = "sandbox-read", value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Run confined commands as this user, if this is root; the directory has to be that user's
    #[arg(long = "sandbox-user", value_name = "UID", value_parser = clap::value_parser!(u32).range(1..))]
    user: Option<u32>,
}

/// A level at which commands can be run.
fn level(text: &str) -> Result<Level, String> {
    match text.parse().map_err(|bad: BadLevel| bad.to_string())? {
        level @ (Level::L2 | Level::L3) => Ok(level),
        level @ (Level::L0 | Level::L1) => Err(format!("commands are not confined at {level}")),
    }
}

impl Confine {
    /// Whether a sandbox was asked for by its level.
    pub(crate) fn is_asked(&self) -> bool {
        self.level.is_some()
    }

    /// The sandbox that was asked for, or else, if there has to be one, the strongest; and what was
    /// proved of it.
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

    /// The same as it was asked for, with what it `grants`, or else the strongest that is proved.
    pub(crate) fn granting(
        &self,
        grants: &Grants,
        spawner: &Spawner,
    ) -> Result<(Sandbox, Report), Failure> {
        let write = there(&grants.write)?;
        let network = network(grants.open_network, &grants.hosts);
        let sandbox = Sandbox { network, write, ..self.sandbox()? };
        sandbox.proved(self.level, spawner).map_err(|weak| too_weak(weak, "--open-network"))
    }

    fn sandbox(&self) -> Result<Sandbox, Failure> {
        let read = there(&self.read)?;
        Ok(Sandbox { read, user: self.user, ..Sandbox::new(Level::L2) })
    }
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
    let needs_l3 = weak.demanded >= Level::L3 && weak.report.level >= Level::L2;
    let failure = Failure::new(Exit::Failure, weak);
    if !needs_l3 {
        return failure;
    }
    failure.hint(format_args!(
        "hosts can be granted by name at L3 only; {open} grants the whole network at L2, and whatever the \
         program reads can leave by it"
    ))
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
    fn where_hosts_cannot_be_granted_it_is_said_what_that_takes_and_what_does_without() {
        let weak = |level| {
            let (seen, hint) = ("no namespaces".to_owned(), "allow them".to_owned());
            let missing = vec![Missing { level: Level::L3, seen, hint }];
            let report = Report { level, network: false, missing, attempts: Vec::new() };
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
