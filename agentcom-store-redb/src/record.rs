//! This file seals the bytes of each row, so that damage is found when the row is read.
//!
//! redb checks its pages when it repairs a file, not when it reads one: a bit that flips on the
//! disk would be returned as good data. So each value is stored as a record:
//!
//! | bytes | what |
//! |---|---|
//! | 1 | [`FORMAT`] |
//! | 8 | XXH3-64 of the value, little-endian, seeded with the namespace, the table and the key |
//! | rest | the value |
//!
//! **Invariant:** a record is good for its own row only: one that turns up under another key, in
//! another table or namespace, does not open.

use core::fmt;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The format of records that this release writes. It reads this one and none that is newer.
pub(crate) const FORMAT: u8 = 1;

/// Seals and opens the records of one namespace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seal {
    namespace: u64,
}

/// A record that was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Opened<'a> {
    pub(crate) sum: u64,
    pub(crate) value: &'a [u8],
}

/// Why a record does not open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    /// It is shorter than any record.
    Short,
    /// It was written by a newer release, or its format is damaged.
    Format(u8),
    /// Its checksum is not that of its content and place.
    Sum,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Short => f.write_str("the record is cut off"),
            Self::Format(format) => {
                write!(f, "record format {format} is newer than {FORMAT}, the newest known here")
            }
            Self::Sum => f.write_str("the checksum does not match"),
        }
    }
}

impl Seal {
    pub(crate) fn new(namespace: &str) -> Self {
        Self { namespace: xxh3_64(namespace.as_bytes()) }
    }

    /// The number that stands for the namespace.
    pub(crate) const fn namespace(self) -> u64 {
        self.namespace
    }

    /// How many bytes a record adds to its value.
    pub(crate) const OVERHEAD: usize = 9;

    /// How long the record of `value` is.
    pub(crate) const fn record_len(value: &[u8]) -> usize {
        Self::OVERHEAD + value.len()
    }

    /// Writes the record of `value` over `record`. Returns its checksum.
    pub(crate) fn seal(self, place: &[u8], value: &[u8], record: &mut Vec<u8>) -> u64 {
        record.clear();
        self.append(place, value, record)
    }

    /// Writes the record of `value` behind `bytes`. Returns its checksum.
    pub(crate) fn append(self, place: &[u8], value: &[u8], bytes: &mut Vec<u8>) -> u64 {
        let sum = self.sum(place, value);
        write_record(sum, value, bytes);
        sum
    }

    /// Makes a record of `bytes`, of which the first [`Seal::OVERHEAD`] are room for that. Returns its
    /// checksum.
    pub(crate) fn seal_in_place(self, place: &[u8], bytes: &mut [u8]) -> u64 {
        let (overhead, value) = bytes.split_at_mut(Self::OVERHEAD);
        let sum = self.sum(place, value);
        overhead[0] = FORMAT;
        overhead[1..].copy_from_slice(&sum.to_le_bytes());
        sum
    }

    /// The value of a record that was found at `place`.
    pub(crate) fn open<'a>(self, place: &[u8], record: &'a [u8]) -> Result<Opened<'a>, Damage> {
        let sum = sealed_sum(record)?;
        let value = &record[Self::OVERHEAD..];
        match record[0] {
            FORMAT if self.sum(place, value) == sum => Ok(Opened { sum, value }),
            0..=FORMAT => Err(Damage::Sum),
            newer => Err(Damage::Format(newer)),
        }
    }

    fn sum(self, place: &[u8], value: &[u8]) -> u64 {
        xxh3_64_with_seed(value, xxh3_64_with_seed(place, self.namespace))
    }
}

/// Writes the record of `value`, whose checksum is known, behind `bytes`.
pub(crate) fn write_record(sum: u64, value: &[u8], bytes: &mut Vec<u8>) {
    bytes.reserve(Seal::record_len(value));
    bytes.push(FORMAT);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(value);
}

/// The checksum that a record carries, whether or not it is right.
pub(crate) fn sealed_sum(record: &[u8]) -> Result<u64, Damage> {
    let sum = record.get(1..Seal::OVERHEAD).ok_or(Damage::Short)?;
    sum.try_into().map(u64::from_le_bytes).map_err(|_| Damage::Short)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(place: &[u8], value: &[u8]) -> Vec<u8> {
        let mut record = Vec::new();
        Seal::new("main").seal(place, value, &mut record);
        record
    }

    #[test]
    fn a_record_opens_where_it_was_sealed() {
        for value in [&b""[..], b"v", &[7; 10_000]] {
            let record = sealed(b"k", value);
            assert_eq!(record.len(), Seal::record_len(value));
            assert_eq!(Seal::new("main").open(b"k", &record).map(|o| o.value), Ok(value));
        }
    }

    #[test]
    fn a_record_opens_nowhere_else() {
        let record = sealed(b"k", b"v");
        assert_eq!(Seal::new("main").open(b"l", &record), Err(Damage::Sum));
        assert_eq!(Seal::new("other").open(b"k", &record), Err(Damage::Sum));
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let record = sealed(b"k", b"some value");
        for bit in 0..8 * record.len() {
            let mut damaged = record.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(Seal::new("main").open(b"k", &damaged).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_newer_format_is_refused_by_name() {
        let mut record = sealed(b"k", b"v");
        record[0] = FORMAT + 1;
        assert_eq!(Seal::new("main").open(b"k", &record), Err(Damage::Format(2)));
        assert_eq!(
            Damage::Format(2).to_string(),
            "record format 2 is newer than 1, the newest known here"
        );
    }

    #[test]
    fn a_record_that_is_cut_off_is_refused() {
        let record = sealed(b"k", b"v");
        for length in 0..record.len() {
            assert!(Seal::new("main").open(b"k", &record[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn the_stored_form_of_a_record_does_not_change() {
        let record = sealed(&[2, 0, 0, 0, 0, 0, 0, 0, 1], b"{\"n\":1}");
        assert_eq!(record, b"\x01\xda\x16\x04\xab\xd7\xd2\xcdP{\"n\":1}");
    }
}
