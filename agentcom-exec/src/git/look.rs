//! This file looks into commits: which files they have, what is in them, and what has changed.

use super::checkout::REMOTE;
use super::{Checkout, CheckoutError};

impl Checkout {
    /// All files that are in the commit that is checked out.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn files(&self) -> Result<Vec<String>, CheckoutError> {
        Ok(self.git.lines(&["ls-tree", "-r", "--name-only", "--full-tree", "HEAD"]).await?)
    }

    /// What is in a file where a commit left a branch of the remote, and in that commit, where there is
    /// one; nothing if one of them is longer than `bytes_max`.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn versions_of(
        &self,
        base: &str,
        commit: &str,
        path: &str,
        bytes_max: u64,
    ) -> Result<Option<[Option<String>; 2]>, CheckoutError> {
        let left = self.git.run(&["merge-base", &format!("{REMOTE}/{base}"), commit]).await?;
        let mut versions = [None, None];
        for (at, commit) in [&*left, commit].into_iter().enumerate() {
            let name = format!("{commit}:{path}");
            let Some(size) = self.git.maybe(&["cat-file", "-s", &name]).await? else { continue };
            if size.parse().is_ok_and(|size: u64| size > bytes_max) {
                return Ok(None);
            }
            versions[at] = Some(self.git.run(&["cat-file", "blob", &name]).await?);
        }
        Ok(Some(versions))
    }

    /// The names of what is at the top of a branch of the remote, as it was last fetched.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn top_of_base(&self, base: &str) -> Result<Vec<String>, CheckoutError> {
        self.top_of(&format!("{REMOTE}/{base}")).await
    }

    /// The names of what is at the top of a commit.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn top_of(&self, commit: &str) -> Result<Vec<String>, CheckoutError> {
        Ok(self.git.lines(&["ls-tree", "--name-only", "--full-tree", commit]).await?)
    }

    /// What a commit changes in some files since it left a branch of the remote, as a unified diff.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn diff_of(
        &self,
        base: &str,
        commit: &str,
        files: &[&str],
    ) -> Result<String, CheckoutError> {
        // Neither settings nor attributes that the commit brings along start programs or hide lines.
        let args =
            ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--text"];
        let both = format!("{REMOTE}/{base}...{commit}");
        let files: Vec<String> = files.iter().map(|path| format!(":(top,literal){path}")).collect();
        let mut args = [&args[..], &[&both, "--"]].concat();
        args.extend(files.iter().map(String::as_str));
        Ok(self.git.run(&args).await?)
    }
}
