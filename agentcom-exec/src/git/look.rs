//! This file looks into commits: which files they have, what is in them, and what has changed.

use super::branch::theirs;
use super::{Checkout, CheckoutError};

/// Shows a change. Neither settings nor attributes that it brings along start programs or hide lines.
const DIFF: &[&str] =
    &["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--text"];

impl Checkout {
    /// All files that are in the commit that is checked out.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn files(&self) -> Result<Vec<String>, CheckoutError> {
        Ok(self.git.names(&["ls-tree", "-z", "-r", "--name-only", "--full-tree", "HEAD"]).await?)
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
        let left = self.git.run(&["merge-base", "--end-of-options", &theirs(base), commit]).await?;
        let mut versions = [None, None];
        for (at, commit) in [&*left, commit].into_iter().enumerate() {
            let name = format!("{commit}:{path}");
            let Some(size) = self.git.maybe(&["cat-file", "-s", "--end-of-options", &name]).await?
            else {
                continue;
            };
            if size.parse().is_ok_and(|size: u64| size > bytes_max) {
                return Ok(None);
            }
            versions[at] =
                Some(self.git.run(&["cat-file", "--end-of-options", "blob", &name]).await?);
        }
        Ok(Some(versions))
    }

    /// The names of what is at the top of a branch of the remote, as it was last fetched.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn top_of_base(&self, base: &str) -> Result<Vec<String>, CheckoutError> {
        self.top_of(&theirs(base)).await
    }

    /// The names of what is at the top of a commit.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn top_of(&self, commit: &str) -> Result<Vec<String>, CheckoutError> {
        let list = ["ls-tree", "-z", "--name-only", "--full-tree", "--end-of-options", commit];
        Ok(self.git.names(&list).await?)
    }

    /// How many lines came and went in all that a commit changes since it left a branch of the remote,
    /// also of what is no text.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn lines_touched(&self, base: &str, commit: &str) -> Result<u64, CheckoutError> {
        let both = format!("{}...{commit}", theirs(base));
        let mut lines = Lines::default();
        let args = [DIFF, &["--unified=0", "--ignore-submodules=none", &both, "--"]].concat();
        self.git.stream(&args, |piece| lines.take(piece)).await?;
        Ok(lines.touched)
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
        let both = format!("{}...{commit}", theirs(base));
        let files: Vec<String> = files.iter().map(|path| format!(":(top,literal){path}")).collect();
        let mut args = [DIFF, &[&both, "--"]].concat();
        args.extend(files.iter().map(String::as_str));
        Ok(self.git.run(&args).await?)
    }
}

/// Counts the lines that come and go in a unified diff, which is taken piece by piece.
#[derive(Debug, Default)]
struct Lines {
    touched: u64,
    /// Whether it is within a line.
    within: bool,
    /// Whether what it is in are lines of a file, and not what names the file.
    in_file: bool,
}

impl Lines {
    fn take(&mut self, piece: &[u8]) {
        for line in piece.split_inclusive(|&byte| byte == b'\n') {
            if !self.within {
                match line[0] {
                    b'@' => self.in_file = true,
                    b'd' => self.in_file = false,
                    b'+' | b'-' if self.in_file => self.touched += 1,
                    _ => {}
                }
            }
            self.within = !line.ends_with(b"\n");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_wherever_a_diff_is_cut() {
        let diff = b"diff --git a/x b/x\nindex 1..2\n--- a/x\n+++ b/x\n@@ -1 +1,2 @@ +\n-- old\n+++\n\
            +d\0@\n\\ No newline at end of file\ndiff --git a/y b/y\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-";
        for cut in 0..=diff.len() {
            let mut lines = Lines::default();
            diff[..cut].chunks(1).chain([&diff[cut..]]).for_each(|piece| lines.take(piece));
            assert_eq!(lines.touched, 4, "cut at {cut}");
        }
    }
}
