//! This file opens the database file: for this process's user alone, and for one opener alone.

use std::io;
use std::ops::Deref;
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{StoreError, StoreErrorKind};
use redb::{Builder, Database, DatabaseError, StorageBackend};

use crate::error;
use crate::files::{self, Files, Lock, Opened};
use crate::latch::{FirstError, Latched};
use crate::layout::{Behind, Layout};

/// How long an opener waits for one before it that is on its way out, such as a store that was
/// dropped while it read, or a process that was told to stop.
const PATIENCE: Duration = Duration::from_millis(500);

/// How often it looks meanwhile.
const PAUSE: Duration = Duration::from_millis(20);

/// An open file: its database, and the disk on which the rest of it is.
///
/// **Invariant:** dropping it writes nothing, as if the process had been killed. What was confirmed
/// is on the disk, and the next opener finds it as fast. When redb closes a file it writes to it
/// what it knows about its pages, and if that is damaged can panic twice, which no process survives.
#[derive(Debug)]
pub(crate) struct Open {
    database: Option<Database>,
    pub(crate) disk: Arc<dyn StorageBackend>,
    pub(crate) layout: Layout,
    /// Behind which byte the log is known to hold nothing.
    pub(crate) log_filled: u64,
    first_error: FirstError,
}

impl Deref for Open {
    type Target = Database;

    fn deref(&self) -> &Database {
        self.database.as_ref().expect("only closing takes it")
    }
}

/// A file before its database is opened.
struct Content {
    disk: Arc<dyn StorageBackend>,
    first_error: FirstError,
    layout: Layout,
}

impl Content {
    fn of(disk: Box<dyn StorageBackend>, layout: Layout) -> Self {
        let (disk, first_error) = Latched::new(disk);
        Self { disk: Arc::new(disk), first_error, layout }
    }

    /// Reads what is where in it.
    fn read(disk: Box<dyn StorageBackend>) -> Result<Self, StoreError> {
        let layout = Layout::read(&*disk)?;
        Ok(Self::of(disk, layout))
    }

    fn open(self, cache_bytes: usize) -> Result<Open, DatabaseError> {
        let Self { disk, first_error, layout } = self;
        let behind = Behind { disk: Arc::clone(&disk), start: layout.database() };
        let database = Builder::new().set_cache_size(cache_bytes).create_with_backend(behind)?;
        let log_filled = layout.log_bytes;
        Ok(Open { database: Some(database), disk, layout, log_filled, first_error })
    }
}

impl Open {
    /// What went wrong first with the file, if anything did. From then on every call of it fails.
    pub(crate) fn check(&self) -> io::Result<()> {
        self.first_error.check()
    }

    /// Closes a fresh file in good order.
    pub(crate) fn close(mut self) {
        drop(self.database.take());
    }

    /// Gives back room that is not needed. Only for a file that nobody relies on yet: a crash
    /// meanwhile costs a walk through it.
    pub(crate) fn trim(&mut self) -> Result<(), StoreError> {
        let trimmed = self.database.as_mut().expect("only closing takes it").compact();
        trimmed.map(drop).map_err(error::compaction)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let Some(mut database) = self.database.take() else { return };
        // The panic was reported by the hook; nobody else waits for this.
        let _ = panic::catch_unwind(AssertUnwindSafe(move || {
            self.first_error.set("the file was closed");
            // The first call that it makes shows redb that it can write no more.
            let _ = database.check_integrity();
            drop(database);
        }));
    }
}

/// Opens the file at `path`, or creates it with a log of so many bytes, and removes what interrupted
/// work left beside it. May block for [`PATIENCE`].
pub(crate) fn open(
    files: &Files,
    path: &Path,
    cache_bytes: usize,
    log_bytes: u64,
) -> Result<Open, StoreError> {
    if !exists(files, path).map_err(|why| error::of(path, &why))? {
        create(files, path, log_bytes)?;
    }
    let opened = open_existing(files, path, cache_bytes)?;
    clear(files, path);
    Ok(opened)
}

/// Opens the file at `path`, which has to be there and not empty. May block for [`PATIENCE`].
pub(crate) fn open_existing(
    files: &Files,
    path: &Path,
    cache_bytes: usize,
) -> Result<Open, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let Opened { content, found } =
            open_file(files, path).map_err(|why| not_opened(files, path, &why))?;
        let content = Content::read(content).map_err(|why| named(path, why))?;
        match content.open(cache_bytes) {
            // The name may stand for another file since, if this one was replaced meanwhile.
            Ok(_) if found.identity != files.find(path).map_or(None, |found| found.identity) => {}
            Ok(opened) => return Ok(opened),
            Err(DatabaseError::DatabaseAlreadyOpen) if Instant::now() < deadline => {
                thread::sleep(PAUSE);
            }
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(in_use(path)),
            Err(other) => return Err(named(path, error::database(other))),
        }
    }
}

/// Keeps the file at `path` from being opened as long as the returned one is; `None` if there is
/// none. What is in it does not matter.
pub(crate) fn lock(files: &Files, path: &Path) -> Result<Option<Lock>, StoreError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match files.lock(path) {
            Ok(Some((lock, found))) => {
                if found.identity == files.find(path).map_or(None, |found| found.identity) {
                    return Ok(Some(lock));
                }
            }
            Ok(None) if Instant::now() < deadline => thread::sleep(PAUSE),
            Ok(None) => return Err(in_use(path)),
            Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(why) => return Err(error::of(path, &why)),
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
    // It is the same every time.
    let layout = Layout { log_bytes, salt: 1 };
    // As `create` sees to in a file system, a fresh file is there whole or not at all.
    disk.create_whole(|fresh| made(Box::new(fresh), layout, cache_bytes).map(Open::close))?;
    Content::read(Box::new(disk))?.open(cache_bytes).map_err(error::database)
}

