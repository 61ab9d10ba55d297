//! This file keeps a command from making a `.git` where there is none: what was planted there would be
//! followed by programs outside.
//!
//! What is not there cannot be mounted read-only, so an empty folder takes its place as long as commands
//! run, in which git sees no repository.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The folders that were made for it, and how many commands rely on each.
static HELD: Mutex<BTreeMap<PathBuf, usize>> = Mutex::new(BTreeMap::new());

/// A place where there is no `.git`. When the last of it is dropped it is as before.
#[derive(Debug)]
pub(super) struct NoGit(PathBuf);

impl NoGit {
    /// Takes the place of `.git` in `workspace`; nothing if there is one, or nobody could make one.
    ///
    /// # Errors
    ///
    /// If the system says no for another reason.
    pub(super) fn in_place(workspace: &Path) -> io::Result<Option<Self>> {
        let path = workspace.join(".git");
        let mut held = held();
        if let Some(count) = held.get_mut(&path) {
            *count += 1;
            return Ok(Some(Self(path)));
        }
        match fs::create_dir(&path).map_err(|error| (error.kind(), error)) {
            Ok(()) => {
                held.insert(path.clone(), 1);
                Ok(Some(Self(path)))
            }
            Err((
                io::ErrorKind::AlreadyExists
                | io::ErrorKind::PermissionDenied
                | io::ErrorKind::ReadOnlyFilesystem,
                _,
            )) => Ok(None),
            Err((_, error)) => Err(error),
        }
    }
}

impl Drop for NoGit {
    fn drop(&mut self) {
        let mut held = held();
        let Some(count) = held.get_mut(&self.0) else { return };
        *count -= 1;
        if *count == 0 {
            held.remove(&self.0);
            // What is not empty somebody outside has filled meanwhile.
            let _ = fs::remove_dir(&self.0);
        }
    }
}

fn held() -> MutexGuard<'static, BTreeMap<PathBuf, usize>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_is_held_until_the_last_one_leaves_and_what_was_there_stays() {
        let dir = tempfile::tempdir().unwrap();
        let git = dir.path().join(".git");
        let [one, other] = [0; 2].map(|_| NoGit::in_place(dir.path()).unwrap().unwrap());
        drop(one);
        assert!(git.is_dir());
        drop(other);
        assert!(!git.exists());
        let held = NoGit::in_place(dir.path()).unwrap();
        fs::write(git.join("HEAD"), "of somebody outside").unwrap();
        drop(held);
        assert!(git.join("HEAD").exists());
        assert!(NoGit::in_place(dir.path()).unwrap().is_none());
        assert!(NoGit::in_place(&dir.path().join("none")).is_err());
    }
}
