//! This file bounds how many bytes all files in some folders take together.
//!
//! The kernel bounds each file that a command writes (`RLIMIT_FSIZE`), and not how many there are. So it
//! is looked at over and over while the command runs, which can pass the bound by as much as it
//! writes between two looks. What it has removed and holds open counts as long as it does.
//!
//! **Invariant:** files may take as much as the limit says, or as much as they took when a command
//! began, whichever is more. So whoever finds the disk full can make room, but add nothing. For that
//! what was there before the work is held against nobody, the limit is raised by it when the work
//! begins ([`Sandbox::for_work_in`](super::Sandbox::for_work_in)).

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt};
use nix::unistd::Pid;

use super::Pace;
use super::nameless::Nameless;
use crate::guard::{Running, descendants};

/// How often there is a look.
const LOOKS: Pace = Pace { every: Duration::from_millis(250), part: 5 };

/// What a file takes beside its content, in bytes, so that empty ones are bounded too.
const ENTRY_BYTES: u64 = 512;

/// How deep folders are looked into.
pub(crate) const DEPTH_MAX: usize = 256;

/// A bound on what is in some folders.
#[derive(Clone, Debug)]
pub struct Quota {
    folders: Vec<PathBuf>,
    /// Whoever works there.
    user: u32,
    most: u64,
    /// The guard of whoever works there.
    guard: Option<Pid>,
}

/// Files are more than they may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// They take more bytes.
    Bytes {
        /// How many.
        taken: u64,
        /// How many they may take.
        most: u64,
    },
    /// Nobody can look at all of them, so nobody knows what they take.
    Hidden,
}

impl fmt::Display for Excess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes { taken, most } => {
                write!(f, "all files take {taken} bytes, and may take {most}")
            }
            Self::Hidden => write!(
                f,
                "there are folders that cannot be looked into, being closed to everybody or more than \
                 {DEPTH_MAX} deep, or programs that let nobody see what they have open, so that nobody knows \
                 what all files take"
            ),
        }
    }
}

impl Quota {
    /// So many bytes in these folders together. What `user` hides there is too much.
    pub(crate) fn of(most: u64, folders: &[&Path], user: u32) -> Self {
        let folders = folders.iter().map(|&folder| folder.to_owned()).collect();
        Self { folders, user, most, guard: None }
    }

    /// The same, or as many as they take now. Blocking.
    pub(crate) fn or_as_of_now(self) -> Self {
        let most = self.most.max(self.look().bytes);
        Self { most, ..self }
    }

    /// The same, of which those files count as well that the processes of a job hold open and that no
    /// folder shows.
    #[must_use]
    pub fn with_held_by(&self, job: &Running) -> Self {
        Self { guard: job.pid(), ..self.clone() }
    }

    /// Waits until the files are more than they may be. Cancel safe, but looks begin anew.
    pub async fn passed(&self) -> Excess {
        let (mut wait, mut was_hidden) = (LOOKS.every, false);
        loop {
            tokio::time::sleep(wait).await;
            let (excess, after) = self.look_after().await;
            match excess {
                // Tests of permissions close a folder for a moment.
                Some(Excess::Hidden) if !was_hidden => was_hidden = true,
                Some(excess) => return excess,
                None => was_hidden = false,
            }
            wait = after;
        }
    }

    /// Whether the files are more than they may be.
    pub async fn excess(&self) -> Option<Excess> {
        self.look_after().await.0
    }

    /// The same, and after which time to look again.
    async fn look_after(&self) -> (Option<Excess>, Duration) {
        let quota = self.clone();
        let look =
            tokio::task::spawn_blocking(move || LOOKS.look(|| quota.check(0, 0).err())).await;
        // A look that was not made, since the program ends, has seen nothing.
        look.unwrap_or((None, LOOKS.every))
    }

