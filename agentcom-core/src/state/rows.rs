//! This file says which rows the facts of a state are stored in, and reads them back.
//!
//! **Invariant:** the rows of the store, read back as changes, add up to the durable part of the
//! state that wrote them.

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::State;
use crate::agent::Agent;
use crate::change::{BucketRow, Change, Head, Settings, decode, encode};
use crate::command::KeyUse;
use crate::id::{QuestionId, TaskId};
use crate::name::{AgentId, Key};
use crate::port::store::{Batch, RowKey, StoreError, Table};
use crate::question::Question;
use crate::task::{Life, Spec, Task};
use crate::time::Wall;
use crate::view::Event;

/// A fact whose rows are not what they should be.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dirty {
    /// What operators set.
    Settings,
    /// A task that was added.
    Spec(TaskId),
    /// A task that moved.
    Life(TaskId),
    /// A task that ended.
    Ended(TaskId),
    /// A task that came back from history, and the index rows under which it was found there.
    Revived(TaskId, Vec<Vec<u8>>),
    /// An agent.
    Agent(AgentId),
    /// A bucket.
    Bucket(Key),
    /// A question.
    Question(QuestionId),
    /// A key that was used.
    Key(Key),
    /// A key whose time is over.
    KeyOver(Key, Wall),
    /// Events that are no longer kept, by the number of the first in the row.
    EventsOver(u64),
}

/// An ended task, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRow {
    /// Its name.
    pub id: TaskId,
    /// What was asked for.
    pub spec: Spec,
    /// How it ended.
    pub life: Life,
}

impl From<EndedRow> for Task {
    fn from(row: EndedRow) -> Self {
        Self { id: row.id, spec: row.spec.into(), life: row.life }
    }
}

pub(super) const HEAD: &[u8] = b"head";
const SETTINGS: &[u8] = b"settings";

/// [`EndedRow`] as it is written, without a copy of the task.
#[derive(Serialize)]
struct EndedRef<'a> {
    id: TaskId,
    spec: &'a Spec,
    life: &'a Life,
}

/// The key of a task in tables that are sorted by number.
#[must_use]
pub fn task_key(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn task_number(table: Table, key: &[u8]) -> Result<u64, StoreError> {
    let number = key.try_into().map(u64::from_be_bytes);
    number.map_err(|_| StoreError::corrupt(table, key, "the key is no number"))
}

/// The batch that brings the rows of `dirty` facts up to date and adds `events` to the feed.
#[must_use]
pub fn rows_of(state: &State, dirty: &BTreeSet<Dirty>, events: &[Event]) -> Batch {
    let (puts, deletes) =
        (Vec::with_capacity(2 * dirty.len() + 2), Vec::with_capacity(dirty.len()));
    let mut batch = Batch { seq: state.seq(), puts, deletes };
    for fact in dirty {
        write_fact(state, fact, &mut batch);
    }
    if dirty.iter().any(|fact| matches!(fact, Dirty::Revived(..))) {
        // A task that came back and ended again keeps the rows of its second end.
        let written: BTreeSet<RowKey> = batch.puts.iter().map(|(key, _)| key.clone()).collect();
        batch.deletes.retain(|key| !written.contains(key));
    }
    if let Some(first) = events.first() {
        put(&mut batch, Table::Event, first.seq.to_be_bytes().to_vec(), events);
    }
    if let Some(head) = state.head() {
        put(&mut batch, Table::Meta, HEAD.to_vec(), head);
    }
    batch
}

fn write_fact(state: &State, fact: &Dirty, batch: &mut Batch) {
    match fact {
        Dirty::Settings => put(batch, Table::Meta, SETTINGS.to_vec(), state.settings()),
        Dirty::Spec(id) => {
            if let Some(task) = state.task(*id) {
                put(batch, Table::Spec, task_key(state.number(*id)), &*task.spec);
            }
        }
        Dirty::Life(id) => {
            if let Some(task) = state.task(*id) {
                put(batch, Table::Life, task_key(state.number(*id)), &task.life);
            }
        }
        Dirty::Ended(id) => write_ended(state, *id, batch),
        Dirty::Revived(id, keys) => {
            batch.deletes.push(RowKey::new(Table::Ended, task_key(state.number(*id))));
            let rows = keys.iter().map(|key| RowKey::new(Table::EndedIndex, key.clone()));
            batch.deletes.extend(rows);
        }
        Dirty::Agent(id) => match state.agent(id) {
            Some(agent) => put(batch, Table::Agent, id.as_str().into(), agent),
            None => batch.deletes.push(RowKey::new(Table::Agent, id.as_str())),
        },
        Dirty::Bucket(key) => match state.bucket(key) {
            Some(row) => put(batch, Table::Bucket, key.as_str().into(), row),
            None => batch.deletes.push(RowKey::new(Table::Bucket, key.as_str())),
        },
        Dirty::Question(id) => match state.question(*id) {
            Some(question) => put(batch, Table::Question, id.0.to_be_bytes().to_vec(), question),
            None => batch.deletes.push(RowKey::new(Table::Question, id.0.to_be_bytes())),
        },
        Dirty::Key(key) => {
            if let Some(used) = state.just_used(key) {
                put(batch, Table::Key, key.as_str().into(), used);
                batch.puts.push((RowKey::new(Table::KeyEnd, key_end(key, used.until)), Vec::new()));
            }
        }
        Dirty::KeyOver(key, until) => {
            // A key that was used again is kept for the time of its latest use.
            if state.just_used(key).is_none() {
                batch.deletes.push(RowKey::new(Table::Key, key.as_str()));
            }
            batch.deletes.push(RowKey::new(Table::KeyEnd, key_end(key, *until)));
        }
        Dirty::EventsOver(first) => {
            batch.deletes.push(RowKey::new(Table::Event, first.to_be_bytes()));
        }
    }
}

fn write_ended(state: &State, id: TaskId, batch: &mut Batch) {
    let Some(task) = state.just_ended(id) else { return };
    let number = state.number(id);
    batch.deletes.push(RowKey::new(Table::Spec, task_key(number)));
    batch.deletes.push(RowKey::new(Table::Life, task_key(number)));
    let row = EndedRef { id, spec: &task.spec, life: &task.life };
    put(batch, Table::Ended, task_key(number), &row);
    for key in index_keys(task, number, task.life.updated_at) {
        batch.puts.push((RowKey::new(Table::EndedIndex, key), Vec::new()));
    }
}

fn put<T: Serialize + ?Sized>(batch: &mut Batch, table: Table, key: Vec<u8>, value: &T) {
    batch.puts.push((RowKey::new(table, key), encode(value)));
}

fn key_end(key: &Key, until: Wall) -> Vec<u8> {
    let mut bytes = until.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_str().as_bytes());
    bytes
}

