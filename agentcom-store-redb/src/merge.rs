//! This file lays the last words of the tail over the rows of the tree.

use std::iter::Peekable;

use agentcom_core::port::store::{Row, StoreError};

use crate::layer::Word;

/// The rows of a tree overlaid by what the tail left of them, both in the order of reading.
pub(crate) fn merged(
    rows: impl Iterator<Item = Result<Row, StoreError>>,
    words: Vec<(Vec<u8>, Word)>,
    backwards: bool,
) -> impl Iterator<Item = Result<Row, StoreError>> {
    let (mut rows, mut words) = (rows.peekable(), words.into_iter().peekable());
    core::iter::from_fn(move || {
        loop {
            let Some((key, _)) = words.peek() else { return rows.next() };
            if let Some(before) = next_before(&mut rows, key, backwards) {
                return Some(before);
            }
            let (key, word) = words.next()?;
            if let Some(sealed) = word {
                return Some(Ok((key, sealed.value)));
            }
        }
    })
}

/// The next row if it comes before `key`, or cannot be read; a row of that key is passed over.
fn next_before(
    rows: &mut Peekable<impl Iterator<Item = Result<Row, StoreError>>>,
    key: &[u8],
    backwards: bool,
) -> Option<Result<Row, StoreError>> {
    let comes_before = |row: &Result<Row, StoreError>| match row {
        Ok((found, _)) if backwards => key < found.as_slice(),
        Ok((found, _)) => found.as_slice() < key,
        Err(_) => true,
    };
    let before = rows.next_if(comes_before);
    if before.is_none() {
        rows.next_if(|row| matches!(row, Ok((found, _)) if found == key));
    }
    before
}
