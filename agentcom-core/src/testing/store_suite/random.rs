//! This file plays random histories on a store and on a model of it, and compares the two.
//!
//! The histories are the same on every run. `PROPTEST_CASES` asks for more than the usual 64.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::collection::{btree_map, vec};
use proptest::prelude::{Just, Strategy, any};
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use proptest::{option, prop_oneof, sample};

use super::StoreFixture;
use super::sorted::defined;
use super::words::try_load;
use crate::port::store::{Batch, Range, Row, RowKey, Store, StoreError, StoreErrorKind, Table};

/// How many histories are played unless `PROPTEST_CASES` says otherwise.
const HISTORIES: u32 = 64;

/// What a batch does: rows to write, and with `None` to remove.
type Rows = BTreeMap<RowKey, Option<Vec<u8>>>;

/// One thing that happens to a store.
#[derive(Clone, Debug)]
enum Happening {
    /// A batch is committed.
    Commit { seq_step: u64, rows: Rows },
    /// A batch is committed whose number is no larger than the last one's, and refused.
    Stale { seq_back: u64, rows: Rows },
    /// Rows are read by range.
    History(Range),
    /// Rows are read by name.
    Get(Vec<RowKey>),
    /// The store is dropped and opened again, and read whole.
    Reopen,
}

/// What the contract says that a store holds.
#[derive(Debug, Default)]
struct Model {
    seq: Option<u64>,
    rows: BTreeMap<RowKey, Vec<u8>>,
}

/// Any history of commits, refused commits, reads and restarts gives the same answers as an ordered
/// map in memory. A history that does not is shrunk to a smallest one, and printed.
pub async fn any_history_equals_the_model<F: StoreFixture>(make: impl Fn() -> F) {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    if let Err(why) = histories_equal_the_model(make, cases.unwrap_or(HISTORIES), 0).await {
        panic!("{why}");
    }
}

/// As [`any_history_equals_the_model`], with so many histories of a seed.
///
/// # Errors
///
/// The first difference, and a smallest history that leads to it.
///
/// # Panics
///
/// Never: no strategy of histories refuses to give one.
pub async fn histories_equal_the_model<F: StoreFixture>(
    make: impl Fn() -> F,
    count: u32,
    seed: u64,
) -> Result<(), String> {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    for _ in 0..count {
        let mut tree = histories().new_tree(&mut runner).expect("nothing is filtered");
        if let Err(why) = play(&make(), &tree.current()).await {
            let (why, smallest) = shrink(&make, &mut tree, why).await;
            return Err(format!("{why}\nafter the history {smallest:#?}"));
        }
    }
    Ok(())
}

async fn shrink<F: StoreFixture>(
    make: &impl Fn() -> F,
    tree: &mut impl ValueTree<Value = Vec<Happening>>,
    mut why: String,
) -> (String, Vec<Happening>) {
    let mut smallest = tree.current();
    let mut go_on = tree.simplify();
    while go_on {
        go_on = match play(&make(), &tree.current()).await {
            Err(still) => {
                (why, smallest) = (still, tree.current());
                tree.simplify()
            }
            Ok(()) => tree.complicate(),
        };
    }
    (why, smallest)
}

async fn play(fixture: &impl StoreFixture, history: &[Happening]) -> Result<(), String> {
    let failed = |error: StoreError| error.to_string();
    let mut store = fixture.open().await.map_err(failed)?;
    let mut model = Model::default();
    for (at, happening) in history.iter().enumerate() {
        if matches!(happening, Happening::Reopen) {
            drop(store);
            store = fixture.open().await.map_err(failed)?;
        }
        let told = happen(&*store, &mut model, happening).await;
        told.map_err(|why| format!("happening {at}: {why}"))?;
        // Whoever is refused stops: a store need not go on, and nothing of the batch is there.
        if matches!(happening, Happening::Stale { .. }) {
            drop(store);
            store = fixture.open().await.map_err(failed)?;
            compare(&*store, &model).await.map_err(|why| format!("happening {at}: {why}"))?;
        }
    }
    drop(store);
    let store = fixture.open().await.map_err(failed)?;
    compare(&*store, &model).await
}

