//! This file edits a store's file as an input says, and can seal what it changed as the store does.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::super::files::sum_of;
use super::{LOG, LOG_BYTES, PAGE};

/// How long headers are, with the checksum at their end.
const HEADER: usize = 40;
/// How long marks are, with the checksum at their end.
const MARK: usize = 24;
/// How long the header of a record in the log is. What it says begins behind its checksum.
const RECORD: usize = 56;
const RECORD_SUM: usize = 8;
const RECORD_SAYS: usize = 16;
/// What a sealed value has in front: its format and its checksum.
const SEALED: usize = 9;
/// The most edits of one input.
const EDITS_MAX: usize = 32;

/// What the edits of an input amount to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Damage {
    /// Something else than before has a checksum that is right.
    pub(super) is_sealed: bool,
    /// Something is in another place that was good in its own.
    pub(super) moves_pages: bool,
    /// The marks of the batches that were confirmed last differ.
    pub(super) to_a_mark: bool,
    /// The first page of the database differs.
    pub(super) to_redbs_header: bool,
    /// The log differs.
    pub(super) to_the_log: bool,
}

/// What is done to a file.
pub(super) struct Edits<'a>(&'a [[u8; 8]]);

/// A part of a file, as the layout has it.
#[derive(Clone, Copy, Debug)]
enum Part {
    Header(usize),
    Mark(usize),
    /// The header of a record on this page of the log.
    Record(usize),
    /// What is sealed in a record on this page of the log.
    Batch(usize),
    Database,
}

impl<'a> Edits<'a> {
    /// Those of an input.
    pub(super) fn of(input: &'a [u8]) -> Self {
        let (edits, _) = input.as_chunks();
        Self(&edits[..edits.len().min(EDITS_MAX)])
    }

    /// Edits a file.
    pub(super) fn apply(&self, bytes: &mut Vec<u8>) -> Damage {
        let good = bytes.clone();
        let mut damage = Damage::default();
        for [what, part, low, high, length, a, b, c] in self.0 {
            let Some(part) = Part::of(*part, bytes) else { continue };
            let range = part.range(bytes);
            let at = usize::from(u16::from_le_bytes([*low, *high]));
            let place = range.start + at % range.len();
            let end = (place + usize::from(*length).max(1)).min(range.end);
            match what % 6 {
                0 => bytes[place..end].fill(*a),
                1 => bytes[place] ^= 1 << (a % 8),
                2 => put_number(&mut bytes[range], at, [*a, *b, *c]),
                3 => {
                    copy_page(bytes, place / PAGE, usize::from(u16::from_le_bytes([*a, *b])));
                    damage.moves_pages = true;
                }
                4 => bytes.truncate(place),
                _ => {
                    part.seal(*a, bytes);
                    damage.is_sealed = true;
                }
            }
        }
        damage.to_a_mark = bytes.get(2 * PAGE..LOG) != good.get(2 * PAGE..LOG);
        let redb = Part::Database.range(&good).start;
        let redb = redb..redb + PAGE;
        damage.to_redbs_header = bytes.get(redb.clone()) != good.get(redb);
        let log = LOG..log_end(&good);
        damage.to_the_log = bytes.get(log.clone()) != good.get(log);
        damage
    }
}

impl Part {
    /// The part of this number, if the file has it.
    fn of(number: u8, bytes: &[u8]) -> Option<Self> {
        let end = log_end(bytes);
        let page = usize::from(number / 8) % ((end - LOG) / PAGE).max(1);
        let part = match number % 8 {
            0 | 1 => Self::Header(usize::from(number % 2)),
            2 | 3 => Self::Mark(usize::from(number % 2)),
            4 => Self::Record(page),
            5 => Self::Batch(page),
            _ => Self::Database,
        };
        let range = part.range(bytes);
        (range.end <= bytes.len() && !range.is_empty()).then_some(part)
    }

    fn range(self, bytes: &[u8]) -> core::ops::Range<usize> {
        match self {
            Self::Header(turn) => turn * PAGE..turn * PAGE + HEADER,
            Self::Mark(turn) => (2 + turn) * PAGE..(2 + turn) * PAGE + MARK,
            Self::Record(page) => LOG + page * PAGE..LOG + page * PAGE + RECORD,
            Self::Batch(page) => {
                let start = LOG + page * PAGE + RECORD;
                let length = number_at(bytes, LOG + page * PAGE + 32).unwrap_or_default();
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                start..start.saturating_add(length).min(log_end(bytes)).max(start)
            }
            Self::Database if has_log(bytes) => log_end(bytes)..bytes.len(),
            Self::Database => 0..bytes.len(),
        }
    }

