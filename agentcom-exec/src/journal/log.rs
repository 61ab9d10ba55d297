//! This file writes a journal: opens, appends, repairs and compacts it. All of it blocks.

use std::fmt;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use agentcom_core::port::store::{Batch, RowKey, StoreError, StoreErrorKind};

use super::record::{HEADER, encode};
use super::rows::Rows;
use super::scan::{Damage, Place, scan};

/// How large a journal may become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalLimits {
    /// The most bytes that live rows take; a batch beyond it is refused as unavailable.
    pub rows_bytes_max: u64,
    /// A file of fewer bytes is not compacted.
    pub compact_bytes_min: u64,
    /// The most bytes of damaged records that are kept.
    pub quarantine_bytes_max: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self {
            rows_bytes_max: 64 * 1024 * 1024,
            compact_bytes_min: 1024 * 1024,
            quarantine_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// How long an opener waits for another to let go.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);

/// The file, as far as appending needs it.
pub(super) trait Medium: fmt::Debug + Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn cut(&mut self, length: u64) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// An open journal.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    limits: JournalLimits,
    file: Box<dyn Medium>,
    length: u64,
    /// When the file is this long, it is compacted if that is worth it.
    compact_at: u64,
    rows: Rows,
    broken: bool,
    /// Held for its lock. It is a file of its own since compaction replaces the journal's.
    _lock: File,
}

impl Log {
    pub(super) fn open(
        path: PathBuf,
        limits: JournalLimits,
    ) -> Result<(Self, Vec<Damage>), StoreError> {
        let out_of_reach = |error: io::Error| {
            StoreError::new(
                StoreErrorKind::Unavailable,
                format_args!("{}: {error}", path.display()),
            )
        };
        let lock = lock(&beside(&path, "lock"))?;
        let mut file = private().append(true).create(true).open(&path).map_err(out_of_reach)?;
        file.set_permissions(Permissions::from_mode(0o600)).map_err(out_of_reach)?;
        let bytes = std::fs::read(&path).map_err(out_of_reach)?;
        let found = scan(&bytes).map_err(|error| {
            StoreError::new(error.kind, format_args!("{}: {}", path.display(), error.message))
        })?;
        if bytes.len() < HEADER.len() {
            create(&mut file, &path).map_err(out_of_reach)?;
        }
        let mut rows = Rows::default();
        found.batches.into_iter().for_each(|batch| rows.apply(batch));
        let mut log = Self {
            limits,
            file: Box::new(file),
            length: found.end.max(HEADER.len()) as u64,
            compact_at: limits.compact_bytes_min,
            rows,
            broken: false,
            _lock: lock,
            path: path.clone(),
        };
        log.repair(&bytes, &found.damage).map_err(out_of_reach)?;
        Ok((log, found.damage))
    }

    /// Saves what is damaged in the middle, and leaves a file without damage.
    fn repair(&mut self, bytes: &[u8], damage: &[Damage]) -> io::Result<()> {
        let middle: Vec<Damage> =
            damage.iter().copied().filter(|damage| damage.place == Place::Middle).collect();
        if !middle.is_empty() {
            self.quarantine(bytes, &middle)?;
            return self.compact();
        }
        if !damage.is_empty() {
            self.file.cut(self.length)?;
            self.file.sync()?;
        }
        Ok(())
    }

    fn quarantine(&self, bytes: &[u8], damage: &[Damage]) -> io::Result<()> {
        let mut file =
            private().append(true).create(true).open(beside(&self.path, "quarantine"))?;
        for part in damage {
            if file.metadata()?.len() + part.bytes > self.limits.quarantine_bytes_max {
                break;
            }
            writeln!(file, "agentcom-quarantine offset={} bytes={}", part.offset, part.bytes)?;
            file.write_all(&bytes[part.range()])?;
            file.write_all(b"\n")?;
        }
        file.sync_all()?;
        sync_directory(&self.path)
    }

    pub(super) fn rows(&self) -> &Rows {
        &self.rows
    }

    pub(super) fn commit(&mut self, batch: &Batch) -> Result<(), StoreError> {
        let record = self.admit(batch)?;
        self.write(&record)?;
        self.length += record.len() as u64;
        self.rows.apply(batch.clone());
        self.compact_if_worth_it();
        Ok(())
    }

