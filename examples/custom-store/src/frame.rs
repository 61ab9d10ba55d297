//! This file is the form of a batch in the log: a frame that shows whether it is whole.
//!
//! | bytes | what (numbers are little-endian) |
//! |---|---|
//! | 4 | the length of the body |
//! | 4 | the lower half of the checksum of that length |
//! | 8 | XXH3-64 of the body |
//! | rest | the body: `seq`, then each row: what is done to it, its table, its key, its value |

use agentcom_core::port::store::{Batch, RowKey, StoreError, StoreErrorKind, Table};
use xxhash_rust::xxh3::xxh3_64;

const HEADER: usize = 16;
const PUT: u8 = 1;
const DELETE: u8 = 2;

/// The frame of a batch.
///
/// # Errors
///
/// [`StoreErrorKind::Unavailable`] if the batch is larger than 4 GiB.
pub fn write(batch: &Batch) -> Result<Vec<u8>, StoreError> {
    let mut frame = vec![0; HEADER];
    frame.extend_from_slice(&batch.seq.to_le_bytes());
    for (row, value) in &batch.puts {
        write_row(&mut frame, PUT, row, value);
    }
    for row in &batch.deletes {
        write_row(&mut frame, DELETE, row, b"");
    }
    let too_long = |_| StoreError::new(StoreErrorKind::Unavailable, "the batch is too large");
    let length = u32::try_from(frame.len() - HEADER).map_err(too_long)?.to_le_bytes();
    let sum = xxh3_64(&frame[HEADER..]).to_le_bytes();
    frame[..4].copy_from_slice(&length);
    frame[4..8].copy_from_slice(&length_sum(length));
    frame[8..HEADER].copy_from_slice(&sum);
    Ok(frame)
}

/// The first batch in `log` and the length of its frame; `None` at the end of the log, and if all
/// that is left is a frame that was cut short.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`] if the frame is damaged in any other way.
pub fn read(log: &[u8]) -> Result<Option<(Batch, usize)>, StoreError> {
    let corrupt = |why: &str| StoreError::new(StoreErrorKind::Corrupt, why);
    let Some((header, rest)) = log.split_first_chunk::<HEADER>() else { return Ok(None) };
    let [a, b, c, d, e, f, g, h, sum @ ..] = *header;
    let length = [a, b, c, d];
    if length_sum(length) != [e, f, g, h] {
        // A crash may leave a grown file whose last bytes were never written.
        let unwritten = log.iter().all(|byte| *byte == 0);
        return if unwritten { Ok(None) } else { Err(corrupt("the header of a batch is damaged")) };
    }
    let length = u32::from_le_bytes(length) as usize;
    let Some(body) = rest.get(..length) else { return Ok(None) };
    if xxh3_64(body) == u64::from_le_bytes(sum) {
        let batch = read_body(body).ok_or_else(|| corrupt("a batch makes no sense"))?;
        Ok(Some((batch, HEADER + length)))
    } else if length == rest.len() {
        // The last batch, and not all of it reached the disk: it was never confirmed.
        Ok(None)
    } else {
        Err(corrupt("the checksum of a batch does not match"))
    }
}

/// The length has a check of its own: a wrong one would pass the rest of the log for one frame
/// that was cut short.
fn length_sum(length: [u8; 4]) -> [u8; 4] {
    (xxh3_64(&length) as u32).to_le_bytes()
}

fn write_row(frame: &mut Vec<u8>, action: u8, row: &RowKey, value: &[u8]) {
    frame.extend_from_slice(&[action, row.table as u8]);
    for bytes in [&row.key, value] {
        frame.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        frame.extend_from_slice(bytes);
    }
}

fn read_body(body: &[u8]) -> Option<Batch> {
    let (seq, mut body) = body.split_first_chunk()?;
    let mut batch = Batch { seq: u64::from_le_bytes(*seq), ..Batch::default() };
    while let [action, table, rest @ ..] = body {
        let (key, rest) = read_bytes(rest)?;
        let (value, rest) = read_bytes(rest)?;
        let table = Table::ALL.into_iter().find(|known| *known as u8 == *table)?;
        match *action {
            PUT => batch.puts.push((RowKey::new(table, key), value.to_vec())),
            DELETE => batch.deletes.push(RowKey::new(table, key)),
            _ => return None,
        }
        body = rest;
    }
    body.is_empty().then_some(batch)
}

fn read_bytes(body: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = body.split_first_chunk()?;
    rest.split_at_checked(u64::from_le_bytes(*length) as usize)
}
