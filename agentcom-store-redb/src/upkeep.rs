//! This file looks after database files: it checks, backs up, restores and compacts them.
//!
//! All functions block, and none of them changes a file that it does not say it changes. Whatever
//! they write is written under another name, closed, opened again, checked row by row, made
//! durable, and only then given its name: an interruption at any moment leaves the old file or the
//! new one, and never half of either.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use agentcom_core::port::store::{StoreError, Table};

use crate::copy::{self, Partial};
use crate::files::{self, Files};
use crate::{Namespace, error, file};

/// Asks what is at work to stop soon; clones ask the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// How many rows are read between two looks at whether it was asked.
    pub(crate) const ROWS: usize = 1_024;

    /// Asks.
    pub fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it was asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn check(&self) -> Result<(), StoreError> {
        if self.is_asked() {
            return Err(error::unavailable("it was interrupted; nothing was changed"));
        }
        Ok(())
    }
}

/// What is known of a file in which every row was read and checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// The file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// How many rows each table of each namespace has.
    pub namespaces: Vec<(Namespace, Vec<(Table, u64)>)>,
}

impl Told {
    /// How many rows there are in all.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.namespaces.iter().flat_map(|(_, tables)| tables).map(|(_, rows)| rows).sum()
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} rows in {} bytes", self.path.display(), self.rows(), self.bytes)
    }
}

/// Reads and checks every row of a file that nobody uses.
///
/// # Errors
///
/// [`Fenced`](agentcom_core::port::store::StoreErrorKind::Fenced) if somebody uses it;
/// [`Corrupt`](agentcom_core::port::store::StoreErrorKind::Corrupt), naming the first row or table
/// that is damaged; [`Unavailable`](agentcom_core::port::store::StoreErrorKind::Unavailable) if it
/// is not there or out of reach, or `stop` was asked.
pub fn verify(path: &Path, stop: &Stop) -> Result<Told, StoreError> {
    verify_in(&files::os(), path, stop)
}

pub(crate) fn verify_in(files: &Files, path: &Path, stop: &Stop) -> Result<Told, StoreError> {
    caught(path, || copy::check(files, path, stop))
}

/// What redb panics of on a damaged file is damage.
fn caught<T>(path: &Path, work: impl FnOnce() -> Result<T, StoreError>) -> Result<T, StoreError> {
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    outcome.unwrap_or_else(|_| {
        Err(error::corrupt(format_args!("{}: the file is damaged; redb gave up", path.display())))
    })
}

/// Copies a file that nobody uses to `target`, which must not exist.
/// [`RedbStore::backup`](crate::RedbStore::backup) does so with one that is in use.
///
/// # Errors
///
/// Those of [`verify`]; `Unavailable` if `target` exists or there is no room for it.
pub fn backup(path: &Path, target: &Path, stop: &Stop) -> Result<Told, StoreError> {
    let files = files::os();
    must_not_exist(&files, target)?;
    let (partial, told) = copy_file(&files, path, target, stop)?;
    partial.publish()?;
    Ok(Told { path: target.into(), ..told })
}

fn copy_file(
    files: &Files,
    path: &Path,
    target: &Path,
    stop: &Stop,
) -> Result<(Partial, Told), StoreError> {
    caught(path, || {
        let from = copy::open(files, path)?;
        file::make_parent(files, target)?;
        copy::copy(files, (&from, Some(path)), target, stop)
    })
}

pub(crate) fn must_not_exist(files: &Files, target: &Path) -> Result<(), StoreError> {
    match files.has(target) {
        Ok(false) => Ok(()),
        Ok(true) => {
            Err(error::unavailable(format_args!("{}: it exists already", target.display())))
        }
        Err(why) => Err(error::of(target, &why)),
    }
}

/// What is to become of a file that is in the way of a restored one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InTheWay {
    /// It stays, and nothing is restored.
    Stays,
    /// It is kept under another name: `NAME.replaced-N`.
    IsKept,
}

/// A checked copy that waits, under a name of its own, for being put in its place. Dropping it
/// removes it.
#[derive(Debug)]
pub struct Staged {
    partial: Partial,
    target: PathBuf,
    in_the_way: InTheWay,
    told: Told,
}

