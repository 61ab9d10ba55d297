//! This file makes rows that were saved from damage fit together again.
//!
//! Rows that cannot be read, or whose other half is lost, are set aside; counters go past every
//! number in use. What this cannot see, such as a task that waits for a lost one, the hub settles
//! when the data begins [another life](crate::hub::Hub::renew), as it has to afterwards.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::rows::{self, HEAD};
use crate::change::{Head, decode, encode};
use crate::id::TaskId;
use crate::port::store::{RowKey, StoreError, Table};
use crate::question::Question;
use crate::view::Event;

/// The rows of a store by name.
pub type Rows = BTreeMap<RowKey, Vec<u8>>;

/// Takes rows out that do not fit the others. Returns the number of the last event, which is that
/// of the batch to store the rows with, and why each row was taken out.
///
/// # Errors
///
/// [`Corrupt`](crate::port::store::StoreErrorKind::Corrupt) if the row is lost without which there
/// is no data set: `head` of the table `meta`.
pub fn mend(rows: &mut Rows) -> Result<(u64, Vec<StoreError>), StoreError> {
    let place = RowKey::new(Table::Meta, HEAD);
    let lost = || StoreError::corrupt(Table::Meta, HEAD, "without it there is no data set");
    let mut head: Head = decode(Table::Meta, HEAD, rows.get(&place).ok_or_else(lost)?)?;
    let mut aside = Vec::new();
    let keys = |of: Table, rows: &Rows| -> BTreeSet<Vec<u8>> {
        rows.keys().filter(|row| row.table == of).map(|row| row.key.clone()).collect()
    };
    // A task that has ended does not run again, even if nobody can read how it ended.
    let ended = keys(Table::Ended, rows);
    set_aside(rows, &mut aside, |row, bytes| check(row, bytes).err());
    let (specs, lives) = (keys(Table::Spec, rows), keys(Table::Life, rows));
    set_aside(rows, &mut aside, |row, _| {
        let (is_spec, is_life) = (row.table == Table::Spec, row.table == Table::Life);
        let why = if (is_spec || is_life) && ended.contains(&row.key) {
            "the task has ended"
        } else if is_spec && !lives.contains(&row.key) {
            "its life is lost"
        } else if is_life && !specs.contains(&row.key) {
            "its spec is lost"
        } else {
            return None;
        };
        Some(StoreError::corrupt(row.table, &row.key, why))
    });
    let lives = keys(Table::Life, rows);
    let is_living = |task: TaskId| lives.contains(&head.ids.reveal(task.0).to_be_bytes()[..]);
    set_aside(rows, &mut aside, |row, bytes| {
        let question: Question = (row.table == Table::Question)
            .then(|| decode(row.table, &row.key, bytes).ok())
            .flatten()?;
        let why = "the task that it is about is lost";
        (!is_living(question.task)).then(|| StoreError::corrupt(row.table, &row.key, why))
    });
    count_on(&mut head, rows, &ended);
    let seq = head.seq;
    rows.insert(place, encode(&head));
    Ok((seq, aside))
}

fn set_aside(
    rows: &mut Rows,
    aside: &mut Vec<StoreError>,
    why: impl Fn(&RowKey, &[u8]) -> Option<StoreError>,
) {
    rows.retain(|row, bytes| match why(row, bytes) {
        Some(error) => {
            aside.push(error);
            false
        }
        None => true,
    });
}

/// Whether the hub can read a row, by the code that reads it.
fn check(row: &RowKey, bytes: &[u8]) -> Result<(), StoreError> {
    let (table, key) = (row.table, row.key.as_slice());
    match table {
        Table::Meta
        | Table::Spec
        | Table::Life
        | Table::Agent
        | Table::Bucket
        | Table::Question => rows::read(table, key, bytes).map(drop),
        Table::Event => decode::<Vec<Event>>(table, key, bytes).map(drop),
        Table::Key => rows::key_row(key, bytes).map(drop),
        Table::Ended => rows::ended_row(key, bytes).map(drop),
        Table::EndedIndex => rows::check_index(key, bytes),
        Table::KeyEnd | Table::Artifact | Table::Job => Ok(()),
    }
}

/// Moves the counters past all that is in use, in case the head is older than the rows.
fn count_on(head: &mut Head, rows: &Rows, ended: &BTreeSet<Vec<u8>>) {
    let number_in = |key: &[u8]| key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    let last_ended = ended.last().map_or(0, |key| number_in(key));
    head.next_task = head.next_task.max(last_ended + 1);
    for (row, bytes) in rows {
        let number = || number_in(&row.key);
        match row.table {
            Table::Spec | Table::Life => head.next_task = head.next_task.max(number() + 1),
            Table::Question => {
                let counter = head.ids.reveal(number());
                head.next_question = head.next_question.max(counter + 1);
            }
            Table::Event => {
                let events = decode::<Vec<Event>>(row.table, &row.key, bytes).unwrap_or_default();
                let last = events.last().map_or(0, |event| event.seq);
                head.seq = head.seq.max(last);
            }
            Table::Meta
            | Table::Agent
            | Table::Bucket
            | Table::Key
            | Table::KeyEnd
            | Table::Ended
            | Table::EndedIndex
            | Table::Artifact
            | Table::Job => {}
        }
    }
}
