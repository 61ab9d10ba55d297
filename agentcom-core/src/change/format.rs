//! This file turns values into the bytes of rows and back: one byte for the format, then JSON.

use alloc::vec::Vec;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::port::store::{StoreError, Table};

/// The format in which rows are written. Fields are only ever added to it; anything else is the
/// next number, with code that reads this one.
pub const FORMAT: u8 = 1;

/// The bytes for a value.
///
/// # Panics
///
/// Never for the rows of this crate: their keys are text and their payloads valid JSON.
#[must_use]
pub fn encode<T: Serialize + ?Sized>(value: &T) -> Vec<u8> {
    // Most rows fit, so that they are written without being moved.
    encode_within(512, value)
}

/// As [`encode`], for a value that takes about so many bytes.
///
/// # Panics
///
/// As [`encode`].
#[must_use]
pub(crate) fn encode_within<T: Serialize + ?Sized>(room: usize, value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(room);
    bytes.push(FORMAT);
    write_json(value, &mut bytes);
    bytes
}

/// Writes in place, which `serde_json` offers only where there is a standard library.
#[cfg(feature = "std")]
fn write_json<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    value.serialize(&mut serde_json::Serializer::new(bytes)).expect("rows serialise");
}

#[cfg(not(feature = "std"))]
fn write_json<T: Serialize + ?Sized>(value: &T, bytes: &mut Vec<u8>) {
    bytes.extend(serde_json::to_vec(value).expect("rows serialise"));
}

/// The value in the bytes of a row.
///
/// # Errors
///
/// [`StoreErrorKind::Corrupt`](crate::port::store::StoreErrorKind::Corrupt), naming the row, if
/// the bytes are of a newer format or do not fit.
pub fn decode<T: DeserializeOwned>(
    table: Table,
    key: &[u8],
    bytes: &[u8],
) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&FORMAT, json)) => {
            // The whole row is checked to be text at once, which is cheaper than string by string.
            let json = core::str::from_utf8(json);
            let json = json.map_err(|error| StoreError::corrupt(table, key, error))?;
            serde_json::from_str(json).map_err(|error| StoreError::corrupt(table, key, error))
        }
        Some((&format, _)) => Err(StoreError::corrupt(
            table,
            key,
            format_args!(
                "format {format} is newer than {FORMAT}, the newest that this release reads"
            ),
        )),
        None => Err(StoreError::corrupt(table, key, "the row is empty")),
    }
}
