//! This file keeps the files of a commit in its checkout as they are, whatever commands do to them.
//!
//! **Invariant:** nothing in the checkout is believed about itself. Whether a file is as it was is told
//! by its content, and what it is to be comes from the repository, which is out of reach of commands.
//! Files that are as they were are not touched, so that builds go on from what they have done.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::{
    Dir, Metadata, MetadataExt as _, OpenOptions, OpenOptionsExt as _, Permissions,
    PermissionsExt as _,
};
use sha2::{Digest as _, Sha256};

use crate::git::Checkout;

/// The permissions of a file.
const PERMISSIONS: u32 = 0o7777;

/// What the owner of a folder may do who works in it.
const OWNER: u32 = 0o700;

/// The files of a commit, as they were checked out.
#[derive(Debug)]
pub(super) struct Tracked<'a> {
    checkout: &'a Checkout,
    files: Arc<Files>,
}

#[derive(Debug)]
struct Files {
    dir: Dir,
    /// Whose the folder is, and the group's: files that are put back are theirs as well.
    owner: (u32, u32),
    /// By path; nothing of what git did not check out, as where only some folders are wanted.
    entries: BTreeMap<PathBuf, Option<Entry>>,
}

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File {
        mode: u32,
        bytes: u64,
        hash: [u8; 32],
    },
    Link(PathBuf),
    /// A folder, a pipe, or what cannot be read: no commit has any.
    Other,
}

impl<'a> Tracked<'a> {
    /// Looks at a checkout in which no command has run yet.
    ///
    /// # Errors
    ///
    /// Why that cannot be done.
    pub(super) async fn of(checkout: &'a Checkout, commit: &str) -> Result<Self, String> {
        let paths = checkout.tracked(commit).await.map_err(|error| error.to_string())?;
        let dir = checkout.dir().to_owned();
        let files = aside(move || Files::look(&dir, paths)).await?;
        Ok(Self { checkout, files: Arc::new(files) })
    }

    /// Puts back what is not as it was, and says what that is.
    ///
    /// # Errors
    ///
    /// Why it cannot be put back. What is there then is not to be relied on.
    pub(super) async fn put_back(&self) -> Result<Vec<PathBuf>, String> {
        let files = self.files.clone();
        let changed = aside(move || files.changed()).await?;
        if changed.is_empty() {
            return Ok(changed);
        }
        let has = |path: &&PathBuf| matches!(self.files.entries.get(*path), Some(Some(_)));
        let wanted: Vec<PathBuf> = changed.iter().filter(has).cloned().collect();
        let fresh = self.checkout.fresh(&wanted).await.map_err(|error| error.to_string())?;
        let files = self.files.clone();
        aside(move || {
            let from = Dir::open_ambient_dir(fresh.path(), ambient_authority())?;
            files.restore(&changed, &from)?;
            Ok(changed)
        })
        .await
    }
}

/// Does what waits for the disk where nobody else waits for it.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, String> {
    let worked = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    worked.and_then(|worked| worked).map_err(|error| error.to_string())
}

impl Files {
    fn look(dir: &Path, paths: Vec<PathBuf>) -> io::Result<Self> {
        let dir = Dir::open_ambient_dir(dir, ambient_authority())?;
        let metadata = dir.dir_metadata()?;
        let owner = (metadata.uid(), metadata.gid());
        let mut look = Look::at(&dir);
        let entries = paths.into_iter().map(|path| {
            let entry = look.see(&path, None)?;
            Ok((path, entry))
        });
        let entries = entries.collect::<io::Result<_>>()?;
        Ok(Self { dir, owner, entries })
    }

    fn changed(&self) -> io::Result<Vec<PathBuf>> {
        let (mut look, mut changed) = (Look::at(&self.dir), Vec::new());
        for (path, was) in &self.entries {
            if look.see(path, was.as_ref())? != *was {
                changed.push(path.clone());
            }
        }
        Ok(changed)
    }

    /// Writes files anew from a folder in which they are as they are to be.
    fn restore(&self, paths: &[PathBuf], from: &Dir) -> io::Result<()> {
        for path in paths {
            match self.entries.get(path) {
                Some(Some(was)) => self.restore_one(path, was, from)?,
                Some(None) | None => remove(&self.dir, path)?,
            }
        }
        match &*self.changed()? {
            [] => Ok(()),
            [path, ..] => Err(io::Error::other(format!("{} is another now", path.display()))),
        }
    }

    fn restore_one(&self, path: &Path, was: &Entry, from: &Dir) -> io::Result<()> {
        self.make_folders(path)?;
        remove(&self.dir, path)?;
        match was {
            Entry::Link(to) => self.dir.symlink_contents(to, path),
            Entry::File { mode, .. } => self.write(path, *mode, from),
            Entry::Other => Ok(()),
        }
    }

