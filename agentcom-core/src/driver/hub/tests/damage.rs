//! This file checks that lost rows are named when a store is opened, and not passed over.

use super::*;
use crate::change::{Head, decode, encode};
use crate::port::store::{Batch, RowKey, Table};

#[test]
fn a_task_whose_life_is_lost_is_named() {
    let mut rig = Rig::new();
    rig.submit(draft());
    let (disk, clock) = (rig.disk.clone(), rig.clock.clone());
    drop(rig);
    let rows = disk.rows();
    let of = |table| {
        rows.iter()
            .find(|(key, _)| key.table == table)
            .map(|(key, row)| (key.clone(), row.clone()))
            .unwrap()
    };
    let (life, _) = of(Table::Life);
    let key = RowKey::new(Table::Meta, "head");
    let mut head: Head = decode(Table::Meta, &key.key, &rows[&key]).unwrap();
    head.seq += 1;
    let batch = Batch {
        seq: head.seq,
        puts: Vec::from([(key, encode(&head))]),
        deletes: Vec::from([life]),
    };
    disk.open().commit(batch).now_or_never().unwrap().unwrap();
    let genesis = Genesis { incarnation: Incarnation(7), seed: 42, admin: TokenHash([9; 32]) };
    let opened =
        HubBuilder::new(Arc::new(disk.open()), clock).open(genesis).now_or_never().unwrap();
    let error = opened.map(drop).unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Corrupt);
    assert!(error.message.contains("life is missing"), "{error}");
}
