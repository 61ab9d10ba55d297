//! This file opens the database file: for this process's user alone, and for one opener alone.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{StoreError, StoreErrorKind};
use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::error;
use crate::layout::{Behind, Layout};

/// How long an opener waits for one before it that is on its way out, such as a store that was
/// dropped while it read, or a process that was told to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it looks meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// An open file: its database, and the disk on which the rest of it is.
///
/// **Invariant:** closing it does not panic, as redb can when what it kept about a damaged file
/// makes no sense. What was confirmed is on the disk; the next opener meets the damage.
#[derive(Debug)]
pub(crate) struct Open {
    database: Option<Database>,
    pub(crate) disk: Arc<dyn StorageBackend>,
    pub(crate) layout: Layout,
}

impl Deref for Open {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.database.as_ref().expect("only closing takes it")
    }
}

impl Open {
    /// Gives back room that is not needed. Only for a file that nobody relies on yet: a crash
    /// meanwhile costs a walk through it.
    pub(crate) fn trim(&mut self) -> Result<(), StoreError> {
        let trimmed = self.database.as_mut().expect("only closing takes it").compact();
        trimmed.map(drop).map_err(error::compaction)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let database = self.database.take();
        // The panic was reported by the hook; nobody else waits for this.
        let _ = panic::catch_unwind(AssertUnwindSafe(move || drop(database)));
    }
}

/// Opens the file at `path`, or creates it with a log of so many bytes. May block for [`PATIENCE`].
pub(crate) fn open(path: &Path, cache_bytes: usize, log_bytes: u64) -> Result<Open, StoreError> {
    if !fs::exists(path).map_err(|why| error::of(path, &why))? {
        create(path, log_bytes)?;
    }
    open_existing(path, cache_bytes)
}

/// Opens the file at `path`, which has to be there and not empty. May block for [`PATIENCE`].
pub(crate) fn open_existing(path: &Path, cache_bytes: usize) -> Result<Open, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let file = open_file(path).map_err(|why| error::of(path, &why))?;
        let identity = identity(&file.metadata());
        let backend = FileBackend::new(file).map_err(|why| named(path, error::database(why)))?;
        let disk: Arc<dyn StorageBackend> = Arc::new(backend);
        let layout = Layout::read(&*disk).map_err(|why| named(path, why))?;
        match open_database(&disk, layout, cache_bytes) {
            // The name may stand for another file since, if this one was replaced meanwhile.
            Ok(_) if identity != self::identity(&fs::metadata(path)) => {}
            Ok(database) => return Ok(Open { database: Some(database), disk, layout }),
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(in_use(path)),
            Err(other) => return Err(named(path, error::database(other))),
        }
    }
}

fn open_database(
    disk: &Arc<dyn StorageBackend>,
    layout: Layout,
    cache_bytes: usize,
) -> Result<Database, DatabaseError> {
    let behind = Behind { disk: Arc::clone(disk), start: layout.database() };
    Builder::new().set_cache_size(cache_bytes).create_with_backend(behind)
}

/// Makes a fresh file on an empty disk.
fn make(disk: &Arc<dyn StorageBackend>, layout: Layout) -> Result<(), StoreError> {
    layout.write(&**disk).map_err(|why| error::io(&why))?;
    open_database(disk, layout, 0).map(drop).map_err(error::database)
}

/// What tells a file from others, whatever it is called.
fn identity(found: &io::Result<Metadata>) -> Option<(u64, u64)> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        found.as_ref().ok().map(|found| (found.dev(), found.ino()))
    }
    #[cfg(not(unix))]
    {
        // An open file cannot be replaced there.
        let _ = found;
        None
    }
}

/// Keeps the file at `path` from being opened as long as the returned one is; `None` if there is
/// none. What is in it does not matter.
pub(crate) fn lock(path: &Path) -> Result<Option<File>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let file = match OpenOptions::new().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(error::of(path, &why)),
        };
        match file.try_lock() {
            Ok(()) if identity(&file.metadata()) != identity(&fs::metadata(path)) => {}
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(PAUSE),
            Err(TryLockError::WouldBlock) => return Err(in_use(path)),
            Err(TryLockError::Error(why)) => return Err(error::of(path, &why)),
        }
    }
}

/// Opens what is on a disk for tests.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn on(
    disk: crate::testing::Disk,
    cache_bytes: usize,
    log_bytes: u64,
) -> Result<Open, StoreError> {
    // As in a file system a fresh file is there whole or not at all. It is the same every time.
    let layout = Layout { log_bytes, salt: 1 };
    disk.create_whole(|fresh| {
        let fresh: Arc<dyn StorageBackend> = Arc::new(fresh);
        make(&fresh, layout)
    })?;
    let disk: Arc<dyn StorageBackend> = Arc::new(disk);
    let layout = Layout::read(&*disk)?;
    let database = open_database(&disk, layout, cache_bytes).map_err(error::database)?;
    Ok(Open { database: Some(database), disk, layout })
}

fn in_use(path: &Path) -> StoreError {
    let message =
        format_args!("{}: the file is in use by another process or store", path.display());
    StoreError::new(StoreErrorKind::Fenced, message)
}

pub(crate) fn named(path: &Path, error: StoreError) -> StoreError {
    StoreError::new(error.kind, format_args!("{}: {}", path.display(), error.message))
}

fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).open(path)?;
    // Of an empty file redb would make a fresh database.
    if file.metadata()?.len() == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
    }
    Ok(file)
}

/// Makes a fresh database at `path`, whole or not at all: a power loss meanwhile would leave a
/// file that cannot be opened. One that somebody else made meanwhile stays.
fn create(path: &Path, log_bytes: u64) -> Result<(), StoreError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    make_parent(path)?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_file_name(format!(".{name}.{}-{number}.new", std::process::id()));
    let made = fill(&fresh, log_bytes).and_then(|()| match fs::hard_link(&fresh, path) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => Err(error::of(path, &why)),
        Ok(()) | Err(_) => Ok(()),
    });
    // The first error counts.
    let _ = fs::remove_file(&fresh);
    made?;
    // The name of a new file is as durable as what will be in it only after this.
    let parent = parent(path);
    File::open(parent).and_then(|dir| dir.sync_all()).map_err(|why| error::of(parent, &why))
}

fn fill(path: &Path, log_bytes: u64) -> Result<(), StoreError> {
    let mut options = OpenOptions::new();
    owner_only(&mut options);
    let opened = options.read(true).write(true).create(true).truncate(true).open(path);
    let file = opened.map_err(|why| error::of(path, &why))?;
    let backend = FileBackend::new(file).map_err(|why| named(path, error::database(why)))?;
    make(&(Arc::new(backend) as _), Layout::fresh(log_bytes)?).map_err(|why| named(path, why))?;
    File::open(path).and_then(|file| file.sync_all()).map_err(|why| error::of(path, &why))
}

/// The directory that a file is in.
pub(crate) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes the directory that a file is to be in, for its owner only, if it is missing.
pub(crate) fn make_parent(path: &Path) -> Result<(), StoreError> {
    let dir = parent(path);
    create_dir(dir).map_err(|why| error::of(dir, &why))
}

fn create_dir(dir: &Path) -> io::Result<()> {
    if fs::exists(dir)? {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(dir)
}

fn owner_only(options: &mut OpenOptions) {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    #[cfg(not(unix))]
    let _ = options;
}
