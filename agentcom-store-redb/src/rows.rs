//! This file reads the records of a tree one by one, and says next to which one it met damage.

use std::fmt;
use std::ops::RangeBounds;

use agentcom_core::port::store::StoreError;
use redb::AccessGuard;

use crate::book::Tree;
use crate::error::{self, Way};

/// The records of a range of places.
pub(crate) struct Rows {
    found: redb::Range<'static, &'static [u8], &'static [u8]>,
    /// The place of the last record, or at first where it begins.
    last: Vec<u8>,
}

/// A place and what is there.
type Record = (AccessGuard<'static, &'static [u8]>, AccessGuard<'static, &'static [u8]>);

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows").field("last", &self.last).finish_non_exhaustive()
    }
}

impl Rows {
    /// Those within `bounds`, of which the first or the last is next to `begin`.
    pub(crate) fn within<'a>(
        tree: &Tree,
        begin: &[u8],
        bounds: impl RangeBounds<&'a [u8]>,
    ) -> Result<Self, StoreError> {
        let found = error::reading(Way::Beside(begin), || tree.range::<&[u8]>(bounds))?;
        Ok(Self { found, last: begin.to_vec() })
    }

    pub(crate) fn next(&mut self) -> Result<Option<Record>, StoreError> {
        self.step(redb::Range::next)
    }

    pub(crate) fn next_back(&mut self) -> Result<Option<Record>, StoreError> {
        self.step(redb::Range::next_back)
    }

    fn step(
        &mut self,
        step: impl FnOnce(
            &mut redb::Range<'static, &'static [u8], &'static [u8]>,
        ) -> Option<Result<Record, redb::StorageError>>,
    ) -> Result<Option<Record>, StoreError> {
        let found = &mut self.found;
        let record = error::reading(Way::Beside(&self.last), || step(found).transpose())?;
        if let Some((place, _)) = &record {
            self.last.clear();
            self.last.extend_from_slice(place.value());
        }
        Ok(record)
    }
}
