//! This file finds what the store need no longer keep: used keys and old events.

use alloc::vec::Vec;

use crate::change::decode;
use crate::config::HubConfig;
use crate::hub::Input;
use crate::name::Key;
use crate::port::store::{Range, Store, StoreError, Table};
use crate::time::Wall;
use crate::view::Event;

/// How many commits lie between two looks.
pub(super) const EVERY: u64 = 256;
/// How many rows one look takes in of each kind.
const ROWS: usize = 1_024;

/// What is over, as an input, if anything is.
pub(super) async fn look(
    store: &dyn Store,
    config: &HubConfig,
    now: Wall,
    seq: u64,
) -> Result<Option<Input>, StoreError> {
    let keys = keys_over(store, now).await?;
    let (events, oldest) = events_over(store, config, now, seq).await?;
    let over = !keys.is_empty() || !events.is_empty();
    Ok(over.then_some(Input::Trim { keys, events, oldest }))
}

/// Whether there may be more than one look has seen.
pub(super) fn is_full(over: &Input) -> bool {
    matches!(over, Input::Trim { keys, events, .. } if keys.len() == ROWS || events.len() == ROWS)
}

async fn keys_over(store: &dyn Store, now: Wall) -> Result<Vec<(Key, Wall)>, StoreError> {
    let rows = store.history(first_rows(Table::KeyEnd, ROWS)).await?;
    let read = |(key, _): (Vec<u8>, Vec<u8>)| {
        let (until, name) = key.split_first_chunk::<8>()?;
        let name = Key::new(core::str::from_utf8(name).ok()?).ok()?;
        Some((name, Wall(u64::from_be_bytes(*until))))
    };
    Ok(rows.into_iter().filter_map(read).take_while(|(_, until)| *until <= now).collect())
}

/// The rows of events that are too old or too many, and the number of the oldest that stays.
async fn events_over(
    store: &dyn Store,
    config: &HubConfig,
    now: Wall,
    seq: u64,
) -> Result<(Vec<u64>, u64), StoreError> {
    let (mut over, mut oldest) = (Vec::new(), 0);
    let is_over = |last: &Event| {
        last.seq.saturating_add(config.events_max) <= seq || last.at + config.events_kept <= now
    };
    // Most looks find nothing, so the first row is read alone.
    for limit in [1, ROWS] {
        (over, oldest) = (Vec::new(), 0);
        for (key, row) in store.history(first_rows(Table::Event, limit)).await? {
            let events: Vec<Event> = decode(Table::Event, &key, &row)?;
            let Some((first, last)) = events.first().zip(events.last()) else { continue };
            if !is_over(last) {
                return Ok((over, oldest));
            }
            over.push(first.seq);
            oldest = last.seq + 1;
        }
    }
    Ok((over, oldest))
}

const fn first_rows(table: Table, limit: usize) -> Range {
    Range { table, prefix: Vec::new(), after: None, backwards: false, limit }
}
