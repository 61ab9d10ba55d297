//! This file is a disk in memory that loses its power, fails and lies.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

use super::meter::{Call, Fault, Meter, Plan};

/// What a disk writes at once, or not at all.
const SECTOR: usize = 512;

/// A disk in memory. Clones are the same disk.
///
/// Until a sync, a write or a change of the length may be lost: see [`Disk::power_loss`].
#[derive(Clone, Debug, Default)]
pub struct Disk {
    content: Arc<Mutex<Content>>,
    meter: Meter,
}

#[derive(Debug, Default)]
struct Content {
    /// What a running system sees.
    bytes: Vec<u8>,
    /// What survives for certain.
    synced: Vec<u8>,
    /// What was done since.
    unsynced: Vec<Change>,
}

#[derive(Clone, Debug)]
enum Change {
    SetLen(usize),
    Write(usize, Vec<u8>),
}

impl Disk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A disk on which `bytes` are safe.
    #[must_use]
    pub fn holding(bytes: Vec<u8>) -> Self {
        let content = Content { synced: bytes.clone(), bytes, ..Content::default() };
        Self { content: Arc::new(Mutex::new(content)), meter: Meter::default() }
    }

    /// An empty disk of which the calls are counted, and fail, together with others.
    pub(super) fn metered(meter: &Meter) -> Self {
        Self { meter: meter.clone(), ..Self::default() }
    }

    /// The same disk, its calls counted with others.
    pub(super) fn with(self, meter: &Meter) -> Self {
        Self { meter: meter.clone(), ..self }
    }

    /// Whether it is the same disk.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }

    /// What tells it from others.
    pub(super) fn number(&self) -> u64 {
        Arc::as_ptr(&self.content) as u64
    }

    /// Takes all bytes away.
    pub(super) fn cut(&self) {
        self.content().change(Change::SetLen(0));
    }

    /// Makes durable what was written.
    pub(super) fn settle(&self) {
        self.content().sync();
    }

    /// What is read from it.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        self.content().bytes.clone()
    }

    /// How many calls there were.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.meter.calls()
    }

    /// From the change behind the next `changes` on, every one fails for want of room; reading
    /// goes on.
    pub fn fill_up_after(&self, changes: u64) {
        self.meter.plan(Plan {
            from: changes,
            fault: Fault::NoRoom,
            for_good: true,
            changes_only: true,
        });
    }

    /// The call behind the next `calls` fails, and if `for_good` all after it.
    pub fn fail_after(&self, calls: u64, fault: Fault, for_good: bool) {
        self.meter.plan(Plan { from: calls, fault, for_good, changes_only: false });
    }

    /// No call fails any more. Returns the kind of the first that did.
    pub fn heal(&self) -> Option<Call> {
        self.meter.heal()
    }

    /// Whether a call has failed since it was said that one will.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.meter.has_failed()
    }

    /// One sync in `syncs` does nothing, and says that it did.
    pub fn lie_about_one_sync_in(&self, syncs: u64) {
        self.meter.lie_about_one_sync_in(syncs);
    }

    /// The disk after a power loss. Of what was not synced there is, as `seed` says: nothing;
    /// everything; all up to a moment, the last write torn; any whole writes; or any sectors. A
    /// change of the length counts as a write.
    #[must_use]
    pub fn power_loss(&self, seed: u64) -> Self {
        let content = self.content();
        let mut bytes = content.synced.clone();
        keep(&content.unsynced, seed, &mut bytes);
        Self::holding(bytes)
    }

    /// Lets `create` fill an empty disk, all at once and for sure.
    pub(crate) fn create_whole<E>(
        &self,
        create: impl FnOnce(Self) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.content().bytes.is_empty() {
            let fresh = Self::new();
            create(fresh.clone())?;
            let bytes = fresh.bytes();
            let mut content = self.content();
            content.synced.clone_from(&bytes);
            content.bytes = bytes;
            content.unsynced.clear();
        }
        Ok(())
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        // A test that panics meanwhile leaves no half call behind.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn keep(unsynced: &[Change], seed: u64, bytes: &mut Vec<u8>) {
    let coin = |at: usize| chance(seed, 1 + at as u64).is_multiple_of(2);
    match chance(seed, 0) % 8 {
        0 => {}
        1 => unsynced.iter().for_each(|change| change.apply(bytes)),
        2 | 3 => {
            let whole = chance(seed, 1) as usize % (unsynced.len() + 1);
            unsynced[..whole].iter().for_each(|change| change.apply(bytes));
            if let Some(Change::Write(offset, data)) = unsynced.get(whole) {
                let sectors = data.len().div_ceil(SECTOR);
                let torn = (chance(seed, 2) as usize % sectors.max(1)) * SECTOR;
                Change::Write(*offset, data[..torn].to_vec()).apply(bytes);
            }
        }
        4 | 5 => {
            let kept = unsynced.iter().enumerate().filter(|(at, _)| coin(*at));
            kept.for_each(|(_, change)| change.apply(bytes));
        }
        _ => {
            let sectors = unsynced.iter().flat_map(Change::sectors);
            let kept = sectors.enumerate().filter(|(at, _)| coin(*at));
            kept.for_each(|(_, change)| change.apply(bytes));
        }
    }
}

impl Change {
    fn sectors(&self) -> Vec<Self> {
        match self {
            Self::SetLen(length) => vec![Self::SetLen(*length)],
            Self::Write(offset, data) => {
                let sectors = data.chunks(SECTOR).enumerate();
                sectors.map(|(at, part)| Self::Write(offset + at * SECTOR, part.to_vec())).collect()
            }
        }
    }

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

impl Content {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.bytes);
        self.unsynced.push(change);
    }

    fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.synced);
        }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        self.meter.check(Call::Len)?;
        let content = self.content();
        Ok(content.bytes.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.meter.check(Call::Read)?;
        let content = self.content();
        let start = usize::try_from(offset).map_err(io::Error::other)?;
        let end = start.checked_add(out.len());
        let found = end.and_then(|end| content.bytes.get(start..end));
        out.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.meter.check(Call::SetLen)?;
        let mut content = self.content();
        content.change(Change::SetLen(usize::try_from(length).map_err(io::Error::other)?));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.meter.sync()? {
            self.settle();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).map_err(io::Error::other)?;
        let fault = self.meter.fault(Call::Write);
        let mut content = self.content();
        if let Some(fault) = fault {
            if fault == Fault::ShortWrite {
                content.change(Change::Write(offset, data[..data.len() / 2].to_vec()));
            }
            return Err(fault.error(Call::Write));
        }
        content.change(Change::Write(offset, data.to_vec()));
        Ok(())
    }
}

/// A number that depends on `seed` and `purpose` only, and looks random.
#[must_use]
pub fn chance(seed: u64, purpose: u64) -> u64 {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..].copy_from_slice(&purpose.to_le_bytes());
    xxhash_rust::xxh3::xxh3_64(&bytes)
}