    fn write(&self, path: &Path, mode: u32, from: &Dir) -> io::Result<()> {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600);
        let mut file = self.dir.open_with(path, &options)?;
        io::copy(&mut from.open(path)?, &mut file)?;
        let file = file.into_std();
        self.own(&file)?;
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))
    }

    /// Only the one who may give files away has to.
    fn own(&self, file: &std::fs::File) -> io::Result<()> {
        if !nix::unistd::geteuid().is_root() {
            return Ok(());
        }
        std::os::unix::fs::fchown(file, Some(self.owner.0), Some(self.owner.1))
    }

    /// Makes folders of all above a path, whatever they are.
    fn make_folders(&self, path: &Path) -> io::Result<()> {
        for folder in above(path) {
            let mode = match self.dir.symlink_metadata(&folder) {
                Ok(there) if there.is_dir() => there.mode(),
                Ok(_) => {
                    self.dir.remove_file(&folder)?;
                    self.make_folder(&folder)?
                }
                Err(error) if error.kind() == ErrorKind::NotFound => self.make_folder(&folder)?,
                Err(error) => return Err(error),
            };
            if mode & OWNER != OWNER {
                let mode = (mode | OWNER) & PERMISSIONS;
                self.dir.set_permissions(&folder, Permissions::from_mode(mode))?;
            }
        }
        Ok(())
    }

    fn make_folder(&self, folder: &Path) -> io::Result<u32> {
        self.dir.create_dir(folder)?;
        let made = self.dir.open(folder)?.into_std();
        self.own(&made)?;
        Ok(std::os::unix::fs::MetadataExt::mode(&made.metadata()?))
    }
}

/// Looks at files, and at each folder above them once.
struct Look<'a> {
    dir: &'a Dir,
    /// Whether what is there is a folder, and no link to one.
    folders: BTreeMap<PathBuf, bool>,
}

impl<'a> Look<'a> {
    fn at(dir: &'a Dir) -> Self {
        Self { dir, folders: BTreeMap::new() }
    }

    /// What is at a path of which no part is a link. Of a file that has another size than it `was` it
    /// is enough to know that it is another.
    fn see(&mut self, path: &Path, was: Option<&Entry>) -> io::Result<Option<Entry>> {
        for folder in above(path) {
            if !self.is_folder(folder)? {
                return Ok(None);
            }
        }
        let Some(metadata) = there(self.dir, path)? else { return Ok(None) };
        if metadata.is_symlink() {
            return Ok(Some(Entry::Link(self.dir.read_link_contents(path)?)));
        }
        let is_other = match was {
            Some(Entry::File { bytes, .. }) => metadata.len() != *bytes,
            Some(Entry::Link(_) | Entry::Other) => true,
            None => false,
        };
        if !metadata.is_file() || is_other {
            return Ok(Some(Entry::Other));
        }
        let mode = metadata.mode() & PERMISSIONS;
        match hash_of(self.dir, path) {
            Ok((bytes, hash)) => Ok(Some(Entry::File { mode, bytes, hash })),
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(Some(Entry::Other)),
            Err(error) => Err(error),
        }
    }

    fn is_folder(&mut self, path: PathBuf) -> io::Result<bool> {
        if let Some(&known) = self.folders.get(&path) {
            return Ok(known);
        }
        let is_folder = there(self.dir, &path)?.is_some_and(|there| there.is_dir());
        self.folders.insert(path, is_folder);
        Ok(is_folder)
    }
}

/// What the system says of a path; nothing if there is nothing, or nothing that can be looked at.
fn there(dir: &Dir, path: &Path) -> io::Result<Option<Metadata>> {
    let is_unseen = |kind: ErrorKind| {
        let kinds = [ErrorKind::NotFound, ErrorKind::NotADirectory, ErrorKind::PermissionDenied];
        kinds.contains(&kind)
    };
    match dir.symlink_metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if is_unseen(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The size of a file, and the hash of what is in it.
fn hash_of(dir: &Dir, path: &Path) -> io::Result<(u64, [u8; 32])> {
    let mut options = OpenOptions::new();
    // A pipe that came meanwhile would wait for somebody.
    options.read(true).custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY);
    let mut file = dir.open_with(path, &options)?;
    let (mut hasher, mut bytes, mut part) = (Sha256::new(), 0, vec![0; 64 * 1024]);
    loop {
        match file.read(&mut part)? {
            0 => return Ok((bytes, hasher.finalize().into())),
            read => {
                hasher.update(&part[..read]);
                bytes += read as u64;
            }
        }
    }
}

/// The folders above a path, the uppermost first.
fn above(path: &Path) -> Vec<PathBuf> {
    let mut above: Vec<PathBuf> = path.ancestors().skip(1).map(Path::to_owned).collect();
    above.pop();
    above.reverse();
    above
}

/// Removes whatever is at a path.
fn remove(dir: &Dir, path: &Path) -> io::Result<()> {
    match dir.symlink_metadata(path) {
        Ok(there) if there.is_dir() => dir.remove_dir_all(path),
        Ok(_) => dir.remove_file(path),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
