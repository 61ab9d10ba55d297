//! This file opens the database file: for this process's user alone, and for one opener alone.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{StoreError, StoreErrorKind};
use redb::{Builder, Database, DatabaseError};

use crate::error;

/// How long an opener waits for one before it that is on its way out, such as a store that was
/// dropped while it read, or a process that was told to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it looks meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// An open database.
///
/// **Invariant:** closing it does not panic, as redb can when what it kept about a damaged file
/// makes no sense. What was confirmed is on the disk; the next opener meets the damage.
#[derive(Debug)]
pub(crate) struct Open(Option<Database>);

impl From<Database> for Open {
    fn from(database: Database) -> Self {
        Self(Some(database))
    }
}

impl Deref for Open {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.0.as_ref().expect("only closing takes it")
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let database = self.0.take();
        // The panic was reported by the hook; nobody else waits for this.
        let _ = panic::catch_unwind(AssertUnwindSafe(move || drop(database)));
    }
}

/// Opens the file at `path`, or creates it. May block for [`PATIENCE`].
pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Open, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let file = open_or_create(path)
            .map_err(|error| error::unavailable(format_args!("{}: {error}", path.display())))?;
        match Builder::new().set_cache_size(cache_bytes).create_file(file) {
            Ok(database) => return Ok(database.into()),
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(in_use(path)),
            Err(other) => return Err(named(path, error::database(other))),
        }
    }
}

fn in_use(path: &Path) -> StoreError {
    let message =
        format_args!("{}: the file is in use by another process or store", path.display());
    StoreError::new(StoreErrorKind::Fenced, message)
}

fn named(path: &Path, error: StoreError) -> StoreError {
    StoreError::new(error.kind, format_args!("{}: {}", path.display(), error.message))
}

fn open_or_create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true);
    match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        opened => return opened,
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    create_dir(parent)?;
    owner_only(&mut options);
    let file = options.create(true).truncate(false).open(path)?;
    // The name of a new file is as durable as what will be in it only after this.
    File::open(parent)?.sync_all()?;
    Ok(file)
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
