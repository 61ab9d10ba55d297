//! This file says what a sandbox lets a command do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agentcom_core::sandbox::Level;
use serde::{Deserialize, Serialize};

use super::Network;

/// What a command in a sandbox may do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Policy {
    /// How much is demanded: [`Level::L2`] or [`Level::L3`], and where that cannot be set up the
    /// command is refused; or [`Level::L0`], with which it runs as the sidecar's user and nothing but
    /// its environment is as in a sandbox.
    pub level: Level,
    /// The folder that it may change; absolute. In L3 its `.git` cannot be changed, nor made where
    /// a [`Cell`](super::Cell) holds its place, so that nobody outside follows what was planted there;
    /// where it is a symbolic link, no command is run.
    pub workspace: PathBuf,
    /// A folder for temporary files, outside the workspace and empty at first; absolute. It is
    /// `TMPDIR`, and `HOME` where that is no folder of [`Policy::write`].
    pub scratch: PathBuf,
    /// What it may read and execute beyond [`Policy::SYSTEM`]; what is not there is passed over.
    pub read: Vec<PathBuf>,
    /// What it may change beside the workspace, absolute: a program's own state. What is not there
    /// is passed over, and what whoever it runs as may not change stays as it is.
    pub write: Vec<PathBuf>,
    /// What it reaches of the network.
    pub network: Network,
    /// The user that it becomes if the sidecar runs as root; never 0. The workspace and the scratch
    /// folder have to belong to that user. Without one it stays root, and loses all capabilities.
    pub user: Option<u32>,
    /// How much it may use.
    pub limits: Limits,
}

impl Policy {
    /// What every command may read and execute: programs, libraries, and what these look up. No
    /// home, no keys, nothing of other processes.
    pub const SYSTEM: [&str; 36] = [
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/nix/store",
        "/etc/alternatives",
        "/etc/bash.bashrc",
        "/etc/ca-certificates",
        "/etc/gai.conf",
        "/etc/group",
        "/etc/host.conf",
        "/etc/hosts",
        "/etc/inputrc",
        "/etc/ld.so.cache",
        "/etc/ld.so.conf",
        "/etc/ld.so.conf.d",
        "/etc/locale.alias",
        "/etc/localtime",
        "/etc/magic",
        "/etc/mime.types",
        "/etc/nsswitch.conf",
        "/etc/os-release",
        "/etc/passwd",
        "/etc/perl",
        "/etc/profile",
        "/etc/protocols",
        "/etc/services",
        "/etc/shells",
        "/etc/ssl/certs",
        "/etc/ssl/openssl.cnf",
        "/etc/terminfo",
        "/etc/timezone",
        "/etc/xdg",
    ];

    /// What those may read as well that reach the network: where names are looked up, and whom to
    /// trust.
    pub const NETWORK: [&str; 4] =
        ["/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/resolv.conf", "/etc/ssl/cert.pem"];

    /// A policy for `workspace` at `level`, with `scratch` for temporary files.
    #[must_use]
    pub fn new(level: Level, workspace: impl Into<PathBuf>, scratch: impl Into<PathBuf>) -> Self {
        Self {
            level,
            workspace: workspace.into(),
            scratch: scratch.into(),
            read: Vec::new(),
            write: Vec::new(),
            network: Network::None,
            user: None,
            limits: Limits::default(),
        }
    }

    /// All that can be read and executed, and not written.
    pub(super) fn readable(&self) -> Vec<PathBuf> {
        let mut readable: Vec<PathBuf> = Self::SYSTEM.into_iter().map(PathBuf::from).collect();
        readable.extend(self.read.iter().cloned());
        for path in Self::NETWORK.into_iter().filter(|_| !self.network.is_none()) {
            readable.push(path.into());
            // Many are links to what a resolver writes.
            readable.extend(Path::new(path).canonicalize());
        }
        readable
    }

    /// All that can be changed, what contains others first.
    pub(super) fn writable(&self) -> Vec<&Path> {
        let mut writable: Vec<&Path> = self.write.iter().map(PathBuf::as_path).collect();
        writable.sort_unstable();
        writable.extend([self.workspace.as_path(), self.scratch.as_path()]);
        writable
    }

