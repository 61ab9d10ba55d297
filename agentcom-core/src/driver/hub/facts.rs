//! This file fetches what an input has to know of the store.

use alloc::vec::Vec;

use crate::command::{Facts, Needs};
use crate::id::TaskId;
use crate::name::Key;
use crate::port::store::{RowKey, Store, StoreError, Table};
use crate::state::{State, ended_row, key_row, task_key};

/// Reads the ended tasks and used keys that are asked for, and the tasks that the keys belong to.
pub(super) async fn fetch(
    store: &dyn Store,
    state: &State,
    needs: &Needs,
) -> Result<Facts, StoreError> {
    let mut facts = Facts::default();
    fetch_tasks(store, state, &needs.tasks, &mut facts).await?;
    fetch_keys(store, &needs.keys, &mut facts).await?;
    let of_keys: Vec<TaskId> = facts
        .keys
        .values()
        .map(|used| used.task)
        .filter(|id| state.task(*id).is_none() && !facts.tasks.contains_key(id))
        .collect();
    fetch_tasks(store, state, &of_keys, &mut facts).await?;
    Ok(facts)
}

async fn fetch_tasks(
    store: &dyn Store,
    state: &State,
    ids: &[TaskId],
    facts: &mut Facts,
) -> Result<(), StoreError> {
    if ids.is_empty() {
        return Ok(());
    }
    let key = |id: &TaskId| RowKey::new(Table::Ended, task_key(state.number(*id)));
    let keys: Vec<RowKey> = ids.iter().map(key).collect();
    for (key, row) in keys.iter().zip(store.get(&keys).await?) {
        if let Some(row) = row {
            let task = ended_row(&key.key, &row)?;
            facts.tasks.insert(task.id, task);
        }
    }
    Ok(())
}

async fn fetch_keys(store: &dyn Store, names: &[Key], facts: &mut Facts) -> Result<(), StoreError> {
    if names.is_empty() {
        return Ok(());
    }
    let keys: Vec<RowKey> = names.iter().map(|key| RowKey::new(Table::Key, key.as_str())).collect();
    for (name, row) in names.iter().zip(store.get(&keys).await?) {
        if let Some(row) = row {
            facts.keys.insert(name.clone(), key_row(name.as_str().as_bytes(), &row)?);
        }
    }
    Ok(())
}