    /// Whether there is room for a file of `bytes` in exchange for one that takes `before`. There
    /// always is for one that takes less. Blocking.
    pub(crate) fn check(&self, bytes: u64, before: u64) -> Result<(), Excess> {
        if bytes < before {
            return Ok(());
        }
        let Look { bytes: taken, is_whole } = self.look();
        let most = self.most;
        if taken.saturating_sub(before).saturating_add(bytes) > most {
            return Err(Excess::Bytes { taken, most });
        }
        if is_whole { Ok(()) } else { Err(Excess::Hidden) }
    }

    /// How many bytes are in these folders now. Blocking.
    pub(crate) fn taken(folders: &[&Path]) -> u64 {
        // Whoever may have hidden something there: it does not count.
        Self::of(0, folders, 0).look().bytes
    }

    fn look(&self) -> Look {
        let mut look = Look { bytes: 0, is_whole: true };
        let mut devices = BTreeSet::new();
        for folder in &self.folders {
            match Dir::open_ambient_dir(folder, ambient_authority()) {
                Ok(folder) => {
                    devices.extend(folder.dir_metadata().map(|metadata| metadata.dev()));
                    look.inside(&folder, self.user, DEPTH_MAX);
                }
                Err(error) => look.failed(&error, true),
            }
        }
        if let Some(guard) = self.guard {
            let held = Nameless::held_by(descendants(guard).into_keys());
            look.bytes = look.bytes.saturating_add(held.bytes_on(&devices));
            look.is_whole &= held.is_whole;
        }
        look
    }
}

/// What was seen of some folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    bytes: u64,
    /// Whether all was seen that `user` could have hidden.
    is_whole: bool,
}

impl Look {
    /// Looks at what is in a folder; what is gone meanwhile takes nothing.
    fn inside(&mut self, folder: &Dir, user: u32, depth: usize) {
        if depth == 0 {
            self.is_whole = false;
            return;
        }
        let is_mine = || folder.dir_metadata().is_ok_and(|metadata| metadata.uid() == user);
        let entries = match folder.entries() {
            Ok(entries) => entries,
            Err(error) => return self.failed(&error, is_mine()),
        };
        for entry in entries {
            let seen = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
            self.bytes = self.bytes.saturating_add(ENTRY_BYTES);
            match seen {
                Ok((metadata, entry)) if metadata.is_dir() => match entry.open_dir() {
                    Ok(inner) => self.inside(&inner, user, depth - 1),
                    Err(error) => self.failed(&error, metadata.uid() == user),
                },
                Ok((metadata, _)) => self.bytes = self.bytes.saturating_add(size(&metadata)),
                Err(error) => self.failed(&error, is_mine()),
            }
        }
    }

    /// Takes in that something could not be looked at which belongs to whoever works there, if it
    /// `is_mine`. What belongs to others, they have not hidden there.
    fn failed(&mut self, error: &io::Error, is_mine: bool) {
        let is_gone =
            matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
        self.is_whole &= is_gone || !is_mine;
    }
}

