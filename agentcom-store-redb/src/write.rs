//! This file writes a batch: it appends the batch to the tail and, when it is time, folds the oldest
//! ones of the tail into the rows, in one transaction.

use agentcom_core::port::store::{Batch, RowKey, StoreError, StoreErrorKind};
use redb::{Durability, Table as Tree, WriteTransaction};

use crate::book::Book;
use crate::error;
use crate::head::{self, Head};
use crate::record::{sealed_sum, write_record};
use crate::tail::{self, Left, Tail, write_place};

/// A batch that is durable.
#[derive(Debug)]
pub(crate) struct Written {
    /// What the file says about itself with it.
    pub(crate) head: Head,
    /// Up to which batch the tail is in the rows, if it was folded.
    pub(crate) folded: Option<u64>,
    /// How many bytes the batch takes in the tail.
    pub(crate) bytes: usize,
    /// The checksums of its puts.
    pub(crate) sums: Vec<u64>,
}

pub(crate) fn write(
    book: &Book,
    head: &Head,
    tail: &Tail,
    batch: &Batch,
) -> Result<Written, StoreError> {
    if let Some(last) = head.seq.filter(|last| batch.seq <= *last) {
        let message = format_args!("batch {} is not after the last one, {last}", batch.seq);
        return Err(StoreError::new(StoreErrorKind::Fenced, message));
    }
    batch.puts.iter().try_for_each(|(row, value)| check_bounds(row, value))?;
    batch.deletes.iter().try_for_each(|row| check_bounds(row, &[]))?;
    let mut writing = book.database.begin_write().map_err(error::transaction)?;
    // Saves what a repair would have to find out by walking the file, and implies two syncs.
    writing.set_quick_repair(true);
    let durable = writing.set_durability(Durability::Immediate);
    durable.map_err(|refused| error::unavailable(format_args!("not durable: {refused:?}")))?;
    let written = Writer::new(book, &writing, head)?.write(tail, batch)?;
    writing.commit().map_err(error::commit)?;
    Ok(written)
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
        Ok(Self { book, tree, head, place: Vec::new(), record: Vec::new() })
    }

    fn write(mut self, tail: &Tail, batch: &Batch) -> Result<Written, StoreError> {
        let folded = self.fold(tail)?;
        let mut sums = Vec::with_capacity(batch.puts.len());
        let mut value = Vec::new();
        tail::write(self.book.seal, batch, &mut value, &mut sums);
        let place = tail::place(batch.seq);
        let sum = self.book.seal.seal(&place, &value, &mut self.record);
        self.insert(tail::TABLE, &place, sum)?;
        let bytes = self.record.len();

        self.head.seq = Some(batch.seq);
        self.head.write(batch.seq, &mut value);
        self.book.seal.seal(&head::PLACE, &value, &mut self.record);
        let place = head::PLACE.as_slice();
        self.tree.insert(place, self.record.as_slice()).map_err(error::storage)?;
        Ok(Written { head: self.head, folded, bytes, sums })
    }

    /// Writes what the oldest batches left of their rows, and removes them. Returns the number of
    /// the last of them.
    fn fold(&mut self, tail: &Tail) -> Result<Option<u64>, StoreError> {
        let mut folded = None;
        for kept in tail.due() {
            self.remove(tail::TABLE, &tail::place(kept.seq))?;
            folded = Some(kept.seq);
        }
        let Some(seq) = folded else { return Ok(None) };
        for (row, left) in tail.settled(seq) {
            self.settle(row, left)?;
        }
        Ok(folded)
    }

    fn settle(&mut self, row: &RowKey, left: &Left) -> Result<(), StoreError> {
        let mut place = core::mem::take(&mut self.place);
        write_place(row, &mut place);
        match &left.value {
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
