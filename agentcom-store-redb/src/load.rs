//! This file walks whole tables: it checks every row where it may block, and passes the rows on in
//! pieces.

use std::ops::Bound;

use agentcom_core::port::store::{StoreError, Table, Visit};
use tokio::sync::mpsc::Sender;

use crate::book::{Book, Tree, misplaced};
use crate::error::{self, Way};
use crate::head::{Head, Tally};
use crate::layer::{Layer, Word};
use crate::record::sealed_sum;
use crate::rows::Rows;
use crate::tail::{self, Tail};
use crate::upkeep::Stop;

/// How many pieces may wait for the visitor.
pub(crate) const PIECES_MAX: usize = 4;

/// From how many bytes on a piece is passed on.
const PIECE_BYTES: usize = 256 * 1024;

/// Rows of one table, one behind the other, without an allocation for each.
#[derive(Debug)]
pub(crate) struct Piece {
    table: Table,
    bytes: Vec<u8>,
    /// Where each row's key and value end in `bytes`.
    ends: Vec<(usize, usize)>,
}

impl Piece {
    fn new(table: Table) -> Self {
        Self { table, bytes: Vec::new(), ends: Vec::new() }
    }

    fn push(&mut self, key: &[u8], value: &[u8]) {
        self.bytes.extend_from_slice(key);
        let key_end = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.ends.push((key_end, self.bytes.len()));
    }

    pub(crate) fn visit(&self, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut start = 0;
        for (key_end, end) in &self.ends {
            visit(self.table, &self.bytes[start..*key_end], &self.bytes[*key_end..*end])?;
            start = *end;
        }
        Ok(())
    }
}

/// Reads and checks the batches that an earlier release kept in the tree, and their numbers.
pub(crate) fn batches_in(
    book: &Book,
    tree: &Tree,
    head: &Head,
) -> Result<(Layer, Vec<u64>), StoreError> {
    let (mut layer, mut batches, mut found) = (Layer::default(), Vec::new(), Tally::default());
    let mut rows = Rows::within(tree, &[tail::TABLE], [tail::TABLE].as_slice()..)?;
    while let Some((place, record)) = rows.next()? {
        let (seq, record) = (tail::seq_at(place.value())?, record.value());
        let (batch, sums) = tail::open(book.seal, seq, record)?;
        found.add(sealed_sum(record).map_err(|damage| error::at(place.value(), damage))?);
        layer.take_in(batch, record.len(), &sums);
        batches.push(seq);
    }
    compare("the latest batches", found, head.tally(tail::TABLE))?;
    match layer.last() {
        Some(last) if Some(last) != head.seq => {
            let told = head.seq;
            let message = format_args!("the last batch is {last}, the head speaks of {told:?}");
            Err(error::corrupt(message))
        }
        Some(_) | None => Ok((layer, batches)),
    }
}

/// Passes on all rows of the live tables. Returns the number of the last batch. Ends early when
/// nobody listens any more.
pub(crate) fn load(book: &Book, pieces: &Sender<Piece>) -> Result<Option<u64>, StoreError> {
    let Some((tree, tail)) = book.snapshot(Tail::clone)? else { return Ok(None) };
    let head = book.read_head(&tree)?;
    for table in Table::LIVE {
        let mut piece = Piece::new(table);
        let mut listening = true;
        overlaid(book, &tree, &head, &tail, table, |key, value| {
            piece.push(key, value);
            if piece.bytes.len() >= PIECE_BYTES {
                let full = core::mem::replace(&mut piece, Piece::new(table));
                listening = pieces.blocking_send(full).is_ok();
            }
            Ok(listening)
        })?;
        if !listening || pieces.blocking_send(piece).is_err() {
            break;
        }
    }
    Ok(tail.last())
}

/// Reads and checks every row of every table, in both ways of finding it, and every batch that is not
/// in the rows yet, unless it is asked to stop.
pub(crate) fn verify(book: &Book, stop: &Stop) -> Result<(), StoreError> {
    book.verify_log()?;
    let Some((tree, ())) = book.snapshot(|_| ())? else { return Ok(()) };
    let head = book.read_head(&tree)?;
    for table in Table::ALL {
        let mut place = Vec::new();
        let mut rows = 0_usize;
        walk(book, &tree, &head, table, |key, _| {
            if rows.is_multiple_of(Stop::ROWS) {
                stop.check()?;
            }
            rows += 1;
            place.clear();
            place.push(table as u8);
            place.extend_from_slice(key);
            // A damaged branch can lead a search astray and still be walked in order.
            match error::reading(Way::To(&place), || tree.get(place.as_slice()))? {
                Some(_) => Ok(true),
                None => Err(StoreError::corrupt(table, key, "the row cannot be found by its key")),
            }
        })?;
    }
    Ok(())
}

/// As [`walk`], with the batches of the tail laid over the rows.
fn overlaid(
    book: &Book,
    tree: &Tree,
    head: &Head,
    tail: &Tail,
    table: Table,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let mut words = tail.of_table(table).peekable();
    let mut listening = true;
    walk(book, tree, head, table, |key, value| {
        while let Some((before, word)) = words.next_if(|(row, _)| *row < key) {
            listening = listening && say(before, word, &mut each)?;
        }
        listening = listening
            && match words.next_if(|(row, _)| *row == key) {
                Some((_, word)) => say(key, word, &mut each)?,
                None => each(key, value)?,
            };
        Ok(listening)
    })?;
    for (behind, word) in words {
        listening = listening && say(behind, word, &mut each)?;
    }
    Ok(())
}

fn say(
    key: &[u8],
    word: &Word,
    each: &mut impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<bool, StoreError> {
    word.as_ref().map_or(Ok(true), |sealed| each(key, &sealed.value))
}

/// Shows all rows of a table to `each`, until it returns `false`. Fails if a row is damaged, or if
/// at the end the rows are not those that the head tells of.
fn walk(
    book: &Book,
    tree: &Tree,
    head: &Head,
    table: Table,
    mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, StoreError>,
) -> Result<(), StoreError> {
    let [first, behind] = [[table as u8], [table as u8 + 1]];
    let bounds = (Bound::Included(first.as_slice()), Bound::Excluded(behind.as_slice()));
    let mut found = Tally::default();
    let mut rows = Rows::within(tree, &first, bounds)?;
    while let Some((place, record)) = rows.next()? {
        let (place, record) = (place.value(), record.value());
        let key = place.get(1..).unwrap_or_default();
        if place.first() != Some(&(table as u8)) {
            return Err(misplaced(table, key));
        }
        let opened = book.seal.open(place, record);
        let opened = opened.map_err(|damage| StoreError::corrupt(table, key, damage))?;
        found.add(opened.sum);
        if !each(key, opened.value)? {
            return Ok(());
        }
    }
    compare(&format!("table {table}"), found, head.tally(table as u8))
}

fn compare(what: &str, found: Tally, told: Tally) -> Result<(), StoreError> {
    if found == told {
        return Ok(());
    }
    Err(error::corrupt(format_args!(
        "{what}: {} rows are there, {} were written, and they are not the same",
        found.rows, told.rows
    )))
}
