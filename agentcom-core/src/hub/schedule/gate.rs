//! This file keeps limits: how many tasks of a key run at once, and how many start over time.
//!
//! **Invariant:** no limit is exceeded by even one. A slot is a live lease, not a counter; the level
//! of a bucket is stored in the commit of the assignment that drew on it.

use alloc::vec::Vec;

use crate::change::{BucketRow, Change};
use crate::guard::Guard;
use crate::hub::tx::Tx;
use crate::id::TaskId;
use crate::limit::Bucket;
use crate::state::Gate;
use crate::state::Pulse;
use crate::task::Rate;

/// The limit that keeps a ready task from starting, if one does.
pub(super) fn closed(tx: &mut Tx<'_>, id: TaskId) -> Option<Gate> {
    let task = tx.state.task(id)?;
    if let Some(limit) = task.spec.concurrency()
        && tx.state.running(&limit.key).len() >= limit.max as usize
        && tx.on(Guard::Concurrency)
    {
        return Some(Gate::Concurrency(limit.key.clone(), limit.max));
    }
    let now = tx.now().wall;
    let empty = task.spec.rates().iter().find_map(|rate| {
        let (rate, bucket) = bucket(tx, rate);
        Some((rate.key.clone(), bucket.draw(&rate, now).err()?))
    });
    let (key, wait) = empty.filter(|_| tx.on(Guard::Rate))?;
    tx.feel(Pulse::RateOpens(key.clone(), now + wait));
    Some(Gate::Rate(key))
}

/// Draws on the buckets of a task that starts.
pub(super) fn draw(tx: &mut Tx<'_>, id: TaskId) {
    let rates: Vec<Rate> =
        tx.state.task(id).map(|task| task.spec.rates().to_vec()).unwrap_or_default();
    let now = tx.now().wall;
    for rate in rates {
        let (rate, before) = bucket(tx, &rate);
        if let Ok(bucket) = before.draw(&rate, now) {
            let key = rate.key.clone();
            tx.feel(Pulse::RateOpens(key.clone(), bucket.full_at(&rate)));
            tx.record_with_next(Change::Drawn(key, BucketRow { rate, bucket }));
        }
    }
}

/// The bucket of a rate and its figures: a bucket that is in use keeps those it has.
fn bucket(tx: &Tx<'_>, rate: &Rate) -> (Rate, Bucket) {
    let now = tx.now().wall;
    match tx.state.bucket(&rate.key) {
        Some(row) if !row.bucket.is_full(&row.rate, now) => (row.rate.clone(), row.bucket),
        Some(_) | None => (rate.clone(), Bucket::full(rate, now)),
    }
}
