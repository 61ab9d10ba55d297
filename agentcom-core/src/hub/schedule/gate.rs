//! This file keeps limits: how many tasks of a key run at once, and how many start over time.
//!
//! **Invariant:** no limit is exceeded by even one. A slot is a live lease, not a counter; the level
//! of a bucket is stored in the commit of the assignment that drew on it.

use alloc::vec::Vec;

use crate::change::{BucketRow, Change};
use crate::hub::tx::Tx;
use crate::state::{Gate, LimitsNo, Pulse, Shut};

/// The limit that keeps a ready task from starting, if one does.
pub(super) fn closed(tx: &mut Tx<'_>, limits: LimitsNo) -> Option<Gate> {
    let now = tx.now().wall;
    let (key, wait) = match tx.state.limits().shut(limits, now, tx.config.guards)? {
        Shut::Full(counter, max) => return Some(Gate::Concurrency(counter.key().clone(), max)),
        Shut::Empty(rate, wait) => (rate.key.clone(), wait),
    };
    tx.feel(Pulse::RateOpens(key.clone(), now + wait));
    Some(Gate::Rate(key))
}

/// Draws on the buckets of a task that starts.
pub(super) fn draw(tx: &mut Tx<'_>, limits: LimitsNo) {
    for row in drawn(tx, limits) {
        let key = row.rate.key.clone();
        // The alarm of a bucket in use is set; if it comes before the bucket is full, then anew.
        if tx.state.bucket(&key).is_none() {
            tx.feel(Pulse::RateOpens(key.clone(), row.bucket.full_at(&row.rate)));
        }
        tx.record_with_next(Change::Drawn(key, row));
    }
}

/// The buckets of a task that starts, as they are afterwards.
fn drawn(tx: &Tx<'_>, limits: LimitsNo) -> Vec<BucketRow> {
    let now = tx.now().wall;
    let rates = tx.state.limits().rates(limits, now);
    let drawn = rates.filter_map(|(rate, bucket)| {
        Some(BucketRow { rate: rate.clone(), bucket: bucket.draw(rate, now).ok()? })
    });
    drawn.collect()
}
