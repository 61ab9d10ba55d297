//! This file says which rows the facts of a state are stored in, and reads them back.
//!
//! **Invariant:** the rows of the store, read back as changes, add up to the durable part of the
//! state that wrote them.

mod index;

pub(super) use index::check_index;
pub use index::{EndedEntry, index_entries, index_prefix};

use alloc::boxed::Box;
use alloc::collections::BTreeSet;
use alloc::string::ToString as _;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use self::index::EndedIndex;
use super::State;
use crate::agent::Agent;
use crate::change::{BucketRow, Change, Head, Settings, decode, encode, encode_within};
use crate::command::KeyUse;
use crate::id::{QuestionId, TaskId};
use crate::ledger::Subject;
use crate::name::{AgentId, Key, OperatorId};
use crate::operator::Operator;
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
    /// A task that had ended, and of which more became known.
    Settled(TaskId),
    /// A task that came back from history.
    Revived(TaskId),
    /// An agent.
    Agent(AgentId),
    /// An operator.
    Operator(OperatorId),
    /// A bucket.
    Bucket(Key),
    /// An account of the ledger.
    Account(Subject),
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

/// What a row of the table `meta` is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    /// What there is one of in a data set.
    Head,
    /// What operators set.
    Settings,
    /// An account of the ledger, by its subject.
    Account,
    /// An operator, by name.
    Operator,
}

impl MetaKey {
    /// All of them. No other row of the table is read.
    pub const ALL: [Self; 4] = [Self::Head, Self::Settings, Self::Account, Self::Operator];

    /// What a key is about; `None` if a later release has to say.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| match kind {
            Self::Head | Self::Settings => key == kind.as_bytes(),
            Self::Account | Self::Operator => key.starts_with(kind.as_bytes()),
        })
    }

    /// The key, or what it begins with if there are many such rows.
    #[must_use]
    pub const fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Head => b"head",
            Self::Settings => b"settings",
            Self::Account => b"account:",
            Self::Operator => b"operator:",
        }
    }

    /// The key of the row of one of many.
    fn named(self, name: &str) -> Vec<u8> {
        [self.as_bytes(), name.as_bytes()].concat()
    }
}

pub(super) const HEAD: &[u8] = MetaKey::Head.as_bytes();
/// What an event takes, mostly.
const EVENT_BYTES: usize = 200;

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
    let mut index = EndedIndex::default();
    for fact in dirty {
        write_fact(state, fact, &mut batch, &mut index);
    }
    index.write(&mut batch);
    if dirty.iter().any(|fact| matches!(fact, Dirty::Revived(_))) {
        // A task that came back and ended again keeps the row of its second end.
        let written: BTreeSet<RowKey> = batch.puts.iter().map(|(key, _)| key.clone()).collect();
        batch.deletes.retain(|key| !written.contains(key));
    }
    if let Some(first) = events.first() {
        let row = encode_within(EVENT_BYTES * events.len(), events);
        batch.puts.push((RowKey::new(Table::Event, first.seq.to_be_bytes()), row));
    }
    if let Some(head) = state.head() {
        put(&mut batch, Table::Meta, HEAD.to_vec(), head);
    }
    batch
}

