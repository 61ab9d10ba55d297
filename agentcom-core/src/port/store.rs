//! This file is the port to durable storage.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::ops::Bound;

use async_trait::async_trait;

/// Which rows belong together. A store keeps each table sorted by key, byte by byte.
///
/// The number of a table is stored; it never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Table {
    /// What there is one of: the head, settings, counters.
    Meta = 1,
    /// What was asked for, by task number; for tasks that live.
    Spec = 2,
    /// Where a life stands, by task number; for tasks that live.
    Life = 3,
    /// Registered agents, by name.
    Agent = 4,
    /// Levels of token buckets, by rate key.
    Bucket = 5,
    /// Open questions, by number.
    Question = 6,
    /// Idempotency keys in use, by key.
    Key = 7,
    /// Idempotency keys by the time at which they end.
    KeyEnd = 8,
    /// What happened, by sequence number.
    Event = 9,
    /// Tasks that have ended, by task number.
    Ended = 10,
    /// Where to find ended tasks: by time, state, agent, goal and submitter.
    EndedIndex = 11,
    /// Large results, by hash.
    Artifact = 12,
    /// What a sidecar holds and has yet to report, by task and assignment.
    Job = 13,
}

impl Table {
    /// All tables.
    pub const ALL: [Self; 13] = [
        Self::Meta,
        Self::Spec,
        Self::Life,
        Self::Agent,
        Self::Bucket,
        Self::Question,
        Self::Key,
        Self::KeyEnd,
        Self::Event,
        Self::Ended,
        Self::EndedIndex,
        Self::Artifact,
        Self::Job,
    ];

    /// The tables that a hub or a sidecar holds in memory and reads whole when it starts.
    /// [`Store::load`] visits them in this order.
    pub const LIVE: [Self; 7] =
        [Self::Meta, Self::Agent, Self::Bucket, Self::Question, Self::Spec, Self::Life, Self::Job];

    /// The word for the table.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Spec => "spec",
            Self::Life => "life",
            Self::Agent => "agent",
            Self::Bucket => "bucket",
            Self::Question => "question",
            Self::Key => "key",
            Self::KeyEnd => "key_end",
            Self::Event => "event",
            Self::Ended => "ended",
            Self::EndedIndex => "ended_index",
            Self::Artifact => "artifact",
            Self::Job => "job",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The name of a row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RowKey {
    /// Its table.
    pub table: Table,
    /// Its key in the table: 1 to [`RowKey::BYTES_MAX`] bytes.
    pub key: Vec<u8>,
}

impl RowKey {
    /// The longest key, in bytes.
    pub const BYTES_MAX: usize = 1024;
    /// The longest value, in bytes.
    pub const VALUE_BYTES_MAX: usize = 16 * 1024 * 1024;

    /// Names a row.
    #[must_use]
    pub fn new(table: Table, key: impl Into<Vec<u8>>) -> Self {
        Self { table, key: key.into() }
    }
}

/// Changes that become durable together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// The number of the last change in it; each batch has a larger one than the one before.
    pub seq: u64,
    /// Rows to write; no row is named twice in a batch.
    pub puts: Vec<(RowKey, Vec<u8>)>,
    /// Rows to remove; removing a row that is not there is no error.
    pub deletes: Vec<RowKey>,
}

/// Which rows of a table to read, in the order of their keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The table.
    pub table: Table,
    /// Only rows whose keys start with this.
    pub prefix: Vec<u8>,
    /// Only rows behind this key in the order of reading.
    pub after: Option<Vec<u8>>,
    /// From the last row to the first.
    pub backwards: bool,
    /// At most this many rows.
    pub limit: usize,
}

/// The first and the last of a range of keys.
pub type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

impl Range {
    /// The first and last key to read, as bounds on an ordered map; `None` if no key lies between
    /// them. Take up to [`Range::limit`] rows from the front, or from the back if
    /// [`Range::backwards`].
    #[must_use]
    pub fn bounds(&self) -> Option<Bounds> {
        let mut first = Bound::Included(self.prefix.clone());
        let mut last = behind_prefix(&self.prefix).map_or(Bound::Unbounded, Bound::Excluded);
        if let Some(after) = &self.after {
            if self.backwards {
                if *after <= self.prefix {
                    return None;
                }
                if after.starts_with(&self.prefix) {
                    last = Bound::Excluded(after.clone());
                }
            } else if *after >= self.prefix {
                if !after.starts_with(&self.prefix) {
                    return None;
                }
                first = Bound::Excluded(after.clone());
            }
        }
        Some((first, last))
    }
}

/// The first key behind all keys that start with `prefix`; `None` if no key is.
fn behind_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut behind = prefix[..=last].to_vec();
    behind[last] += 1;
    Some(behind)
}

