//! This file tests the rows on a disk that fills up, loses its power, or was written by others.

use agentcom_core::port::store::{Batch, RowKey, StoreErrorKind, Table};
use redb::ReadableDatabase as _;

use super::*;
use crate::load;
use crate::testing::{Disk, chance};
use crate::upkeep::Stop;

/// Every batch writes the same rows, so that half a batch shows.
const TABLES: [Table; 3] = [Table::Meta, Table::Spec, Table::Event];

fn book(disk: &Disk) -> Result<Book, StoreError> {
    let options = Options {
        tail_batches: TAIL,
        cache_bytes: 1 << 20,
        log_bytes: LOG_BYTES,
        ..Options::default()
    };
    Book::on(disk.clone(), &options)
}

/// Room for six of the batches below, so that the log goes round.
const LOG_BYTES: u64 = 128 << 10;

/// So few batches in the tail that every fourth commit folds them.
const TAIL: usize = 4;

/// A batch that overwrites some rows, adds some and removes some, in several pages.
fn batch(seq: u64) -> Batch {
    let mut batch = Batch { seq, ..Batch::default() };
    for table in TABLES {
        batch.puts.push((RowKey::new(table, "at"), seq.to_be_bytes().into()));
        for part in 0..8 {
            let key = [seq.to_be_bytes(), [part; 8]].concat();
            batch.puts.push((RowKey::new(table, key.clone()), key.repeat(40)));
            let old = [seq.saturating_sub(3).to_be_bytes(), [part; 8]].concat();
            if seq > 3 {
                batch.deletes.push(RowKey::new(table, old));
            }
        }
    }
    batch
}

/// The number of the last batch, after a check that all of it is there and nothing else.
fn whole(book: &Book) -> u64 {
    load::verify(book, &Stop::default()).unwrap();
    let Some(seq) = book.tail().last() else { return 0 };
    for table in TABLES {
        let at = book.get(&[RowKey::new(table, "at")]).unwrap();
        assert_eq!(at, [Some(seq.to_be_bytes().to_vec())], "table {table}");
        let kept = 8 * seq.min(3) + 1;
        assert!(book.rows(&[table]).unwrap() == [(table, kept)], "table {table} keeps {kept} rows");
    }
    seq
}

#[test]
fn a_disk_that_fills_up_leaves_the_batch_out_or_its_outcome_open() {
    let mut outcomes = Vec::new();
    for calls in 0.. {
        let disk = Disk::new();
        let written = book(&disk).unwrap();
        (1..=5).for_each(|seq| written.commit(batch(seq)).unwrap());
        disk.fill_up_after(calls);
        let outcome = written.commit(batch(6));
        disk.heal();
        let Err(error) = outcome else { break };
        assert!(written.get(&[]).is_err() && written.commit(batch(7)).is_err(), "latched");
        drop(written);

        let seq = whole(&book(&disk).unwrap());
        match error.kind {
            StoreErrorKind::Unavailable => assert_eq!(seq, 5, "after {calls} calls: {error}"),
            StoreErrorKind::Unknown => {
                assert!(seq == 5 || seq == 6, "after {calls} calls: {error}")
            }
            StoreErrorKind::Fenced | StoreErrorKind::Corrupt => panic!("{error}"),
        }
        outcomes.push(error.kind);
    }
    assert!(outcomes.len() > 3, "the commit was interrupted at {} places", outcomes.len());
    assert!(outcomes.contains(&StoreErrorKind::Unknown));
}

#[test]
fn a_power_loss_at_any_moment_loses_no_confirmed_batch_and_leaves_no_half_one() {
    for seed in 0..20 {
        let mut disk = Disk::new();
        let mut confirmed = 0;
        for crash in 0..6 {
            let written = book(&disk).unwrap();
            let found = whole(&written);
            assert!(found == confirmed || found == confirmed + 1, "seed {seed}, crash {crash}");
            confirmed = found;
            disk.fill_up_after(chance(seed, crash) % 150);
            while written.commit(batch(confirmed + 1)).is_ok() {
                confirmed += 1;
                assert!(confirmed < found + 150, "each batch changes the disk");
            }
            disk = disk.power_loss(chance(seed, 1_000 + crash));
        }
    }
}

#[test]
fn a_store_of_a_newer_release_is_refused_by_name() {
    let disk = Disk::new();
    let written = book(&disk).unwrap();
    written.commit(batch(1)).unwrap();
    let mut record = Vec::new();
    written.seal.seal(&head::PLACE, &[head::FORMAT + 1, 9, 9], &mut record);
    overwrite(&written, &head::PLACE, &record);
    drop(written);

    let error = book(&disk).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    let expected = "head of agentcom/main: store format 3 is not 2, the only one known here";
    assert_eq!(error.message, expected);
}

