//! This file bounds how many bytes all files in some folders take together.
//!
//! The kernel bounds each file that a command writes (`RLIMIT_FSIZE`), and not how many there are. So it
//! is looked at over and over while the command runs, which can pass the bound by as much as it
//! writes between two looks. What is there before may be more than the bound: such a command is
//! stopped only when it makes it more still, so that it can make room.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, Metadata, MetadataExt};

/// How long it is between two looks at least.
const EVERY: Duration = Duration::from_millis(250);

/// Looks take at most one part in so many of the time.
const PART: u32 = 5;

/// What a file takes beside its content, in bytes, so that empty ones are bounded too.
const ENTRY_BYTES: u64 = 512;

/// How deep folders are looked into; what is deeper counts as more than any bound.
const DEPTH_MAX: usize = 256;

/// A bound on what is in some folders.
#[derive(Clone, Debug)]
pub(crate) struct Quota {
    folders: Vec<PathBuf>,
    most: u64,
}

impl Quota {
    /// So many bytes in these folders together.
    pub(crate) fn new(most: u64, folders: &[&Path]) -> Self {
        Self { folders: folders.iter().map(|&folder| folder.to_owned()).collect(), most }
    }

    /// Waits until the files take more than they may, and more than at the first look. Cancel safe.
    pub(crate) async fn passed(&self) {
        let mut floor = None;
        let mut wait = EVERY;
        loop {
            tokio::time::sleep(wait).await;
            let (quota, began) = (self.clone(), Instant::now());
            let look = tokio::task::spawn_blocking(move || quota.taken());
            // A look that was not made, since the program ends, has seen nothing.
            let taken = look.await.unwrap_or_default();
            if taken > self.most.max(*floor.get_or_insert(taken)) {
                return;
            }
            wait = EVERY.max(began.elapsed() * PART);
        }
    }

    /// Whether the files take more than they may.
    pub(crate) async fn is_passed(&self) -> bool {
        let quota = self.clone();
        let look = tokio::task::spawn_blocking(move || quota.taken() > quota.most);
        look.await.unwrap_or_default()
    }

    /// How many bytes the files take. Blocking.
    pub(crate) fn taken(&self) -> u64 {
        let taken = self.folders.iter().map(|folder| {
            let folder = Dir::open_ambient_dir(folder, ambient_authority());
            folder.map_or(0, |folder| taken_in(&folder, DEPTH_MAX))
        });
        taken.fold(0, u64::saturating_add)
    }
}

/// What is in a folder; what is gone meanwhile takes nothing.
fn taken_in(folder: &Dir, depth: usize) -> u64 {
    if depth == 0 {
        return u64::MAX;
    }
    let mut taken = 0_u64;
    for entry in folder.entries().into_iter().flatten().flatten() {
        let inside: io::Result<u64> = entry.metadata().and_then(|metadata| {
            let is_folder = metadata.is_dir();
            Ok(if is_folder { taken_in(&entry.open_dir()?, depth - 1) } else { size(&metadata) })
        });
        taken = taken.saturating_add(inside.unwrap_or_default()).saturating_add(ENTRY_BYTES);
    }
    taken
}

/// What a file takes: of a file with holes only what was written. One with several names is shared among
/// them.
fn size(metadata: &Metadata) -> u64 {
    metadata.len().min(metadata.blocks() * 512) / metadata.nlink().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_files_count_whatever_they_are_called_and_links_and_holes_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let quota = Quota::new(1, &[dir.path()]);
        assert_eq!(quota.taken(), 0);
        fs::create_dir_all(at("a/.git")).unwrap();
        fs::write(at("a/.git/big"), vec![1; 8192]).unwrap();
        assert_eq!(quota.taken(), 8192 + 3 * ENTRY_BYTES);
        std::os::unix::fs::symlink("/usr", at("link")).unwrap();
        fs::File::create(at("holes")).unwrap().set_len(1 << 30).unwrap();
        fs::hard_link(at("a/.git/big"), at("again")).unwrap();
        let small = 4096;
        assert!(quota.taken() < 8192 + 6 * ENTRY_BYTES + small, "{}", quota.taken());
        assert_eq!(Quota::new(1, &[&at("none")]).taken(), 0);
    }

    #[test]
    fn what_is_too_deep_to_be_looked_at_is_too_much() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("d/".repeat(DEPTH_MAX))).unwrap();
        assert_eq!(Quota::new(1, &[dir.path()]).taken(), u64::MAX);
    }
}