    /// Makes its checksums right; of a batch those of its rows if `which` has bit 0, and its own if
    /// it has bit 1.
    fn seal(self, which: u8, bytes: &mut [u8]) {
        let (range, salt) = (self.range(bytes), salt_of(bytes));
        match self {
            Self::Header(_) => seal_end(&mut bytes[range], 0),
            Self::Mark(_) => seal_end(&mut bytes[range], salt),
            Self::Record(_) => seal_record(&mut bytes[range], salt),
            Self::Batch(page) => {
                let record = LOG + page * PAGE;
                let says = |at| number_at(bytes, record + at).unwrap_or_default();
                let (seq, namespace) = (says(16), says(40));
                if which & 1 == 1 {
                    seal_rows(
                        bytes[range.clone()].get_mut(SEALED..).unwrap_or_default(),
                        namespace,
                    );
                }
                if which & 2 == 2 {
                    let mut place = [u8::MAX; 9];
                    place[1..].copy_from_slice(&seq.to_be_bytes());
                    let sum = seal_value(&mut bytes[range], &place, namespace).unwrap_or_default();
                    bytes[record + 48..record + RECORD].copy_from_slice(&sum.to_le_bytes());
                }
            }
            // Those of redb are not looked at when a page is read; its rows have a target of their
            // own.
            Self::Database => {}
        }
    }
}

fn has_log(bytes: &[u8]) -> bool {
    !bytes.starts_with(b"redb")
}

fn salt_of(bytes: &[u8]) -> u64 {
    number_at(bytes, 24).unwrap_or_default()
}

/// Where the log ends in a file that was made with one.
fn log_end(bytes: &[u8]) -> usize {
    if has_log(bytes) { (LOG + LOG_BYTES).min(bytes.len()).max(LOG) } else { LOG }
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Makes a number of eight bytes small, or as small or as large as can be: `value` has a sign.
fn put_number(part: &mut [u8], at: usize, value: [u8; 3]) {
    let [a, b, c] = value;
    let number = i32::from_le_bytes([0, a, b, c]) >> 8;
    let fields = part.len() / 8;
    if let Some(field) = at.checked_rem(fields).and_then(|at| part.get_mut(at * 8..at * 8 + 8)) {
        field.copy_from_slice(&i64::from(number).to_le_bytes());
    }
}

fn copy_page(bytes: &mut [u8], from: usize, to: usize) {
    let pages = bytes.len() / PAGE;
    if from < pages {
        bytes.copy_within(from * PAGE..(from + 1) * PAGE, to % pages * PAGE);
    }
}

/// A checksum that follows what it is of.
fn seal_end(part: &mut [u8], seed: u64) {
    let (says, sum) = part.split_at_mut(part.len() - 8);
    sum.copy_from_slice(&xxh3_64_with_seed(says, seed).to_le_bytes());
}

fn seal_record(record: &mut [u8], salt: u64) {
    let sum = xxh3_64_with_seed(&record[RECORD_SAYS..], salt);
    record[RECORD_SUM..RECORD_SAYS].copy_from_slice(&sum.to_le_bytes());
}

/// Seals a value in its place; returns its checksum.
fn seal_value(sealed: &mut [u8], place: &[u8], namespace: u64) -> Option<u64> {
    let (head, value) = sealed.split_at_mut_checked(SEALED)?;
    let sum = sum_of(namespace, place, value);
    head[0] = 1;
    head[1..].copy_from_slice(&sum.to_le_bytes());
    Some(sum)
}

/// Seals each row that a batch names.
fn seal_rows(rows: &mut [u8], namespace: u64) {
    let mut rest = rows;
    while let Some((name, behind)) = rest.split_at_mut_checked(7) {
        let key = usize::from(u16::from_le_bytes([name[1], name[2]]));
        let length = u32::from_le_bytes([name[3], name[4], name[5], name[6]]);
        let length = if length == u32::MAX { 0 } else { length as usize };
        let Some((key, behind)) = behind.split_at_mut_checked(key) else { return };
        let Some((record, behind)) = behind.split_at_mut_checked(length) else { return };
        let place = [&name[..1], key].concat();
        seal_value(record, &place, namespace);
        rest = behind;
    }
}