fn in_use(path: &Path) -> StoreError {
    let message =
        format_args!("{}: the file is in use by another process or store", path.display());
    StoreError::new(StoreErrorKind::Fenced, message)
}

pub(crate) fn named(path: &Path, error: StoreError) -> StoreError {
    StoreError { message: format!("{}: {}", path.display(), error.message), ..error }
}

fn open_file(files: &Files, path: &Path) -> io::Result<Opened> {
    let opened = files.open(path)?;
    // Of an empty file redb would make a fresh database.
    if opened.found.bytes == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file is empty"));
    }
    Ok(opened)
}

/// Says of a file that may be read but not written what to do about that.
fn not_opened(files: &Files, path: &Path, why: &io::Error) -> StoreError {
    let error = error::of(path, why);
    if files::is_read_only(why) && files.find(path).is_ok() {
        let advice = "whoever opens it writes to it; copy it to where that is allowed";
        return StoreError::new(error.kind, format_args!("{}; {advice}", error.message));
    }
    error
}

fn exists(files: &Files, path: &Path) -> io::Result<bool> {
    match files.find(path) {
        Ok(_) => Ok(true),
        Err(why) if why.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(why) => Err(why),
    }
}

/// What a file is called that is to become `path`.
pub(crate) fn beside(path: &Path, which: impl core::fmt::Display) -> std::path::PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}{which}", std::process::id()))
}

/// The ends of the names of files that are to become others.
pub(crate) const UNFINISHED: [&str; 2] = [".new", ".partial"];

/// Makes a fresh database at `path`, whole or not at all: a power loss meanwhile would leave a
/// file that cannot be opened. One that somebody else made meanwhile stays.
fn create(files: &Files, path: &Path, log_bytes: u64) -> Result<(), StoreError> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    make_parent(files, path)?;
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let fresh = beside(path, format_args!("-{number}{}", UNFINISHED[0]));
    let made = fill(files, &fresh, log_bytes).and_then(|()| match files.link(&fresh, path) {
        Err(why) if !exists(files, path).unwrap_or_default() => Err(error::of(path, &why)),
        Ok(()) | Err(_) => Ok(()),
    });
    // The first error counts.
    let _ = files.remove(&fresh);
    made?;
    // The name of a new file is as durable as what will be in it only after this.
    let parent = parent(path);
    files.sync(parent).map_err(|why| error::of(parent, &why))
}

/// Makes a fresh file under a name that nobody takes for a good one. One that is there is replaced.
pub(crate) fn fresh(
    files: &Files,
    path: &Path,
    cache_bytes: usize,
    log_bytes: u64,
) -> Result<Open, StoreError> {
    let created = files.create(path).map_err(|why| error::io(&why))?;
    made(created.content, Layout::fresh(log_bytes)?, cache_bytes)
}

fn fill(files: &Files, path: &Path, log_bytes: u64) -> Result<(), StoreError> {
    fresh(files, path, 0, log_bytes).map_err(|why| named(path, why))?.close();
    files.sync(path).map_err(|why| error::of(path, &why))
}

/// Makes a fresh file on an empty disk.
fn made(
    disk: Box<dyn StorageBackend>,
    layout: Layout,
    cache_bytes: usize,
) -> Result<Open, StoreError> {
    layout.write(&*disk).map_err(|why| error::io(&why))?;
    Content::of(disk, layout).open(cache_bytes).map_err(error::database)
}

/// Removes what interrupted work left beside a file that this process has open: whoever is still
/// at such work cannot give it its name any more.
fn clear(files: &Files, path: &Path) {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let begin = format!(".{name}.");
    for found in files.list(parent(path)).unwrap_or_default() {
        let found_name = found.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let number = found_name.strip_prefix(&begin);
        let is_left = number.is_some_and(|number| {
            UNFINISHED.iter().any(|end| {
                let number = number.strip_suffix(end);
                number.is_some_and(|number| number.chars().all(|c| c.is_ascii_digit() || c == '-'))
            })
        });
        if is_left {
            // It is in nobody's way.
            let _ = files.remove(&found);
        }
    }
}

/// The directory that a file is in.
pub(crate) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// Makes the directory that a file is to be in, for its owner only and durably, if it is missing.
pub(crate) fn make_parent(files: &Files, path: &Path) -> Result<(), StoreError> {
    let dir = parent(path);
    make_dir(files, dir).map_err(|why| error::of(dir, &why))
}

fn make_dir(files: &Files, dir: &Path) -> io::Result<()> {
    if exists(files, dir)? {
        return Ok(());
    }
    let parent = parent(dir);
    make_dir(files, parent)?;
    match files.make_dir(dir) {
        Err(why) if why.kind() != io::ErrorKind::AlreadyExists => return Err(why),
        Ok(()) | Err(_) => {}
    }
    files.sync(parent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_may_only_read_a_file_is_told_to_copy_it() {
        let files = files::os();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hub.redb");
        let says_so = |kind: io::ErrorKind| {
            let error = not_opened(&files, &path, &io::Error::from(kind));
            assert_eq!(error.kind, StoreErrorKind::Unavailable);
            error.message.contains("copy it")
        };
        // One that is out of reach cannot be copied either.
        assert!(!says_so(io::ErrorKind::PermissionDenied));
        std::fs::write(&path, "").unwrap();
        assert!(says_so(io::ErrorKind::PermissionDenied));
        assert!(says_so(io::ErrorKind::ReadOnlyFilesystem));
        assert!(!says_so(io::ErrorKind::IsADirectory));
    }
}
