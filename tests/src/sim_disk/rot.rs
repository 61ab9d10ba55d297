//! This file damages files and looks at what a store makes of them.

use std::collections::{BTreeMap, BTreeSet};

use agentcom_core::port::store::{RowKey, Store as _, StoreError, StoreErrorKind, Table};
use agentcom_store_redb::RedbStore;
use agentcom_store_redb::testing::{Disk, chance};

use super::model::{Model, all};
use super::options;

/// The size of redb's pages.
const PAGE: usize = 4096;
/// What a disk writes at once.
const SECTOR: usize = 512;

/// A good file, and what it holds.
#[derive(Clone, Debug)]
pub struct Base {
    bytes: Vec<u8>,
    /// The same file some batches earlier: what a torn page shows.
    earlier: Vec<u8>,
    model: Model,
    /// All values that each row ever had.
    ever: Values,
}

type Values = BTreeMap<RowKey, BTreeSet<Vec<u8>>>;

/// What damage led to.
#[derive(Clone, Debug, Default)]
pub struct Rot {
    /// How many files were damaged.
    pub files: u64,
    /// In how many of them all was as it should be.
    pub unharmed: u64,
    /// In how many the damage was reported.
    pub reported: u64,
    /// Reports that name a record or a table; the others are of files that cannot be opened.
    pub named: u64,
    /// Wrong values, and rows that were missing without a word.
    pub wrong_values: u64,
    /// In how many files of which the damage was reported a row had an older value of its own: what a
    /// torn page shows where the disk lost a part of the last write to it.
    pub older_values: u64,
    /// Panics that got out.
    pub panics: u64,
    /// What went wrong, with the seed.
    pub found: Vec<String>,
}

impl Rot {
    /// Adds up.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.unharmed += other.unharmed;
        self.reported += other.reported;
        self.named += other.named;
        self.wrong_values += other.wrong_values;
        self.older_values += other.older_values;
        self.panics += other.panics;
        self.found.extend(other.found);
    }
}

impl Base {
    /// A file that was closed, or if `seed` is odd left behind by a killed process.
    pub async fn new(seed: u64) -> Self {
        let (disk, mut model) = (Disk::new(), Model::default());
        let (mut earlier, mut ever) = (Vec::new(), Values::new());
        let store = RedbStore::on(&disk, options()).await.expect("an empty disk is opened");
        for turn in 0..60 {
            if turn == 55 {
                earlier = disk.bytes();
            }
            let batch = model.batch(chance(seed, turn), 30);
            store.commit(batch.clone()).await.expect("a good disk takes batches");
            model.apply(&batch);
            for (row, value) in batch.puts {
                ever.entry(row).or_default().insert(value);
            }
        }
        if seed.is_multiple_of(2) {
            drop(store);
        }
        Self { bytes: disk.bytes(), earlier, model, ever }
    }

    /// The file with one flipped bit, a torn page, a zeroed page, or its end cut off.
    fn damaged(&self, seed: u64) -> (Vec<u8>, String) {
        let mut bytes = self.bytes.clone();
        // Half of it where there is something to damage.
        let pages = bytes.len() / PAGE;
        let mut page = chance(seed, 1) as usize % pages;
        if chance(seed, 2).is_multiple_of(2) {
            let used = |page: &usize| bytes[page * PAGE..][..PAGE].iter().any(|byte| *byte != 0);
            page = (page..pages).chain(0..page).find(used).unwrap_or(page);
        }
        let draw = chance(seed, 3) as usize;
        let how = match seed % 4 {
            0 => {
                let at = page * PAGE + draw % PAGE;
                bytes[at] ^= 1 << (draw / PAGE % 8);
                format!("bit {} of byte {at} flipped", draw / PAGE % 8)
            }
            1 => {
                let (start, end) = (page * PAGE, (page + 1) * PAGE);
                let torn = start + (1 + draw % (PAGE / SECTOR - 1)) * SECTOR;
                bytes[torn..end].fill(0);
                if let Some(old) = self.earlier.get(torn..end) {
                    bytes[torn..end].copy_from_slice(old);
                }
                format!("page {page} torn at byte {torn}")
            }
            2 => {
                bytes[page * PAGE..][..PAGE].fill(0);
                format!("page {page} zeroed")
            }
            _ => {
                bytes.truncate(draw % bytes.len());
                format!("cut off at {}", bytes.len())
            }
        };
        (bytes, how)
    }
}

