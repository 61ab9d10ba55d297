//! This file finds what the store need no longer keep: used keys and old events.

use alloc::vec::Vec;

use crate::change::{Head, decode};
use crate::config::HubConfig;
use crate::hub::Input;
use crate::name::Key;
use crate::port::store::{Range, Row, Store, StoreError, StoreErrorKind, Table};
use crate::time::Wall;
use crate::view::Event;

/// How many commits lie between two looks.
pub(super) const EVERY: u64 = 256;
/// How many keys one look takes in.
const ROWS: usize = 1_024;
/// How many rows of events: each has those of a whole commit, which may be thousands.
const EVENT_ROWS: usize = 16;
/// How many damaged rows it passes over.
const DAMAGED_MAX: usize = 16;

/// What is over, as an input, if anything is. Damaged rows do not keep the others.
pub(super) async fn look(
    store: &dyn Store,
    config: &HubConfig,
    now: Wall,
    head: &Head,
) -> Result<Option<Input>, StoreError> {
    let keys = unless_damaged(keys_over(store, now).await)?;
    let (events, oldest) = unless_damaged(events_over(store, config, now, head).await)?;
    let over = !keys.is_empty() || !events.is_empty();
    Ok(over.then_some(Input::Trim { keys, events, oldest }))
}

fn unless_damaged<T: Default>(read: Result<T, StoreError>) -> Result<T, StoreError> {
    match read {
        Err(error) if error.kind == StoreErrorKind::Corrupt => {
            tracing::error!(%error, "what is over cannot be let go");
            Ok(T::default())
        }
        read => read,
    }
}

/// Whether there may be more than one look has seen.
pub(super) fn is_full(over: &Input) -> bool {
    matches!(over, Input::Trim { keys, events, .. } if keys.len() == ROWS || events.len() >= EVENT_ROWS)
}

async fn keys_over(store: &dyn Store, now: Wall) -> Result<Vec<(Key, Wall)>, StoreError> {
    let rows = good_rows(store, Table::KeyEnd).await?;
    let read = |(key, _): (Vec<u8>, Vec<u8>)| {
        let (until, name) = key.split_first_chunk::<8>()?;
        let name = Key::new(core::str::from_utf8(name).ok()?).ok()?;
        Some((name, Wall(u64::from_be_bytes(*until))))
    };
    Ok(rows.into_iter().filter_map(read).take_while(|(_, until)| *until <= now).collect())
}

/// The first rows of a table, but for damaged ones, which are told of.
async fn good_rows(store: &dyn Store, table: Table) -> Result<Vec<Row>, StoreError> {
    let (mut rows, mut after) = (Vec::new(), None);
    let (mut limit, mut damaged) = (ROWS, 0);
    while rows.len() < ROWS {
        let range = Range { after: after.clone(), ..first_rows(table, limit) };
        match store.history(range).await {
            Ok(more) => {
                let is_all = more.len() < limit;
                after = more.last().map(|(key, _)| key.clone()).or(after);
                rows.extend(more);
                if is_all {
                    break;
                }
            }
            // Those before the damaged one are read first, and then it is the first.
            Err(error) if error.kind == StoreErrorKind::Corrupt && limit > 1 => limit /= 2,
            Err(StoreError { row: Some(row), message, .. }) if damaged < DAMAGED_MAX => {
                tracing::error!(error = message, "a damaged row is passed over");
                (after, limit) = (Some(row.key), ROWS);
                damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    rows.truncate(ROWS);
    Ok(rows)
}

/// The rows of events that are too old or too many, and the number of the oldest that stays.
async fn events_over(
    store: &dyn Store,
    config: &HubConfig,
    now: Wall,
    head: &Head,
) -> Result<(Vec<u64>, u64), StoreError> {
    let is_over = |row: &Vec<Event>| {
        row.last().is_some_and(|last| {
            let too_many = last.seq.saturating_add(config.events_max) <= head.seq;
            too_many || last.at + config.events_kept <= now
        })
    };
    // Most looks find nothing, so the first row is read alone.
    let (mut damaged, mut rows) = first_events(store, head.oldest_event, 1).await?;
    if damaged.is_none() && rows.first().is_some_and(is_over) {
        (damaged, rows) = first_events(store, head.oldest_event, EVENT_ROWS).await?;
    }
    rows.truncate(rows.iter().take_while(|row| is_over(row)).count());
    let Some(last) = rows.last().and_then(|row| row.last()) else { return Ok((Vec::new(), 0)) };
    let firsts = rows.iter().filter_map(|row| row.first()).map(|event| event.seq);
    Ok((damaged.into_iter().chain(firsts).collect(), last.seq + 1))
}

/// The first rows of events, up to the first that is damaged. If that is the very first, whose key
/// is the number of the oldest event: the key, and the row behind it, which is younger.
async fn first_events(
    store: &dyn Store,
    oldest: u64,
    mut limit: usize,
) -> Result<(Option<u64>, Vec<Vec<Event>>), StoreError> {
    loop {
        match events(store, None, limit).await {
            Err(error) if error.kind == StoreErrorKind::Corrupt && limit > 1 => limit /= 2,
            Err(error) if error.kind == StoreErrorKind::Corrupt => {
                let behind = events(store, Some(oldest), 1).await?;
                return Ok((Some(oldest), behind));
            }
            rows => return Ok((None, rows?)),
        }
    }
}

async fn events(
    store: &dyn Store,
    after: Option<u64>,
    limit: usize,
) -> Result<Vec<Vec<Event>>, StoreError> {
    let after = after.map(|seq| seq.to_be_bytes().to_vec());
    let rows = store.history(Range { after, ..first_rows(Table::Event, limit) }).await?;
    rows.iter().map(|(key, row)| decode(Table::Event, key, row)).collect()
}

const fn first_rows(table: Table, limit: usize) -> Range {
    Range { table, prefix: Vec::new(), after: None, backwards: false, limit }
}
