//! This file is a disk that can fill up and lose its power.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use redb::{Builder, Database, StorageBackend};

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    content: Arc<Mutex<Content>>,
}

#[derive(Debug, Default)]
struct Content {
    /// What a running system sees.
    bytes: Vec<u8>,
    /// What survives for certain.
    synced: Vec<u8>,
    /// What was done since; a power loss keeps any part of it.
    unsynced: Vec<Change>,
    /// How many more changes there is room for.
    room: Option<u64>,
}

#[derive(Clone, Debug)]
enum Change {
    SetLen(usize),
    /// At most a sector.
    Write(usize, Vec<u8>),
}

impl Disk {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Opens what is on the disk, which has to be a database or nothing.
    pub(super) fn database(&self) -> Database {
        Builder::new().set_cache_size(1 << 20).create_with_backend(self.clone()).unwrap()
    }

    /// From the change after the next `changes` on, every one fails.
    pub(super) fn fill_up_after(&self, changes: u64) {
        self.content().room = Some(changes);
    }

    pub(super) fn make_room(&self) {
        self.content().room = None;
    }

    /// The disk after a power loss: each sector that was written and not synced is there or not.
    pub(super) fn power_loss(&self, seed: u64) -> Self {
        let content = self.content();
        let mut bytes = content.synced.clone();
        for (at, change) in (0..).zip(&content.unsynced) {
            if chance(seed, at).is_multiple_of(2) {
                change.apply(&mut bytes);
            }
        }
        let after = Content { synced: bytes.clone(), bytes, ..Content::default() };
        Self { content: Arc::new(Mutex::new(after)) }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }
}

impl Content {
    fn take_room(&mut self) -> io::Result<()> {
        match &mut self.room {
            Some(0) => Err(io::ErrorKind::StorageFull.into()),
            Some(room) => {
                *room -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        match self {
            Self::SetLen(length) => bytes.resize(*length, 0),
            Self::Write(offset, data) => {
                let end = offset + data.len();
                // A write behind the end, of which the growth was lost.
                bytes.resize(bytes.len().max(end), 0);
                bytes[*offset..end].copy_from_slice(data);
            }
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.content().bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let offset = offset as usize;
        let content = self.content();
        let found = content.bytes.get(offset..offset + out.len());
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let mut content = self.content();
        content.take_room()?;
        content.change(Change::SetLen(length as usize));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut content = self.content();
        content.take_room()?;
        content.synced = content.bytes.clone();
        content.unsynced.clear();
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut content = self.content();
        content.take_room()?;
        for (at, sector) in (0..).zip(data.chunks(SECTOR)) {
            content.change(Change::Write(offset as usize + at * SECTOR, sector.to_vec()));
        }
        Ok(())
    }
}

/// A number that depends on `seed` and `purpose` only, and looks random.
pub(super) fn chance(seed: u64, purpose: u64) -> u64 {
    let bytes = [seed.to_le_bytes(), purpose.to_le_bytes()].concat();
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
