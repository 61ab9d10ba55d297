//! This file finds the records in a journal, and what is damaged between them.

use core::fmt;
use core::ops::Range;

use agentcom_core::port::store::{Batch, StoreError, StoreErrorKind};

use super::record::{HEADER, HEADER_WORD, MARK, decode};

/// A part of a journal that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it lies in respect to what can be read.
    pub place: Place,
    /// Its first byte in the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
}

/// Where damage lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Behind the last record: most likely one that was never finished, and never confirmed.
    Tail,
    /// Before a good record: something confirmed was lost.
    Middle,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, offset, bytes } = self;
        match place {
            Place::Tail => write!(f, "{bytes} bytes at offset {offset} are an unfinished record"),
            Place::Middle => write!(f, "{bytes} bytes at offset {offset} cannot be read"),
        }
    }
}

impl Damage {
    pub(super) fn range(self) -> Range<usize> {
        let start = self.offset as usize;
        start..start + self.bytes as usize
    }
}

/// What is in the bytes of a journal.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) batches: Vec<Batch>,
    pub(super) damage: Vec<Damage>,
    /// Where the last record ends.
    pub(super) end: usize,
}

/// Reads `file`.
pub(super) fn scan(file: &[u8]) -> Result<Scan, StoreError> {
    let mut scan = Scan::default();
    if HEADER.starts_with(file) {
        // Its creator did not come further.
        return Ok(scan);
    }
    let mut at = if file.starts_with(HEADER) { HEADER.len() } else { headless(file)? };
    scan.end = at;
    if !file.starts_with(HEADER) {
        scan.damage.push(Damage { place: Place::Middle, offset: 0, bytes: at as u64 });
    }
    while at < file.len() {
        if let Some((batch, end)) = decode(file, at) {
            scan.batches.push(batch);
            (at, scan.end) = (end, end);
            continue;
        }
        let next = next_record(file, at + 1);
        let place = if next.is_some() { Place::Middle } else { Place::Tail };
        let end = next.unwrap_or(file.len());
        scan.damage.push(Damage { place, offset: at as u64, bytes: (end - at) as u64 });
        at = end;
    }
    Ok(scan)
}

/// Where the first record is in a file whose header cannot be read.
fn headless(file: &[u8]) -> Result<usize, StoreError> {
    let corrupt = |why: &str| Err(StoreError::new(StoreErrorKind::Corrupt, why));
    match next_record(file, 0) {
        Some(at) => Ok(at),
        None if file.starts_with(HEADER_WORD) => {
            corrupt("the journal has a format of a newer version")
        }
        None => corrupt("the file is no journal"),
    }
}

fn next_record(file: &[u8], from: usize) -> Option<usize> {
    let rest = file.get(from..)?;
    let marks = rest.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK);
    marks.map(|(at, _)| from + at).find(|&at| decode(file, at).is_some())
}
