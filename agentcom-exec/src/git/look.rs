//! This file looks into commits: which files they have, what is in them, and what has changed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::branch::theirs;
use super::{Changed, Checkout, CheckoutError};

/// Shows a change. Neither settings nor attributes that it brings along start programs or hide lines.
const DIFF: &[&str] =
    &["diff", "--no-color", "--no-ext-diff", "--no-textconv", "--no-renames", "--text"];

/// What a commit changes, as a unified diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Diff {
    /// All of it.
    Whole(String),
    /// It is longer than was asked for: its beginning.
    Longer(String),
}

impl Checkout {
    /// What differs between two commits, said as git says both.
    pub(super) async fn changed(&self, both: &str) -> Result<Vec<Changed>, CheckoutError> {
        let diff = async |how: &str| {
            // What the change says of submodules hides nothing of it.
            let args = ["diff", "-z", "--no-renames", "--no-ext-diff", "--ignore-submodules=none"];
            self.git.names(&[&args[..], &[how, both, "--"]].concat()).await
        };
        let counted = diff("--numstat").await?;
        let raw = diff("--raw").await?;
        let became = raw.chunks_exact(2).map(|pair| (&*pair[1], Became::read(&pair[0])));
        let became = became.collect::<BTreeMap<_, _>>();
        Ok(counted.iter().filter_map(|record| changed_file(record, &became)).collect())
    }

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
        let take = |piece: &[u8]| {
            lines.take(piece);
            ControlFlow::Continue(())
        };
        self.git.stream(&args, take).await?;
        Ok(lines.touched)
    }

    /// What a commit changes in some files since it left a branch of the remote, `bytes_max` bytes of that
    /// at most.
    ///
    /// # Errors
    ///
    /// If git says no.
    pub async fn diff_of(
        &self,
        base: &str,
        commit: &str,
        files: &[&str],
        bytes_max: usize,
    ) -> Result<Diff, CheckoutError> {
        let both = format!("{}...{commit}", theirs(base));
        let files: Vec<String> = files.iter().map(|path| format!(":(top,literal){path}")).collect();
        let mut args = [DIFF, &[&both, "--"]].concat();
        args.extend(files.iter().map(String::as_str));
        let mut beginning = Beginning::at_most(bytes_max);
        self.git.stream(&args, |piece| beginning.take(piece)).await?;
        Ok(beginning.into_diff())
    }
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Became {
    is_new: bool,
    is_plain: bool,
}

impl Became {
    /// From a record of `git diff --raw`: `:OLD-MODE NEW-MODE OLD NEW STATUS`.
    fn read(record: &str) -> Self {
        const NOTHING: &str = "000000";
        const PLAIN: [&str; 2] = ["100644", "100755"];
        let mut modes = record.trim_start_matches(':').split(' ');
        let (before, after) = (modes.next().unwrap_or_default(), modes.next().unwrap_or_default());
        let is_new = before == NOTHING;
        let is_one = |mode: &str| mode == NOTHING || PLAIN.contains(&mode);
        let stays = before == after || is_new || after == NOTHING;
        Self { is_new, is_plain: is_one(before) && is_one(after) && stays }
    }
}

/// A record of `git diff --numstat`, of a file of which it is known what it `became`.
fn changed_file(record: &str, became: &BTreeMap<&str, Became>) -> Option<Changed> {
    let mut fields = record.splitn(3, '\t');
    let (added, deleted) = (fields.next()?.parse().ok(), fields.next()?.parse().ok());
    let path = fields.next()?.to_owned();
    // Of what is not known it is supposed that somebody should look.
    let unknown = Became { is_new: false, is_plain: false };
    let Became { is_new, is_plain } = became.get(&*path).copied().unwrap_or(unknown);
    Some(Changed { path, added, deleted, is_new, is_plain })
}

/// Keeps the beginning of a diff that is taken piece by piece.
#[derive(Debug)]
struct Beginning {
    kept: Vec<u8>,
    bytes_max: usize,
    is_longer: bool,
}

impl Beginning {
    fn at_most(bytes_max: usize) -> Self {
        Self { kept: Vec::new(), bytes_max, is_longer: false }
    }

    /// Takes a piece, unless that is too much.
    fn take(&mut self, piece: &[u8]) -> ControlFlow<()> {
        let room = self.bytes_max - self.kept.len();
        self.is_longer = piece.len() > room;
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        if self.is_longer { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn into_diff(mut self) -> Diff {
        if !self.is_longer {
            return Diff::Whole(super::text_of(&self.kept));
        }
        // A character that was cut is left out.
        if let Err(bad) = str::from_utf8(&self.kept)
            && bad.error_len().is_none()
        {
            self.kept.truncate(bad.valid_up_to());
        }
        Diff::Longer(String::from_utf8_lossy(&self.kept).into_owned())
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
    use crate::git::Git;

    #[test]
    fn a_beginning_is_as_long_as_asked_for_and_ends_with_a_whole_character() {
        let text = "+ one \u{e4}\n";
        for (bytes_max, shown) in [
            (0, Diff::Longer(String::new())),
            (6, Diff::Longer("+ one ".into())),
            (7, Diff::Longer("+ one ".into())),
            (8, Diff::Longer("+ one \u{e4}".into())),
            (9, Diff::Whole("+ one \u{e4}".into())),
        ] {
            for size in 1..=text.len() {
                let mut beginning = Beginning::at_most(bytes_max);
                let mut pieces = text.as_bytes().chunks(size);
                let enough = pieces.find(|piece| beginning.take(piece).is_break());
                assert_eq!(enough.is_some(), bytes_max < text.len(), "{bytes_max} by {size}");
                assert_eq!(beginning.into_diff(), shown, "{bytes_max} by {size}");
            }
        }
    }

    #[test]
    fn what_is_no_plain_file_or_becomes_something_else_is_told() {
        for (modes, is_new, is_plain) in [
            ("100644 100644 a b M", false, true),
            ("000000 100644 a b A", true, true),
            ("000000 100755 a b A", true, true),
            ("100644 000000 a b D", false, true),
            ("100644 100755 a b M", false, false),
            ("100755 100644 a b M", false, false),
            ("100644 120000 a b T", false, false),
            ("120000 120000 a b M", false, false),
            ("000000 120000 a b A", true, false),
            ("120000 000000 a b D", false, false),
            ("160000 160000 a b M", false, false),
            ("", false, false),
        ] {
            let became = Became::read(&format!(":{modes}"));
            assert_eq!(became, Became { is_new, is_plain }, "{modes}");
        }
    }

    #[tokio::test]
    async fn git_is_not_waited_for_when_it_is_enough() {
        let mut beginning = Beginning::at_most(10);
        // It never ends by itself.
        let endless = ["-c", "alias.endless=!yes", "endless"];
        Git::at(".").stream(&endless, |piece| beginning.take(piece)).await.unwrap();
        assert_eq!(beginning.into_diff(), Diff::Longer("y\n".repeat(5)));
    }

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