/// The rows under which an ended task is found: for each index its letter, the value and a zero
/// byte, then the time of the end and the number. Index `t` is by time alone.
#[must_use]
pub fn index_keys(task: &Task, number: u64, ended_at: Wall) -> Vec<Vec<u8>> {
    let key = |index: u8, value: &str| {
        let mut bytes = index_prefix(index, value);
        bytes.extend_from_slice(&ended_at.0.to_be_bytes());
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes
    };
    let agent = task.life.attempts.last().map(|attempt| key(b'a', attempt.agent.as_str()));
    let goal = task.spec.goal_id().map(|goal| key(b'g', goal.as_str()));
    let mut keys = Vec::from([
        key(b't', ""),
        key(b's', task.life.state.as_str()),
        key(b'b', &task.spec.submitted_by.to_string()),
    ]);
    keys.extend(agent);
    keys.extend(goal);
    keys
}

/// What the keys of one value of an index start with.
#[must_use]
pub fn index_prefix(index: u8, value: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(value.len() + 18);
    bytes.push(index);
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(0);
    bytes
}

/// Reads rows of the live tables back into changes. The spec of a task comes before its life, so
/// specs are kept aside until then.
#[derive(Debug, Default)]
pub struct Loader {
    specs: alloc::collections::BTreeMap<u64, Box<Spec>>,
}

impl Loader {
    /// The change that a row stands for, if it stands for one by itself.
    ///
    /// # Errors
    ///
    /// A row that cannot be read, by name.
    pub fn row(
        &mut self,
        state: &State,
        table: Table,
        key: &[u8],
        bytes: &[u8],
    ) -> Result<Option<Change>, StoreError> {
        Ok(Some(match table {
            Table::Meta if key == HEAD => Change::Head(decode::<Head>(table, key, bytes)?.into()),
            Table::Meta if key == SETTINGS => {
                Change::Settings(decode::<Settings>(table, key, bytes)?.into())
            }
            Table::Agent => Change::AgentSet(decode::<Agent>(table, key, bytes)?.into()),
            Table::Bucket => {
                let row: BucketRow = decode(table, key, bytes)?;
                Change::Drawn(row.rate.key.clone(), row)
            }
            Table::Question => Change::QuestionAsked(decode::<Question>(table, key, bytes)?.into()),
            Table::Spec => {
                self.specs.insert(task_number(table, key)?, decode(table, key, bytes)?);
                return Ok(None);
            }
            Table::Life => Change::TaskAdded(self.task(state, key, bytes)?.into()),
            Table::Meta
            | Table::Key
            | Table::KeyEnd
            | Table::Event
            | Table::Ended
            | Table::EndedIndex
            | Table::Artifact
            | Table::Job => return Ok(None),
        }))
    }

    /// Says whether all rows found their place, once all were read.
    ///
    /// # Errors
    ///
    /// The spec of a task that has no life: the row of its life is lost.
    pub fn finish(self) -> Result<(), StoreError> {
        match self.specs.first_key_value() {
            Some((key, _)) => {
                Err(StoreError::corrupt(Table::Spec, &task_key(*key), "its life is missing"))
            }
            None => Ok(()),
        }
    }

    fn task(&mut self, state: &State, key: &[u8], bytes: &[u8]) -> Result<Task, StoreError> {
        let life: Life = decode(Table::Life, key, bytes)?;
        let number = task_number(Table::Life, key)?;
        let spec = self.specs.remove(&number);
        let spec =
            spec.ok_or_else(|| StoreError::corrupt(Table::Life, key, "its spec is missing"))?;
        let head = state.head();
        let head =
            head.ok_or_else(|| StoreError::corrupt(Table::Meta, HEAD, "the head is missing"))?;
        Ok(Task { id: TaskId(head.ids.hide(number)), spec, life })
    }
}

/// Reads an ended task.
///
/// # Errors
///
/// A row that cannot be read, by name.
pub fn ended_row(key: &[u8], bytes: &[u8]) -> Result<Task, StoreError> {
    decode::<EndedRow>(Table::Ended, key, bytes).map(Task::from)
}

/// Reads the use of a key.
///
/// # Errors
///
/// A row that cannot be read, by name.
pub fn key_row(key: &[u8], bytes: &[u8]) -> Result<KeyUse, StoreError> {
    decode(Table::Key, key, bytes)
}

#[cfg(all(test, feature = "testing"))]
mod tests;