    /// The record to write, if the batch may be written.
    fn admit(&self, batch: &Batch) -> Result<Vec<u8>, StoreError> {
        use StoreErrorKind::{Fenced, Unavailable};
        if self.broken {
            return Err(StoreError::new(Unavailable, "the journal failed before; open it again"));
        }
        if let Some(last) = self.rows.seq().filter(|&last| batch.seq <= last) {
            let why = format_args!("batch {} comes after batch {last}", batch.seq);
            return Err(StoreError::new(Fenced, why));
        }
        let after = self.rows.bytes_after(batch);
        let max = self.limits.rows_bytes_max;
        if after > max && after > self.rows.bytes() {
            let why = format_args!("the journal is full: {after} bytes where {max} are allowed");
            return Err(StoreError::new(Unavailable, why));
        }
        let too_long = || StoreError::new(Unavailable, "a row of the batch is too long");
        let named = batch.puts.iter().map(|(row, _)| row).chain(&batch.deletes);
        let longest = named.map(|row| row.key.len()).max().unwrap_or(0);
        if longest > RowKey::BYTES_MAX {
            return Err(too_long());
        }
        encode(batch, self.length).ok_or_else(too_long)
    }

    /// Appends and syncs. What cannot be written whole is taken back; what cannot be synced may be
    /// there or not, and is not tried again, since a failed sync forgets what it had to write.
    fn write(&mut self, record: &[u8]) -> Result<(), StoreError> {
        if let Err(error) = self.file.append(record) {
            self.broken = true;
            let undone = self.file.cut(self.length).and_then(|()| self.file.sync());
            let kind = match undone {
                Ok(()) => StoreErrorKind::Unavailable,
                Err(_) => StoreErrorKind::Unknown,
            };
            return Err(StoreError::new(kind, format_args!("{}: {error}", self.path.display())));
        }
        self.file.sync().map_err(|error| {
            self.broken = true;
            let why = format_args!("{}: sync: {error}", self.path.display());
            StoreError::new(StoreErrorKind::Unknown, why)
        })
    }

    fn compact_if_worth_it(&mut self) {
        if self.length < self.compact_at || self.length / 2 < self.rows.bytes() {
            return;
        }
        if self.compact().is_err() {
            // The journal is whole as it is; there is time until it has grown some more.
            self.compact_at = self.length + self.limits.compact_bytes_min;
        }
    }

    /// Writes the live rows to a file of their own and puts it in the journal's place.
    fn compact(&mut self) -> io::Result<()> {
        let path = beside(&self.path, "compact");
        let _ = std::fs::remove_file(&path);
        let mut file = private().append(true).create_new(true).open(&path)?;
        file.write_all(HEADER)?;
        let mut length = HEADER.len() as u64;
        for batch in self.snapshot() {
            let record = encode(&batch, length).ok_or(io::ErrorKind::InvalidData)?;
            file.write_all(&record)?;
            length += record.len() as u64;
        }
        file.sync_all()?;
        std::fs::rename(&path, &self.path)?;
        self.file = Box::new(file);
        self.length = length;
        self.compact_at = self.limits.compact_bytes_min;
        // If the new name is lost with the power, so are the batches that follow: none may.
        sync_directory(&self.path).inspect_err(|_| self.broken = true)
    }

    /// The live rows in batches of moderate size, all with the number of the last one.
    fn snapshot(&self) -> Vec<Batch> {
        const BATCH_BYTES: usize = 1024 * 1024;
        let Some(seq) = self.rows.seq() else { return Vec::new() };
        let mut batches = Vec::new();
        let mut batch = Batch { seq, ..Batch::default() };
        let mut bytes = 0;
        for (table, key, value) in self.rows.iter() {
            bytes += key.len() + value.len();
            batch.puts.push((RowKey::new(table, key.clone()), value.clone()));
            if bytes >= BATCH_BYTES {
                bytes = 0;
                let next = Batch { seq, ..Batch::default() };
                batches.push(std::mem::replace(&mut batch, next));
            }
        }
        batches.push(batch);
        batches
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// The path with another ending behind its own.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    PathBuf::from(name)
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let error = |kind, why: &dyn fmt::Display| {
        StoreError::new(kind, format_args!("{}: {why}", path.display()))
    };
    let file = private()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(|why| error(StoreErrorKind::Unavailable, &why))?;
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // A process that this one is about to start holds the lock as well, until it has
            // become its own program.
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(error(StoreErrorKind::Fenced, &"another process has the journal open"));
            }
            Err(TryLockError::Error(why)) => {
                return Err(error(StoreErrorKind::Unavailable, &why));
            }
        }
    }
}

/// Writes the header of an empty journal.
fn create(file: &mut File, path: &Path) -> io::Result<()> {
    file.set_len(0)?;
    file.write_all(HEADER)?;
    file.sync_all()?;
    sync_directory(path)
}

fn sync_directory(of: &Path) -> io::Result<()> {
    let parent = of.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests;
