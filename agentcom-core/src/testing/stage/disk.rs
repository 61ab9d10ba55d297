//! This file is the disk that the hubs of a stage share: a value, so that stages can be copied.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use crate::command::{Facts, Needs};
use crate::guard::{Guard, Guards};
use crate::id::TaskId;
use crate::port::store::{Batch, RowKey, Table};
use crate::state::{Loader, State, ended_row, key_row, task_key};
use crate::task::Life;
use crate::testing::zoo::Plant;
use crate::time::Now;

/// Rows, the number of the last batch, and who may write.
#[derive(Clone, Debug)]
pub(super) struct Disk {
    pub(super) rows: BTreeMap<RowKey, Arc<[u8]>>,
    pub(super) seq: Option<u64>,
    pub(super) openings: u64,
    guards: Guards,
}

impl Disk {
    pub(super) fn new(guards: Guards) -> Self {
        Self { rows: BTreeMap::new(), seq: None, openings: 0, guards }
    }

    /// Takes the data over from whoever had it.
    pub(super) const fn open(&mut self) -> u64 {
        self.openings += 1;
        self.openings
    }

    /// As a store does: a batch of a hub that was replaced, or that is not behind the last one, is
    /// refused.
    pub(super) fn commit(&mut self, opening: u64, batch: Batch) -> Result<(), ()> {
        let replaced = opening != self.openings && self.guards.on(Guard::OneWriter);
        let behind = self.seq.is_some_and(|last| batch.seq <= last);
        if replaced || behind && self.guards.on(Guard::BatchOrder) {
            return Err(());
        }
        self.seq = Some(batch.seq);
        self.write(batch);
        Ok(())
    }

    pub(super) fn write(&mut self, batch: Batch) {
        for (key, value) in batch.puts {
            self.rows.insert(key, value.into());
        }
        for key in batch.deletes {
            self.rows.remove(&key);
        }
    }

    /// The state that the rows add up to.
    pub(super) fn load(&self, now: Now, plant: Option<Plant>) -> Result<State, String> {
        let (mut state, mut loader) = (State::default(), Loader::default());
        state.tick(now);
        for table in Table::LIVE {
            if !Plant::reads(plant, table) {
                continue;
            }
            for (key, value) in self.rows.iter().filter(|(key, _)| key.table == table) {
                let change = loader.row(&state, table, &key.key, value);
                if let Some(change) = change.map_err(|error| error.to_string())? {
                    state.apply(change);
                }
            }
        }
        loader.finish().map_err(|error| error.to_string())?;
        match (self.seq, state.head()) {
            (Some(seq), Some(head)) if head.seq != seq => {
                Err(format!("the head speaks of event {}, the disk of {seq}", head.seq))
            }
            (Some(_), None) => Err("the disk has batches and no head".into()),
            (None, _) | (Some(_), Some(_)) => Ok(state),
        }
    }

    /// What a step has to know.
    pub(super) fn facts(&self, state: &State, needs: &Needs) -> Facts {
        let mut facts = Facts::default();
        for name in &needs.keys {
            let row = self.rows.get(&RowKey::new(Table::Key, name.as_str()));
            let used = row.and_then(|row| key_row(name.as_str().as_bytes(), row).ok());
            facts.keys.extend(used.map(|used| (name.clone(), used)));
        }
        let of_keys: Vec<TaskId> = facts.keys.values().map(|used| used.task).collect();
        for id in needs.tasks.iter().copied().chain(of_keys) {
            let key = task_key(state.number(id));
            let row = self.rows.get(&RowKey::new(Table::Ended, key.clone()));
            facts.tasks.extend(row.and_then(|row| Some((id, ended_row(&key, row).ok()?))));
        }
        facts
    }

    /// The life of a task, living or ended, by its number.
    pub(super) fn life(&self, number: u64) -> Option<Box<Life>> {
        let (key, row) = (task_key(number), |table| RowKey::new(table, task_key(number)));
        if let Some(life) = self.rows.get(&row(Table::Life)) {
            return crate::change::decode::<Life>(Table::Life, &key, life).ok().map(Box::new);
        }
        let ended = ended_row(&key, self.rows.get(&row(Table::Ended))?).ok()?;
        Some(ended.life.into())
    }

    /// The values of a table, in order.
    pub(super) fn table(&self, table: Table) -> impl Iterator<Item = (&RowKey, &[u8])> {
        let of_table = move |(key, _): &(&RowKey, &Arc<[u8]>)| key.table == table;
        self.rows.iter().filter(of_table).map(|(key, value)| (key, &**value))
    }
}
