//! This file is the stored format of the sidecar's journal: one row for each assignment.
//!
//! A row is named by incarnation, task and lease, eight bytes each, biggest first. Its value is
//! JSON with a format number. **Invariant:** stored structs only gain optional fields; anything
//! else is another format number, and a newer one is refused by name.

use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

use super::report::Report;
use crate::id::{Incarnation, Lease, TaskId};
use crate::name::Kind;
use crate::port::store::{RowKey, Table};
use crate::sidecar::Claim;
use crate::time::Wall;

/// What is written down about an assignment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Entry {
    /// It was taken on; no result is known.
    Taken {
        /// Who does it.
        kind: Kind,
        /// When.
        at: Wall,
    },
    /// It is over, and the hub has yet to take this in.
    Report(Report),
}

impl Entry {
    /// For people.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Taken { kind, .. } => alloc::format!("{kind} work taken on, not ended"),
            Self::Report(report) => alloc::format!("waits to be reported as {}", report.as_str()),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Envelope<T> {
    format: u64,
    job: T,
}

#[derive(Deserialize)]
struct Head {
    format: u64,
}

const FORMAT: u64 = 1;

/// Why a row cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecord {
    /// Its key is not that of an assignment.
    #[error("the key does not name an assignment")]
    Key,
    /// It was written by a newer release.
    #[error("written in format {0}; this release knows formats up to {FORMAT}")]
    Newer(u64),
    /// It is not what it should be.
    #[error("{0}")]
    Value(String),
}

/// The name of a row.
pub(super) fn key(claim: Claim) -> RowKey {
    let words = [claim.incarnation.0, claim.task.0, claim.lease.0];
    RowKey::new(Table::Job, words.map(u64::to_be_bytes).concat())
}

/// The value of a row.
pub(super) fn value(entry: &Entry) -> Vec<u8> {
    serde_json::to_vec(&Envelope { format: FORMAT, job: entry }).expect("entries serialise")
}

/// Reads a row.
pub(super) fn read(key: &[u8], value: &[u8]) -> Result<(Claim, Entry), BadRecord> {
    let bad = |error: serde_json::Error| BadRecord::Value(alloc::format!("{error}"));
    let (words, rest) = key.as_chunks::<8>();
    let (&[incarnation, task, lease], []) = (words, rest) else { return Err(BadRecord::Key) };
    let head: Head = serde_json::from_slice(value).map_err(bad)?;
    if head.format > FORMAT {
        return Err(BadRecord::Newer(head.format));
    }
    let envelope: Envelope<Entry> = serde_json::from_slice(value).map_err(bad)?;
    let number = u64::from_be_bytes;
    let claim = Claim {
        incarnation: Incarnation(number(incarnation)),
        task: TaskId(number(task)),
        lease: Lease(number(lease)),
    };
    Ok((claim, envelope.job))
}
