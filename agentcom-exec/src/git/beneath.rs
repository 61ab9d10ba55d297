//! This file removes from a worktree what keeps git from its work, or leads it astray there: whatever a
//! model may have left.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirEntry, FileTypeExt as _};

use super::WITHIN;

/// The longest path that the system takes, in bytes: `PATH_MAX` of Linux, which no other exceeds.
const PATH_BYTES_MAX: usize = 4096;

/// How many folders a path leads through before the next is opened by itself.
const STEPS_MAX: usize = 32;

/// Removes the pipes beneath `top`: git would read from those that are called as what it looks for, and
/// wait for ever. No commit has any.
pub(super) fn remove_pipes(top: &Path) -> io::Result<()> {
    walk(top, |dir, path, entry| {
        if entry.file_type()?.is_fifo() {
            remove_in(dir, path)?;
        }
        Ok(())
    })
}

/// Makes ordinary folders of all that are repositories beneath `top`, and of `top` itself.
pub(super) fn remove_repositories(top: &Path) -> io::Result<()> {
    walk(top, |dir, path, entry| {
        if entry.file_name() == ".git" {
            remove_in(dir, path)?;
        }
        Ok(())
    })
}

/// Removes what makes `folder` a repository, unless a link leads out of `top` on the way there.
pub(super) fn remove_repository(top: &Path, folder: &Path) -> io::Result<()> {
    let mut at = top.to_owned();
    for part in folder {
        at.push(part);
        if !at.symlink_metadata().is_ok_and(|there| there.is_dir()) {
            return Ok(());
        }
    }
    remove_any(&at.join(".git"))
}

/// Removes what is there, if anything is. Links are not followed.
pub(super) fn remove_any(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(there) if there.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// A folder on the way, from another on that is open: the deeper a path leads, the longer it takes to go.
struct Folder {
    from: Rc<Dir>,
    path: PathBuf,
    /// How long its path is from the top on, in bytes.
    length: usize,
}

/// Shows all that is beneath `top`, each with a folder and its path from there on. Links are not followed.
/// Git goes by paths from `top` on, which lead deeper than those from the root; where these are too long,
/// and where nobody may look, it does not go, so that nothing is shown of it.
fn walk(
    top: &Path,
    mut visit: impl FnMut(&Dir, &Path, &DirEntry) -> io::Result<()>,
) -> io::Result<()> {
    let until = Instant::now() + WITHIN;
    let from = Rc::new(Dir::open_ambient_dir(top, ambient_authority())?);
    // How deep it is does not decide how much of the stack is needed.
    let mut left = vec![Folder { from, path: PathBuf::new(), length: 0 }];
    while let Some(mut folder) = left.pop() {
        if Instant::now() > until {
            return Err(ErrorKind::TimedOut.into());
        }
        if folder.path.components().nth(STEPS_MAX).is_some() {
            let Ok(dir) = folder.from.open_dir(&folder.path) else { continue };
            (folder.from, folder.path) = (Rc::new(dir), PathBuf::new());
        }
        let at = if folder.path == Path::new("") { Path::new(".") } else { &folder.path };
        let Ok(entries) = folder.from.read_dir(at) else { continue };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let path = folder.path.join(&name);
            let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
            visit(&folder.from, &path, &entry)?;
            let length = folder.length + name.len() + 1;
            if is_dir && length < PATH_BYTES_MAX {
                left.push(Folder { from: Rc::clone(&folder.from), path, length });
            }
        }
    }
    Ok(())
}

fn remove_in(dir: &Dir, path: &Path) -> io::Result<()> {
    if dir.symlink_metadata(path)?.is_dir() {
        dir.remove_dir_all(path)
    } else {
        dir.remove_file(path)
    }
}
