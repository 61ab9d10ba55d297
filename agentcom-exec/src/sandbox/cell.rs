//! This file makes the surroundings of one command: its workspace, and a folder for temporary files.

use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::report::{asked, of_files, of_nothing};
use super::{Level, Limits, Network, Policy, Quota, Report};
use crate::guard::Spawner;
use crate::removal::remove_all;

/// How commands are confined on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sandbox {
    /// How much is demanded; see [`Policy::level`].
    pub level: Level,
    /// What commands may read and execute beside what every command may; see [`Policy::read`].
    pub read: Vec<PathBuf>,
    /// What commands may change beside their workspace; see [`Policy::write`].
    pub write: Vec<PathBuf>,
    /// What commands reach of the network.
    pub network: Network,
    /// See [`Policy::user`].
    pub user: Option<u32>,
    /// How much commands may use.
    pub limits: Limits,
}

impl Sandbox {
    /// A sandbox of `level` with the usual limits, in which nothing is granted.
    #[must_use]
    pub fn new(level: Level) -> Self {
        Self {
            level,
            read: Vec::new(),
            write: Vec::new(),
            network: Network::None,
            user: None,
            limits: Limits::default(),
        }
    }

    /// The same at the level that is `demanded`, or else at the highest that is proved, and what this
    /// machine proves of it, with what it grants. What it grants may demand more: see
    /// [`Network::level_from`]. Takes some ten milliseconds, blocking.
    ///
    /// [`Level::L0`] is never taken unless it is demanded.
    ///
    /// # Errors
    ///
    /// What the machine holds instead, why, and what to do about it.
    pub fn proved(
        self,
        demanded: Option<Level>,
        spawner: &Spawner,
    ) -> Result<(Self, Report), TooWeak> {
        let demanded = demanded.map(|level| self.network.level_from(level));
        let report = match demanded {
            Some(Level::L0) => of_nothing(),
            Some(Level::L1) => of_files(vec![asked(Level::L2, "L1, for files only,")]),
            Some(Level::L2) => super::prove_weaker(spawner, &self),
            Some(Level::L3) | None => super::prove(spawner, &self),
        };
        let level =
            demanded.unwrap_or_else(|| self.network.level_from(report.level.max(Level::L1)));
        if report.level < level {
            return Err(TooWeak { demanded: level, report });
        }
        Ok((Self { level, ..self }, report))
    }

    /// Whether commands are run at its level.
    ///
    /// # Errors
    ///
    /// If none are.
    pub fn runs_commands(&self) -> Result<(), FilesOnly> {
        if self.level.runs_commands() { Ok(()) } else { Err(FilesOnly) }
    }

    /// Whether programs that do nothing but run commands can work in it, with what it grants. Takes some
    /// ten milliseconds, blocking.
    ///
    /// # Errors
    ///
    /// Why they cannot, and what to do about it.
    pub fn check_commands(&self, spawner: &Spawner) -> Result<(), NoCommands> {
        self.runs_commands()?;
        self.clone().proved(Some(self.level), spawner)?;
        Ok(())
    }

    /// Gives a folder, with all that is in it, to the user that commands become, if they become one.
    ///
    /// # Errors
    ///
    /// If the system says no.
    pub(crate) fn give_to_user(&self, folder: &Path) -> io::Result<()> {
        match self.user.filter(|_| nix::unistd::getuid().is_root()) {
            Some(user) => hand_over(folder, user),
            None => Ok(()),
        }
    }

    /// The same for work that begins now in `folder`: its files may take [`Limits::disk_bytes`] beside
    /// what is there already. Looks at all of that, and so may take a while.
    #[must_use]
    pub async fn for_work_in(mut self, folder: &Path) -> Self {
        let folder = folder.to_owned();
        let look = tokio::task::spawn_blocking(move || Quota::taken(&[&folder])).await;
        // A look that was not made, since the program ends, has seen nothing.
        let there = look.unwrap_or_default();
        self.limits.disk_bytes = self.limits.disk_bytes.saturating_add(there);
        self
    }

