//! This file opens the folder beneath which file tools stay.
//!
//! **Invariant:** every path is resolved by the kernel (or component by component, where it is old)
//! beneath an open folder; nothing is decided by comparing texts, so that no link and no race leads
//! out.

use std::io;
use std::os::fd::AsFd;
use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, File, Metadata, MetadataExt, OpenOptions, OpenOptionsExt};
use nix::unistd::{Gid, Uid};

use super::{ToolError, ToolErrorKind};
use crate::sandbox::{DEPTH_MAX, Quota, size};

/// A folder that tools work in.
#[derive(Debug)]
pub struct Workspace {
    dir: Dir,
    path: PathBuf,
    /// What all files in it may take.
    quota: Option<Quota>,
}

/// The largest file that tools read or write, in bytes.
pub(super) const FILE_BYTES_MAX: u64 = 10 * 1024 * 1024;

/// How much of a file is looked at to tell whether it is text.
const SNIFFED_BYTES: usize = 8 * 1024;

impl Workspace {
    /// Opens the folder at `path`.
    ///
    /// # Errors
    ///
    /// If there is none, or it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> io::Result<Self> {
        let path = path.as_ref().canonicalize()?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        Ok(Self { dir, path, quota: None })
    }

    /// With a bound on what all files in it take together, in bytes. Where that is less than what is there,
    /// files can be made smaller and nothing else; see
    /// [`Sandbox::for_work_in`](crate::sandbox::Sandbox::for_work_in).
    #[must_use]
    pub fn at_most(self, bytes_max: u64) -> Self {
        let user = nix::unistd::geteuid().as_raw();
        let quota = Some(Quota::of(bytes_max, &[&self.path], user));
        Self { quota, ..self }
    }

    /// Whether there is room for a file of so many bytes in exchange for one that is there.
    pub(super) fn make_room(&self, bytes: u64, before: Option<&Metadata>) -> Result<(), ToolError> {
        let Some(quota) = &self.quota else { return Ok(()) };
        let full = |excess| {
            let message = format!("there is no room: {excess}; delete some");
            ToolError::new(ToolErrorKind::DiskFull, message)
        };
        quota.check(bytes, before.map_or(0, size)).map_err(full)
    }

    /// Where it is; absolute.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path that a model means, relative to the workspace. Models name files by their whole
    /// paths now and then.
    pub(crate) fn relative(&self, path: &str) -> PathBuf {
        let path = Path::new(path);
        let path = path.strip_prefix(&self.path).unwrap_or(path);
        let parts = path.components().filter(|part| !matches!(part, Component::CurDir));
        let path: PathBuf = parts.collect();
        if path.as_os_str().is_empty() { PathBuf::from(".") } else { path }
    }

    /// Whether there is anything at a path, beneath the workspace.
    pub(crate) fn has(&self, path: &Path) -> bool {
        self.dir.try_exists(path).unwrap_or(false)
    }

    /// Opens a folder.
    pub(super) fn folder(&self, path: &Path) -> Result<Dir, ToolError> {
        self.dir.open_dir(path).map_err(|error| refused(path, &error))
    }

    /// Opens a regular file to read it; never waits for one that is none.
    pub(crate) fn file(&self, path: &Path) -> Result<(File, Metadata), ToolError> {
        open_in(&self.dir, path)
    }

    /// Where a file is to be written: its folder, and its name there.
    pub(crate) fn place<'a>(
        &self,
        path: &'a Path,
        make: bool,
    ) -> Result<(Dir, &'a Path), ToolError> {
        let Some(name) = path.file_name().filter(|_| !path.ends_with("..")) else {
            let message = format!("{} names no file", path.display());
            return Err(ToolError::new(ToolErrorKind::BadInput, message));
        };
        let depth = path.components().count();
        if depth > DEPTH_MAX {
            let message = format!("a path leads {DEPTH_MAX} folders deep at most, not {depth}");
            return Err(ToolError::new(ToolErrorKind::BadInput, message));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let parent = parent.unwrap_or(Path::new("."));
        if make {
            self.make(parent).map_err(|error| refused(path, &error))?;
        }
        let dir = self.folder(parent)?;
        self.protect(parent, name)?;
        Ok((dir, Path::new(name)))
    }

    /// Makes a folder, and those on the way to it, each as the owner's of the one that it is in.
    fn make(&self, path: &Path) -> io::Result<()> {
        let mut folder = OpenOptions::new();
        folder.read(true).custom_flags(nix::libc::O_DIRECTORY | nix::libc::O_NOFOLLOW);
        let mut at = PathBuf::new();
        for part in path.components() {
            let above = if at.as_os_str().is_empty() { PathBuf::from(".") } else { at.clone() };
            at.push(part);
            if !matches!(part, Component::Normal(_)) {
                continue;
            }
            match self.dir.create_dir(&at) {
                Ok(()) => give(&self.dir.open_dir(&above)?, &self.dir.open_with(&at, &folder)?)?,
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What git reads about the workspace is not for tools to write: programs outside follow it.
    fn protect(&self, parent: &Path, name: &std::ffi::OsStr) -> Result<(), ToolError> {
        let real = self.dir.canonicalize(parent).map_err(|error| refused(parent, &error))?;
        let is_git = |part: &std::ffi::OsStr| part.eq_ignore_ascii_case(".git");
        if is_git(name) || real.components().any(|part| is_git(part.as_os_str())) {
            let message = ".git is not for tools to write; commits are made for you";
            return Err(ToolError::new(ToolErrorKind::Refused, message));
        }
        Ok(())
    }
}

/// Gives what was made in a folder to whom that belongs, where we are root: in a sandbox with a user of its own
/// commands go on with it.
pub(super) fn give(folder: &Dir, made: impl AsFd) -> io::Result<()> {
    if !nix::unistd::geteuid().is_root() {
        return Ok(());
    }
    let owner = folder.dir_metadata()?;
    let (user, group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()));
    Ok(nix::unistd::fchown(made, Some(user), Some(group))?)
}

/// Opens a regular file beneath `dir` to read it.
pub(super) fn open_in(dir: &Dir, path: &Path) -> Result<(File, Metadata), ToolError> {
    let mut options = OpenOptions::new();
    // Opening a pipe or a device would wait for somebody, or do something.
    options.read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    let file = dir.open_with(path, &options).map_err(|error| refused(path, &error))?;
    let metadata = file.metadata().map_err(|error| refused(path, &error))?;
    if metadata.is_dir() {
        let message = format!("{} is a folder; list it", path.display());
        return Err(ToolError::new(ToolErrorKind::WrongKind, message));
    }
    if !metadata.is_file() {
        let message = format!("{} is no regular file", path.display());
        return Err(ToolError::new(ToolErrorKind::WrongKind, message));
    }
    Ok((file, metadata))
}

/// Whether bytes from the beginning of a file are no text.
pub(super) fn is_binary(bytes: &[u8]) -> bool {
    bytes[..bytes.len().min(SNIFFED_BYTES)].contains(&0)
}

/// What the model is told of a path that cannot be opened.
pub(super) fn refused(path: &Path, error: &io::Error) -> ToolError {
    let shown = path.display();
    // What leads out of an open folder is EXDEV to the kernel, and this to the library above it.
    let outside = error.raw_os_error() == Some(nix::libc::EXDEV)
        || (error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none());
    if outside {
        let message =
            format!("{shown} leads out of the workspace; name a path inside, such as src");
        return ToolError::new(ToolErrorKind::Refused, message);
    }
    let known = [
        (io::ErrorKind::NotFound, ToolErrorKind::NotFound),
        (io::ErrorKind::NotADirectory, ToolErrorKind::WrongKind),
        (io::ErrorKind::IsADirectory, ToolErrorKind::WrongKind),
        (io::ErrorKind::PermissionDenied, ToolErrorKind::Refused),
    ];
    let kind = known.into_iter().find(|(kind, _)| *kind == error.kind());
    let kind = kind.map_or(ToolErrorKind::Failed, |(_, kind)| kind);
    ToolError::new(kind, format!("{shown}: {error}"))
}
