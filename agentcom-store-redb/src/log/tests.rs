//! This file tests the ring of batches, and what can be told from it later.

use super::*;
use crate::testing::Disk;

const LOG_BYTES: u64 = 8 * PAGE;

fn layout() -> Layout {
    Layout { log_bytes: LOG_BYTES, salt: 7 }
}

fn seal() -> Seal {
    Seal::new("main")
}

fn disk() -> Disk {
    let disk = Disk::new();
    layout().write(&disk).unwrap();
    disk
}

fn log(disk: &Disk) -> Log {
    Log::empty(Arc::new(disk.clone()), layout(), 0)
}

/// A sealed batch that says nothing and has so many bytes.
fn sealed(seq: u64, bytes: usize) -> Vec<u8> {
    let mut sealed = Vec::new();
    seal().seal(&tail::place(seq), &vec![seq as u8; bytes], &mut sealed);
    sealed
}

fn append(log: &mut Log, seq: u64, bytes: usize, folded: Option<u64>) -> bool {
    log.batch().extend(vec![seq as u8; bytes]);
    log.append(seal(), [seq - 1, seq], folded).unwrap().is_some()
}

/// A record with these bytes in its batch.
fn record(layout: Layout, follows: [u64; 2], batch: &[u8]) -> Vec<u8> {
    let mut record = vec![0; HEADER_BYTES + Seal::OVERHEAD];
    record.extend(batch);
    finish_record(layout, seal(), follows, &mut record);
    record
}

fn seqs(disk: &Disk) -> Vec<u64> {
    read(&disk.bytes(), layout(), seal()).entries.into_keys().collect()
}

#[test]
fn what_was_appended_is_found() {
    let disk = disk();
    let mut log = log(&disk);
    for (seq, bytes) in [(1, 10), (2, 5_000), (3, 0)] {
        assert!(append(&mut log, seq, bytes, None));
    }
    let bytes = disk.bytes();
    let found = read(&bytes, layout(), seal());
    assert_eq!(found.confirmed, Some(3));
    assert_eq!(found.entries[&2].batch, sealed(2, 5_000));
    assert_eq!(found.entries.values().map(|entry| entry.before).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(read(&bytes, layout(), Seal::new("other")), Found::default());
}

#[test]
fn room_is_free_once_a_batch_is_in_the_rows_and_no_sooner() {
    let disk = disk();
    let mut log = log(&disk);
    // Two pages each.
    for seq in 1..=4 {
        assert!(append(&mut log, seq, 5_000, None));
    }
    assert!(!append(&mut log, 5, 10, None), "the log is full");
    assert_eq!(seqs(&disk), [1, 2, 3, 4]);
    assert!(append(&mut log, 5, 10, Some(1)));
    assert!(append(&mut log, 6, 10, Some(1)));
    assert!(!append(&mut log, 7, 10, Some(1)), "the next page is that of a live batch");
    assert_eq!(seqs(&disk), [2, 3, 4, 5, 6]);
    assert!(append(&mut log, 7, 10, Some(3)));
    assert!(append(&mut log, 8, 10_000, Some(3)), "three pages of four");
    assert!(append(&mut log, 9, 5_000, Some(4)), "to the last page");
    assert!(!append(&mut log, 10, 5_000, Some(5)), "two pages do not fit into the one in front");
    assert!(append(&mut log, 10, 5_000, Some(6)));
    assert!(!append(&mut log, 11, 40_000, Some(9)), "there is never room for ten pages");
}

#[test]
fn what_is_in_the_rows_is_overwritten_last() {
    let disk = disk();
    let mut log = log(&disk);
    for seq in 1..=8 {
        assert!(append(&mut log, seq, 10, Some(seq - 1)), "the others are in the rows");
    }
    assert_eq!(seqs(&disk), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert!(append(&mut log, 9, 10, Some(8)));
    assert_eq!(seqs(&disk), [2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn records_get_room_on_the_disk_together() {
    let disk = disk();
    let mut log = log(&disk);
    let mut calls = |seq| {
        let before = disk.calls();
        assert!(append(&mut log, seq, 10, Some(seq - 1)));
        disk.calls() - before
    };
    // The record, its sync and its mark; the first one also those behind it.
    assert_eq!([1, 2, 8, 9].map(&mut calls), [4, 3, 3, 3]);
}

#[test]
fn making_room_leaves_what_the_log_holds() {
    let disk = disk();
    let mut log = log(&disk);
    for seq in 1..=4 {
        assert!(append(&mut log, seq, 5_000, None));
    }
    assert!(append(&mut log, 5, 10, Some(4)), "where the first one was");
    let filled = filled(&disk.bytes(), layout());
    assert_eq!(filled, LOG_BYTES);
    let mut opened = Log::empty(Arc::new(disk.clone()), layout(), filled);
    assert!(append(&mut opened, 6, 10, Some(5)));
    assert_eq!(seqs(&disk), [2, 3, 4, 6]);
}

#[test]
fn a_log_is_filled_up_to_its_last_page_that_holds_something() {
    let disk = disk();
    assert_eq!(filled(&disk.bytes(), layout()), 0);
    assert!(append(&mut log(&disk), 1, 5_000, None));
    assert_eq!(filled(&disk.bytes(), layout()), 2 * PAGE);
}

#[test]
fn a_record_that_is_torn_or_flipped_is_told_from_a_whole_one() {
    let disk = disk();
    let mut log = log(&disk);
    assert!(append(&mut log, 1, 100, None));
    assert!(append(&mut log, 2, 5_000, None));
    let good = disk.bytes();
    let second = (layout().log() + PAGE) as usize;
    for at in second..second + HEADER_BYTES + Seal::OVERHEAD + 5_000 {
        let mut bytes = good.clone();
        bytes[at] ^= 16;
        let found = read(&bytes, layout(), seal());
        assert_eq!(found.entries.keys().collect::<Vec<_>>(), [&1], "byte {at}");
        assert_eq!(found.unreadable.len(), usize::from(at >= second + HEADER_BYTES), "byte {at}");
        assert_eq!((found.confirmed, found.last()), (Some(2), Some(2)));
    }
}

#[test]
fn what_somebody_submitted_is_never_taken_for_a_batch() {
    let disk = disk();
    let mut log = log(&disk);
    // A whole record, but for the number that only the file has, a page into a batch.
    let forged = record(Layout { salt: 8, ..layout() }, [1, 9], &[9; 10]);
    let batch = log.batch();
    batch.resize(PAGE as usize, 0);
    batch.extend(forged);
    assert!(log.append(seal(), [0, 1], None).unwrap().is_some());
    let mut bytes = disk.bytes();
    assert_eq!(bytes[(layout().log() + PAGE) as usize..][..8], MAGIC);
    // Even where the batch around it is damaged.
    bytes[(layout().log() + 100) as usize] ^= 1;
    assert!(read(&bytes, layout(), seal()).entries.is_empty());
}

#[test]
fn the_stored_form_of_a_record_and_a_mark_does_not_change() {
    let record = record(layout(), [257, 258], &[2; 2]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    expect_test::expect!["ac626174636800019577cd06f0a7a2f4020100000000000001010000000000000b00000000000000e55ef57acb89de4905368f2b49a243970105368f2b49a243970202"].assert_eq(&hex(&record));
    expect_test::expect!["e55ef57acb89de490201000000000000883cfd8b4833eadf"]
        .assert_eq(&hex(&mark(layout(), seal(), 258)));
}