async fn happen(store: &dyn Store, model: &mut Model, happening: &Happening) -> Result<(), String> {
    match happening {
        Happening::Commit { seq_step, rows } => {
            let seq = model.seq.map_or(0, |seq| seq + seq_step);
            let batch = model.change(seq, rows);
            store.commit(batch).await.map_err(|error| error.to_string())
        }
        Happening::Stale { seq_back, rows } => {
            let Some(last) = model.seq else { return Ok(()) };
            let batch = batch(last.saturating_sub(*seq_back), rows);
            let refused = store.commit(batch).await.map_err(|error| error.kind);
            equal("a stale commit", refused, Err(StoreErrorKind::Fenced))
        }
        Happening::History(range) => {
            let found = store.history(range.clone()).await.map_err(|error| error.to_string())?;
            equal("history", found, defined(model.table(range.table), range))
        }
        Happening::Get(keys) => {
            let found = store.get(keys).await.map_err(|error| error.to_string())?;
            let expected = keys.iter().map(|key| model.rows.get(key).cloned()).collect();
            equal("get", found, expected)
        }
        Happening::Reopen => compare(store, model).await,
    }
}

async fn compare(store: &dyn Store, model: &Model) -> Result<(), String> {
    let loaded = try_load(store).await.map_err(|error| error.to_string())?;
    let live = |table: &Table| {
        let rows = model.table(*table).into_iter();
        rows.map(|row| (*table, row)).collect::<Vec<_>>()
    };
    equal("load", loaded, (model.seq, Table::LIVE.iter().flat_map(live).collect()))?;
    for table in Table::ALL {
        let range =
            Range { table, prefix: Vec::new(), after: None, backwards: true, limit: usize::MAX };
        let found = store.history(range.clone()).await.map_err(|error| error.to_string())?;
        equal("history", found, defined(model.table(table), &range))?;
    }
    Ok(())
}

fn equal<T: PartialEq + core::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what} answers {found:?} instead of {expected:?}"))
}

impl Model {
    fn change(&mut self, seq: u64, rows: &Rows) -> Batch {
        for (row, value) in rows {
            match value {
                Some(value) => self.rows.insert(row.clone(), value.clone()),
                None => self.rows.remove(row),
            };
        }
        self.seq = Some(seq);
        batch(seq, rows)
    }

    fn table(&self, table: Table) -> Vec<Row> {
        let of_table = self.rows.iter().filter(|(row, _)| row.table == table);
        of_table.map(|(row, value)| (row.key.clone(), value.clone())).collect()
    }
}

fn batch(seq: u64, rows: &Rows) -> Batch {
    let mut batch = Batch { seq, ..Batch::default() };
    for (row, value) in rows {
        match value {
            Some(value) => batch.puts.push((row.clone(), value.clone())),
            None => batch.deletes.push(row.clone()),
        }
    }
    batch
}

fn histories() -> impl Strategy<Value = Vec<Happening>> {
    let rows = || btree_map(row_keys(), option::weighted(0.7, values()), 0..12);
    let commit =
        (1..4_u64, rows()).prop_map(|(seq_step, rows)| Happening::Commit { seq_step, rows });
    let stale = (0..3_u64, rows()).prop_map(|(seq_back, rows)| Happening::Stale { seq_back, rows });
    let happening = prop_oneof![
        6 => commit,
        1 => stale,
        3 => ranges().prop_map(Happening::History),
        1 => vec(row_keys(), 0..6).prop_map(Happening::Get),
        1 => Just(Happening::Reopen),
    ];
    vec(happening, 1..30)
}

fn row_keys() -> impl Strategy<Value = RowKey> {
    (tables(), keys(1)).prop_map(|(table, key)| RowKey { table, key })
}

/// Few tables, so that histories meet in them.
fn tables() -> impl Strategy<Value = Table> {
    sample::select(&[Table::Meta, Table::Spec, Table::Job, Table::Event, Table::Artifact][..])
}

/// Few short keys, so that rows are overwritten, removed and each other's prefix.
fn keys(least: usize) -> impl Strategy<Value = Vec<u8>> {
    vec(sample::select(&[0_u8, 1, b'a', 0xFE, 0xFF][..]), least..4)
}

fn values() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![9 => vec(any::<u8>(), 0..20), 1 => vec(any::<u8>(), 4_000..9_000)]
}

fn ranges() -> impl Strategy<Value = Range> {
    let limit = prop_oneof![0..5_usize, Just(usize::MAX)];
    (tables(), keys(0), option::of(keys(0)), any::<bool>(), limit).prop_map(
        |(table, prefix, after, backwards, limit)| Range { table, prefix, after, backwards, limit },
    )
}