/// Damages a file as `seed` says, and reads all of it in every way.
pub async fn rot(base: &Base, seed: u64) -> Rot {
    let (bytes, how) = base.damaged(seed);
    let told = Rot { files: 1, ..Rot::default() };
    let base = base.clone();
    let reading = tokio::spawn(async move { judge(&Disk::holding(bytes), &base).await });
    match reading.await {
        Ok(Ok((None, _))) => Rot { unharmed: 1, ..told },
        Ok(Ok((Some(error), is_older))) => {
            let named = u64::from(names_a_record(&error));
            Rot { reported: 1, named, older_values: is_older.into(), ..told }
        }
        Ok(Err(why)) => {
            Rot { wrong_values: 1, found: vec![format!("seed {seed}, {how}: {why}")], ..told }
        }
        Err(panic) => {
            Rot { panics: 1, found: vec![format!("seed {seed}, {how}: {panic}")], ..told }
        }
    }
}

/// Reads in every way. What is read has to be right; what is missing has to be reported. Returns
/// the first report, and whether an older value was read, which has to be reported as well.
async fn judge(disk: &Disk, base: &Base) -> Result<(Option<StoreError>, bool), String> {
    let Base { model, ever, .. } = base;
    let store = match RedbStore::on(disk, options()).await {
        Ok(store) => store,
        Err(error) => return typed(error).map(|error| (Some(error), false)),
    };
    let mut seen = Seen { model, ever, first: None, missing: 0, is_older: false };
    let verified = store.verify().await;
    let is_whole = verified.is_ok();
    seen.take(verified)?;
    let mut live = BTreeMap::new();
    let loaded = store
        .load(&mut |table, key, value| {
            live.insert(RowKey::new(table, key), value.to_vec());
            Ok(())
        })
        .await;
    let whole = Table::LIVE.map(Some);
    if let Some(seq) = seen.take(loaded)? {
        if seq != model.seq {
            return Err(format!("the last batch is said to be {seq:?}"));
        }
        seen.rows(&live, |table| whole.contains(&Some(table)))?;
        if seen.missing > 0 {
            return Err("rows of live tables were missing, and loading said nothing".into());
        }
    } else {
        seen.rows(&live, |_| false)?;
    }
    for table in Table::ALL {
        if let Some(rows) = seen.take(store.history(all(table)).await)? {
            let rows = rows.into_iter().map(|(key, value)| (RowKey::new(table, key), value));
            seen.rows(&rows.collect(), |of| of == table)?;
        }
    }
    for (key, expected) in &model.rows {
        match seen.take(store.get(core::slice::from_ref(key)).await)? {
            Some(values) if values == [None] => seen.missing += 1,
            Some(values) if values == [Some(expected.clone())] => {}
            Some(values) => seen.other(key, values.first().and_then(Option::as_ref))?,
            None => {}
        }
    }
    if seen.missing > 0 && is_whole {
        return Err(format!("{} rows were missing, and all was called good", seen.missing));
    }
    if seen.is_older && is_whole {
        return Err("an older value was read, and all was called good".into());
    }
    Ok((seen.first, seen.is_older))
}

struct Seen<'a> {
    model: &'a Model,
    ever: &'a Values,
    first: Option<StoreError>,
    missing: usize,
    is_older: bool,
}

impl Seen<'_> {
    fn take<T>(&mut self, outcome: Result<T, StoreError>) -> Result<Option<T>, String> {
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(error) => {
                let error = typed(error)?;
                // Those behind the first may only say that the store was stopped.
                if self.first.is_none() && !names_a_record(&error) {
                    return Err(format!("a report of an open store names no record: {error}"));
                }
                self.first.get_or_insert(error);
                Ok(None)
            }
        }
    }

    /// What was read has to be right; what is not there of the tables that were read whole counts.
    fn rows(
        &mut self,
        found: &BTreeMap<RowKey, Vec<u8>>,
        whole: impl Fn(Table) -> bool,
    ) -> Result<(), String> {
        for (key, value) in found {
            if self.model.rows.get(key) != Some(value) {
                self.other(key, Some(value))?;
            }
        }
        let missing = |key: &&RowKey| whole(key.table) && !found.contains_key(key);
        self.missing += self.model.rows.keys().filter(missing).count();
        Ok(())
    }
}

impl Seen<'_> {
    /// A value that is not the last of its row can only be one that it had before.
    fn other(&mut self, key: &RowKey, value: Option<&Vec<u8>>) -> Result<(), String> {
        let had = |value| self.ever.get(key).is_some_and(|values| values.contains(value));
        if value.is_some_and(had) {
            self.is_older = true;
            return Ok(());
        }
        Err(format!("another value was read for {key:?}"))
    }
}

fn names_a_record(error: &StoreError) -> bool {
    let words = ["table ", "batch ", "the latest batches", "head"];
    words.iter().any(|word| error.message.contains(word))
}

fn typed(error: StoreError) -> Result<StoreError, String> {
    match error.kind {
        StoreErrorKind::Corrupt | StoreErrorKind::Unavailable => Ok(error),
        StoreErrorKind::Fenced | StoreErrorKind::Unknown => {
            Err(format!("damage was reported as {error}"))
        }
    }
}
