//! This file is the stored form of a batch.

use agentcom_core::port::store::{Batch, RowKey, Table};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What a journal starts with; the number is that of the format.
pub(super) const HEADER: &[u8] = b"agentcom-journal 1\n";

/// What the header of every format starts with.
pub(super) const HEADER_WORD: &[u8] = b"agentcom-journal ";

/// What a record starts with. It is no UTF-8, so it does not occur in the JSON of values.
pub(super) const MARK: [u8; 4] = [0xAC, 0x4A, 0x0A, 0xF7];

/// The bytes of a record in front of its payload.
const FRAME_BYTES: usize = 16;

/// The kind of record that holds a batch. Other kinds are for later formats.
const BATCH: u8 = 1;

/// Writes `batch` as the record that starts at `offset`.
pub(super) fn encode(batch: &Batch, offset: u64) -> Option<Vec<u8>> {
    let mut bytes = vec![0; FRAME_BYTES];
    bytes.push(BATCH);
    bytes.extend(batch.seq.to_le_bytes());
    bytes.extend(u32::try_from(batch.puts.len()).ok()?.to_le_bytes());
    for (row, value) in &batch.puts {
        encode_key(&mut bytes, row)?;
        bytes.extend(u32::try_from(value.len()).ok()?.to_le_bytes());
        bytes.extend(value);
    }
    bytes.extend(u32::try_from(batch.deletes.len()).ok()?.to_le_bytes());
    for row in &batch.deletes {
        encode_key(&mut bytes, row)?;
    }
    let (frame, payload) = bytes.split_at_mut(FRAME_BYTES);
    frame[..4].copy_from_slice(&MARK);
    frame[4..8].copy_from_slice(&u32::try_from(payload.len()).ok()?.to_le_bytes());
    frame[8..].copy_from_slice(&checksum(payload, offset).to_le_bytes());
    Some(bytes)
}

fn encode_key(bytes: &mut Vec<u8>, row: &RowKey) -> Option<()> {
    bytes.push(row.table as u8);
    bytes.extend(u16::try_from(row.key.len()).ok()?.to_le_bytes());
    bytes.extend(&row.key);
    Some(())
}

/// The checksum is bound to the offset: a record that is copied to another place, as inside
/// another's value, is none.
fn checksum(payload: &[u8], offset: u64) -> u64 {
    xxh3_64_with_seed(payload, offset)
}

/// Reads the record that starts at `offset` of `file`, if there is one; returns where it ends.
pub(super) fn decode(file: &[u8], offset: usize) -> Option<(Batch, usize)> {
    let mut frame = Reader { bytes: file.get(offset..)? };
    if frame.take(4)? != MARK {
        return None;
    }
    let length = frame.u32()? as usize;
    let sum = frame.u64()?;
    let payload = frame.take(length)?;
    if checksum(payload, offset as u64) != sum {
        return None;
    }
    let batch = Reader { bytes: payload }.batch()?;
    Some((batch, offset + FRAME_BYTES + length))
}

/// Takes fields off the front of bytes.
struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(front)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn row(&mut self) -> Option<RowKey> {
        let [number] = self.array()?;
        let table = Table::ALL.into_iter().find(|&table| table as u8 == number)?;
        let length = self.array().map(u16::from_le_bytes)?;
        Some(RowKey::new(table, self.take(length.into())?))
    }

    fn batch(mut self) -> Option<Batch> {
        if self.array()? != [BATCH] {
            return None;
        }
        let mut batch = Batch { seq: self.u64()?, ..Batch::default() };
        for _ in 0..self.u32()? {
            let row = self.row()?;
            let length = self.u32()? as usize;
            batch.puts.push((row, self.take(length)?.to_vec()));
        }
        for _ in 0..self.u32()? {
            batch.deletes.push(self.row()?);
        }
        self.bytes.is_empty().then_some(batch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch() -> Batch {
        Batch {
            seq: 3,
            puts: vec![(RowKey::new(Table::Job, "k"), b"v1".to_vec())],
            deletes: vec![RowKey::new(Table::Meta, "m")],
        }
    }

    #[test]
    fn the_stored_form_is_frozen() {
        let hex: String =
            encode(&batch(), 19).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
        let mut file = vec![0; 19];
        file.extend(
            (0..GOLDEN.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&GOLDEN[at..at + 2], 16).unwrap()),
        );
        assert_eq!(decode(&file, 19), Some((batch(), file.len())));
    }

    /// The record of [`batch`] at offset 19, in hexadecimal digits.
    const GOLDEN: &str = concat!(
        "ac4a0af7",
        "1f000000",
        "c8a688d588a1390e",
        "01",
        "0300000000000000",
        "01000000",
        "0d",
        "0100",
        "6b",
        "02000000",
        "7631",
        "01000000",
        "01",
        "0100",
        "6d",
    );

    #[test]
    fn a_record_in_another_place_is_none() {
        let bytes = encode(&batch(), 19).unwrap();
        assert_eq!(decode(&bytes, 0), None);
    }

    #[test]
    fn a_record_with_any_bit_flipped_or_byte_cut_is_none() {
        let whole = encode(&batch(), 0).unwrap();
        for at in 0..whole.len() {
            assert_eq!(decode(&whole[..at], 0), None);
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert_eq!(decode(&bytes, 0), None, "byte {at}, bit {bit}");
            }
        }
    }
}
