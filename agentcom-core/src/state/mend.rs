//! This file makes rows that were saved from damage fit together again.
//!
//! Rows that cannot be read, or whose other half is lost, are set aside; counters go past every
//! number in use. What this cannot see, such as a task that waits for a lost one, the hub settles
//! when the data begins [another life](crate::hub::Hub::renew), as it has to afterwards.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use super::rows::{HEAD, OPERATOR};
use crate::agent::Agent;
use crate::change::{BucketRow, Head, Settings, decode, encode};
use crate::id::TaskId;
use crate::operator::Operator;
use crate::port::store::{RowKey, StoreError, Table};
use crate::question::Question;
use crate::task::{Life, Spec};
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
    set_aside(rows, &mut aside, |row, bytes| unreadable(row, bytes).err());
    let keys = |of: Table, rows: &Rows| -> BTreeSet<Vec<u8>> {
        rows.keys().filter(|row| row.table == of).map(|row| row.key.clone()).collect()
    };
    let ended = keys(Table::Ended, rows);
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
    count_on(&mut head, rows);
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

/// Whether the hub could not read a row that it reads when it starts.
fn unreadable(row: &RowKey, bytes: &[u8]) -> Result<(), StoreError> {
    let (table, key) = (row.table, row.key.as_slice());
    match table {
        Table::Meta if key == HEAD => Ok(()),
        Table::Meta if key.starts_with(OPERATOR) => decode::<Operator>(table, key, bytes).map(drop),
        Table::Meta => decode::<Settings>(table, key, bytes).map(drop),
        Table::Spec => decode::<Spec>(table, key, bytes).map(drop),
        Table::Life => decode::<Life>(table, key, bytes).map(drop),
        Table::Agent => decode::<Agent>(table, key, bytes).map(drop),
        Table::Bucket => decode::<BucketRow>(table, key, bytes).map(drop),
        Table::Question => decode::<Question>(table, key, bytes).map(drop),
        Table::Event => decode::<Vec<Event>>(table, key, bytes).map(drop),
        Table::Key
        | Table::KeyEnd
        | Table::Ended
        | Table::EndedIndex
        | Table::Artifact
        | Table::Job => Ok(()),
    }
}

/// Moves the counters past all that is in use, in case the head is older than the rows.
fn count_on(head: &mut Head, rows: &Rows) {
    for (row, bytes) in rows {
        let number = || row.key.first_chunk().map_or(0, |number| u64::from_be_bytes(*number));
        match row.table {
            Table::Spec | Table::Life | Table::Ended => {
                head.next_task = head.next_task.max(number() + 1);
            }
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
            | Table::EndedIndex
            | Table::Artifact
            | Table::Job => {}
        }
    }
}
