//! This file tests how batches are kept whole, and read back.

use super::*;

fn row(key: &str) -> RowKey {
    RowKey::new(Table::Event, key)
}

fn batch(seq: u64, puts: &[&str], deletes: &[&str]) -> Batch {
    let value = |key: &&str| (row(key), format!("{key}{seq}").into_bytes());
    let puts = puts.iter().map(value).collect();
    Batch { seq, puts, deletes: deletes.iter().map(|key| row(key)).collect() }
}

/// A batch as it is stored.
fn record(batch: &Batch) -> (Vec<u8>, Vec<u64>) {
    let mut record = vec![0; Seal::OVERHEAD];
    let seal = Seal::new("main");
    let sums = write(seal, batch, &mut record);
    seal.seal_in_place(&place(batch.seq), &mut record);
    (record, sums)
}

fn tail(batches: Vec<Batch>) -> Tail {
    let mut tail = Tail::new(4, None);
    for batch in batches {
        let sums = vec![0; batch.puts.len()];
        tail.take_in(batch, 100, &sums);
    }
    tail
}

#[test]
fn a_batch_opens_to_what_was_written() {
    let mut written = batch(3, &["a", "bc"], &["d"]);
    written.puts.push((RowKey::new(Table::Meta, [0xff]), Vec::new()));
    let (record, sums) = record(&written);
    assert_eq!(open(Seal::new("main"), 3, &record).unwrap(), (written, sums));
}

#[test]
fn the_stored_form_of_a_batch_does_not_change() {
    let (record, _) = record(&batch(258, &["a"], &["bc"]));
    let [rest, removed] = [&record[9..], &record[record.len() - 9..]];
    assert_eq!(rest[..8], [9, 1, 0, 13, 0, 0, 0, b'a']);
    let mut place = Vec::new();
    write_place(&row("a"), &mut place);
    assert_eq!(Seal::new("main").open(&place, &rest[8..21]).unwrap().value, b"a258");
    assert_eq!(removed, [9, 2, 0, 0xff, 0xff, 0xff, 0xff, b'b', b'c']);
    assert_eq!(place_and_back(258), 258);
}

fn place_and_back(seq: u64) -> u64 {
    assert_eq!(place(seq), [&[255][..], &seq.to_be_bytes()].concat()[..]);
    seq_at(&place(seq)).unwrap()
}

#[test]
fn a_damaged_row_in_a_batch_is_named_and_any_other_damage_names_the_batch() {
    let (good, _) = record(&batch(3, &["a", "bc"], &["d"]));
    let seal = Seal::new("main");
    let mut named = 0;
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            let error = open(seal, 3, &bad).unwrap_err().message;
            let is_row = error.starts_with("table ");
            assert!(is_row || error.starts_with("batch 3: "), "bit {bit} of {at}: {error}");
            named += usize::from(is_row);
        }
    }
    assert!(named >= 8 * (2 + 3), "{named}");
    assert!(open(seal, 4, &good).is_err(), "in another place");
    for length in 0..good.len() {
        assert!(open(seal, 3, &good[..length]).is_err(), "{length} bytes");
    }
}

#[test]
fn batches_are_due_once_there_are_enough_and_none_settle() {
    let batches = |range: core::ops::RangeInclusive<u64>| range.map(|n| batch(n, &["a"], &[]));
    assert!(!tail(batches(1..=3).collect()).is_due());
    let mut due = tail(batches(1..=4).collect());
    assert!(due.is_due());
    assert_eq!(due.settle(false).unwrap().last(), Some(4));
    batches(5..=8).for_each(|batch| due.take_in(batch, 100, &[0]));
    assert!(!due.is_due(), "others settle");
    assert_eq!(due.settle(true).unwrap().last(), Some(4), "they are written first");
    due.forget(Some(4));
    assert!(due.is_due());

    let mut large = Tail::new(64, None);
    assert!(large.settle(true).is_none(), "there is nothing");
    large.take_in(batch(1, &[], &[]), BYTES - 1, &[]);
    assert!(large.settle(false).is_none());
    large.take_in(batch(2, &[], &[]), 1, &[]);
    assert!(large.is_due());
}

#[test]
fn what_settles_is_seen_beneath_what_comes_in_until_it_is_in_the_rows() {
    let mut tail = tail(vec![batch(1, &["a", "b"], &[]), batch(2, &["c"], &["b"])]);
    let settling = tail.settle(true).unwrap();
    let words = settling.rows().map(|(row, word)| (row.key.as_slice(), word.is_some()));
    assert_eq!(words.collect::<Vec<_>>(), [(&b"a"[..], true), (b"b", false), (b"c", true)]);
    tail.take_in(batch(3, &["b"], &["c"]), 100, &[0]);
    let seen = |tail: &Tail| ["a", "b", "c"].map(|key| tail.get(&row(key)).map(Word::is_some));
    assert_eq!(seen(&tail), [Some(true), Some(true), Some(false)]);
    assert_eq!((tail.last(), tail.folded()), (Some(3), None));
    tail.forget(Some(2));
    assert_eq!(seen(&tail), [None, Some(true), Some(false)]);
    assert_eq!((tail.last(), tail.folded()), (Some(3), Some(2)));
    tail.forget(Some(3));
    assert_eq!((seen(&tail), tail.last(), tail.unfolded()), ([None; 3], Some(3), None));
}

#[test]
fn a_range_takes_as_many_words_as_it_needs() {
    let mut tail = tail(vec![batch(1, &["b", "c", "d"], &["a", "e"])]);
    assert!(tail.settle(true).is_some());
    tail.take_in(batch(2, &["a"], &["c"]), 100, &[0]);
    let keys = |backwards, after: Option<&str>, limit| {
        let after = after.map(|key| key.as_bytes().to_vec());
        let range = Range { table: Table::Event, prefix: vec![], after, backwards, limit };
        let words = tail.range(&range).into_iter();
        words.map(|(key, _)| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(keys(false, None, 9), ["a", "b", "c", "d", "e"]);
    assert_eq!(keys(false, None, 2), ["a", "b"]);
    assert_eq!(keys(true, None, 1), ["e", "d"], "removals do not count");
    assert_eq!(keys(false, Some("b"), 1), ["c", "d"]);
    assert_eq!(keys(true, Some("c"), 9), ["b", "a"]);
}
