//! This file is what a store should hold, and where random batches come from.

use std::collections::BTreeMap;

use agentcom_core::port::store::{Batch, Range, RowKey, Store as _, StoreError, Table};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::chance;

/// How many keys a table has at most.
const KEYS: u64 = 40;

/// What a store should hold, or holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) seq: Option<u64>,
    pub(super) rows: BTreeMap<RowKey, Vec<u8>>,
}

impl Model {
    /// A batch of up to `rows_max` rows in any tables, that overwrites, adds and removes.
    pub(super) fn batch(&self, seed: u64, rows_max: u64) -> Batch {
        let seq = self.seq.map_or(1, |seq| seq + 1 + chance(seed, 1) % 3);
        let mut batch = Batch { seq, ..Batch::default() };
        let mut rows = BTreeMap::new();
        for at in 0..=chance(seed, 2) % rows_max {
            let draw = |what| chance(seed, 10 + 4 * at + what);
            let table = Table::ALL[(draw(0) % Table::ALL.len() as u64) as usize];
            let key = RowKey::new(table, (draw(1) % KEYS).to_be_bytes());
            rows.insert(key, (!draw(2).is_multiple_of(4)).then(|| value(draw(3))));
        }
        for (key, value) in rows {
            match value {
                Some(value) => batch.puts.push((key, value)),
                None => batch.deletes.push(key),
            }
        }
        batch
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        self.seq = Some(batch.seq);
        self.rows.extend(batch.puts.iter().cloned());
        for key in &batch.deletes {
            self.rows.remove(key);
        }
    }

    pub(super) fn with(&self, batch: &Batch) -> Self {
        let mut after = self.clone();
        after.apply(batch);
        after
    }

    /// All that a store holds, read in every way.
    pub(super) async fn of(store: &RedbStore) -> Result<Self, StoreError> {
        store.verify().await?;
        let mut live = BTreeMap::new();
        let seq = store
            .load(&mut |table, key, value| {
                live.insert(RowKey::new(table, key), value.to_vec());
                Ok(())
            })
            .await?;
        let mut rows = BTreeMap::new();
        for table in Table::ALL {
            let found = store.history(all(table)).await?.into_iter();
            rows.extend(found.map(|(key, value)| (RowKey::new(table, key), value)));
        }
        let is_live = |(key, _): &(&RowKey, &Vec<u8>)| Table::LIVE.contains(&key.table);
        assert!(live.iter().eq(rows.iter().filter(is_live)), "load and history do not agree");
        Ok(Self { seq, rows })
    }

    /// How this differs from what was expected, in one line.
    pub(super) fn difference(&self, expected: &Self) -> String {
        let lost = expected.rows.iter().filter(|(key, _)| !self.rows.contains_key(key)).count();
        let foreign = self.rows.iter().filter(|(key, _)| !expected.rows.contains_key(key)).count();
        let other = |(key, value): &(&RowKey, &Vec<u8>)| {
            expected.rows.get(key).is_some_and(|expected| expected != *value)
        };
        let other = self.rows.iter().filter(other).count();
        format!(
            "batch {:?} instead of {:?}; {lost} rows lost, {foreign} too many, {other} different",
            self.seq, expected.seq
        )
    }
}

pub(super) fn all(table: Table) -> Range {
    Range { table, prefix: vec![], after: None, backwards: false, limit: usize::MAX }
}

/// Mostly small, sometimes of more than a page, rarely of many.
fn value(seed: u64) -> Vec<u8> {
    let length = match seed % 64 {
        0 => 40_000,
        1..=4 => 6_000,
        5..=20 => 400,
        _ => seed / 64 % 120,
    };
    let bytes = (0..length.div_ceil(8)).flat_map(|at| chance(seed, at).to_le_bytes());
    bytes.take(length as usize).collect()
}
