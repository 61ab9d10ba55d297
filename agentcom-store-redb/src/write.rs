//! This file writes what batches left of their rows to the rows, in one transaction of redb.

use agentcom_core::port::store::{Batch, RowKey, StoreError, StoreErrorKind};
use redb::{Durability, Table as Tree, WriteTransaction};

use crate::book::Book;
use crate::error;
use crate::head::{self, Head};
use crate::layer::{Layer, Word};
use crate::record::{sealed_sum, write_record};
use crate::tail::{self, write_place};

/// After how many rows it gives way to those who take in batches: otherwise they wait for as long as
/// the operating system lets a thread compute, some milliseconds, where processors are few.
const ROWS_AT_ONCE: usize = 16;

/// What the record of a row rarely exceeds.
const RECORD_BYTES: usize = 64 * 1024;

/// Makes the rows what the batches of a layer left of them, and removes those of the `batches` that an
/// earlier release kept in the tree. Returns what the store says about itself then.
pub(crate) fn fold(
    book: &Book,
    head: &Head,
    layer: &Layer,
    batches: &[u64],
) -> Result<Head, StoreError> {
    let Some(seq) = layer.last() else { return Ok(head.clone()) };
    let mut writing = book.database.begin_write().map_err(error::transaction)?;
    // Saves what a repair would have to find out by walking the file, and implies two syncs.
    writing.set_quick_repair(true);
    let durable = writing.set_durability(Durability::Immediate);
    durable.map_err(|refused| error::unavailable(format_args!("not durable: {refused:?}")))?;
    let head = Writer::new(book, &writing, head)?.fold(seq, layer, batches)?;
    writing.commit().map_err(error::commit)?;
    Ok(head)
}

/// Whether a batch may follow the batch `last`, and is within the bounds of the port.
pub(crate) fn check(last: Option<u64>, batch: &Batch) -> Result<(), StoreError> {
    if let Some(last) = last.filter(|last| batch.seq <= *last) {
        let message = format_args!("batch {} is not after the last one, {last}", batch.seq);
        return Err(StoreError::new(StoreErrorKind::Fenced, message));
    }
    batch.puts.iter().try_for_each(|(row, value)| check_bounds(row, value))?;
    batch.deletes.iter().try_for_each(|row| check_bounds(row, &[]))
}

struct Writer<'a> {
    book: &'a Book,
    tree: Tree<'a, &'static [u8], &'static [u8]>,
    head: Head,
    place: Vec<u8>,
    record: Vec<u8>,
}

impl<'a> Writer<'a> {
    fn new(book: &'a Book, writing: &'a WriteTransaction, head: &Head) -> Result<Self, StoreError> {
        let tree = writing.open_table(book.definition()).map_err(error::table)?;
        let head = head.clone();
        let record = Vec::with_capacity(RECORD_BYTES);
        Ok(Self { book, tree, head, place: Vec::new(), record })
    }

    fn fold(mut self, seq: u64, layer: &Layer, batches: &[u64]) -> Result<Head, StoreError> {
        for batch in batches {
            self.remove(tail::TABLE, &tail::place(*batch))?;
        }
        for (at, (row, word)) in layer.rows().enumerate() {
            if at.is_multiple_of(ROWS_AT_ONCE) {
                std::thread::yield_now();
            }
            self.settle(row, word)?;
        }
        self.head.seq = Some(seq);
        let mut value = Vec::new();
        self.head.write(seq, &mut value);
        self.book.seal.seal(&head::PLACE, &value, &mut self.record);
        let place = head::PLACE.as_slice();
        self.tree.insert(place, self.record.as_slice()).map_err(error::storage)?;
        Ok(self.head)
    }

    fn settle(&mut self, row: &RowKey, word: &Word) -> Result<(), StoreError> {
        let mut place = core::mem::take(&mut self.place);
        write_place(row, &mut place);
        match word {
            Some(sealed) => {
                self.record.clear();
                write_record(sealed.sum, &sealed.value, &mut self.record);
                self.insert(row.table as u8, &place, sealed.sum)?;
            }
            None => self.remove(row.table as u8, &place)?,
        }
        self.place = place;
        Ok(())
    }

    /// Writes the record at hand to a place of a table.
    fn insert(&mut self, table: u8, place: &[u8], sum: u64) -> Result<(), StoreError> {
        let tally = self.head.tally_mut(table);
        tally.add(sum);
        let before = self.tree.insert(place, self.record.as_slice()).map_err(error::storage)?;
        before.map_or(Ok(()), |before| {
            tally.remove(old_sum(place, before.value())?);
            Ok(())
        })
    }

    fn remove(&mut self, table: u8, place: &[u8]) -> Result<(), StoreError> {
        let before = self.tree.remove(place).map_err(error::storage)?;
        before.map_or(Ok(()), |before| {
            self.head.tally_mut(table).remove(old_sum(place, before.value())?);
            Ok(())
        })
    }
}

fn old_sum(place: &[u8], record: &[u8]) -> Result<u64, StoreError> {
    sealed_sum(record).map_err(|damage| error::at(place, damage))
}

fn check_bounds(row: &RowKey, value: &[u8]) -> Result<(), StoreError> {
    let key_fits = (1..=RowKey::BYTES_MAX).contains(&row.key.len());
    if key_fits && value.len() <= RowKey::VALUE_BYTES_MAX {
        return Ok(());
    }
    Err(error::unavailable(format_args!(
        "table {}: a key of {} bytes with a value of {} bytes is out of bounds",
        row.table,
        row.key.len(),
        value.len()
    )))
}
