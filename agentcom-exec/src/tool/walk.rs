//! This file walks the files beneath a folder, in bounds, and passes over what git ignores.

use std::ffi::OsStr;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cap_std::fs::{Dir, FileType};
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::workspace::open_in;
use super::{ToolError, Workspace};

/// How deep it goes beneath the folder.
const DEPTH_MAX: usize = 24;

/// How many files and folders are looked at, and names read of each folder: what is ignored does not count as looked at.
const ENTRIES_MAX: usize = 50_000;

/// How long it takes.
const TIME_MAX: Duration = Duration::from_secs(10);

/// The longest list of patterns that is heeded, in bytes.
const IGNORE_BYTES_MAX: u64 = 64 * 1024;

/// Something beneath the folder.
pub(super) struct Found<'a> {
    /// Its folder.
    pub(super) dir: &'a Dir,
    /// Its name there.
    pub(super) name: &'a OsStr,
    /// Its path from the workspace.
    pub(super) path: &'a Path,
    pub(super) kind: FileType,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Go,
    /// But not into this folder.
    Skip,
    Stop,
}

/// Walks what is beneath the folder at `path`; folders before what is in them, names in order.
/// Returns whether everything was seen.
pub(super) fn walk(
    workspace: &Workspace,
    path: &Path,
    mut visit: impl FnMut(Found<'_>) -> Next,
) -> Result<bool, ToolError> {
    let dir = workspace.folder(path)?;
    let above = path.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    let mut above: Vec<&Path> = above.collect();
    if path != Path::new(".") {
        above.push(Path::new("."));
    }
    let lists = above.into_iter().rev();
    let mut ignored: Vec<_> =
        lists.map(|path| Ok(patterns(&workspace.folder(path)?, path))).collect::<Result<_, _>>()?;
    let (left, deepest) = (ENTRIES_MAX, ignored.len() + DEPTH_MAX);
    let mut walk = Walk { left, deepest, until: Instant::now() + TIME_MAX, visit: &mut visit };
    Ok(walk.folder(&dir, path, &mut ignored))
}

struct Walk<'a> {
    left: usize,
    /// How many lists of patterns there are at most, one for each folder from the workspace on.
    deepest: usize,
    until: Instant,
    visit: &'a mut dyn FnMut(Found<'_>) -> Next,
}

impl Walk<'_> {
    fn folder(&mut self, dir: &Dir, path: &Path, ignored: &mut Vec<Gitignore>) -> bool {
        if ignored.len() >= self.deepest {
            return false;
        }
        let Ok(entries) = dir.entries() else { return true };
        let mut names: Vec<_> = entries.flatten().take(ENTRIES_MAX + 1).collect();
        let mut whole = names.len() <= ENTRIES_MAX;
        names.truncate(ENTRIES_MAX);
        names.sort_by_key(cap_std::fs::DirEntry::file_name);
        ignored.push(patterns(dir, path));
        for entry in names {
            if Instant::now() > self.until {
                whole = false;
                break;
            }
            let name = entry.file_name();
            let Ok(kind) = entry.file_type() else { continue };
            let at = if path == Path::new(".") { PathBuf::from(&name) } else { path.join(&name) };
            if name == ".git" || is_ignored(ignored, &at, kind.is_dir()) {
                continue;
            }
            if self.left == 0 {
                whole = false;
                break;
            }
            self.left -= 1;
            let next = (self.visit)(Found { dir, name: &name, path: &at, kind });
            if next == Next::Stop {
                whole = false;
                break;
            }
            if next == Next::Go
                && kind.is_dir()
                && let Ok(inner) = dir.open_dir(&name)
                && !self.folder(&inner, &at, ignored)
            {
                whole = false;
                if self.left == 0 {
                    break;
                }
            }
        }
        ignored.pop();
        whole
    }
}

/// The patterns of the `.gitignore` in `dir`.
fn patterns(dir: &Dir, path: &Path) -> Gitignore {
    let mut builder = GitignoreBuilder::new(path);
    if let Ok((file, metadata)) = open_in(dir, Path::new(".gitignore"))
        && metadata.len() <= IGNORE_BYTES_MAX
        && let Ok(text) = std::io::read_to_string(file.take(IGNORE_BYTES_MAX))
    {
        for line in text.lines() {
            // A pattern that is none is passed over, as git does.
            let _ = builder.add_line(None, line);
        }
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}

/// The innermost list that says something decides.
fn is_ignored(lists: &[Gitignore], path: &Path, is_dir: bool) -> bool {
    let said =
        lists.iter().rev().map(|list| list.matched(path, is_dir)).find(|said| !said.is_none());
    said.is_some_and(|said| said.is_ignore())
}