#[test]
fn a_row_of_a_newer_release_is_refused_by_name() {
    let disk = Disk::new();
    let written = folded(&disk);
    overwrite(&written, &[&[Table::Spec as u8][..], b"at"].concat(), &[2; 30]);
    let error = written.get(&[RowKey::new(Table::Spec, "at")]).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    let expected = "table spec, row at: record format 2 is newer than 1, the newest known here";
    assert_eq!(error.message, expected);
}

#[test]
fn rows_without_a_head_are_refused() {
    let disk = Disk::new();
    let written = book(&disk).unwrap();
    written.commit(batch(1)).unwrap();
    let writing = written.database.begin_write().unwrap();
    writing.open_table(written.definition()).unwrap().remove(&head::PLACE[..]).unwrap();
    writing.commit().unwrap();
    drop(written);
    assert_eq!(book(&disk).unwrap_err().message, "head of agentcom/main: the row is missing");
}

#[test]
fn rows_that_vanish_are_missed() {
    for table in TABLES {
        let disk = Disk::new();
        let written = folded(&disk);
        let writing = written.database.begin_write().unwrap();
        let place = [&[table as u8][..], b"at"].concat();
        writing.open_table(written.definition()).unwrap().remove(&place[..]).unwrap();
        writing.commit().unwrap();
        let error = load::verify(&written, &Stop::default()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        let start = format!("table {table}: 8 rows are there, 9 were written");
        assert!(error.message.starts_with(&start), "{error}");
    }
}

/// A book with one batch, which is in the rows.
fn folded(disk: &Disk) -> Book {
    let written = book(disk).unwrap();
    written.commit(batch(1)).unwrap();
    (2..=5).for_each(|seq| written.commit(Batch { seq, ..Batch::default() }).unwrap());
    written
}

#[test]
fn what_comes_and_goes_in_the_tail_never_becomes_a_row() {
    let disk = Disk::new();
    let written = book(&disk).unwrap();
    let row = RowKey::new(Table::Life, "a");
    let puts = vec![(row.clone(), b"1".to_vec())];
    written.commit(Batch { seq: 1, ..Batch::default() }).unwrap();
    written.commit(Batch { seq: 2, puts, deletes: vec![] }).unwrap();
    written.commit(Batch { seq: 3, puts: vec![], deletes: vec![row.clone()] }).unwrap();
    for seq in 4..=9 {
        written.commit(Batch { seq, ..Batch::default() }).unwrap();
        assert_eq!(written.get(core::slice::from_ref(&row)).unwrap(), [None]);
        assert_eq!(written.rows(&[Table::Life]).unwrap(), [(Table::Life, 0)]);
        let (tree, ()) = written.snapshot(|_| ()).unwrap().unwrap();
        assert!(tree.get(&[&[Table::Life as u8][..], b"a"].concat()[..]).unwrap().is_none());
    }
}

#[test]
fn rows_are_read_as_last_written_wherever_their_last_word_is() {
    let disk = Disk::new();
    let mut written = book(&disk).unwrap();
    for seq in 1..=12 {
        written.commit(batch(seq)).unwrap();
        assert_eq!(whole(&written), seq);
        for backwards in [false, true] {
            check_history(&written, backwards);
        }
        if seq % 5 == 0 {
            drop(written);
            written = book(&disk).unwrap();
        }
    }
}

/// Reads a table in pages of three, and compares that with the whole.
fn check_history(book: &Book, backwards: bool) {
    let range =
        |after, limit| Range { table: Table::Spec, prefix: vec![], after, backwards, limit };
    let all = book.history(&range(None, usize::MAX)).unwrap();
    assert!(all.is_sorted_by(|(a, _), (b, _)| if backwards { a > b } else { a < b }));
    let mut pages: Vec<Row> = Vec::new();
    loop {
        let after = pages.last().map(|(key, _)| key.clone());
        let page = book.history(&range(after, 3)).unwrap();
        if page.is_empty() {
            break;
        }
        pages.extend(page);
    }
    assert!(pages == all);
}

fn overwrite(book: &Book, place: &[u8], record: &[u8]) {
    let writing = book.database.begin_write().unwrap();
    writing.open_table(book.definition()).unwrap().insert(place, record).unwrap();
    writing.commit().unwrap();
    assert!(book.database.begin_read().is_ok());
}