/// Copies a backup to a place beside `target`. What has to change about the data because it is
/// restored is changed there, before [`Staged::publish`] puts it in its place.
///
/// # Errors
///
/// Those of [`verify`] for `backup`; `Unavailable` if `target` is in the way and stays, and
/// `Fenced` if somebody uses it.
pub fn stage(
    backup: &Path,
    target: &Path,
    in_the_way: InTheWay,
    stop: &Stop,
) -> Result<Staged, StoreError> {
    stage_in(&files::os(), backup, target, in_the_way, stop)
}

pub(crate) fn stage_in(
    files: &Files,
    backup: &Path,
    target: &Path,
    in_the_way: InTheWay,
    stop: &Stop,
) -> Result<Staged, StoreError> {
    if in_the_way == InTheWay::Stays {
        must_not_exist(files, target)?;
    }
    drop(file::lock(files, target)?);
    let (partial, told) = copy_file(files, backup, target, stop)?;
    Ok(Staged { partial, target: target.into(), in_the_way, told })
}

impl Staged {
    pub(crate) fn new(partial: Partial, target: &Path, told: Told) -> Self {
        Self { partial, target: target.into(), in_the_way: InTheWay::Stays, told }
    }

    /// Where it waits.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.partial.path
    }

    /// What was found in it.
    #[must_use]
    pub const fn told(&self) -> &Told {
        &self.told
    }

    /// Whether it holds a namespace.
    #[must_use]
    pub fn has(&self, namespace: &Namespace) -> bool {
        self.told.has(namespace)
    }

    /// Puts it in its place, durably. Returns where the file is that was in the way.
    ///
    /// # Errors
    ///
    /// `Fenced` if somebody uses the file that is in the way; `Unavailable` if it stays, or the
    /// file system refuses. Then all is as before.
    pub fn publish(self) -> Result<Option<PathBuf>, StoreError> {
        let files = self.partial.files.clone();
        let locked = file::lock(&files, &self.target)?;
        let kept = match (&locked, self.in_the_way) {
            (None, _) => None,
            (Some(_), InTheWay::Stays) => {
                return Err(must_not_exist(&files, &self.target).err().unwrap_or_else(|| {
                    error::unavailable("the file that was in the way is gone; try again")
                }));
            }
            (Some(_), InTheWay::IsKept) => Some(keep(&files, &self.target)?),
        };
        self.partial.publish()?;
        // Held until here, so that nobody opens the file that is replaced.
        drop(locked);
        Ok(kept)
    }
}

/// Gives a file a second name that is free.
fn keep(files: &Files, path: &Path) -> Result<PathBuf, StoreError> {
    const NAMES_MAX: u32 = 10_000;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for number in 1..NAMES_MAX {
        let kept = path.with_file_name(format!("{name}.replaced-{number}"));
        match files.link(path, &kept) {
            Ok(()) => {
                // The other name is taken away only when this one lasts.
                let dir = file::parent(path);
                files.sync(dir).map_err(|why| error::of(dir, &why))?;
                return Ok(kept);
            }
            Err(why) if why.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(why) => return Err(error::of(&kept, &why)),
        }
    }
    Err(error::unavailable(format_args!("{}: too many replaced files beside it", path.display())))
}

/// Writes a file anew without the room that removed rows left in it. Needs as much room again
/// while it is at work. Returns what is in it, and how long it was before.
///
/// # Errors
///
/// Those of [`verify`]. Then the file is as it was.
pub fn compact(path: &Path, stop: &Stop) -> Result<(Told, u64), StoreError> {
    compact_in(&files::os(), path, stop)
}

pub(crate) fn compact_in(
    files: &Files,
    path: &Path,
    stop: &Stop,
) -> Result<(Told, u64), StoreError> {
    let before = files.find(path).map_err(|why| error::of(path, &why))?.bytes;
    caught(path, || {
        let from = copy::open(files, path)?;
        let (partial, told) = copy::copy(files, (&from, Some(path)), path, stop)?;
        partial.publish()?;
        // Held until here, so that nobody writes to the file that is replaced.
        drop(from);
        Ok((Told { path: path.into(), ..told }, before))
    })
}
