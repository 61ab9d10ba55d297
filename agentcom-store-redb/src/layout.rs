//! This file says what is where in a file: a header, the log of the latest batches, the database.
//!
//! | pages of 4,096 bytes | what |
//! |---|---|
//! | 0, 1 | the header, twice |
//! | 2, 3 | marks: the number of the last batch in the log that was confirmed, in turn |
//! | from 4 on | the log |
//! | behind it | redb's database, as redb would have it in a file of its own |
//!
//! A header is 16 bytes that name the format, then, little-endian, the length of the log in bytes, a
//! random number that no submitter knows, and the XXH3-64 of what is before.
//!
//! A file that begins with a database has no log: releases before the log wrote such files.

use std::io;
use std::ops::Bound;
use std::sync::Arc;

use agentcom_core::port::store::StoreError;
use redb::{BackendError, StorageBackend};
use xxhash_rust::xxh3::xxh3_64;

use crate::error;

/// What is written and read at once.
pub(crate) const PAGE: u64 = 4096;

const MAGIC: [u8; 16] = *b"AgentCom store 1";
const HEADER_BYTES: usize = 16 + 8 + 8 + 8;
const HEADERS: [u64; 2] = [0, PAGE];
const MARKS: u64 = 2 * PAGE;
const LOG: u64 = 4 * PAGE;
/// What a file of redb begins with.
const DATABASE: [u8; 4] = *b"redb";

/// What is where in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How long the log is; 0 if there is none.
    pub(crate) log_bytes: u64,
    /// Goes into what the log is sealed with, so that nobody can submit what looks like a batch.
    pub(crate) salt: u64,
}

impl Layout {
    /// A fresh one, with a log of about so many bytes.
    ///
    /// # Errors
    ///
    /// If the operating system gives no random numbers.
    pub(crate) fn fresh(log_bytes: u64) -> Result<Self, StoreError> {
        let salt = getrandom::u64();
        let salt =
            salt.map_err(|why| error::unavailable(format_args!("no random bytes: {why}")))?;
        Ok(Self { log_bytes: log_bytes.next_multiple_of(PAGE), salt })
    }

    /// Where the log begins.
    pub(crate) const fn log(self) -> u64 {
        LOG
    }

    /// Where the mark of a batch is kept: two that follow each other do not overwrite each other.
    pub(crate) const fn mark(self, seq: u64) -> u64 {
        MARKS + (seq % 2) * PAGE
    }

    /// Where the database begins.
    pub(crate) const fn database(self) -> u64 {
        if self.log_bytes == 0 { 0 } else { LOG + self.log_bytes }
    }

    /// Writes it to an empty disk.
    pub(crate) fn write(self, disk: &dyn StorageBackend) -> io::Result<()> {
        if self.log_bytes == 0 {
            return Ok(());
        }
        disk.set_len(self.database())?;
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&self.log_bytes.to_le_bytes());
        header.extend_from_slice(&self.salt.to_le_bytes());
        header.extend_from_slice(&xxh3_64(&header).to_le_bytes());
        HEADERS.into_iter().try_for_each(|at| disk.write(at, &header))
    }

    /// Reads it.
    pub(crate) fn read(disk: &dyn StorageBackend) -> Result<Self, StoreError> {
        let length = disk.len().map_err(|why| error::io(&why))?;
        let mut bytes = vec![0; usize::try_from(length.min(LOG)).unwrap_or_default()];
        disk.read(0, &mut bytes).map_err(|why| error::io(&why))?;
        let layout = Self::of(&bytes);
        let layout = layout
            .ok_or_else(|| error::corrupt("the file is no store, or its header is damaged"))?;
        if length < layout.database() {
            return Err(error::corrupt("the file is damaged: it was cut off"));
        }
        Ok(layout)
    }

    /// That of a file that begins with these bytes, if it is a store's.
    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        if bytes.starts_with(&DATABASE) {
            return Some(Self { log_bytes: 0, salt: 0 });
        }
        HEADERS.into_iter().find_map(|at| {
            let header = bytes.get(usize::try_from(at).ok()?..)?.get(..HEADER_BYTES)?;
            let (content, sum) = header.split_at(HEADER_BYTES - 8);
            let is_whole = content.starts_with(&MAGIC) && xxh3_64(content).to_le_bytes() == sum;
            let layout = Self { log_bytes: number_at(content, 16)?, salt: number_at(content, 24)? };
            // Whoever forged the length has made the checksum fit, too.
            let is_possible = layout.log_bytes.checked_add(LOG).is_some();
            (is_whole && is_possible).then_some(layout)
        })
    }

    /// That of a file whose headers are both damaged: the database is where one begins on a page.
    /// What is in the log cannot be told from what somebody submitted.
    pub(crate) fn guessed(bytes: &[u8]) -> Self {
        let mut pages = bytes.chunks(PAGE as usize);
        let found = pages.position(|page| page.starts_with(&DATABASE));
        let log_bytes = found.map_or(0, |page| (page as u64 * PAGE).saturating_sub(LOG));
        Self { log_bytes, salt: 0 }
    }
}

/// A number as headers have it.
pub(crate) fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The part of a disk that the database has.
#[derive(Debug)]
pub(crate) struct Behind {
    pub(crate) disk: Arc<dyn StorageBackend>,
    pub(crate) start: u64,
}

impl StorageBackend for Behind {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.len()?.saturating_sub(self.start))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.disk.read(self.start + offset, out)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.disk.set_len(self.start + length)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Folding is not urgent: it writes many pages, and whoever waits for a batch goes first.
        std::thread::yield_now();
        self.disk.write(self.start + offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.disk.close()
    }

    // Locks are on the whole file.

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.try_lock_range(start, end)
    }

    fn try_lock_shared_range(
        &self,
        start: Bound<u64>,
        end: Bound<u64>,
    ) -> Result<bool, BackendError> {
        self.disk.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.disk.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.disk.query_lock_range(start, end)
    }
}