    /// What a command sees of `env`: all, but for what the sandbox decides.
    pub(crate) fn environment(
        &self,
        mut env: BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let scratch = self.scratch.to_string_lossy().into_owned();
        let home =
            env.get("HOME").filter(|home| self.write.iter().any(|path| path == Path::new(home)));
        if home.is_none() {
            env.insert("HOME".to_owned(), scratch.clone());
        }
        env.extend(self.network.environment());
        env.insert("TMPDIR".to_owned(), scratch);
        env.insert("TERM".to_owned(), "dumb".to_owned());
        env
    }
}

/// How much a command and what it starts may use; more makes their system calls fail, or ends them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Memory of the command and all that it starts, in bytes: what they have written to, shared or not,
    /// and files in memory. Each process can have so much at most to itself; what they take together is
    /// looked at over and over, and more is killed. Address space that is only reserved is free, since
    /// runtimes with a collector reserve many times what they use.
    pub memory_bytes: u64,
    /// The size of each file that is written, in bytes.
    pub file_bytes: u64,
    /// All files in the workspace, and the temporary ones, in bytes; those that were there before the
    /// work are not counted where it is begun with
    /// [`Sandbox::for_work_in`](super::Sandbox::for_work_in). No kernel holds this: whoever runs the
    /// command looks at it over and over, and stops it.
    pub disk_bytes: u64,
    /// Open files of each process.
    pub files: u64,
    /// Processes and threads of the command and all that it starts: more are killed with it. Where
    /// the sandbox's user is not shared with others outside, the kernel starts no more of that user's.
    pub processes: u64,
    /// Processor time of each process, in seconds.
    pub cpu_seconds: u64,
}

impl Limits {
    /// The most that files or memory may take, in MiB; an exbibyte.
    pub const MIB_MAX: u64 = 1 << 40;

    /// With so many MiB of memory, at most [`Limits::MIB_MAX`].
    #[must_use]
    pub fn with_memory(self, mib: u64) -> Self {
        Self { memory_bytes: mib.min(Self::MIB_MAX) << 20, ..self }
    }

    /// With so many MiB for all files, at most [`Limits::MIB_MAX`].
    #[must_use]
    pub fn with_disk(self, mib: u64) -> Self {
        Self { disk_bytes: mib.min(Self::MIB_MAX) << 20, ..self }
    }

    /// As much at least as a foreign agent needs that works for as long as `whole`: a runtime with a
    /// collector, and many files.
    #[must_use]
    pub(crate) fn for_agent(self, whole: Duration) -> Self {
        const GIB: u64 = 1024 * 1024 * 1024;
        Self {
            memory_bytes: self.memory_bytes.max(8 * GIB),
            cpu_seconds: self.cpu_seconds.max(whole.as_secs()),
            files: self.files.max(8192),
            ..self
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        const MIB: u64 = 1024 * 1024;
        Self {
            memory_bytes: 4096 * MIB,
            file_bytes: 512 * MIB,
            disk_bytes: 2048 * MIB,
            files: 1024,
            processes: 2048,
            cpu_seconds: 600,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn home_and_temporary_files_are_the_sandboxs_own() {
        let policy = Policy::new(Level::L2, "/work", "/scratch");
        let env = [("HOME", "/root"), ("PATH", "/bin")];
        let env = env.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        let seen = policy.environment(env);
        assert_eq!(seen["HOME"], "/scratch");
        assert_eq!(seen["TMPDIR"], "/scratch");
        assert_eq!(seen["PATH"], "/bin");
    }

    #[test]
    fn a_home_that_may_be_changed_stays_home() {
        let mut policy = Policy::new(Level::L2, "/work", "/scratch");
        policy.write.push("/home/agent".into());
        let seen = |home: &str| policy.environment([("HOME".to_owned(), home.to_owned())].into());
        assert_eq!(seen("/home/agent")["HOME"], "/home/agent");
        assert_eq!(seen("/home/other")["HOME"], "/scratch");
    }
}
