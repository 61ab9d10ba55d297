//! This file reads how commands are confined.

use std::path::PathBuf;

use agentcom_exec::sandbox::{Level, Limits, Sandbox};
use anyhow::bail;
use serde::Deserialize;

/// How commands are confined.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confine {
    /// How much is demanded: L2 or L3, and the sidecar does not start where less is proved; L1, with
    /// which no commands are run; or L0, see `i_accept_no_sandbox`.
    pub level: Level,
    /// That commands run with all that the sidecar's user may do, which L0 needs said.
    #[serde(default)]
    pub i_accept_no_sandbox: bool,
    /// What commands may read and execute beside the system's files.
    #[serde(default)]
    pub read: Vec<PathBuf>,
    /// The user that they become, if the sidecar is root.
    pub user: Option<u32>,
    /// How many MiB all files in their folder, and their temporary ones, may take beside those that were
    /// there before; 2048 if not said.
    pub disk_mib: Option<u64>,
    /// How many MiB of memory a command may take, all that it starts among them; 4096 if not said.
    pub memory_mib: Option<u64>,
    /// How many processes and threads a command may be, all that it starts among them; 2048 if not said.
    pub processes: Option<u64>,
}

impl Confine {
    /// Whether all commands are confined, those of shell work too.
    #[must_use]
    pub fn confines(&self) -> bool {
        self.level > Level::L1
    }

    /// The sandbox that is described; or why there is none, as when nobody accepts that, or the user is
    /// root.
    pub(super) fn sandbox(&self) -> anyhow::Result<Sandbox> {
        match (self.level, self.i_accept_no_sandbox) {
            (Level::L0, false) => bail!(
                "sandbox.level is L0, with which commands do all that the sidecar's user may: set \
                 sandbox.i_accept_no_sandbox = true if that is meant"
            ),
            (Level::L1 | Level::L2 | Level::L3, true) => bail!(
                "sandbox.i_accept_no_sandbox goes with the level L0, and sandbox.level is {}",
                self.level
            ),
            (Level::L0, true) | (Level::L1 | Level::L2 | Level::L3, false) => {}
        }
        if self.user == Some(0) {
            bail!("sandbox.user is root; it has to be a user of its own");
        }
        if self.disk_mib == Some(0) {
            bail!("sandbox.disk_mib is 0; commands could write nothing");
        }
        if self.memory_mib == Some(0) {
            bail!("sandbox.memory_mib is 0; no command could be run");
        }
        if self.processes == Some(0) {
            bail!("sandbox.processes is 0; no command could be run");
        }
        let usual = Limits::default();
        let limits = self.disk_mib.map_or(usual, |mib| usual.with_disk(mib));
        let limits = self.memory_mib.map_or(limits, |mib| limits.with_memory(mib));
        let limits = Limits { processes: self.processes.unwrap_or(usual.processes), ..limits };
        let read = self.read.clone();
        Ok(Sandbox { read, user: self.user, limits, ..Sandbox::new(self.level) })
    }
}