    /// Surroundings for a command that may change what is in `workspace`.
    ///
    /// # Errors
    ///
    /// If there is no such folder, or no room for temporary files; or [`FilesOnly`].
    pub fn around(&self, workspace: &Path) -> io::Result<Cell> {
        self.runs_commands().map_err(|only| io::Error::new(io::ErrorKind::Unsupported, only))?;
        let workspace = workspace.canonicalize()?;
        let scratch = Scratch(tempfile::Builder::new().prefix("agentcom-job-").tempdir()?);
        #[cfg(target_os = "linux")]
        if self.level >= Level::L3 {
            // It is there before anything counts what the command adds.
            std::fs::create_dir(scratch.0.path().join(super::namespace::ROOT))?;
        }
        self.give_to_user(scratch.0.path())?;
        let network = match self.level {
            // Where nothing is confined, a command is not led to a broker either.
            Level::L0 => Network::None,
            Level::L1 | Level::L2 | Level::L3 => self.network.clone(),
        };
        let policy = Policy {
            read: self.read.clone(),
            write: self.write.clone(),
            network,
            user: self.user,
            limits: self.limits,
            ..Policy::new(self.level, workspace, scratch.0.path())
        };
        #[cfg(target_os = "linux")]
        let no_git = match self.level {
            // Elsewhere nothing keeps a command from changing what is there either.
            Level::L0 | Level::L1 | Level::L2 => None,
            Level::L3 => super::no_git::NoGit::in_place(&policy.workspace)?,
        };
        Ok(Cell {
            policy,
            _scratch: scratch,
            #[cfg(target_os = "linux")]
            _no_git: no_git,
        })
    }
}

/// A machine holds less than is demanded of its sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sandbox of this machine holds {}, not {}: {}", report.level, demanded, report.why(*demanded))]
pub struct TooWeak {
    /// What is demanded.
    pub demanded: Level,
    /// What was seen.
    pub report: Report,
}

/// No commands are run at [`Level::L1`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no commands are run here, since the sandbox is L1, for files only; `agentcom doctor` says what one \
     for commands needs"
)]
pub struct FilesOnly;

/// Why a program that runs commands cannot work in a sandbox.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCommands {
    /// Nobody runs any there.
    #[error(transparent)]
    FilesOnly(#[from] FilesOnly),
    /// It does not hold what it has to.
    #[error(transparent)]
    TooWeak(#[from] TooWeak),
}

/// The surroundings of one command. Dropping them removes the temporary files.
#[derive(Debug)]
pub struct Cell {
    policy: Policy,
    _scratch: Scratch,
    #[cfg(target_os = "linux")]
    _no_git: Option<super::no_git::NoGit>,
}

/// The folder for temporary files, which is removed whatever is in it.
#[derive(Debug)]
struct Scratch(TempDir);

impl Drop for Scratch {
    fn drop(&mut self) {
        // What cannot be removed has no use, and nobody to tell.
        let _ = remove_all(self.0.path());
    }
}

impl Cell {
    /// What the command may do.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.policy.clone()
    }

    /// What its files may take together, those for temporary use among them, from now on:
    /// [`Limits::disk_bytes`], or what is there if that is more; see [`Sandbox::for_work_in`]. Whoever
    /// runs the command looks at that, and stops it. Looks at all of them, and so may take a while.
    pub async fn quota(&self) -> Quota {
        let quota = self.quota_with_room();
        let looking = quota.clone();
        // A look that was not made, since the program ends, has seen nothing.
        tokio::task::spawn_blocking(move || looking.or_as_of_now()).await.unwrap_or(quota)
    }

    /// The same where it is known that they take no more than the limit, since the work has just
    /// [begun](Sandbox::for_work_in), or the last command was found to have left no more. Looks at
    /// nothing.
    #[must_use]
    pub fn quota_with_room(&self) -> Quota {
        let Policy { workspace, scratch, limits, user, .. } = &self.policy;
        let own_user = user.filter(|_| nix::unistd::getuid().is_root());
        let user = own_user.unwrap_or_else(|| nix::unistd::geteuid().as_raw());
        Quota::of(limits.disk_bytes, &[workspace, scratch], user)
    }
}

/// Gives all that is in `folder` to `user`.
pub(super) fn hand_over(folder: &Path, user: u32) -> io::Result<()> {
    std::os::unix::fs::lchown(folder, Some(user), Some(user))?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            hand_over(&entry.path(), user)?;
        } else {
            std::os::unix::fs::lchown(entry.path(), Some(user), Some(user))?;
        }
    }
    Ok(())
}