/// The name and value of a row.
pub type Row = (Vec<u8>, Vec<u8>);

/// What a caller can do about a [`StoreError`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreErrorKind {
    /// Another hub took over, or is using the data. Stop.
    Fenced,
    /// The data cannot be read. Call a human.
    Corrupt,
    /// The store is out of reach or out of room; nothing was changed. Restart and try again.
    Unavailable,
    /// The batch may or may not have become durable. Restart and look.
    Unknown,
}

/// A store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[error("store {kind:?}: {message}")]
pub struct StoreError {
    /// What can be done about it.
    pub kind: StoreErrorKind,
    /// What happened, naming the damaged row if there is one.
    pub message: String,
    /// The damaged row, if it is known.
    pub row: Option<RowKey>,
}

impl StoreError {
    /// An error.
    #[must_use]
    pub fn new(kind: StoreErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: alloc::format!("{message}"), row: None }
    }

    /// A row that cannot be read.
    #[must_use]
    pub fn corrupt(table: Table, key: &[u8], why: impl fmt::Display) -> Self {
        let name: String = key.escape_ascii().map(char::from).collect();
        let message = format_args!("table {table}, row {name}: {why}");
        Self { row: Some(RowKey::new(table, key)), ..Self::new(StoreErrorKind::Corrupt, message) }
    }
}

/// Receives the rows of a store that is loaded.
pub type Visit<'a> = dyn FnMut(Table, &[u8], &[u8]) -> Result<(), StoreError> + Send + 'a;

/// Keeps a hub's state through restarts.
///
/// A store never looks inside a value. It holds one namespace; opening is the adapter's business.
///
/// # Contract
///
/// Each line is checked by the cases of the module of its name in `testing::store_suite`.
///
/// - **Atomic.** After a crash a batch is there whole or not at all.
/// - **Durable.** What `commit` confirmed is there after a crash.
/// - **Ordered.** A batch is there only if all earlier ones are; one whose `seq` is not larger
///   than the last is refused as [`StoreErrorKind::Fenced`].
/// - **Exclusive.** Never are two writers alive: a second opener of the same data is refused with
///   [`StoreErrorKind::Fenced`], or fences the first, whose `commit` and `get` then fail with it.
/// - **Exact.** Rows read are the rows last written, byte for byte, or the read fails with
///   [`StoreErrorKind::Corrupt`], naming the row.
/// - **Sorted.** `history` reads rows in the order of their keys, byte by byte.
/// - **Cancel safe.** Dropping `get`, `history` or `load` changes nothing. A dropped `commit` may
///   or may not happen, as after [`StoreErrorKind::Unknown`].
///
/// After anything but success of `commit` the store is not used again; the driver drops it and
/// opens another.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Visits all rows of [`Table::LIVE`], table by table and each in the order of its keys.
    /// Returns the `seq` of the last batch, or `None` if there was none.
    async fn load(&self, visit: &mut Visit<'_>) -> Result<Option<u64>, StoreError>;

    /// Makes one batch durable.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Reads rows by name; the answer has one entry for each key, in their order.
    async fn get(&self, keys: &[RowKey]) -> Result<Vec<Option<Vec<u8>>>, StoreError>;

    /// Reads rows by range.
    async fn history(&self, range: Range) -> Result<Vec<Row>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn the_bounds_of_a_range_enclose_what_its_definition_selects() {
        let texts: [&[u8]; 9] =
            [b"", b"a", b"a\0", b"a\xff", b"a\xff\xff", b"b", b"b\xff", b"\xff", b"\xff\xff"];
        for prefix in texts {
            for after in texts.map(Some).into_iter().chain([None]) {
                for backwards in [false, true] {
                    check(prefix, after, backwards, &texts);
                }
            }
        }
    }

    fn check(prefix: &[u8], after: Option<&[u8]>, backwards: bool, keys: &[&[u8]]) {
        let range = Range {
            table: Table::Event,
            prefix: prefix.to_vec(),
            after: after.map(<[u8]>::to_vec),
            backwards,
            limit: 1,
        };
        for key in keys {
            let behind =
                after.is_none_or(|after| if backwards { *key < after } else { *key > after });
            let selected = key.starts_with(prefix) && behind;
            let enclosed = range.bounds().is_some_and(|bounds| {
                core::ops::RangeBounds::<Vec<u8>>::contains(&bounds, &key.to_vec())
            });
            assert_eq!(enclosed, selected, "{key:?} in {range:?}");
        }
    }

    #[test]
    fn bounds_never_end_before_they_start() {
        let after = Some(vec![1]);
        let range =
            Range { table: Table::Event, prefix: vec![1], after, backwards: true, limit: 1 };
        assert_eq!(range.bounds(), None, "an ordered map would panic");
    }
}