fn write_fact(state: &State, fact: &Dirty, batch: &mut Batch, index: &mut EndedIndex) {
    match fact {
        Dirty::Settings => {
            put(batch, Table::Meta, MetaKey::Settings.as_bytes().into(), state.settings())
        }
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
        Dirty::Ended(id) => write_ended(state, *id, batch, index),
        Dirty::Settled(id) => write_settled(state, *id, batch),
        Dirty::Revived(id) => {
            batch.deletes.push(RowKey::new(Table::Ended, task_key(state.number(*id))));
        }
        Dirty::Agent(id) => match state.agent(id) {
            Some(agent) => put(batch, Table::Agent, id.as_str().into(), agent),
            None => batch.deletes.push(RowKey::new(Table::Agent, id.as_str())),
        },
        Dirty::Operator(id) => match state.operator(id) {
            Some(operator) => put(batch, Table::Meta, operator_key(id), operator),
            None => batch.deletes.push(RowKey::new(Table::Meta, operator_key(id))),
        },
        Dirty::Bucket(key) => match state.bucket(key) {
            Some(row) => put(batch, Table::Bucket, key.as_str().into(), row),
            None => batch.deletes.push(RowKey::new(Table::Bucket, key.as_str())),
        },
        Dirty::Account(subject) => match state.ledger().account(subject) {
            Some(account) => put(batch, Table::Meta, account_key(subject), account),
            None => batch.deletes.push(RowKey::new(Table::Meta, account_key(subject))),
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

fn write_ended(state: &State, id: TaskId, batch: &mut Batch, index: &mut EndedIndex) {
    let Some(task) = state.just_ended(id) else { return };
    let number = state.number(id);
    batch.deletes.push(RowKey::new(Table::Spec, task_key(number)));
    batch.deletes.push(RowKey::new(Table::Life, task_key(number)));
    put_ended(batch, task, number);
    index.add(task, number);
}

/// It is in the index as before, and in the batch once if it ended in that as well.
fn write_settled(state: &State, id: TaskId, batch: &mut Batch) {
    let Some(task) = state.just_ended(id) else { return };
    let key = RowKey::new(Table::Ended, task_key(state.number(id)));
    if batch.puts.iter().all(|(written, _)| *written != key) {
        put_ended(batch, task, state.number(id));
    }
}

fn put_ended(batch: &mut Batch, task: &Task, number: u64) {
    let row = EndedRef { id: task.id, spec: &task.spec, life: &task.life };
    put(batch, Table::Ended, task_key(number), &row);
}

fn put<T: Serialize + ?Sized>(batch: &mut Batch, table: Table, key: Vec<u8>, value: &T) {
    batch.puts.push((RowKey::new(table, key), encode(value)));
}

fn account_key(subject: &Subject) -> Vec<u8> {
    MetaKey::Account.named(&subject.to_string())
}

fn operator_key(id: &OperatorId) -> Vec<u8> {
    MetaKey::Operator.named(id.as_str())
}

fn account_subject(key: &[u8]) -> Result<Subject, StoreError> {
    let name = key.strip_prefix(MetaKey::Account.as_bytes());
    let name = name.and_then(|name| core::str::from_utf8(name).ok());
    let subject = name.and_then(|name| name.parse().ok());
    subject.ok_or_else(|| StoreError::corrupt(Table::Meta, key, "the key names no account"))
}

fn key_end(key: &Key, until: Wall) -> Vec<u8> {
    let mut bytes = until.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(key.as_str().as_bytes());
    bytes
}

/// What a row of a live table says, whatever the others say.
pub(super) enum Fact {
    /// A change.
    Change(Change),
    /// What was asked for, by the number of the task.
    Spec(u64, Box<Spec>),
    /// Where a life stands, by the number of the task.
    Life(u64, Box<Life>),
}

/// Reads a row; `None` if a hub does not read it when it starts.
///
/// # Errors
///
/// A row that cannot be read, by name.
pub(super) fn read(table: Table, key: &[u8], bytes: &[u8]) -> Result<Option<Fact>, StoreError> {
    Ok(Some(Fact::Change(match table {
        Table::Meta => match MetaKey::of(key) {
            Some(MetaKey::Head) => Change::Head(decode::<Head>(table, key, bytes)?.into()),
            Some(MetaKey::Settings) => {
                Change::Settings(decode::<Settings>(table, key, bytes)?.into())
            }
            Some(MetaKey::Account) => {
                Change::Account(account_subject(key)?, Some(decode(table, key, bytes)?))
            }
            Some(MetaKey::Operator) => {
                Change::OperatorSet(decode::<Operator>(table, key, bytes)?.into())
            }
            None => return Ok(None),
        },
        Table::Agent => Change::AgentSet(decode::<Agent>(table, key, bytes)?.into()),
        Table::Bucket => {
            let row: BucketRow = decode(table, key, bytes)?;
            Change::Drawn(row.rate.key.clone(), row)
        }
        Table::Question => Change::QuestionAsked(decode::<Question>(table, key, bytes)?.into()),
        Table::Spec => {
            let spec = decode(table, key, bytes)?;
            return Ok(Some(Fact::Spec(task_number(table, key)?, spec)));
        }
        Table::Life => {
            let life = decode(table, key, bytes)?;
            return Ok(Some(Fact::Life(task_number(table, key)?, life)));
        }
        Table::Key
        | Table::KeyEnd
        | Table::Event
        | Table::Ended
        | Table::EndedIndex
        | Table::Artifact
        | Table::Job => return Ok(None),
    })))
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
        match read(table, key, bytes)? {
            Some(Fact::Change(change)) => Ok(Some(change)),
            Some(Fact::Spec(number, spec)) => {
                self.specs.insert(number, spec);
                Ok(None)
            }
            Some(Fact::Life(number, life)) => {
                Ok(Some(Change::TaskAdded(self.task(state, number, *life)?.into())))
            }
            None => Ok(None),
        }
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

    fn task(&mut self, state: &State, number: u64, life: Life) -> Result<Task, StoreError> {
        let spec = self.specs.remove(&number);
        let missing = || StoreError::corrupt(Table::Life, &task_key(number), "its spec is missing");
        let spec = spec.ok_or_else(missing)?;
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
