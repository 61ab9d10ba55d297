//! This file proves how a journal answers damage, full disks and growth.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use agentcom_core::port::store::Table;
use tempfile::TempDir;

use super::*;

fn journal() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal");
    (dir, path)
}

fn open(path: &Path) -> (Log, Vec<Damage>) {
    Log::open(path.to_owned(), JournalLimits::default()).unwrap()
}

fn put(seq: u64, key: &str, value: &str) -> Batch {
    let puts = vec![(RowKey::new(Table::Job, key), value.as_bytes().to_vec())];
    Batch { seq, puts, deletes: Vec::new() }
}

fn value(log: &Log, key: &str) -> Option<String> {
    let bytes = log.rows().get(&RowKey::new(Table::Job, key))?;
    Some(String::from_utf8(bytes.clone()).unwrap())
}

/// A journal with the rows a, b and c; also where each record starts, and where the last ends.
fn filled(path: &Path) -> [u64; 4] {
    let mut log = open(path).0;
    let mut starts = [log.length; 4];
    for (seq, key) in [(1, "a"), (2, "b"), (3, "c")] {
        log.commit(&put(seq, key, "value")).unwrap();
        starts[seq as usize] = log.length;
    }
    starts
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tears() {
    let (_dir, path) = journal();
    let [_, _, last, end] = filled(&path);
    let whole = std::fs::read(&path).unwrap();
    for torn_at in last + 1..end {
        std::fs::write(&path, &whole[..torn_at as usize]).unwrap();
        let (mut log, damage) = open(&path);
        assert_eq!(damage, [Damage { place: Place::Tail, offset: last, bytes: torn_at - last }]);
        assert_eq!((value(&log, "b").is_some(), value(&log, "c")), (true, None));
        log.commit(&put(3, "d", "again")).unwrap();
        drop(log);
        let (log, damage) = open(&path);
        assert_eq!((value(&log, "d"), damage), (Some("again".into()), vec![]));
    }
}

#[test]
fn a_journal_that_was_never_finished_creating_is_created_again() {
    let (_dir, path) = journal();
    for length in 0..=HEADER.len() {
        std::fs::write(&path, &HEADER[..length]).unwrap();
        let (mut log, damage) = open(&path);
        assert_eq!((log.rows().seq(), damage), (None, vec![]));
        log.commit(&put(0, "a", "1")).unwrap();
        drop(log);
        assert_eq!(value(&open(&path).0, "a"), Some("1".into()));
    }
}

#[test]
fn a_bad_middle_is_quarantined_and_the_rest_is_kept() {
    let (_dir, path) = journal();
    let [first, second, ..] = filled(&path);
    let whole = std::fs::read(&path).unwrap();
    for at in first..second {
        let mut bytes = whole.clone();
        bytes[at as usize] ^= 0x10;
        std::fs::write(&path, &bytes).unwrap();
        let _ = std::fs::remove_file(beside(&path, "quarantine"));
        let (log, damage) = open(&path);
        let expected = Damage { place: Place::Middle, offset: first, bytes: second - first };
        assert_eq!(damage, [expected], "byte {at}");
        assert_eq!(value(&log, "a"), None);
        assert_eq!((value(&log, "b").is_some(), value(&log, "c").is_some()), (true, true));
        let saved = std::fs::read(beside(&path, "quarantine")).unwrap();
        assert!(saved.windows(expected.range().len()).any(|part| *part == bytes[expected.range()]));
        drop(log);
        let (log, damage) = open(&path);
        assert_eq!((log.rows().seq(), damage), (Some(3), vec![]), "it is repaired");
    }
}

#[test]
fn a_damaged_header_costs_no_record() {
    let (_dir, path) = journal();
    filled(&path);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[0] = 0;
    std::fs::write(&path, &bytes).unwrap();
    let (log, damage) = open(&path);
    assert_eq!((damage.len(), log.rows().iter().count()), (1, 3));
}

#[test]
fn foreign_and_newer_files_are_refused_and_left_alone() {
    let (_dir, path) = journal();
    for (text, why) in
        [("agentcom-journal 2\nsomething", "newer"), ("my diary, dear", "no journal")]
    {
        std::fs::write(&path, text).unwrap();
        let error = Log::open(path.clone(), JournalLimits::default()).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Corrupt);
        assert!(error.message.contains(why), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn the_file_stays_within_twice_its_rows() {
    let (_dir, path) = journal();
    let limits = JournalLimits { compact_bytes_min: 4096, ..JournalLimits::default() };
    let mut log = Log::open(path.clone(), limits).unwrap().0;
    for seq in 0..300 {
        log.commit(&put(seq, &format!("k{}", seq % 7), &"v".repeat(100))).unwrap();
        assert!(std::fs::metadata(&path).unwrap().len() < 4096 + 200);
    }
    drop(log);
    let log = Log::open(path.clone(), limits).unwrap().0;
    assert_eq!((log.rows().seq(), log.rows().iter().count()), (Some(299), 7));
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "compaction keeps the file private");
}

#[test]
fn a_full_journal_takes_no_more_but_lets_go() {
    let (_dir, path) = journal();
    let limits = JournalLimits { rows_bytes_max: 300, ..JournalLimits::default() };
    let mut log = Log::open(path, limits).unwrap().0;
    log.commit(&put(1, "a", &"v".repeat(200))).unwrap();
    let error = log.commit(&put(2, "b", &"v".repeat(200))).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable);
    let deletes = vec![RowKey::new(Table::Job, "a")];
    log.commit(&Batch { seq: 2, puts: Vec::new(), deletes }).unwrap();
    log.commit(&put(3, "b", &"v".repeat(200))).unwrap();
    assert_eq!(log.rows().bytes(), 208);
}

/// A file on a disk that has room for some bytes only, or cannot be synced.
#[derive(Debug)]
struct Sick {
    file: File,
    room: AtomicU64,
    syncs: bool,
}

impl Medium for Sick {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let fits = self.room.load(Relaxed).min(bytes.len() as u64);
        self.room.fetch_sub(fits, Relaxed);
        self.file.write_all(&bytes[..fits as usize])?;
        if fits < bytes.len() as u64 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn sync(&mut self) -> io::Result<()> {
        if self.syncs { self.file.sync_data() } else { Err(io::Error::other("EIO")) }
    }
}

fn on_sick_disk(path: &Path, room: u64, syncs: bool) -> Log {
    let mut log = open(path).0;
    let file = OpenOptions::new().append(true).open(path).unwrap();
    log.file = Box::new(Sick { file, room: room.into(), syncs });
    log
}

#[test]
fn a_full_disk_changes_nothing_wherever_it_fills_up() {
    for room in 0..40 {
        let (_dir, path) = journal();
        let [.., end] = filled(&path);
        let mut log = on_sick_disk(&path, room, true);
        let error = log.commit(&put(4, "d", "value")).unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
        assert!(log.commit(&put(4, "d", "value")).is_err(), "it is not used again");
        drop(log);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), end);
        let (mut log, damage) = open(&path);
        assert_eq!(damage, []);
        log.commit(&put(4, "d", "value")).unwrap();
    }
}

#[test]
fn a_failed_sync_is_unknown_and_never_tried_again() {
    let (_dir, path) = journal();
    filled(&path);
    let mut log = on_sick_disk(&path, u64::MAX, false);
    let error = log.commit(&put(4, "d", "value")).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unknown);
    assert_eq!(log.commit(&put(5, "e", "value")).unwrap_err().kind, StoreErrorKind::Unavailable);
}
