//! This file says which files a commit has, and writes them anew where nobody else has written.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use super::settings::{READABLE, WITHOUT_PROGRAMS};
use super::{Checkout, CheckoutError, Git, GitError};

/// So many files are named to git at once.
const AT_ONCE: usize = 100;

/// A folder in which files are as git checks them out. Dropping it removes them.
#[derive(Debug)]
pub(crate) struct Fresh(tempfile::TempDir);

impl Fresh {
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Checkout {
    /// The paths of all files and links of a commit. What is a repository of its own is left out: git
    /// keeps none of its files.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub(crate) async fn tracked(&self, commit: &str) -> Result<Vec<PathBuf>, CheckoutError> {
        let list = ["ls-tree", "-r", "-z", "--full-tree", "--end-of-options", commit];
        let listed = self.git.records(&list).await?;
        let path = |entry: &[u8]| {
            let tab = entry.iter().position(|&byte| byte == b'\t')?;
            let is_file = entry[..tab].split(|&byte| byte == b' ').nth(1) == Some(b"blob");
            is_file.then(|| PathBuf::from(OsString::from_vec(entry[tab + 1..].to_vec())))
        };
        Ok(listed.iter().filter_map(|entry| path(entry)).collect())
    }

    /// Writes files of the commit that is checked out in this worktree to a folder of their own, with
    /// the settings that hold for the repository. Nothing that is in the worktree itself is looked at,
    /// be it attributes or times of files.
    ///
    /// # Errors
    ///
    /// If this is no worktree as [`Checkout::worktree`] has it, git says no, or there is no room.
    pub(crate) async fn fresh(&self, paths: &[PathBuf]) -> Result<Fresh, CheckoutError> {
        let not_run = |error: std::io::Error| GitError::NotRun(error.to_string());
        let here = || CheckoutError::NoClone(self.git.dir().display().to_string());
        let repository = self.git.repository.as_ref().ok_or_else(here)?;
        // There commands of models do not come, and it goes with the worktree.
        let dir = tempfile::Builder::new().prefix("agentcom-fresh-").tempdir_in(repository);
        let dir = dir.map_err(not_run)?;
        let git = Git::pinned(dir.path(), repository);
        for paths in paths.chunks(AT_ONCE) {
            let mut args = ["checkout-index", "--quiet", "--force", "--"].map(OsStr::new).to_vec();
            args.extend(paths.iter().map(|path| path.as_os_str()));
            git.printed(&[READABLE, WITHOUT_PROGRAMS], &args).await?;
        }
        Ok(Fresh(dir))
    }
}
