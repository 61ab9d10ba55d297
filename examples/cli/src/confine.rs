//! This file reads from the command line how commands are confined.

use std::path::{Path, PathBuf};

use agentcom_exec::guard::Spawner;
use agentcom_exec::sandbox::{BadLevel, Level, Report, Sandbox};

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
        let sandbox = Sandbox { network: grants.network, write, ..self.sandbox()? };
        sandbox.proved(self.level, spawner).map_err(|weak| Failure::new(Exit::Failure, weak))
    }

    fn sandbox(&self) -> Result<Sandbox, Failure> {
        let read = there(&self.read)?;
        Ok(Sandbox { read, user: self.user, ..Sandbox::new(Level::L2) })
    }
}

/// What a command is given that others are not.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Grants {
    /// Let the command reach the network of this machine
    #[arg(long)]
    network: bool,
    /// Let the command change what is there, beside this directory (repeatable)
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
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
