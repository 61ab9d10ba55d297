//! This file copies all that is in a database file to a fresh one, and takes that for good only
//! after it was closed, opened again and checked.

use std::path::{Path, PathBuf};

use agentcom_core::port::store::{StoreError, StoreErrorKind, Table};
use redb::{ReadableDatabase, ReadableTable as _, TableDefinition, TableHandle as _};

use crate::book::Book;
use crate::files::Files;
use crate::upkeep::{Stop, Told};
use crate::{Namespace, error, file, load, recover};

/// How much memory the cache of a copy may take, in bytes.
pub(crate) const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// How long the log of a file is, unless an option says otherwise.
pub(crate) const LOG_BYTES: u64 = 16 * 1024 * 1024;

/// A file that is being written, under a name that nobody takes for a good one. Dropping it
/// removes it.
#[derive(Debug)]
pub(crate) struct Partial {
    pub(crate) files: Files,
    pub(crate) path: PathBuf,
    /// Where it is to be.
    target: PathBuf,
}

impl Partial {
    pub(crate) fn beside(files: &Files, target: &Path) -> Result<Self, StoreError> {
        if target.file_name().is_none() {
            return Err(error::unavailable(format_args!("{}: no file", target.display())));
        }
        let path = file::beside(target, file::UNFINISHED[1]);
        // What a process of the same number left behind.
        match files.remove(&path) {
            Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(error::of(&path, &why)),
            Ok(()) | Err(_) => Ok(Self { files: files.clone(), path, target: target.into() }),
        }
    }

    /// Gives it its name, durably. Whatever had that name is replaced.
    pub(crate) fn publish(self) -> Result<(), StoreError> {
        let Self { files, path, target } = &self;
        files.sync(path).map_err(|why| error::of(path, &why))?;
        files.rename(path, target).map_err(|why| error::of(target, &why))?;
        let dir = file::parent(target);
        files.sync(dir).map_err(|why| error::of(dir, &why))
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // There is nothing to remove once it has its name.
        let _ = self.files.remove(&self.path);
    }
}

/// What is copied where; what goes wrong is told with the name of the file with which it did.
#[derive(Clone, Copy, Debug)]
struct Names<'a> {
    /// `None` if whoever asked knows it.
    source: Option<&'a Path>,
    target: &'a Path,
}

impl Names<'_> {
    fn source(self, error: StoreError) -> StoreError {
        match self.source {
            Some(path) => file::named(path, error),
            None => error,
        }
    }

    fn target(self, error: StoreError) -> StoreError {
        file::named(self.target, error)
    }
}

/// Opens a file in order to copy it: all that was confirmed is in its rows.
pub(crate) fn open(files: &Files, path: &Path) -> Result<file::Open, StoreError> {
    let open = file::open_existing(files, path, CACHE_BYTES)?;
    recover::recovered(open).map_err(|error| file::named(path, error))
}

/// Copies the rows of all namespaces as they are at one moment, and checks the copy.
pub(crate) fn copy(
    files: &Files,
    (from, source): (&file::Open, Option<&Path>),
    target: &Path,
    stop: &Stop,
) -> Result<(Partial, Told), StoreError> {
    let names = Names { source, target };
    let partial = Partial::beside(files, target)?;
    // A file of a release before the log gets one.
    let log_bytes = if from.layout.log_bytes == 0 { LOG_BYTES } else { from.layout.log_bytes };
    let fresh = file::fresh(files, &partial.path, CACHE_BYTES, log_bytes);
    let mut to = fresh.map_err(|why| names.target(why))?;
    copy_trees(from, &to, names, stop)?;
    to.trim().map_err(|why| names.target(why))?;
    to.close();
    let copied = file::open_existing(files, &partial.path, CACHE_BYTES)?;
    let told = read(files, copied, &partial.path, stop).map_err(|why| match why.kind {
        // What is damaged in the copy was so before.
        StoreErrorKind::Corrupt => names.source(why),
        StoreErrorKind::Fenced | StoreErrorKind::Unavailable | StoreErrorKind::Unknown => {
            names.target(why)
        }
    })?;
    Ok((partial, told))
}

fn copy_trees(
    from: &file::Open,
    to: &file::Open,
    names: Names<'_>,
    stop: &Stop,
) -> Result<(), StoreError> {
    let source = |why| names.source(error::storage(why));
    let target = |why| names.target(error::storage(why));
    let reading = from.begin_read().map_err(|why| names.source(error::transaction(why)))?;
    let writing = to.begin_write().map_err(|why| names.target(error::transaction(why)));
    let mut writing = writing?;
    writing.set_quick_repair(true);
    for handle in reading.list_tables().map_err(source)? {
        let tree: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(handle.name());
        let from = reading.open_table(tree).map_err(|why| names.source(error::table(why)))?;
        let mut to = writing.open_table(tree).map_err(|why| names.target(error::table(why)))?;
        for (at, row) in from.iter().map_err(source)?.enumerate() {
            if at.is_multiple_of(Stop::ROWS) {
                stop.check()?;
            }
            let (place, record) = row.map_err(source)?;
            to.insert(place.value(), record.value()).map_err(target)?;
        }
    }
    writing.commit().map_err(|why| names.target(error::commit(why)))
}

/// Opens a file and reads and checks every row of every namespace in it.
pub(crate) fn check(files: &Files, path: &Path, stop: &Stop) -> Result<Told, StoreError> {
    let database = file::open_existing(files, path, CACHE_BYTES)?;
    read(files, database, path, stop).map_err(|why| file::named(path, why))
}

fn read(files: &Files, database: file::Open, path: &Path, stop: &Stop) -> Result<Told, StoreError> {
    let mut database = recover::recovered(database)?;
    let mut told = Told { path: path.into(), ..Told::default() };
    for namespace in Book::namespaces(&database)? {
        stop.check()?;
        let (book, _) = Book::of(database, &namespace, 0)?;
        load::verify(&book, stop)?;
        told.namespaces.push((namespace, book.rows(&Table::ALL)?));
        database = book.close();
    }
    drop(database);
    told.bytes = files.find(path).map_err(|why| error::io(&why))?.bytes;
    Ok(told)
}

impl Told {
    /// The namespaces that were found.
    pub(crate) fn has(&self, namespace: &Namespace) -> bool {
        self.namespaces.iter().any(|(found, _)| found == namespace)
    }
}