/// What a file takes: of a file with holes only what was written. One with several names is shared among
/// them.
pub(crate) fn size(metadata: &Metadata) -> u64 {
    metadata.len().min(metadata.blocks() * 512) / metadata.nlink().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    const DEEP: &str = "d/";

    /// The folders as they are, of whoever runs the test.
    fn quota(most: u64, folder: &Path) -> Quota {
        Quota::of(most, &[folder], nix::unistd::geteuid().as_raw())
    }

    fn taken(folder: &Path) -> u64 {
        Quota::taken(&[folder])
    }

    #[test]
    fn all_files_count_whatever_they_are_called_and_links_and_holes_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert_eq!(taken(dir.path()), 0);
        fs::create_dir_all(at("a/.git")).unwrap();
        fs::write(at("a/.git/big"), vec![1; 8192]).unwrap();
        assert_eq!(taken(dir.path()), 8192 + 3 * ENTRY_BYTES);
        std::os::unix::fs::symlink("/usr", at("link")).unwrap();
        fs::File::create(at("holes")).unwrap().set_len(1 << 30).unwrap();
        fs::hard_link(at("a/.git/big"), at("again")).unwrap();
        let small = 4096;
        assert!(taken(dir.path()) < 8192 + 6 * ENTRY_BYTES + small);
        assert_eq!(quota(0, &at("none")).look(), Look { bytes: 0, is_whole: true });
    }

    #[test]
    fn what_was_there_before_is_held_against_nobody_and_nothing_may_be_added() {
        let dir = tempfile::tempdir().unwrap();
        let user = nix::unistd::geteuid().as_raw();
        fs::write(dir.path().join("old"), vec![1; 8192]).unwrap();
        let there = 8192 + ENTRY_BYTES;
        for (limit, most) in [(10, there), (10_000, 10_000)] {
            let quota = Quota::of(limit, &[dir.path()], user).or_as_of_now();
            assert_eq!(quota.check(0, 0), Ok(()));
            assert_eq!(quota.check(most - there, 0), Ok(()));
            let more = Err(Excess::Bytes { taken: there, most });
            assert_eq!(quota.check(most - there + 1, 0), more);
            assert_eq!(quota.check(8192, 8192), Ok(()));
        }
        // Who finds more than there may be can make room.
        let full = quota(10, dir.path());
        assert_eq!(full.check(100, 8192), Ok(()));
        assert_eq!(full.check(0, 0), Err(Excess::Bytes { taken: there, most: 10 }));
    }

    #[test]
    fn what_is_too_deep_to_be_looked_at_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join(DEEP.repeat(DEPTH_MAX - 1))).unwrap();
        let quota = Quota::of(1, &[dir.path()], 0).or_as_of_now();
        assert_eq!(quota.check(0, 0), Ok(()));
        fs::create_dir_all(dir.path().join(DEEP.repeat(DEPTH_MAX))).unwrap();
        // Nor does it count as what was there before.
        let quota = Quota::of(1 << 20, &[dir.path()], 0).or_as_of_now();
        assert_eq!(quota.check(0, 0), Err(Excess::Hidden));
    }

    #[test]
    fn what_is_closed_is_too_much_unless_it_is_another_users() {
        // On Linux that is the thread's alone.
        #[cfg(target_os = "linux")]
        for capability in
            [caps::Capability::CAP_DAC_OVERRIDE, caps::Capability::CAP_DAC_READ_SEARCH]
        {
            caps::drop(None, caps::CapSet::Effective, capability).unwrap();
        }
        let user = nix::unistd::geteuid().as_raw();
        let dir = tempfile::tempdir().unwrap();
        let closed = dir.path().join("a/closed");
        fs::create_dir_all(&closed).unwrap();
        fs::write(closed.join("big"), vec![1; 8192]).unwrap();
        let check = |user| Quota::of(1 << 20, &[dir.path()], user).or_as_of_now().check(0, 0);
        for mode in [0, 0o300, 0o400, 0o600] {
            for folder in [&*closed, dir.path()] {
                assert_eq!(check(user), Ok(()), "{mode:o}");
                fs::set_permissions(folder, fs::Permissions::from_mode(mode)).unwrap();
                assert_eq!(check(user), Err(Excess::Hidden), "{mode:o} {}", folder.display());
                fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).unwrap();
            }
        }
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
        assert_eq!(fs::metadata(dir.path()).unwrap().uid(), user);
        assert_eq!(check(user + 1), Ok(()));
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_folder_may_be_closed_for_a_moment() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join(DEEP.repeat(DEPTH_MAX));
        let quota = quota(1 << 20, dir.path());
        fs::create_dir_all(&deep).unwrap();
        let opens = async {
            tokio::time::sleep(LOOKS.every * 3 / 2).await;
            fs::remove_dir(&deep).unwrap();
            tokio::time::sleep(LOOKS.every * 10).await;
        };
        tokio::select! {
            excess = quota.passed() => panic!("{excess:?}"),
            () = opens => {}
        }
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(quota.passed().await, Excess::Hidden);
    }
}
