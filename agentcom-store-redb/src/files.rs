//! This file is what the store asks of a file system, and the real one.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::StorageBackend;
use redb::backends::FileBackend;

/// A file system. Clones are the same.
pub(crate) type Files = Arc<dyn FileSystem>;

/// What tells a file from others, whatever it is called; `None` where nothing does.
pub(crate) type Identity = Option<(u64, u64)>;

/// What keeps others from opening a file, until it is dropped.
pub(crate) type Lock = Box<dyn Debug + Send>;

/// What the store asks of a file system. Like the calls of the operating system that they stand
/// for, names last only from the sync of their directory on.
pub(crate) trait FileSystem: Debug + Send + Sync {
    /// Opens a file that is there, to read and write it.
    fn open(&self, path: &Path) -> io::Result<Opened>;
    /// Makes a file that only its owner can use; one that is there is emptied.
    fn create(&self, path: &Path) -> io::Result<Opened>;
    /// Looks at a file or directory.
    fn find(&self, path: &Path) -> io::Result<Found>;
    /// Whether something has this name, even if it only leads to something that is not there.
    fn has(&self, path: &Path) -> io::Result<bool>;
    /// The paths of all that is in a directory.
    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>>;
    /// Keeps others from opening a file; `None` if somebody else has it open.
    fn lock(&self, path: &Path) -> io::Result<Option<(Lock, Found)>>;
    /// Makes durable what is in a file, or the names in a directory.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name, which has to be free.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file another name. A file that had that name is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Takes a name away.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes a directory that only its owner can use, in one that is there.
    fn make_dir(&self, dir: &Path) -> io::Result<()>;
}

/// A file that is open.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) content: Box<dyn StorageBackend>,
    pub(crate) found: Found,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) bytes: u64,
    pub(crate) identity: Identity,
}

/// The file system of this machine.
pub(crate) fn os() -> Files {
    Arc::new(Os)
}

#[derive(Debug)]
struct Os;

impl FileSystem for Os {
    fn open(&self, path: &Path) -> io::Result<Opened> {
        opened(OpenOptions::new().read(true).write(true).open(path)?)
    }

    fn create(&self, path: &Path) -> io::Result<Opened> {
        let mut options = OpenOptions::new();
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        opened(options.read(true).write(true).create(true).truncate(true).open(path)?)
    }

    fn find(&self, path: &Path) -> io::Result<Found> {
        fs::metadata(path).map(|metadata| found(&metadata))
    }

    fn has(&self, path: &Path) -> io::Result<bool> {
        match fs::symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(why) => Err(why),
        }
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<PathBuf>> {
        fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path())).collect()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<(Lock, Found)>> {
        let opened = OpenOptions::new().read(true).write(true).open(path);
        // A file of which no more can be written can still be saved.
        let file =
            opened.or_else(|why| if is_read_only(&why) { File::open(path) } else { Err(why) })?;
        match file.try_lock() {
            Ok(()) => {
                let found = found(&file.metadata()?);
                Ok(Some((Box::new(file), found)))
            }
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(why)) => Err(why),
        }
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_dir(&self, dir: &Path) -> io::Result<()> {
        #[cfg_attr(not(unix), expect(unused_mut, reason = "only Unix has modes"))]
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(dir)
    }
}

/// Whether a file cannot be opened because it would be written to.
pub(crate) fn is_read_only(why: &io::Error) -> bool {
    matches!(why.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn opened(file: File) -> io::Result<Opened> {
    let found = found(&file.metadata()?);
    let content = FileBackend::new(file).map_err(io::Error::other)?;
    Ok(Opened { content: Box::new(content), found })
}

fn found(metadata: &Metadata) -> Found {
    #[cfg(unix)]
    let identity = {
        use std::os::unix::fs::MetadataExt as _;
        Some((metadata.dev(), metadata.ino()))
    };
    // An open file cannot be replaced there.
    #[cfg(not(unix))]
    let identity = None;
    Found { bytes: metadata.len(), identity }
}
